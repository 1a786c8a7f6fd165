//! Which pieces of a task are where, as a work that asks for it finds.
//!
//! Types and repeatability as in the first migration.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::json_null;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_pieces"
    }
}

const TARGET: &str = "job_target";
const PIECES: &str = "pieces";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // MySQL can't take a column back: one that was added before a crash is there.
        if manager.has_column(TARGET, PIECES).await? {
            return Ok(());
        }
        let table = Table::alter()
            .table(Alias::new(TARGET))
            .add_column(json_null(PIECES))
            .take();
        manager.alter_table(table).await
    }
}
