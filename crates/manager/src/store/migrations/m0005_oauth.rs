//! Identity providers, and whom of theirs is which user.
//!
//! Types and repeatability as in the first migration.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, json, string_len, string_len_uniq, text};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_oauth"
    }
}

const OAUTH: &str = "oauth";
const IDENTITY: &str = "identity";
const USER: &str = "user";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [oauth(), identity()] {
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
fn reference(column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{IDENTITY}_{column}"))
        .from(Alias::new(IDENTITY), Alias::new(column))
        .to(Alias::new(to), Alias::new("id"))
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

fn oauth() -> TableCreateStatement {
    table(OAUTH)
        .col(big_pk_auto("id"))
        .col(string_len_uniq("name", 64))
        .col(string_len("bio", 1000))
        .col(string_len("client_id", 256))
        .col(text("sealed_secret"))
        .col(string_len("redirect_url", 1024))
        .col(string_len("issuer", 1024))
        .col(json("domains"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
}

fn identity() -> TableCreateStatement {
    let mut whose = Index::create();
    whose
        .name("uk_identity_subject")
        .unique()
        .col(Alias::new("oauth_id"))
        .col(Alias::new("subject"));
    table(IDENTITY)
        .col(big_pk_auto("id"))
        .col(big_integer("oauth_id"))
        .col(string_len("subject", 255))
        .col(big_integer("user_id"))
        .col(big_integer("created_at"))
        .index(&mut whose)
        .foreign_key(&mut reference("oauth_id", OAUTH))
        .foreign_key(&mut reference("user_id", USER))
        .take()
}
