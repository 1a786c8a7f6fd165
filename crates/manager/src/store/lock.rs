//! One manager at a time prepares a database: several that start at the same moment wait for each other.
//!
//! MySQL's DDL can't be rolled back and PostgreSQL's collides, so the lock is the server's own, taken by name, and gone
//! with the connection that holds it. SQLite's file belongs to one manager (see `Manager::build`), which needs no lock.

use super::{OpenError, Store};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait};
use std::time::Duration;

/// How long a manager waits for another one.
pub(super) const WAIT: Duration = Duration::from_secs(120);

/// Number of the lock on PostgreSQL, where locks belong to a database and have numbers: "dragonfl" as bytes.
const NUMBER: i64 = 0x6472_6167_6f6e_666c;

/// Name of the lock on MySQL, where locks belong to the whole server, as SQL; 64 characters are the limit.
const MYSQL_NAME: &str = "LEFT(CONCAT('dragonfly ', DATABASE()), 64)";

/// The lock of a database, held.
pub(crate) struct StartLock {
    /// The connection that holds it; on SQLite there is none.
    held: Option<DatabaseTransaction>,
}

/// Takes the lock, waiting for who holds it.
pub(crate) async fn take(store: &Store) -> Result<StartLock, OpenError> {
    let backend = store.db.get_database_backend();
    let result = match backend {
        DbBackend::MySql => mysql(store).await,
        DbBackend::Postgres => postgres(store).await,
        _ => return Ok(StartLock { held: None }),
    };
    match result {
        Ok(Some(held)) => Ok(StartLock { held: Some(held) }),
        Ok(None) => Err(OpenError::Busy),
        Err(error) if is_timeout(&error) => Err(OpenError::Busy),
        Err(error) => Err(OpenError::Seed(error)),
    }
}

impl StartLock {
    /// Gives the lock back.
    pub(crate) async fn release(self) -> Result<(), OpenError> {
        let Some(held) = self.held else { return Ok(()) };
        let release = async {
            if held.get_database_backend() == DbBackend::MySql {
                // It belongs to the connection, which goes back to the pool.
                held.execute_unprepared(&format!("DO RELEASE_LOCK({MYSQL_NAME})"))
                    .await?;
            }
            held.commit().await
        };
        release.await.map_err(OpenError::Seed)
    }
}

async fn mysql(store: &Store) -> Result<Option<DatabaseTransaction>, DbErr> {
    let held = store.db.begin().await?;
    let sql = format!("SELECT GET_LOCK({MYSQL_NAME}, {})", WAIT.as_secs());
    let row = held
        .query_one_raw(Statement::from_string(DbBackend::MySql, sql))
        .await?;
    let taken = row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?;
    Ok((taken.flatten() == Some(1)).then_some(held))
}

async fn postgres(store: &Store) -> Result<Option<DatabaseTransaction>, DbErr> {
    let held = store.db.begin().await?;
    held.execute_unprepared(&format!("SET LOCAL lock_timeout = '{}s'", WAIT.as_secs()))
        .await?;
    held.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({NUMBER})"))
        .await?;
    Ok(Some(held))
}

fn is_timeout(error: &DbErr) -> bool {
    let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) = error else {
        return false;
    };
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == "55P03")
}
