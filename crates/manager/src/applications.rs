//! Applications: which downloads come first.

use crate::error::Error;
use crate::store::Store;
use crate::store::entity::application::{Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

/// The applications that have a priority.
pub(crate) async fn with_priority(store: &Store) -> Result<Vec<Model>, Error> {
    let rows = Entity::find()
        .filter(Column::Priority.is_not_null())
        .order_by_asc(Column::Id)
        .all(store.db())
        .await?;
    Ok(rows)
}
