//! Applications: which downloads come first.

use crate::error::{Error, row_id, wire_id};
use crate::rows::{self, set_given};
use crate::store::entity::application::{ActiveModel, Column, Entity, Model};
use crate::store::{Json, Store, Time};
use dragonfly_api::rest::{
    Application, Check, CreateApplication, Page, Priority, Problems, UpdateApplication, UrlPriority,
};
use regex::Regex;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

const WHAT: &str = "application";

/// The applications that have a priority.
pub(crate) async fn with_priority(store: &Store) -> Result<Vec<Model>, Error> {
    let rows = Entity::find()
        .filter(Column::Priority.is_not_null())
        .order_by_asc(Column::Id)
        .all(store.db())
        .await?;
    Ok(rows)
}

/// One page of the applications, those of this name if one is given, and how many there are in total.
pub(crate) async fn list(store: &Store, name: Option<&str>, page: Page) -> Result<(Vec<Application>, u64), Error> {
    let mut rows = Entity::find().order_by_asc(Column::Id);
    if let Some(name) = name {
        rows = rows.filter(Column::Name.eq(name));
    }
    let (rows, total) = rows::page(store, rows, page).await?;
    Ok((rows.into_iter().map(wire).collect(), total))
}

/// The application with this id.
pub(crate) async fn get(store: &Store, id: u64) -> Result<Application, Error> {
    Ok(wire(rows::get::<Entity>(store.db(), WHAT, id).await?))
}

/// Makes one for a user.
pub(crate) async fn create(
    store: &Store,
    user: u64,
    create: CreateApplication,
    now: Time,
) -> Result<Application, Error> {
    check(&create, create.priority.as_ref())?;
    let key = create.name.clone();
    let row = ActiveModel {
        id: NotSet,
        name: Set(create.name),
        url: Set(create.url),
        bio: Set(create.bio),
        priority: Set(create.priority.map(Json)),
        user_id: Set(row_id(user)),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let row = row.insert(store.db()).await;
    Ok(wire(row.map_err(|error| Error::unless_exists(error, WHAT, &key))?))
}

/// Changes what `update` names and leaves the rest.
pub(crate) async fn update(store: &Store, id: u64, update: UpdateApplication, now: Time) -> Result<Application, Error> {
    check(&update, update.priority.as_ref())?;
    let transaction = store.write().await?;
    let mut row = rows::locked::<Entity>(&transaction, WHAT, id)
        .await?
        .into_active_model();
    set_given!(row, update: name, url, bio);
    if let Some(priority) = update.priority {
        row.priority = Set(Some(Json(priority)));
    }
    row.updated_at = Set(now);
    let row = row.update(&transaction).await;
    let row = row.map_err(|error| Error::unless_exists(error, WHAT, "of this name"))?;
    transaction.commit().await?;
    Ok(wire(row))
}

/// Removes one.
pub(crate) async fn delete(store: &Store, id: u64) -> Result<(), Error> {
    rows::delete::<Entity>(store.db(), WHAT, id).await
}

/// All that is wrong, patterns included.
fn check(request: &impl Check, priority: Option<&Priority>) -> Result<(), Error> {
    let mut problems = Problems::default();
    request.check(&mut problems);
    for UrlPriority { regex, .. } in priority.iter().flat_map(|priority| &priority.urls) {
        if let Err(error) = Regex::new(regex) {
            problems.push(
                "priority.urls",
                format_args!("has {regex:?}, which is no pattern: {error}"),
            );
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.into())
}

fn wire(row: Model) -> Application {
    Application {
        id: wire_id(row.id),
        created_at: row.created_at.timestamp(),
        updated_at: row.updated_at.timestamp(),
        is_del: 0,
        name: row.name,
        url: row.url,
        bio: row.bio,
        priority: row.priority.map(|priority| priority.0),
        user_id: wire_id(row.user_id),
    }
}
