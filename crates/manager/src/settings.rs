//! Settings that an operator changes while the manager runs. The manager itself reads one, `gc`: how long records are kept.

use crate::error::{Error, row_id, wire_id};
use crate::rows::{self, set_given};
use crate::store::entity::config::{ActiveModel, Column, Entity, Model};
use crate::store::{Store, Time};
use dragonfly_api::rest::{Check, CreateSetting, GcKind, Page, Setting, SettingFilter, UpdateSetting};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde::Deserialize;
use std::time::Duration;

const WHAT: &str = "config";
/// Name of the setting that says how long records are kept.
const GC: &str = "gc";
/// How long records are kept if the setting does not say it: a week, and six hours after a job's end.
const AUDIT_TTL: Duration = Duration::from_secs(7 * 86_400);
const JOB_TTL: Duration = Duration::from_secs(6 * 3600);

/// How long records are kept, as far as it is set.
#[derive(Debug, Default, Deserialize)]
struct Gc {
    audit: Option<Ttl>,
    job: Option<Ttl>,
}

#[derive(Debug, Deserialize)]
struct Ttl {
    /// In nanoseconds.
    ttl: u64,
}

/// How long records of this kind are kept.
pub(crate) async fn ttl(store: &Store, kind: GcKind) -> Result<Duration, DbErr> {
    let row = Entity::find().filter(Column::Name.eq(GC)).one(store.db()).await?;
    let gc = row.map_or_else(Gc::default, |row| {
        serde_json::from_str(&row.value).unwrap_or_else(|error| {
            // Written by somebody else than this manager, which checks it.
            tracing::warn!(%error, "the setting gc can't be read and counts as not set");
            Gc::default()
        })
    });
    let (set, usual) = match kind {
        GcKind::Audit => (gc.audit, AUDIT_TTL),
        GcKind::Job => (gc.job, JOB_TTL),
    };
    Ok(set.map_or(usual, |set| Duration::from_nanos(set.ttl)))
}

/// One page of the settings that match, and how many match in total.
pub(crate) async fn list(store: &Store, filter: SettingFilter, page: Page) -> Result<(Vec<Setting>, u64), Error> {
    let mut rows = Entity::find().order_by_asc(Column::Id);
    for (column, text) in [(Column::Name, filter.name), (Column::Value, filter.value)] {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    if let Some(user) = filter.user_id {
        rows = rows.filter(Column::UserId.eq(row_id(user)));
    }
    let (rows, total) = rows::page(store, rows, page).await?;
    Ok((rows.into_iter().map(wire).collect(), total))
}

/// The setting with this id.
pub(crate) async fn get(store: &Store, id: u64) -> Result<Setting, Error> {
    Ok(wire(rows::get::<Entity>(store.db(), WHAT, id).await?))
}

/// Makes one for a user.
pub(crate) async fn create(store: &Store, user: u64, create: CreateSetting, now: Time) -> Result<Setting, Error> {
    create.checked()?;
    check_value(&create.name, &create.value)?;
    let key = create.name.clone();
    let row = ActiveModel {
        id: NotSet,
        name: Set(create.name),
        value: Set(create.value),
        bio: Set(create.bio),
        user_id: Set(row_id(user)),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let row = row.insert(store.db()).await;
    Ok(wire(row.map_err(|error| Error::unless_exists(error, WHAT, &key))?))
}

/// Changes what `update` names and leaves the rest.
pub(crate) async fn update(store: &Store, id: u64, update: UpdateSetting, now: Time) -> Result<Setting, Error> {
    update.checked()?;
    let transaction = store.write().await?;
    let row = rows::locked::<Entity>(&transaction, WHAT, id).await?;
    if let Some(value) = &update.value {
        check_value(&row.name, value)?;
    }
    let mut row = row.into_active_model();
    set_given!(row, update: value, bio);
    row.updated_at = Set(now);
    let row = row.update(&transaction).await?;
    transaction.commit().await?;
    Ok(wire(row))
}

/// Removes one. What the manager reads is then at its default.
pub(crate) async fn delete(store: &Store, id: u64) -> Result<(), Error> {
    rows::delete::<Entity>(store.db(), WHAT, id).await
}

/// What the manager itself reads must be readable.
fn check_value(name: &str, value: &str) -> Result<(), Error> {
    if name != GC {
        return Ok(());
    }
    match serde_json::from_str::<Gc>(value) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Invalid(format!(
            "value of gc must be like {{\"audit\":{{\"ttl\":604800000000000}}}}: {error}"
        ))),
    }
}

fn wire(row: Model) -> Setting {
    Setting {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        name: row.name,
        value: row.value,
        bio: row.bio,
        user_id: wire_id(row.user_id),
    }
}
