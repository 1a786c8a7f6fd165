//! Users: who may do what.
//!
//! Invariants: no session without a password that was right; a session ends when it is signed out or ended by its row, or
//! when its user is disabled or sets another password; a user who must change the password can do only that. Rights are
//! read from the store at each request, so what one manager changes holds at once on all.

mod accounts;
mod identities;
mod password;
mod rights;
mod roles;
mod session;
mod throttle;
mod tokens;

pub(crate) use identities::Identity;
pub(crate) use password::{Error as HashError, Hasher};
pub(crate) use rights::{ACTIONS, Action, OBJECTS};
pub(crate) use session::{Lasting, Sessions, key_in};
pub(crate) use tokens::{MIN_FIRST_TOKEN_CHARS, keep_first_token, tokens_open};

use crate::store::entity::user;
use crate::store::{Store, Time};
use dragonfly_api::rest::{ActorType, Check, ResetPassword, Session, SignIn};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::time::Duration;
use throttle::Throttle;

/// The first user's password if the operator gave none. All that it opens is the setting of another.
pub(crate) const DEFAULT_PASSWORD: &str = "dragonfly";

/// Why a user may not do something. All but the last two are the caller's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Which of them is wrong is not told.
    #[error("name or password is wrong")]
    WrongPassword,
    /// No session, or one that has ended.
    #[error("sign in first")]
    NotSignedIn,
    /// The password of this user must be changed first.
    #[error("the initial password opens nothing; set another one with POST /api/v1/users/{0}/reset_password")]
    PasswordChangeRequired(u64),
    /// A right is missing.
    #[error("user {user} has no right to {action} {object}")]
    Forbidden {
        user: String,
        action: &'static str,
        object: String,
    },
    /// A right that the caller has not himself can't be given or taken by him.
    #[error("user {user} may not hand on or touch the right {action} on {object}, which he does not have")]
    Beyond {
        user: String,
        action: String,
        object: String,
    },
    /// The sign-in is too long ago.
    #[error("sign in again: a session is renewed for {} h after its sign-in", .0.as_secs() / 3600)]
    TooLate(Duration),
    /// A token can't do what only a person does.
    #[error("a personal access token can't do this; sign in")]
    SessionRequired,
    /// Too many attempts.
    #[error("too many attempts; try again in {} s", .0.as_secs() + 1)]
    Throttled(Duration),
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// A password can't be hashed. Ours.
    #[error("a password can't be hashed")]
    Hash(#[from] password::Error),
    /// The database failed. Ours.
    #[error(transparent)]
    Store(#[from] crate::error::Error),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// A user who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: u64,
    pub(crate) name: String,
    must_change_password: bool,
    credential: Credential,
}

/// By what a caller is known.
#[derive(Debug, Clone)]
enum Credential {
    /// A session with this id.
    Session(String),
    /// A personal access token.
    Token { name: String, scopes: Vec<String> },
}

impl Caller {
    /// As what and under which name he is recorded.
    pub(crate) fn actor(&self) -> (ActorType, String) {
        match &self.credential {
            Credential::Session(_) => (ActorType::User, self.name.clone()),
            Credential::Token { name, .. } => (ActorType::Pat, format!("{}/{name}", self.name)),
        }
    }

    /// The id of the session; what only a person does is not for tokens.
    pub(crate) fn session(&self) -> Result<&str, Error> {
        match &self.credential {
            Credential::Session(id) => Ok(id),
            Credential::Token { .. } => Err(Error::SessionRequired),
        }
    }

    /// A user who must change the password may do nothing else.
    pub(crate) fn at_work(&self) -> Result<(), Error> {
        match self.must_change_password {
            true => Err(Error::PasswordChangeRequired(self.id)),
            false => Ok(()),
        }
    }
}

/// Where and when a password is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) from: IpAddr,
    pub(crate) now: Time,
}

/// All that can be asked about users.
#[derive(Debug)]
pub(crate) struct Users {
    store: Store,
    hasher: Hasher,
    sessions: Sessions,
    throttle: Throttle,
    force_password_change: bool,
}

impl Users {
    pub(crate) fn new(store: Store, hasher: Hasher, sessions: Sessions, force_password_change: bool) -> Self {
        Self {
            store,
            hasher,
            sessions,
            throttle: Throttle::new(),
            force_password_change,
        }
    }

    /// A session for the right password. It takes the same time whether or not there is such a user.
    pub(crate) async fn sign_in(&self, sign_in: SignIn, attempt: Attempt) -> Result<Session, Error> {
        sign_in
            .checked()
            .map_err(|problems| Error::Invalid(problems.to_string()))?;
        self.throttle
            .check(attempt.from, &sign_in.name)
            .map_err(Error::Throttled)?;
        let user = user::Entity::find()
            .filter(user::Column::Name.eq(sign_in.name.as_str()))
            .one(self.store.db())
            .await?;
        let hash = user.as_ref().map(|user| user.encrypted_password.clone());
        let right = self.hasher.verify(hash, sign_in.password).await?;
        match user {
            Some(user) if right && user.state == user::ENABLED => {
                tracing::info!(user.name = user.name, client.address = %attempt.from, "signed in");
                Ok(self.open_session(&user, attempt).await?)
            }
            _ => {
                tracing::info!(client.address = %attempt.from, "refused a sign-in");
                Err(Error::WrongPassword)
            }
        }
    }

    /// The user whose session, or whose personal access token, this is.
    pub(crate) async fn authenticate(&self, token: &str, now: Time) -> Result<Caller, Error> {
        // A token that an operator chose for the first start has any form.
        let Some(claims) = self.sessions.verify(token) else {
            return self.bearer(token, now).await;
        };
        self.require_session(&claims).await?;
        let user = user::Entity::find_by_id(claims.id)
            .filter(user::Column::State.eq(user::ENABLED))
            .filter(user::Column::SessionEpoch.eq(claims.epoch))
            .one(self.store.db())
            .await?
            .ok_or(Error::NotSignedIn)?;
        Ok(self.caller(user, Credential::Session(claims.sid)))
    }

    fn caller(&self, user: user::Model, credential: Credential) -> Caller {
        Caller {
            id: crate::error::wire_id(user.id),
            name: user.name,
            must_change_password: user.must_change_password && self.force_password_change,
            credential,
        }
    }

    /// Sets a user's own password and ends all of the user's sessions.
    pub(crate) async fn reset_password(
        &self,
        caller: &Caller,
        id: u64,
        reset: ResetPassword,
        attempt: Attempt,
    ) -> Result<(), Error> {
        caller.session()?;
        if caller.id != id {
            return Err(Error::Forbidden {
                user: caller.name.clone(),
                action: "set the password of",
                object: format!("user {id}"),
            });
        }
        check_new(&reset)?;
        self.throttle
            .check(attempt.from, &caller.name)
            .map_err(Error::Throttled)?;
        let user = user::Entity::find_by_id(crate::error::row_id(id))
            .one(self.store.db())
            .await?
            .ok_or(Error::NotSignedIn)?;
        let old = user.encrypted_password;
        if !self.hasher.verify(Some(old.clone()), reset.old_password).await? {
            return Err(Error::WrongPassword);
        }
        let hash = self.hasher.hash(reset.new_password).await?;
        let changed = user::Entity::update_many()
            .col_expr(user::Column::EncryptedPassword, Expr::value(hash))
            .col_expr(user::Column::MustChangePassword, Expr::value(false))
            .col_expr(user::Column::SessionEpoch, Expr::col(user::Column::SessionEpoch).add(1))
            .col_expr(user::Column::UpdatedAt, Expr::value(attempt.now))
            .filter(user::Column::Id.eq(user.id))
            // Of two that change it at the same time, one has given the wrong old password.
            .filter(user::Column::EncryptedPassword.eq(old))
            .exec(self.store.db())
            .await?;
        if changed.rows_affected == 0 {
            return Err(Error::WrongPassword);
        }
        self.end_sessions_of(user.id).await?;
        tracing::info!(user.name = caller.name, client.address = %attempt.from, "set a new password");
        Ok(())
    }
}

fn check_new(reset: &ResetPassword) -> Result<(), Error> {
    reset
        .checked()
        .map_err(|problems| Error::Invalid(problems.to_string()))?;
    let new = reset.new_password.expose_secret();
    if new == reset.old_password.expose_secret() || is_default(&reset.new_password) {
        return Err(Error::Invalid(
            "new_password must be another one than the old and the initial password".into(),
        ));
    }
    Ok(())
}

/// Whether everybody knows this password.
pub(crate) fn is_default(password: &SecretString) -> bool {
    password.expose_secret() == DEFAULT_PASSWORD
}
