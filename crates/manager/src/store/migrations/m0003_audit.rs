//! Who changed what, and which manager does what one of them has to do.
//!
//! Types and repeatability as in the first migration.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, integer, json_null, string_len};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_audit"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [audit(), duty()] {
            if manager.get_database_backend() == DbBackend::MySql {
                table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
            }
            manager.create_table(table).await?;
        }
        Ok(())
    }
}

fn audit() -> TableCreateStatement {
    Table::create()
        .table(Alias::new("audit"))
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(string_len("actor_type", 16))
        .col(string_len("actor_name", 128))
        .col(string_len("address", 45))
        .col(string_len("operation", 16))
        .col(string_len("path", 1024))
        .col(string_len("object", 64))
        .col(string_len("object_id", 255))
        .col(string_len("state", 16))
        .col(integer("status_code"))
        .col(json_null("detail"))
        .col(big_integer("operated_at"))
        .col(big_integer("updated_at"))
        // Unique anyway; it is there to find what is old.
        .index(
            Index::create()
                .name("uk_audit")
                .col(Alias::new("operated_at"))
                .col(Alias::new("id"))
                .unique(),
        )
        .take()
}

fn duty() -> TableCreateStatement {
    Table::create()
        .table(Alias::new("duty"))
        .if_not_exists()
        .col(string_len("name", 64).primary_key().take())
        .col(big_integer("taken_until"))
        .take()
}
