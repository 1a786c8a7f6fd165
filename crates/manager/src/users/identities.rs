//! Users who sign in by an identity provider. A person of a provider is one user, by the provider's own name of the person;
//! equal names and mail addresses mean nothing.

use super::{Attempt, Error, Users};
use crate::error::{Error as Refusal, row_id};
use crate::store::Time;
use crate::store::entity::identity::{ActiveModel, Column, Entity};
use crate::store::entity::user;
use crate::store::seed::GUEST;
use dragonfly_api::rest::Session;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::net::IpAddr;

/// What a user's name has at most.
const MAX_NAME_CHARS: usize = 64;
const MAX_SUBJECT_CHARS: usize = 255;
/// Numbers that are tried for a name that others have.
const NUMBERS: u32 = 100;

/// A person whom an identity provider has recognised.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Row of the provider.
    pub(crate) provider: i64,
    /// What the provider calls the person, for ever.
    pub(crate) subject: String,
    /// What the person would like to be called.
    pub(crate) login: Option<String>,
    /// A verified mail address.
    pub(crate) email: Option<String>,
    /// Whether the person becomes a user if he is none.
    pub(crate) may_join: bool,
}

impl Users {
    /// Counts an attempt to sign in from an address.
    pub(crate) fn admit(&self, attempt: Attempt) -> Result<(), Error> {
        let from: IpAddr = attempt.from;
        self.throttle.check_address(from).map_err(Error::Throttled)
    }

    /// A session of the user who is this person; `None` if nobody is, and nobody becomes it.
    pub(crate) async fn enter(&self, identity: Identity, attempt: Attempt) -> Result<Option<Session>, Error> {
        let known = self.whose(self.store.db(), &identity).await?;
        let user = match known {
            Some(user) => user,
            None if identity.may_join => self.join(identity, attempt.now).await?,
            None => return Ok(None),
        };
        if user.state != user::ENABLED {
            tracing::info!(user.name = user.name, client.address = %attempt.from, "refused a sign-in: disabled");
            return Ok(None);
        }
        tracing::info!(user.name = user.name, client.address = %attempt.from, "signed in by an identity provider");
        self.open_session(&user, attempt).await.map(Some)
    }

    /// From now on this user is this person, too.
    pub(crate) async fn connect(&self, user: u64, identity: Identity, now: Time) -> Result<(), Error> {
        match self.whose(self.store.db(), &identity).await? {
            Some(known) if known.id == row_id(user) => return Ok(()),
            Some(_) => return Err(taken()),
            None => {}
        }
        let row = row(row_id(user), &identity, now)?.insert(self.store.db()).await;
        row.map_err(|error| match Refusal::unless_exists(error, "", "") {
            Refusal::Exists { .. } => taken(),
            error => error.into(),
        })?;
        Ok(())
    }

    async fn whose(&self, db: &impl ConnectionTrait, identity: &Identity) -> Result<Option<user::Model>, Error> {
        let row = Entity::find()
            .filter(Column::OauthId.eq(identity.provider))
            .filter(Column::Subject.eq(identity.subject.as_str()))
            .one(db)
            .await?;
        match row {
            Some(row) => Ok(user::Entity::find_by_id(row.user_id).one(db).await?),
            None => Ok(None),
        }
    }

    /// Makes a user with the role of a guest, and with a password that nobody knows.
    async fn join(&self, identity: Identity, now: Time) -> Result<user::Model, Error> {
        let password: [u8; 32] = rand::random();
        let hash = self.hasher.hash(hex::encode(password).into()).await?;
        let transaction = self.store.write().await?;
        let user = user::ActiveModel {
            id: NotSet,
            name: Set(free_name(&transaction, identity.login.as_deref()).await?),
            email: Set(free_email(&transaction, identity.email.as_deref()).await?),
            encrypted_password: Set(hash),
            must_change_password: Set(false),
            session_epoch: Set(0),
            avatar: Set(String::new()),
            phone: Set(String::new()),
            state: Set(user::ENABLED.to_owned()),
            location: Set(String::new()),
            bio: Set(String::new()),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let user = user.insert(&transaction).await;
        let user = user.map_err(|error| Refusal::unless_exists(error, "user", "with this name"))?;
        let row = row(user.id, &identity, now)?.insert(&transaction).await;
        row.map_err(|error| Refusal::unless_exists(error, "user", "who is this person"))?;
        super::roles::give_if_there(&transaction, user.id, GUEST).await?;
        transaction.commit().await?;
        tracing::info!(made = user.name, "made a user of who signed in by an identity provider");
        Ok(user)
    }
}

fn taken() -> Error {
    Refusal::Conflict("this account is connected to another user".to_owned()).into()
}

fn row(user: i64, identity: &Identity, now: Time) -> Result<ActiveModel, Error> {
    let chars = identity.subject.chars().count();
    if chars == 0 || chars > MAX_SUBJECT_CHARS {
        let message =
            format!("the identity provider's name of the person has {chars} characters, not 1 to {MAX_SUBJECT_CHARS}");
        return Err(Error::Invalid(message));
    }
    Ok(ActiveModel {
        id: NotSet,
        oauth_id: Set(identity.provider),
        subject: Set(identity.subject.clone()),
        user_id: Set(user),
        created_at: Set(now),
    })
}

/// The name that is wished for, without what names do not have; with a number if somebody has it.
async fn free_name(transaction: &DatabaseTransaction, wish: Option<&str>) -> Result<String, Error> {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(c);
    let mut wish: String = wish.unwrap_or_default().chars().filter(is_plain).collect();
    wish.truncate(MAX_NAME_CHARS - 4);
    if wish.is_empty() {
        "user".clone_into(&mut wish);
    }
    let numbered = (2..=NUMBERS).map(|number| format!("{wish}-{number}"));
    for name in std::iter::once(wish.clone()).chain(numbered) {
        let taken = user::Entity::find().filter(user::Column::Name.eq(name.as_str()));
        if taken.one(transaction).await?.is_none() {
            return Ok(name);
        }
    }
    Err(Refusal::Conflict(format!("{NUMBERS} users are called {wish:?}")).into())
}

/// No address where another user has it.
async fn free_email(transaction: &DatabaseTransaction, email: Option<&str>) -> Result<Option<String>, Error> {
    let Some(email) = email else { return Ok(None) };
    let taken = user::Entity::find().filter(user::Column::Email.eq(email));
    Ok(taken.one(transaction).await?.is_none().then(|| email.to_owned()))
}
