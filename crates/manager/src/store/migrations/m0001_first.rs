//! Users with roles, clusters, their members, applications, settings.
//!
//! Only types that SQLite, MySQL and PostgreSQL have: 64-bit ids, times as milliseconds, JSON, bounded texts where an
//! index stands on them. MySQL can't roll a table back, so every step may be done again after it was cut off: tables are
//! made if they are missing, and with all their keys.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, json, json_null, string_len, string_len_null,
    string_len_uniq, text,
};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

const USER: &str = "user";
const ROLE: &str = "role";
const ROLE_PERMISSION: &str = "role_permission";
const USER_ROLE: &str = "user_role";
const SCHEDULER_CLUSTER: &str = "scheduler_cluster";
const SEED_PEER_CLUSTER: &str = "seed_peer_cluster";
const CLUSTER_LINK: &str = "seed_peer_cluster_scheduler_cluster";
const SCHEDULER: &str = "scheduler";
const SEED_PEER: &str = "seed_peer";
const APPLICATION: &str = "application";
const CONFIG: &str = "config";
const SECRET: &str = "secret";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        // A start that is killed in between leaves nothing, on engines whose DDL can be rolled back.
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            user(),
            role(),
            role_permission(),
            user_role(),
            scheduler_cluster(),
            seed_peer_cluster(),
            cluster_link(),
            scheduler(),
            seed_peer(),
            application(),
            config(),
            secret(),
        ] {
            manager
                .create_table(for_engine(table, manager.get_database_backend()))
                .await?;
        }
        Ok(())
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(Alias::new(name)).if_not_exists();
    table
}

/// MySQL would take "Root" for "root" unless told otherwise.
fn for_engine(mut table: TableCreateStatement, backend: DbBackend) -> TableCreateStatement {
    if backend == DbBackend::MySql {
        table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    }
    table
}

/// Columns that most tables have.
fn with_times(mut table: TableCreateStatement) -> TableCreateStatement {
    table
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
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

fn user() -> TableCreateStatement {
    with_times(
        table(USER)
            .col(big_pk_auto("id"))
            .col(string_len_uniq("name", 64))
            .col(string_len_null("email", 255).unique_key().take())
            .col(string_len("encrypted_password", 255))
            .col(boolean("must_change_password"))
            .col(big_integer("session_epoch"))
            .col(string_len("avatar", 1024))
            .col(string_len("phone", 64))
            .col(string_len("state", 16))
            .col(string_len("location", 1024))
            .col(string_len("bio", 1000))
            .take(),
    )
}

fn role() -> TableCreateStatement {
    table(ROLE)
        .col(big_pk_auto("id"))
        .col(string_len_uniq("name", 64))
        .take()
}

fn role_permission() -> TableCreateStatement {
    table(ROLE_PERMISSION)
        .col(big_integer("role_id"))
        .col(string_len("object", 64))
        .col(string_len("action", 16))
        .primary_key(
            Index::create()
                .col(Alias::new("role_id"))
                .col(Alias::new("object"))
                .col(Alias::new("action")),
        )
        .foreign_key(&mut reference(ROLE_PERMISSION, "role_id", ROLE))
        .take()
}

fn user_role() -> TableCreateStatement {
    table(USER_ROLE)
        .col(big_integer("user_id"))
        .col(big_integer("role_id"))
        .primary_key(Index::create().col(Alias::new("user_id")).col(Alias::new("role_id")))
        .foreign_key(&mut reference(USER_ROLE, "user_id", USER))
        .foreign_key(&mut reference(USER_ROLE, "role_id", ROLE))
        .take()
}

fn scheduler_cluster() -> TableCreateStatement {
    with_times(
        table(SCHEDULER_CLUSTER)
            .col(big_pk_auto("id"))
            .col(string_len_uniq("name", 255))
            .col(string_len("bio", 1000))
            .col(json("config"))
            .col(json("client_config"))
            .col(json("scopes"))
            .col(boolean("is_default"))
            .take(),
    )
}

fn seed_peer_cluster() -> TableCreateStatement {
    with_times(
        table(SEED_PEER_CLUSTER)
            .col(big_pk_auto("id"))
            .col(string_len_uniq("name", 255))
            .col(string_len("bio", 1000))
            .col(json("config"))
            .take(),
    )
}

fn cluster_link() -> TableCreateStatement {
    table(CLUSTER_LINK)
        .col(big_integer("scheduler_cluster_id").primary_key().take())
        .col(big_integer("seed_peer_cluster_id").unique_key().take())
        .foreign_key(&mut reference(CLUSTER_LINK, "scheduler_cluster_id", SCHEDULER_CLUSTER))
        .foreign_key(&mut reference(CLUSTER_LINK, "seed_peer_cluster_id", SEED_PEER_CLUSTER))
        .take()
}

/// Columns that schedulers and seed peers share.
fn member(name: &'static str) -> TableCreateStatement {
    with_times(
        table(name)
            .col(big_pk_auto("id"))
            .col(string_len("host_name", 253))
            .col(string_len("ip", 45))
            .col(integer("port"))
            .col(string_len("idc", 1024))
            .col(string_len("location", 1024))
            .col(big_integer("keep_alive_interval_ms"))
            .col(big_integer("lease"))
            .col(big_integer("lease_until"))
            .col(big_integer_null("last_keep_alive_at"))
            .take(),
    )
}

fn scheduler() -> TableCreateStatement {
    member(SCHEDULER)
        .col(big_integer("scheduler_cluster_id"))
        .col(json("features"))
        .foreign_key(&mut reference(SCHEDULER, "scheduler_cluster_id", SCHEDULER_CLUSTER))
        .index(&mut member_key(SCHEDULER))
        .take()
}

fn seed_peer() -> TableCreateStatement {
    member(SEED_PEER)
        .col(big_integer("seed_peer_cluster_id"))
        .col(string_len("type", 16))
        .col(integer("download_port"))
        .col(integer("object_storage_port"))
        .foreign_key(&mut reference(SEED_PEER, "seed_peer_cluster_id", SEED_PEER_CLUSTER))
        .index(&mut member_key(SEED_PEER))
        .take()
}

/// A member is its host's name, its address and its cluster; its ports may change.
fn member_key(name: &'static str) -> IndexCreateStatement {
    Index::create()
        .name(format!("uk_{name}"))
        .col(Alias::new("host_name"))
        .col(Alias::new("ip"))
        .col(Alias::new(format!("{name}_cluster_id")))
        .unique()
        .take()
}

fn application() -> TableCreateStatement {
    with_times(
        table(APPLICATION)
            .col(big_pk_auto("id"))
            .col(string_len_uniq("name", 255))
            .col(text("url"))
            .col(string_len("bio", 1000))
            .col(json_null("priority"))
            .col(big_integer("user_id"))
            .take(),
    )
}

fn config() -> TableCreateStatement {
    with_times(
        table(CONFIG)
            .col(big_pk_auto("id"))
            .col(string_len_uniq("name", 255))
            .col(string_len("value", 1024))
            .col(string_len("bio", 1000))
            .col(big_integer("user_id"))
            .take(),
    )
}

fn secret() -> TableCreateStatement {
    table(SECRET)
        .col(string_len("name", 64).primary_key().take())
        .col(string_len("value", 255))
        .col(big_integer("created_at"))
        .take()
}
