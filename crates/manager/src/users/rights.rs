//! Rights: what roles permit, and who may hand them on.
//!
//! Nobody can give, or take from somebody, more than he may do himself: otherwise a right to change users or roles would be
//! every right.

use super::{Caller, Credential, Error, Users, tokens};
use crate::error::{Error as Refusal, row_id};
use crate::store::entity::{role_permission, user_role};
use dragonfly_api::rest::{CurrentSession, Permission, Problems};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

/// Kinds of objects: the first segments of the paths that need a right.
pub(crate) const OBJECTS: [&str; 17] = [
    "clusters",
    "scheduler-clusters",
    "seed-peer-clusters",
    "schedulers",
    "seed-peers",
    "peers",
    "persistent-tasks",
    "persistent-cache-tasks",
    "jobs",
    "users",
    "roles",
    "permissions",
    "personal-access-tokens",
    "audits",
    "applications",
    "configs",
    "traces",
];
/// All objects.
const ALL: &str = "*";
/// The action that only looks.
pub(super) const READ: &str = "read";
/// The action that is all actions.
pub(super) const CHANGE: &str = "*";

/// All actions.
pub(crate) const ACTIONS: [&str; 2] = [READ, CHANGE];

/// What a caller wants to do with a kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
}

impl Action {
    fn permitted_by(self) -> &'static [&'static str] {
        match self {
            Self::Read => &[READ, CHANGE],
            Self::Write => &[CHANGE],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "change",
        }
    }
}

impl Users {
    /// Whether this caller may do this.
    pub(crate) async fn authorize(&self, caller: &Caller, action: Action, object: &str) -> Result<(), Error> {
        caller.at_work()?;
        let forbidden = |user: String| Error::Forbidden {
            user,
            action: action.word(),
            object: object.to_owned(),
        };
        if let Credential::Token { name, scopes } = &caller.credential
            && !tokens::open(scopes, action, object)
        {
            return Err(forbidden(format!("{} by token {name}", caller.name)));
        }
        let permissions = role_permission::Entity::find()
            .filter(role_permission::Column::RoleId.in_subquery(roles_of(caller.id)))
            .filter(role_permission::Column::Object.is_in([object, ALL]))
            .filter(role_permission::Column::Action.is_in(action.permitted_by().iter().copied()))
            .count(self.store.db())
            .await?;
        if permissions > 0 {
            return Ok(());
        }
        Err(forbidden(caller.name.clone()))
    }

    /// Whose session this is. Of somebody who has to set another password, what he may do afterwards.
    pub(crate) async fn current(&self, caller: &Caller) -> Result<CurrentSession, Error> {
        Ok(CurrentSession {
            user_id: caller.id,
            user_name: caller.name.clone(),
            password_change_required: caller.at_work().is_err(),
            permissions: of_user(self.store.db(), caller.id).await?,
        })
    }

    /// Every right that can be given.
    pub(crate) fn permissions(&self) -> Vec<Permission> {
        let every = |object: &'static str| {
            ACTIONS.map(|action| Permission {
                object: object.to_owned(),
                action: action.to_owned(),
            })
        };
        OBJECTS.into_iter().flat_map(every).collect()
    }
}

/// Refuses to hand on rights that the caller lacks.
pub(super) async fn require_all(
    db: &impl ConnectionTrait,
    caller: &Caller,
    wanted: &[Permission],
) -> Result<(), Error> {
    let own = of_user(db, caller.id).await?;
    let lacking = wanted.iter().find(|wanted| !own.iter().any(|own| covers(own, wanted)));
    match lacking {
        None => Ok(()),
        Some(lacking) => Err(Error::Beyond {
            user: caller.name.clone(),
            action: lacking.action.clone(),
            object: lacking.object.clone(),
        }),
    }
}

/// Refuses to touch a user who may do what the caller may not.
pub(super) async fn require_over(db: &impl ConnectionTrait, caller: &Caller, user: u64) -> Result<(), Error> {
    let theirs = of_user(db, user).await?;
    require_all(db, caller, &theirs).await
}

/// What a role permits.
pub(super) async fn of_role(db: &impl ConnectionTrait, role: i64) -> Result<Vec<Permission>, DbErr> {
    of_roles(db, role_permission::Column::RoleId.eq(role)).await
}

/// Finds what is no right.
pub(super) fn check(permissions: &[Permission]) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    for Permission { object, action } in permissions {
        if object != ALL && !OBJECTS.contains(&object.as_str()) {
            problems.push("object", format_args!("must be one of {} or *", OBJECTS.join(", ")));
        }
        if ![READ, CHANGE].contains(&action.as_str()) {
            problems.push("action", "must be read or *");
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.into())
}

async fn of_user(db: &impl ConnectionTrait, user: u64) -> Result<Vec<Permission>, DbErr> {
    of_roles(db, role_permission::Column::RoleId.in_subquery(roles_of(user))).await
}

async fn of_roles(db: &impl ConnectionTrait, which: SimpleExpr) -> Result<Vec<Permission>, DbErr> {
    let rows = role_permission::Entity::find()
        .filter(which)
        .order_by_asc(role_permission::Column::Object)
        .order_by_asc(role_permission::Column::Action)
        .all(db)
        .await?;
    let permission = |row: role_permission::Model| Permission {
        object: row.object,
        action: row.action,
    };
    Ok(rows.into_iter().map(permission).collect())
}

fn roles_of(user: u64) -> SelectStatement {
    Query::select()
        .column(user_role::Column::RoleId)
        .from(user_role::Entity)
        .and_where(Expr::col(user_role::Column::UserId).eq(row_id(user)))
        .to_owned()
}

/// Whether who has `own` has `wanted`.
fn covers(own: &Permission, wanted: &Permission) -> bool {
    (own.object == ALL || own.object == wanted.object) && (own.action == CHANGE || own.action == wanted.action)
}
