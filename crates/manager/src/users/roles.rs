//! Roles: making and removing them, what they permit, who has them.
//!
//! The role of root permits everything and stays so.

use super::{Caller, Error, Users, accounts, rights};
use crate::error::{Error as Refusal, row_id};
use crate::store::entity::role::{ActiveModel, Column, Entity, Model};
use crate::store::entity::{role_permission, user_role};
use crate::store::seed::{FIRST_ID, ROOT};
use dragonfly_api::rest::{Check, CreateRole, Permission};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::BTreeSet;

const WHAT: &str = "role";
/// What a role's permission is called in errors.
const PERMISSION: &str = "permission";

impl Users {
    /// The names of all roles.
    pub(crate) async fn roles(&self) -> Result<Vec<String>, Error> {
        let roles = Entity::find().order_by_asc(Column::Id).all(self.store.db()).await?;
        Ok(roles.into_iter().map(|role| role.name).collect())
    }

    /// What a role permits.
    pub(crate) async fn role(&self, name: &str) -> Result<Vec<Permission>, Error> {
        let role = named(self.store.db(), name).await?.ok_or_else(|| missing(name))?;
        Ok(rights::of_role(self.store.db(), role.id).await?)
    }

    /// Makes a role of rights that the caller has.
    pub(crate) async fn create_role(&self, caller: &Caller, create: CreateRole) -> Result<(), Error> {
        create.checked().map_err(Refusal::from)?;
        rights::check(&create.permissions)?;
        let transaction = self.store.write().await?;
        rights::require_all(&transaction, caller, &create.permissions).await?;
        let row = ActiveModel {
            id: NotSet,
            name: Set(create.role.clone()),
        };
        let row = row.insert(&transaction).await;
        let row = row.map_err(|error| Refusal::unless_exists(error, WHAT, &create.role))?;
        let permissions: BTreeSet<Permission> = create.permissions.into_iter().collect();
        let permissions = permissions.into_iter().map(|permission| permitted(row.id, permission));
        role_permission::Entity::insert_many(permissions)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, role = create.role, "made a role");
        Ok(())
    }

    /// Removes a role, also from those who have it.
    pub(crate) async fn delete_role(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let role = changeable(&transaction, caller, name).await?;
        Entity::delete_by_id(role.id).exec(&transaction).await?;
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, role = name, "removed a role");
        Ok(())
    }

    /// Adds a right, which the caller has, to a role.
    pub(crate) async fn permit(&self, caller: &Caller, name: &str, permission: Permission) -> Result<(), Error> {
        rights::check(std::slice::from_ref(&permission))?;
        let transaction = self.store.write().await?;
        let role = changeable(&transaction, caller, name).await?;
        rights::require_all(&transaction, caller, std::slice::from_ref(&permission)).await?;
        let key = shown(&permission);
        permitted(role.id, permission)
            .insert(&transaction)
            .await
            .map_err(|error| Refusal::unless_exists(error, PERMISSION, &key))?;
        transaction.commit().await?;
        tracing::info!(
            user.name = caller.name,
            role = name,
            permission = key,
            "added to a role"
        );
        Ok(())
    }

    /// Takes a right from a role.
    pub(crate) async fn forbid(&self, caller: &Caller, name: &str, permission: Permission) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let role = changeable(&transaction, caller, name).await?;
        let key = shown(&permission);
        let id = (role.id, permission.object, permission.action);
        let taken = role_permission::Entity::delete_by_id(id).exec(&transaction).await?;
        if taken.rows_affected == 0 {
            return Err(Refusal::NotFound { what: PERMISSION, key }.into());
        }
        transaction.commit().await?;
        tracing::info!(
            user.name = caller.name,
            role = name,
            permission = key,
            "took from a role"
        );
        Ok(())
    }

    /// The names of a user's roles.
    pub(crate) async fn roles_of(&self, user: u64) -> Result<Vec<String>, Error> {
        accounts::find(self.store.db(), user).await?;
        let theirs = Query::select()
            .column(user_role::Column::RoleId)
            .from(user_role::Entity)
            .and_where(Expr::col(user_role::Column::UserId).eq(row_id(user)))
            .to_owned();
        let roles = Entity::find()
            .filter(Column::Id.in_subquery(theirs))
            .order_by_asc(Column::Id)
            .all(self.store.db())
            .await?;
        Ok(roles.into_iter().map(|role| role.name).collect())
    }

    /// Gives a role, of which the caller has all rights, to a user.
    pub(crate) async fn grant(&self, caller: &Caller, user: u64, name: &str) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let user = accounts::locked(&transaction, user).await?;
        let role = find(&transaction, name).await?;
        let rights = rights::of_role(&transaction, role.id).await?;
        rights::require_all(&transaction, caller, &rights).await?;
        let key = format!("{name} of user {}", user.name);
        held(user.id, role.id)
            .insert(&transaction)
            .await
            .map_err(|error| Refusal::unless_exists(error, WHAT, &key))?;
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, role = name, to = user.name, "gave a role");
        Ok(())
    }

    /// Takes a role, of which the caller has all rights, from a user.
    pub(crate) async fn revoke(&self, caller: &Caller, user: u64, name: &str) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let user = accounts::locked(&transaction, user).await?;
        let role = find(&transaction, name).await?;
        let rights = rights::of_role(&transaction, role.id).await?;
        rights::require_all(&transaction, caller, &rights).await?;
        if user.id == FIRST_ID && name == ROOT {
            let message = "the first user keeps the role root";
            return Err(Refusal::Conflict(message.into()).into());
        }
        let taken = user_role::Entity::delete_by_id((user.id, role.id));
        if taken.exec(&transaction).await?.rows_affected == 0 {
            let key = format!("{name} of user {}", user.name);
            return Err(Refusal::NotFound { what: WHAT, key }.into());
        }
        transaction.commit().await?;
        tracing::info!(user.name = caller.name, role = name, of = user.name, "took a role");
        Ok(())
    }
}

/// Gives a role if it exists and the caller may: a new user without it can do nothing, which is safe.
pub(super) async fn grant_if_there(
    transaction: &DatabaseTransaction,
    caller: &Caller,
    user: i64,
    name: &str,
) -> Result<(), Error> {
    let Some(role) = named(transaction, name).await? else {
        return Ok(());
    };
    let rights = rights::of_role(transaction, role.id).await?;
    match rights::require_all(transaction, caller, &rights).await {
        Ok(()) => {}
        Err(Error::Beyond { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    held(user, role.id).insert(transaction).await?;
    Ok(())
}

/// Gives a role if it exists, by nobody's right but that of the operator who lets people join.
pub(super) async fn give_if_there(transaction: &DatabaseTransaction, user: i64, name: &str) -> Result<(), Error> {
    if let Some(role) = named(transaction, name).await? {
        held(user, role.id).insert(transaction).await?;
    }
    Ok(())
}

/// A role that the caller may change: not root's, and none that permits more than he may.
async fn changeable(transaction: &DatabaseTransaction, caller: &Caller, name: &str) -> Result<Model, Error> {
    let role = find(transaction, name).await?;
    if name == ROOT {
        return Err(Refusal::Conflict("the role root stays as it is".into()).into());
    }
    let rights = rights::of_role(transaction, role.id).await?;
    rights::require_all(transaction, caller, &rights).await?;
    Ok(role)
}

/// The role of this name, which does not change while the transaction runs.
async fn find(transaction: &DatabaseTransaction, name: &str) -> Result<Model, Refusal> {
    let row = Entity::find().filter(Column::Name.eq(name)).lock_exclusive();
    row.one(transaction).await?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refusal {
    Refusal::NotFound {
        what: WHAT,
        key: name.to_owned(),
    }
}

async fn named(db: &impl ConnectionTrait, name: &str) -> Result<Option<Model>, Refusal> {
    Ok(Entity::find().filter(Column::Name.eq(name)).one(db).await?)
}

fn permitted(role: i64, permission: Permission) -> role_permission::ActiveModel {
    role_permission::ActiveModel {
        role_id: Set(role),
        object: Set(permission.object),
        action: Set(permission.action),
    }
}

fn held(user: i64, role: i64) -> user_role::ActiveModel {
    user_role::ActiveModel {
        user_id: Set(user),
        role_id: Set(role),
    }
}

fn shown(permission: &Permission) -> String {
    format!("{} on {}", permission.action, permission.object)
}
