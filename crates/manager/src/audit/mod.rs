//! The audit log: who changed what, from where, when, and whether it succeeded.
//!
//! Invariants: no change without its record, which is written before the change and completed after it; what was cut off in
//! between stands as a failure with status 0. Reads are not recorded. No secret is.

mod redact;

pub(crate) use redact::redacted;

use crate::error::{Error, wire_id};
use crate::rows;
use crate::store::entity::audit::{ActiveModel, Column, Entity, Model};
use crate::store::{Json, Store, Time};
use dragonfly_api::rest::{ActorType, Audit, AuditFilter, AuditState, Page};
use http::{Method, StatusCode};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use std::net::IpAddr;

/// Only kind of event.
const EVENT: &str = "API";
const SUCCESS: &str = "SUCCESS";
const FAILURE: &str = "FAILURE";
/// Characters that are kept.
const MAX_NAME_CHARS: usize = 128;
const MAX_WORD_CHARS: usize = 64;
const MAX_PATH_CHARS: usize = 1024;
const MAX_ID_CHARS: usize = 255;

/// What is about to be done.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) actor: ActorType,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) method: Method,
    /// The whole path, without its query.
    pub(crate) path: String,
    /// The change that is asked for, redacted.
    pub(crate) change: Option<Value>,
}

/// Records a deed before it is done, and returns the record's id.
pub(crate) async fn begin(store: &Store, deed: Deed, now: Time) -> Result<i64, Error> {
    write(store, deed, None, now).await
}

/// Records a deed that is done.
pub(crate) async fn add(store: &Store, deed: Deed, status: StatusCode, now: Time) -> Result<(), Error> {
    write(store, deed, Some(status), now).await.map(drop)
}

/// Completes a record.
pub(crate) async fn end(store: &Store, id: i64, status: StatusCode, now: Time) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(outcome(Some(status))))
        .col_expr(Column::StatusCode, Expr::value(i32::from(status.as_u16())))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(store.db())
        .await?;
    Ok(())
}

/// One page of the records that match, newest first, and how many match in total.
pub(crate) async fn list(store: &Store, filter: AuditFilter, page: Page) -> Result<(Vec<Audit>, u64), Error> {
    let mut rows = Entity::find().order_by_desc(Column::Id);
    let texts = [
        (Column::ActorType, filter.actor_type.map(|actor| word(actor).to_owned())),
        (Column::ActorName, filter.actor_name),
        (Column::Address, filter.address.map(crate::members::ip_text)),
        (Column::Operation, filter.operation),
        (Column::Path, filter.path),
        (Column::Object, filter.object),
        (Column::State, filter.state.map(|state| state_word(state).to_owned())),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    if let Some(status) = filter.status_code {
        rows = rows.filter(Column::StatusCode.eq(i32::from(status)));
    }
    if filter.event_type.is_some_and(|event| event != EVENT) {
        return Ok((Vec::new(), 0));
    }
    let (rows, total) = rows::page(store, rows, page).await?;
    Ok((rows.into_iter().map(wire).collect(), total))
}

async fn write(store: &Store, deed: Deed, status: Option<StatusCode>, now: Time) -> Result<i64, Error> {
    let (object, id) = object_of(&deed.path);
    let row = ActiveModel {
        id: NotSet,
        actor_type: Set(word(deed.actor).to_owned()),
        actor_name: Set(head(&deed.name, MAX_NAME_CHARS)),
        address: Set(crate::members::ip_text(deed.address)),
        operation: Set(head(deed.method.as_str(), 16)),
        object: Set(head(object, MAX_WORD_CHARS)),
        object_id: Set(head(id, MAX_ID_CHARS)),
        path: Set(head(&deed.path, MAX_PATH_CHARS)),
        state: Set(outcome(status).to_owned()),
        status_code: Set(status.map_or(0, |status| i32::from(status.as_u16()))),
        detail: Set(deed.change.map(Json)),
        operated_at: Set(now),
        updated_at: Set(now),
    };
    Ok(Entity::insert(row).exec(store.db()).await?.last_insert_id)
}

fn outcome(status: Option<StatusCode>) -> &'static str {
    match status {
        Some(status) if status.is_success() => SUCCESS,
        _ => FAILURE,
    }
}

/// The kind of object that a path like `/api/v1/users/7/roles/root` is about, and which one.
fn object_of(path: &str) -> (&str, &str) {
    let rest = path.trim_start_matches('/').splitn(3, '/').nth(2).unwrap_or_default();
    rest.split_once('/').unwrap_or((rest, ""))
}

fn head(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn word(actor: ActorType) -> &'static str {
    match actor {
        ActorType::User => "USER",
        ActorType::Pat => "PAT",
        ActorType::Unknown => "UNKNOWN",
    }
}

fn state_word(state: AuditState) -> &'static str {
    match state {
        AuditState::Success => SUCCESS,
        AuditState::Failure => FAILURE,
    }
}

fn wire(row: Model) -> Audit {
    Audit {
        id: wire_id(row.id),
        created_at: row.operated_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        actor_type: match row.actor_type.as_str() {
            "USER" => ActorType::User,
            "PAT" => ActorType::Pat,
            _ => ActorType::Unknown,
        },
        actor_name: row.actor_name,
        address: row.address,
        event_type: EVENT.to_owned(),
        operation: row.operation,
        object: row.object,
        object_id: row.object_id,
        operated_at: row.operated_at.timestamp(),
        state: match row.state.as_str() {
            SUCCESS => AuditState::Success,
            _ => AuditState::Failure,
        },
        path: row.path,
        status_code: u16::try_from(row.status_code).unwrap_or(0),
        detail: row.detail.map(|detail| detail.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_it_is_about() {
        assert_eq!(object_of("/api/v1/users/7/roles/root"), ("users", "7/roles/root"));
        assert_eq!(object_of("/oapi/v1/clusters"), ("clusters", ""));
        assert_eq!(object_of("/"), ("", ""));
    }
}
