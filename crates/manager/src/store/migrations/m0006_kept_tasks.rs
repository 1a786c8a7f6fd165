//! Tasks that clusters keep with replicas, as their schedulers report them.
//!
//! Types and repeatability as in the first migration.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, json, string_len};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_kept_tasks"
    }
}

const KEPT_TASK: &str = "kept_task";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = kept_task();
        if manager.get_database_backend() == DbBackend::MySql {
            table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
        }
        manager.create_table(table).await
    }
}

/// A task goes with its cluster, and with the scheduler whose word it is.
fn kept_task() -> TableCreateStatement {
    let reference = |column: &'static str, to: &'static str| {
        ForeignKey::create()
            .name(format!("fk_{KEPT_TASK}_{column}"))
            .from(Alias::new(KEPT_TASK), Alias::new(column))
            .to(Alias::new(to), Alias::new("id"))
            .on_delete(ForeignKeyAction::Cascade)
            .take()
    };
    let index = |name: &'static str, columns: [&'static str; 3]| {
        let mut index = Index::create();
        index.name(name).unique();
        for column in columns {
            index.col(Alias::new(column));
        }
        index
    };
    Table::create()
        .table(Alias::new(KEPT_TASK))
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(big_integer("scheduler_cluster_id"))
        .col(big_integer("scheduler_id"))
        .col(string_len("keeping", 32))
        .col(string_len("task_id", 128))
        .col(json("told"))
        .col(big_integer("updated_at"))
        .foreign_key(&mut reference("scheduler_cluster_id", "scheduler_cluster"))
        .foreign_key(&mut reference("scheduler_id", "scheduler"))
        .index(&mut index(
            "uk_kept_task",
            ["scheduler_cluster_id", "keeping", "task_id"],
        ))
        .index(&mut index("uk_kept_task_teller", ["scheduler_id", "keeping", "id"]))
        .take()
}
