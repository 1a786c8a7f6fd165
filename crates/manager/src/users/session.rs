//! Sessions are signed tokens (HS256), so that every manager with the same key knows them. They name a user and the
//! epoch of the user's password; a session of an earlier epoch is void.

use crate::store::entity::secret;
use crate::store::{Store, Time};
use dragonfly_api::rest::Session;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait, SqlErr};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Bytes of a key that we make.
const KEY_BYTES: usize = 32;
/// Name of the key in the table of secrets.
const KEY: &str = "session key";

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Id of the user.
    pub(crate) id: i64,
    /// Epoch of the user's password.
    pub(crate) epoch: i64,
    /// When the session ends, in seconds since 1970.
    exp: i64,
    /// When it was opened, in seconds since 1970.
    orig_iat: i64,
}

/// Opens sessions and recognises them.
pub(crate) struct Sessions {
    sign: EncodingKey,
    recognise: DecodingKey,
    validation: Validation,
    validity: Duration,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions of this length, signed with this key.
    pub(crate) fn new(key: &SecretString, validity: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let key = key.expose_secret().as_bytes();
        Self {
            sign: EncodingKey::from_secret(key),
            recognise: DecodingKey::from_secret(key),
            validation,
            validity,
        }
    }

    pub(crate) fn open(&self, user: i64, epoch: i64, now: Time) -> Session {
        let expire = now.plus(self.validity);
        let claims = Claims {
            id: user,
            epoch,
            exp: expire.0 / 1000,
            orig_iat: now.0 / 1000,
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

/// The key in the database, which all its managers share. The first one that looks for it makes it.
pub(crate) async fn key_in(store: &Store, now: Time) -> Result<SecretString, DbErr> {
    let find = || secret::Entity::find_by_id(KEY).one(store.db());
    if let Some(key) = find().await? {
        return Ok(key.value.into());
    }
    let made = secret::Entity::insert(secret::ActiveModel {
        name: Set(KEY.to_owned()),
        value: Set(hex::encode(rand::random::<[u8; KEY_BYTES]>())),
        created_at: Set(now),
    });
    match made.exec_without_returning(store.db()).await {
        Err(error) if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => return Err(error),
        // Made by us, or by another manager at the same moment.
        _ => {}
    }
    let key = find().await?;
    let missing = || DbErr::RecordNotFound(format!("the {KEY} was removed as soon as it was made"));
    Ok(key.ok_or_else(missing)?.value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    fn sessions(key: &str) -> Sessions {
        Sessions::new(&key.to_owned().into(), DAY)
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_only_to_its_key() {
        let ours = sessions("one key of thirty-two characters");
        let session = ours.open(7, 2, Time::now());
        let claims = ours.verify(session.token.expose_secret()).unwrap();
        assert_eq!((claims.id, claims.epoch), (7, 2));
        assert!(sessions("another key").verify(session.token.expose_secret()).is_none());
        let ended = ours.open(7, 2, Time(Time::now().0 - 2 * 86_400_000));
        assert!(ours.verify(ended.token.expose_secret()).is_none());
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"id":1,"epoch":0,"exp":99999999999,"orig_iat":0}"#);
        assert!(sessions("k").verify(&format!("{header}.{claims}.")).is_none());
    }

    #[tokio::test]
    async fn a_key_is_made_once_for_all_managers_of_a_database() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manager.db");
        let one = Store::open_sqlite(&path).await.unwrap();
        let other = Store::open_sqlite(&path).await.unwrap();
        let (first, second) = tokio::join!(key_in(&one, Time(1)), key_in(&other, Time(1)));
        let first = first.unwrap();
        assert_eq!(first.expose_secret().len(), 2 * KEY_BYTES);
        assert_eq!(first.expose_secret(), second.unwrap().expose_secret());
        assert_eq!(
            first.expose_secret(),
            key_in(&one, Time(2)).await.unwrap().expose_secret()
        );
    }
}
