//! Rows of any table that are known by a number: found, kept from others while they are changed, removed, listed by pages.

use crate::error::{Error, row_id};
use crate::store::Store;
use dragonfly_api::rest::{Check, Page};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, PrimaryKeyTrait, QuerySelect, Select,
};

/// A table whose rows have a number from the database.
pub(crate) trait Numbered: EntityTrait<PrimaryKey: PrimaryKeyTrait<ValueType: From<i64>>> {}

impl<E> Numbered for E where E: EntityTrait<PrimaryKey: PrimaryKeyTrait<ValueType: From<i64>>> {}

/// Sets the fields of a row that an update names.
macro_rules! set_given {
    ($row:ident, $update:ident: $($field:ident),+) => {
        $(if let Some(value) = $update.$field {
            $row.$field = sea_orm::ActiveValue::Set(value.into());
        })+
    };
}
pub(crate) use set_given;

/// The row with this id; `what` is what it is called in the error that there is none.
pub(crate) async fn get<E: Numbered>(
    db: &impl ConnectionTrait,
    what: &'static str,
    id: u64,
) -> Result<E::Model, Error> {
    let row = E::find_by_id(row_id(id)).one(db).await?;
    row.ok_or_else(|| Error::no(what, id))
}

/// The row with this id, which nobody else changes before the transaction ends.
pub(crate) async fn locked<E: Numbered>(
    transaction: &DatabaseTransaction,
    what: &'static str,
    id: u64,
) -> Result<E::Model, Error> {
    let row = E::find_by_id(row_id(id)).lock_exclusive().one(transaction).await?;
    row.ok_or_else(|| Error::no(what, id))
}

/// Removes the row with this id.
pub(crate) async fn delete<E: Numbered>(db: &impl ConnectionTrait, what: &'static str, id: u64) -> Result<(), Error> {
    match E::delete_by_id(row_id(id)).exec(db).await?.rows_affected {
        0 => Err(Error::no(what, id)),
        _ => Ok(()),
    }
}

/// One page of rows, and how many there are in total.
pub(crate) async fn page<E>(store: &Store, rows: Select<E>, page: Page) -> Result<(Vec<E::Model>, u64), Error>
where
    E: EntityTrait,
    E::Model: Sync,
{
    page.checked()?;
    // Neither their order nor their columns matter to a count, and SQLite would sort and copy all of them for it.
    let mut counted = rows.clone().select_only().expr_as(Expr::val(1), "one");
    QuerySelect::query(&mut counted).clear_order_by();
    let total = counted.count(store.db()).await?;
    let rows = rows.offset(page.offset()).limit(page.per_page);
    Ok((rows.all(store.db()).await?, total))
}
