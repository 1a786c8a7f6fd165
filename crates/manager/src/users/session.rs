//! Sessions are signed tokens (HS256), so that every manager with the same key knows them. They name a user, the epoch of
//! the user's password and a row; a session of an earlier epoch, or whose row is gone, is void.

use super::{Attempt, Caller, Error, Users, rights};
use crate::error::{Error as Refusal, row_id};
use crate::store::entity::session::{ActiveModel, Column, Entity, Model};
use crate::store::entity::user;
use crate::store::{self, Store, Time};
use dragonfly_api::rest::{Session, UserSession};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Name of the key in the table of secrets.
const KEY: &str = "session key";
/// Sessions that a user may have at a time; another one ends the oldest.
const MAX_SESSIONS: u64 = 100;

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Id of the user.
    pub(crate) id: i64,
    /// Epoch of the user's password.
    pub(crate) epoch: i64,
    /// Id of the session.
    pub(crate) sid: String,
    /// When the session ends, in seconds since 1970.
    exp: i64,
    /// When its user signed in, in seconds since 1970.
    orig_iat: i64,
}

/// Opens sessions and recognises them.
pub(crate) struct Sessions {
    sign: EncodingKey,
    recognise: DecodingKey,
    validation: Validation,
    lasting: Lasting,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting {
    /// One session.
    pub(crate) session: Duration,
    /// How long after the sign-in a session can be continued by another.
    pub(crate) refresh: Duration,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("lasting", &self.lasting)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions signed with this key.
    pub(crate) fn new(key: &SecretString, lasting: Lasting) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let key = key.expose_secret().as_bytes();
        Self {
            sign: EncodingKey::from_secret(key),
            recognise: DecodingKey::from_secret(key),
            validation,
            lasting,
        }
    }

    /// The token of a session that begins now, of a user who signed in at `since`.
    fn open(&self, user: &user::Model, sid: String, since: Time, now: Time) -> Session {
        let expire = now.plus(self.lasting.session);
        let claims = Claims {
            id: user.id,
            epoch: user.session_epoch,
            sid,
            exp: expire.0 / 1000,
            orig_iat: since.0 / 1000,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("numbers are JSON and any bytes are an HMAC key");
        Session {
            token: token.into(),
            expire: Time(claims.exp * 1000).timestamp(),
        }
    }

    /// What a token says, if it is ours and has not ended.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.recognise, &self.validation);
        token.ok().map(|token| token.claims)
    }
}

impl Users {
    /// A session of a user whose password was right.
    pub(super) async fn open_session(&self, user: &user::Model, attempt: Attempt) -> Result<Session, Error> {
        self.make_room(user.id, attempt.now).await?;
        Ok(self.begin(self.store.db(), user, attempt.now, attempt).await?)
    }

    /// Another session in place of the caller's, whose token is void from then on. Possible for a while after the sign-in,
    /// so that who has stolen a token can't keep it alive for ever.
    pub(crate) async fn refresh(&self, caller: &Caller, attempt: Attempt) -> Result<Session, Error> {
        let id = caller.session()?;
        let transaction = self.store.write().await?;
        let old = Entity::find_by_id(id).lock_exclusive().one(&transaction).await?;
        let old = old.ok_or(Error::NotSignedIn)?;
        if attempt.now > old.created_at.plus(self.sessions.lasting.refresh) {
            return Err(Error::TooLate(self.sessions.lasting.refresh));
        }
        let user = user::Entity::find_by_id(old.user_id).one(&transaction).await?;
        let user = user.ok_or(Error::NotSignedIn)?;
        Entity::delete_by_id(id).exec(&transaction).await?;
        let session = self.begin(&transaction, &user, old.created_at, attempt).await?;
        transaction.commit().await?;
        Ok(session)
    }

    /// A session of a user who signed in at `since`.
    async fn begin(
        &self,
        db: &impl ConnectionTrait,
        user: &user::Model,
        since: Time,
        attempt: Attempt,
    ) -> Result<Session, DbErr> {
        let sid = uuid::Uuid::new_v4().to_string();
        let session = self.sessions.open(user, sid.clone(), since, attempt.now);
        let row = ActiveModel {
            id: Set(sid),
            user_id: Set(user.id),
            address: Set(attempt.from.to_canonical().to_string()),
            created_at: Set(since),
            expires_at: Set(attempt.now.plus(self.sessions.lasting.session)),
        };
        Entity::insert(row).exec_without_returning(db).await?;
        Ok(session)
    }

    /// Forgets sessions that have ended, and those that are too many.
    async fn make_room(&self, user: i64, now: Time) -> Result<(), DbErr> {
        let ended = Entity::delete_many().filter(Column::ExpiresAt.lte(now));
        ended.exec(self.store.db()).await?;
        let surplus: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::UserId.eq(user))
            .order_by_desc(Column::CreatedAt)
            .offset(MAX_SESSIONS - 1)
            .limit(MAX_SESSIONS)
            .into_tuple()
            .all(self.store.db())
            .await?;
        if !surplus.is_empty() {
            let surplus = Entity::delete_many().filter(Column::Id.is_in(surplus));
            surplus.exec(self.store.db()).await?;
        }
        Ok(())
    }

    pub(super) async fn require_session(&self, claims: &Claims) -> Result<(), Error> {
        let open = Entity::find_by_id(claims.sid.as_str())
            .filter(Column::UserId.eq(claims.id))
            .count(self.store.db())
            .await?;
        match open {
            0 => Err(Error::NotSignedIn),
            _ => Ok(()),
        }
    }

    /// Ends the caller's own session.
    pub(crate) async fn sign_out(&self, caller: &Caller) -> Result<(), Error> {
        let id = caller.session()?;
        Entity::delete_by_id(id).exec(self.store.db()).await?;
        Ok(())
    }

    /// The open sessions of a user, newest first.
    pub(crate) async fn sessions_of(&self, caller: &Caller, user: u64, now: Time) -> Result<Vec<UserSession>, Error> {
        self.get(user).await?;
        let rows = Entity::find()
            .filter(Column::UserId.eq(row_id(user)))
            .filter(Column::ExpiresAt.gt(now))
            .order_by_desc(Column::CreatedAt)
            .limit(MAX_SESSIONS)
            .all(self.store.db())
            .await?;
        let current = caller.session().ok();
        let wire = |row: Model| UserSession {
            current: current == Some(row.id.as_str()),
            id: row.id,
            created_at: row.created_at.timestamp(),
            expire: row.expires_at.timestamp(),
            address: row.address,
        };
        Ok(rows.into_iter().map(wire).collect())
    }

    /// Ends one session of a user.
    pub(crate) async fn end_session(&self, caller: &Caller, user: u64, id: &str) -> Result<(), Error> {
        caller.session()?;
        rights::require_over(self.store.db(), caller, user).await?;
        let ended = Entity::delete_many()
            .filter(Column::Id.eq(id))
            .filter(Column::UserId.eq(row_id(user)))
            .exec(self.store.db())
            .await?;
        if ended.rows_affected == 0 {
            let (what, key) = ("session", id.to_owned());
            return Err(Refusal::NotFound { what, key }.into());
        }
        tracing::info!(user.name = caller.name, of = user, "ended a session");
        Ok(())
    }

    /// Ends all sessions of a user.
    pub(crate) async fn end_sessions(&self, caller: &Caller, user: u64) -> Result<(), Error> {
        caller.session()?;
        rights::require_over(self.store.db(), caller, user).await?;
        self.end_sessions_of(row_id(user)).await?;
        tracing::info!(user.name = caller.name, of = user, "ended all sessions of a user");
        Ok(())
    }

    pub(super) async fn end_sessions_of(&self, user: i64) -> Result<(), DbErr> {
        let sessions = Entity::delete_many().filter(Column::UserId.eq(user));
        sessions.exec(self.store.db()).await.map(drop)
    }
}

/// The key in the database, which all its managers share.
pub(crate) async fn key_in(store: &Store, now: Time) -> Result<SecretString, DbErr> {
    store::key(store, KEY, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    fn user() -> user::Model {
        user::Model {
            id: 7,
            name: "somebody".into(),
            email: None,
            encrypted_password: String::new(),
            must_change_password: false,
            session_epoch: 2,
            avatar: String::new(),
            phone: String::new(),
            state: user::ENABLED.into(),
            location: String::new(),
            bio: String::new(),
            created_at: Time(1),
            updated_at: Time(1),
        }
    }

    fn sessions(key: &str) -> Sessions {
        let lasting = Lasting {
            session: DAY,
            refresh: DAY,
        };
        Sessions::new(&key.to_owned().into(), lasting)
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_only_to_its_key() {
        let ours = sessions("one key of thirty-two characters");
        let session = ours.open(&user(), "s".into(), Time::now(), Time::now());
        let claims = ours.verify(session.token.expose_secret()).unwrap();
        assert_eq!((claims.id, claims.epoch, claims.sid.as_str()), (7, 2, "s"));
        assert!(sessions("another key").verify(session.token.expose_secret()).is_none());
        let before = Time(Time::now().0 - 2 * 86_400_000);
        let ended = ours.open(&user(), "s".into(), before, before);
        assert!(ours.verify(ended.token.expose_secret()).is_none());
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"id":1,"epoch":0,"sid":"s","exp":99999999999,"orig_iat":0}"#);
        assert!(sessions("k").verify(&format!("{header}.{claims}.")).is_none());
    }
}
