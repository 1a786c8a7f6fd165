//! Accounts: making, changing and removing users.
//!
//! The first user stays, with his role: without him nobody might be left who can do everything.

use super::{Caller, Error, Users, is_default, rights};
use crate::error::{Error as Refusal, row_id, wire_id};
use crate::rows::{self, set_given};
use crate::store::Time;
use crate::store::entity::user::{ActiveModel, Column, DISABLED, ENABLED, Entity, Model};
use crate::store::seed::{FIRST_ID, GUEST};
use dragonfly_api::rest::{Check, CreateUser, Page, UpdateUser, User, UserFilter, UserState};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder,
};

const WHAT: &str = "user";

impl Users {
    /// One page of the users that match, and how many match in total.
    pub(crate) async fn list(&self, filter: UserFilter, page: Page) -> Result<(Vec<User>, u64), Error> {
        let mut rows = Entity::find().order_by_asc(Column::Id);
        let texts = [
            (Column::Name, filter.name),
            (Column::Email, filter.email),
            (Column::Location, filter.location),
            (Column::State, filter.state.map(|state| word(state).to_owned())),
        ];
        for (column, text) in texts {
            if let Some(text) = text {
                rows = rows.filter(column.eq(text));
            }
        }
        let (rows, total) = rows::page(&self.store, rows, page).await?;
        Ok((rows.into_iter().map(wire).collect(), total))
    }

    /// The user with this id.
    pub(crate) async fn get(&self, id: u64) -> Result<User, Error> {
        Ok(wire(find(self.store.db(), id).await?))
    }

    /// Makes a user with the role of a guest, who has to set a password of his own.
    pub(crate) async fn create(&self, caller: &Caller, create: CreateUser, now: Time) -> Result<User, Error> {
        create.checked().map_err(Refusal::from)?;
        if is_default(&create.password) {
            let message = "password must be another one than the one that everybody knows";
            return Err(Error::Invalid(message.into()));
        }
        let hash = self.hasher.hash(create.password).await?;
        let row = ActiveModel {
            id: NotSet,
            name: Set(create.name.clone()),
            email: Set(some(create.email)),
            encrypted_password: Set(hash),
            must_change_password: Set(true),
            session_epoch: Set(0),
            avatar: Set(create.avatar),
            phone: Set(create.phone),
            state: Set(ENABLED.to_owned()),
            location: Set(create.location),
            bio: Set(create.bio),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let transaction = self.store.write().await?;
        let row = row.insert(&transaction).await;
        let row = row.map_err(|error| Refusal::unless_exists(error, WHAT, "with this name or email"))?;
        super::roles::grant_if_there(&transaction, caller, row.id, GUEST).await?;
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, made = row.name, "made a user");
        Ok(wire(row))
    }

    /// Changes what `update` names and leaves the rest.
    pub(crate) async fn update(&self, caller: &Caller, id: u64, update: UpdateUser, now: Time) -> Result<User, Error> {
        caller.session()?;
        update.checked().map_err(Refusal::from)?;
        let transaction = self.store.write().await?;
        let row = locked(&transaction, id).await?;
        rights::require_over(&transaction, caller, id).await?;
        let mut row = row.into_active_model();
        if let Some(state) = update.state {
            if caller.id == id || row_id(id) == FIRST_ID {
                let message = "nobody changes his own state, nor anybody that of the first user";
                return Err(Refusal::Conflict(message.into()).into());
            }
            row.state = Set(word(state).to_owned());
        }
        if let Some(email) = update.email {
            row.email = Set(some(email));
        }
        set_given!(row, update: phone, avatar, location, bio);
        row.updated_at = Set(now);
        let row = row.update(&transaction).await;
        let row = row.map_err(|error| Refusal::unless_exists(error, WHAT, "with this email"))?;
        transaction.commit().await?;
        if row.state != ENABLED {
            // Or they would be open again as soon as the user is enabled again.
            self.end_sessions_of(row.id).await?;
        }
        tracing::info!(user.name = caller.name, changed = row.name, "changed a user");
        Ok(wire(row))
    }

    /// Removes a user with his sessions and tokens.
    pub(crate) async fn delete(&self, caller: &Caller, id: u64) -> Result<(), Error> {
        caller.session()?;
        let transaction = self.store.write().await?;
        let row = locked(&transaction, id).await?;
        rights::require_over(&transaction, caller, id).await?;
        if caller.id == id || row.id == FIRST_ID {
            let message = "nobody removes himself, nor anybody the first user";
            return Err(Refusal::Conflict(message.into()).into());
        }
        Entity::delete_by_id(row.id).exec(&transaction).await?;
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, removed = row.name, "removed a user");
        Ok(())
    }
}

/// The user with this id.
pub(super) async fn find(db: &impl ConnectionTrait, id: u64) -> Result<Model, Refusal> {
    rows::get::<Entity>(db, WHAT, id).await
}

/// The user with this id, to be changed.
pub(super) async fn locked(transaction: &DatabaseTransaction, id: u64) -> Result<Model, Refusal> {
    rows::locked::<Entity>(transaction, WHAT, id).await
}

/// No mail address is no address, of which many may have none.
fn some(email: String) -> Option<String> {
    (!email.is_empty()).then_some(email)
}

fn word(state: UserState) -> &'static str {
    match state {
        UserState::Enable => ENABLED,
        UserState::Disable => DISABLED,
    }
}

fn wire(row: Model) -> User {
    User {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        name: row.name,
        email: row.email.unwrap_or_default(),
        avatar: row.avatar,
        phone: row.phone,
        state: match row.state.as_str() {
            ENABLED => UserState::Enable,
            _ => UserState::Disable,
        },
        location: row.location,
        bio: row.bio,
    }
}
