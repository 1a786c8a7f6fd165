//! The embedded engine: SQLite in one file, with a write-ahead log.

use super::{MAX_CONNECTIONS, OpenError};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How long a writer waits for another one, and a query for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the database at `path`, which it creates.
pub(super) async fn open(path: &Path) -> Result<DatabaseConnection, OpenError> {
    create(path).map_err(|source| OpenError::Create {
        path: path.to_owned(),
        source,
    })?;
    Database::connect(options(path))
        .await
        .map_err(|source| OpenError::Connect {
            database: path.display().to_string(),
            source,
        })
}

/// Makes the file if it is missing, for its owner only: it holds hashes of passwords. SQLite gives the files beside it
/// the same mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map(drop)
}

fn options(path: &Path) -> ConnectOptions {
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
    use super::super::{Store, migrations};
    use sea_orm::ConnectionTrait;
    use sea_orm_migration::MigratorTrait;
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
