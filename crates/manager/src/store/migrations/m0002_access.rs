//! Sessions that can be ended one by one, and personal access tokens.
//!
//! Types and repeatability as in the first migration.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, json, string_len, string_len_uniq};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_access"
    }
}

const SESSION: &str = "session";
const TOKEN: &str = "personal_access_token";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(session(backend)).await?;
        manager.create_table(token(backend)).await
    }
}

fn session(backend: DbBackend) -> TableCreateStatement {
    // Unique anyway; the index is there to find a user's.
    of_user(SESSION, "id", backend)
        .col(string_len("id", 36).primary_key().take())
        .col(string_len("address", 45))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .take()
}

fn token(backend: DbBackend) -> TableCreateStatement {
    of_user(TOKEN, "name", backend)
        .col(big_pk_auto("id"))
        .col(string_len("name", 64))
        .col(string_len("bio", 1000))
        .col(string_len_uniq("hash", 64))
        .col(json("scopes"))
        .col(string_len("state", 16))
        .col(big_integer("expires_at"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
}

/// A table whose rows belong to a user and go with him; `key` is unique among his.
fn of_user(name: &'static str, key: &'static str, backend: DbBackend) -> TableCreateStatement {
    let mut table = Table::create();
    let user = ("user_id", format!("fk_{name}_user_id"));
    table
        .table(Alias::new(name))
        .if_not_exists()
        .col(big_integer(user.0))
        .foreign_key(
            ForeignKey::create()
                .name(user.1)
                .from(Alias::new(name), Alias::new(user.0))
                .to(Alias::new("user"), Alias::new("id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .index(
            Index::create()
                .name(format!("uk_{name}"))
                .col(Alias::new(user.0))
                .col(Alias::new(key))
                .unique(),
        );
    if backend == DbBackend::MySql {
        // As all tables, or the reference would not fit.
        table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    }
    table
}
