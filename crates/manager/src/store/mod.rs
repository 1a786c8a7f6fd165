//! Keeping intent: the manager's database. One schema and one set of queries for SQLite, MySQL, MariaDB and PostgreSQL.
//!
//! Invariants: the schema is made and changed by [`migrations`] only, under a lock that all managers of a database
//! share; the first start's rows are written by [`seed`], once; exactly one scheduler cluster is the default.
//!
//! Transactions read what was committed. One that reads a row to write it again locks it when it reads
//! (`lock_exclusive`), since on a server others write at the same time; SQLite has one writer and ignores the wish.

pub(crate) mod entity;
mod json;
mod key;
mod lock;
mod migrations;
pub(crate) mod seed;
mod server;
mod sqlite;
mod time;

pub(crate) use json::Json;
pub(crate) use key::key;
pub(crate) use time::Time;

use crate::config::DatabaseConfig;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, RuntimeErr,
    SqliteTransactionMode, SqlxError, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::io;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;

/// The most connections to the database.
const MAX_CONNECTIONS: u32 = 16;

/// A store that can't be opened. The disk's, the server's or the operator's fault.
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
    #[error("can't open the database {database}")]
    Connect {
        /// Its file, or its server and name.
        database: String,
        /// Why not.
        #[source]
        source: DbErr,
    },
    /// Another manager prepares the database for longer than anybody should.
    #[error("another manager has been preparing the database for {} s; look at its log", lock::WAIT.as_secs())]
    Busy,
    /// The schema can't be brought up to date.
    #[error("can't bring the schema of {database} up to date")]
    Migrate {
        /// Its file, or its server and name.
        database: String,
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
    /// Opens the database and brings its schema up to date. A server that does not answer yet is waited for.
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self, OpenError> {
        let (db, name) = match config {
            DatabaseConfig::Sqlite(path) => (sqlite::open(path).await?, path.display().to_string()),
            DatabaseConfig::MySql(server) => server::open(DbBackend::MySql, server).await?,
            DatabaseConfig::Postgres(server) => server::open(DbBackend::Postgres, server).await?,
        };
        let store = Self { db };
        let lock = lock::take(&store).await?;
        migrations::Migrator::up(&store.db, None)
            .await
            .map_err(|source| OpenError::Migrate { database: name, source })?;
        lock.release().await?;
        Ok(store)
    }

    /// The embedded database at `path`.
    #[cfg(test)]
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, OpenError> {
        Self::open(&DatabaseConfig::Sqlite(path.to_owned())).await
    }

    /// For reads and for writes of one statement.
    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// A transaction that may write. On SQLite it has the right to write from its first statement: one that read first
    /// and wrote later would fail, without waiting, whenever another wrote in between.
    pub(crate) async fn write(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = match self.db.get_database_backend() {
            DbBackend::Sqlite => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::ReadCommitted),
                ..TransactionOptions::default()
            },
        };
        self.db.begin_with_options(options).await
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

/// Whether the same may succeed a moment later: the server is away or starts, or two transactions were in each other's
/// way.
pub(crate) fn may_pass(error: &DbErr) -> bool {
    let runtime = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return false,
    };
    let RuntimeErr::SqlxError(error) = runtime else {
        return false;
    };
    match error.as_ref() {
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::WorkerCrashed | SqlxError::Protocol(_) => true,
        SqlxError::Database(error) => {
            // Of PostgreSQL and of MySQL: conflicts between transactions, a server that starts or stops.
            const PASSING: [&str; 9] = [
                "40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "08004", "08S01",
            ];
            error.code().is_some_and(|code| PASSING.contains(&code.as_ref()))
        }
        _ => false,
    }
}
