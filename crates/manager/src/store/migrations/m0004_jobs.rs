//! Jobs with their works and targets, who attends, and the peers that schedulers know.
//!
//! Types and repeatability as in the first migration. A work does not refer to its cluster by a foreign key: what was asked of
//! a cluster that is gone has failed, and must not vanish.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, json, json_null, string_len, string_len_uniq, text,
};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_jobs"
    }
}

const JOB: &str = "job";
const WORK: &str = "job_work";
const TARGET: &str = "job_target";
const RATE: &str = "job_rate";
const ATTENDANCE: &str = "attendance";
const PEER: &str = "peer";
const SIGHTING: &str = "peer_sighting";
const SCHEDULER: &str = "scheduler";
const SCHEDULER_CLUSTER: &str = "scheduler_cluster";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [job(), work(), target(), rate(), attendance(), peer(), sighting()] {
            if manager.get_database_backend() == DbBackend::MySql {
                table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
            }
            manager.create_table(table).await?;
        }
        Ok(())
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).if_not_exists().take()
}

/// A reference whose row goes with the row that it refers to.
fn reference(from: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{from}_{column}"))
        .from(Alias::new(from), Alias::new(column))
        .to(Alias::new(to), Alias::new("id"))
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

/// Unique over these columns. Where the last is the id it is unique anyway, and there to find the others.
fn unique(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).unique();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

fn job() -> TableCreateStatement {
    table(JOB)
        .col(big_pk_auto("id"))
        .col(string_len_uniq("group_uuid", 64))
        .col(string_len("type", 32))
        .col(string_len("state", 16))
        .col(string_len("bio", 1000))
        .col(json("args"))
        .col(json_null("sealed"))
        .col(json("forgotten"))
        .col(string_len("error", 1000))
        .col(big_integer("user_id"))
        .col(big_integer("timeout_ms"))
        .col(big_integer("deadline"))
        .col(big_integer_null("ended_at"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .index(&mut unique("uk_job_state", &["state", "deadline", "id"]))
        .index(&mut unique("uk_job_ended", &["ended_at", "id"]))
        .take()
}

fn work() -> TableCreateStatement {
    table(WORK)
        .col(big_pk_auto("id"))
        .col(big_integer("job_id"))
        .col(big_integer("scheduler_cluster_id"))
        .col(string_len("task_uuid", 64))
        .col(string_len("state", 16))
        .col(big_integer("lease"))
        .col(big_integer_null("holder_id"))
        .col(big_integer("free_at"))
        .col(integer("attempts"))
        .col(json_null("only"))
        .col(json_null("image"))
        .col(text("error"))
        .col(big_integer("targets"))
        .col(big_integer("not_kept"))
        .col(big_integer("updated_at"))
        .foreign_key(&mut reference(WORK, "job_id", JOB))
        .index(&mut unique("uk_job_work", &["job_id", "scheduler_cluster_id"]))
        // By which the next one is found.
        .index(&mut unique(
            "uk_job_work_next",
            &["scheduler_cluster_id", "state", "free_at", "id"],
        ))
        .take()
}

fn target() -> TableCreateStatement {
    table(TARGET)
        .col(big_pk_auto("id"))
        .col(big_integer("work_id"))
        .col(string_len("mark", 64))
        .col(text("url"))
        .col(string_len("task_id", 128))
        .col(string_len("host_id", 255))
        .col(string_len("hostname", 253))
        .col(string_len("ip", 45))
        .col(string_len("state", 16))
        .col(big_integer("finished_length"))
        .col(big_integer_null("content_length"))
        .col(string_len("description", 1000))
        .col(big_integer("updated_at"))
        .foreign_key(&mut reference(TARGET, "work_id", WORK))
        .index(&mut unique("uk_job_target", &["work_id", "mark"]))
        .index(&mut unique("uk_job_target_state", &["work_id", "state", "id"]))
        .take()
}

fn rate() -> TableCreateStatement {
    table(RATE)
        .col(big_integer("scheduler_cluster_id").primary_key().take())
        .col(big_integer("free_at_us"))
        .foreign_key(&mut reference(RATE, "scheduler_cluster_id", SCHEDULER_CLUSTER))
        .take()
}

fn attendance() -> TableCreateStatement {
    table(ATTENDANCE)
        .col(big_integer("scheduler_id").primary_key().take())
        .col(big_integer("number"))
        .col(big_integer("seen_at"))
        .foreign_key(&mut reference(ATTENDANCE, "scheduler_id", SCHEDULER))
        .take()
}

fn peer() -> TableCreateStatement {
    table(PEER)
        .col(big_pk_auto("id"))
        .col(big_integer("scheduler_cluster_id"))
        .col(string_len("host_id", 255))
        .col(string_len("host_name", 253))
        .col(string_len("ip", 45))
        .col(string_len("type", 16))
        .col(integer("port"))
        .col(integer("download_port"))
        .col(integer("proxy_port"))
        .col(string_len("idc", 1024))
        .col(string_len("location", 1024))
        .col(string_len("os", 255))
        .col(string_len("platform", 255))
        .col(string_len("platform_family", 255))
        .col(string_len("platform_version", 255))
        .col(string_len("kernel_version", 255))
        .col(string_len("git_version", 255))
        .col(string_len("git_commit", 255))
        .col(string_len("build_platform", 255))
        .col(boolean("by_hand"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .foreign_key(&mut reference(PEER, "scheduler_cluster_id", SCHEDULER_CLUSTER))
        .index(&mut unique("uk_peer", &["scheduler_cluster_id", "host_id"]))
        .take()
}

fn sighting() -> TableCreateStatement {
    table(SIGHTING)
        .col(big_integer("peer_id"))
        .col(big_integer("scheduler_id"))
        .primary_key(
            Index::create()
                .col(Alias::new("peer_id"))
                .col(Alias::new("scheduler_id")),
        )
        .index(&mut unique("uk_peer_sighting", &["scheduler_id", "peer_id"]))
        .foreign_key(&mut reference(SIGHTING, "peer_id", PEER))
        .foreign_key(&mut reference(SIGHTING, "scheduler_id", SCHEDULER))
        .take()
}
