//! Keeping intent: the manager's database. One schema and one set of queries for every SQL engine; today's engine is
//! SQLite, in one file of the data directory.
//!
//! Invariants: the schema is made and changed by [`migrations`] only, each in one transaction; the first start's rows
//! are written by [`seed`], once; exactly one scheduler cluster is the default.

pub(crate) mod entity;
mod json;
mod migrations;
pub(crate) mod seed;
mod time;

pub(crate) use json::Json;
pub(crate) use time::Time;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most connections to the database.
const MAX_CONNECTIONS: u32 = 8;
/// How long a writer waits for another one, and a query for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A store that can't be opened. The disk's or the operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database's file can't be created.
    #[error("can't create or write the database {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database can't be opened.
    #[error("can't open the database {}", path.display())]
    Connect {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: DbErr,
    },
    /// The schema can't be brought up to date.
    #[error("can't bring the schema of {} up to date", path.display())]
    Migrate {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: DbErr,
    },
    /// The first start's rows can't be written.
    #[error("can't write the first cluster and the first user")]
    Seed(#[source] DbErr),
}

/// A handle to the database. Clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: DatabaseConnection,
}

impl Store {
    /// Opens the SQLite database at `path`, which it creates, and brings its schema up to date.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, OpenError> {
        create(path).map_err(|source| OpenError::Create {
            path: path.to_owned(),
            source,
        })?;
        let db = Database::connect(sqlite_options(path))
            .await
            .map_err(|source| OpenError::Connect {
                path: path.to_owned(),
                source,
            })?;
        migrations::Migrator::up(&db, None)
            .await
            .map_err(|source| OpenError::Migrate {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self { db })
    }

    /// For reads and for writes of one statement.
    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// A transaction that may write. It has the right to write from its first statement: one that read first and wrote
    /// later would fail, without waiting, whenever another wrote in between.
    pub(crate) async fn write(&self) -> Result<DatabaseTransaction, DbErr> {
        self.db
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        self.db.execute_unprepared("SELECT 1").await.map(drop)
    }

    /// Closes all connections, which also empties SQLite's write-ahead log.
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        self.db.close().await
    }
}

/// Makes the file if it is missing, for its owner only: it holds hashes of passwords. SQLite gives the files beside it
/// the same mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map(drop)
}

fn sqlite_options(path: &Path) -> ConnectOptions {
    let path = path.to_owned();
    // The URL only names the engine: a path in it would have to be escaped.
    let mut options = ConnectOptions::new("sqlite://manager.db");
    options
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&path)
                .pragma("journal_mode", "WAL")
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
        });
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_database_waits_for_other_writers_keeps_a_log_and_checks_references() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("a b%20?.db")).await.unwrap();
        for (pragma, column, expected) in [
            ("journal_mode", "journal_mode", "wal"),
            ("busy_timeout", "timeout", "5000"),
            ("foreign_keys", "foreign_keys", "1"),
        ] {
            let row = store
                .db()
                .query_one_raw(sea_orm::Statement::from_string(
                    sea_orm::DbBackend::Sqlite,
                    format!("SELECT CAST({column} AS TEXT) FROM pragma_{pragma}"),
                ))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(row.try_get_by_index::<String>(0).unwrap(), expected, "{pragma}");
        }
        store.ping().await.unwrap();
        for suffix in ["", "-wal"] {
            let file = dir.path().join(format!("a b%20?.db{suffix}"));
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
        store.close().await.unwrap();
        assert!(dir.path().join("a b%20?.db").exists());
        assert!(!dir.path().join("a b%20?.db-wal").exists());
    }

    #[tokio::test]
    async fn opening_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manager.db");
        for _ in 0..2 {
            let store = Store::open_sqlite(&path).await.unwrap();
            assert!(
                migrations::Migrator::get_pending_migrations(store.db())
                    .await
                    .unwrap()
                    .is_empty()
            );
            store.close().await.unwrap();
        }
    }
}
