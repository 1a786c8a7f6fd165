//! Database servers: MySQL, MariaDB and PostgreSQL.
//!
//! Nothing here or above prints a password: options are made by the driver's own types, never as a URL.

use super::{MAX_CONNECTIONS, OpenError, may_pass};
use crate::config::{Level, Security, ServerConfig};
use dragonfly_service::chain;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr};
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};

/// How long a query waits for a connection; a server that is away is asked again and again until then.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts at the start.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Between two lines in the log that say that the start waits.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Connects, and returns what the database is called in errors. A server that is away or starts is waited for; one that
/// refuses is not.
pub(super) async fn open(backend: DbBackend, config: &ServerConfig) -> Result<(DatabaseConnection, String), OpenError> {
    let name = format!("{} at {}:{}", config.name, config.host, config.port);
    let options = options(backend, config);
    let started = Instant::now();
    let mut told = None;
    loop {
        let error = match Database::connect(options.clone()).await {
            Ok(db) => return Ok((db, name)),
            Err(error) => error,
        };
        if !starts(&error) || started.elapsed() > config.start_timeout {
            return Err(OpenError::Connect {
                database: name,
                source: error,
            });
        }
        if told.is_none_or(|told: Instant| told.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            let left = config.start_timeout.saturating_sub(started.elapsed());
            tracing::warn!(
                error = %chain(&error),
                "waiting for the database {name}, for {} s more",
                left.as_secs()
            );
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Whether a server that can't be reached now may be on its way up.
fn starts(error: &DbErr) -> bool {
    // The driver says I/O also of a certificate that it does not take, which waiting does not mend.
    let certificate = chain(error).to_string().contains("certificate");
    may_pass(error) && !certificate
}

fn options(backend: DbBackend, config: &ServerConfig) -> ConnectOptions {
    // The URL only names the engine; all that it could say is set below.
    let mut options = match backend {
        DbBackend::Postgres => {
            let connect = postgres(config);
            let mut options = ConnectOptions::new("postgres://manager");
            options.map_sqlx_postgres_opts(move |_| connect.clone());
            options
        }
        _ => {
            let connect = mysql(config);
            let mut options = ConnectOptions::new("mysql://manager");
            options.map_sqlx_mysql_opts(move |_| connect.clone());
            options
        }
    };
    options
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection that a restart of the server broke is replaced before anybody uses it.
        .test_before_acquire(true)
        .sqlx_logging(false);
    options
}

fn mysql(config: &ServerConfig) -> MySqlConnectOptions {
    let Security { level, ca, identity } = &config.security;
    let mode = match level {
        Level::Off => MySqlSslMode::Disabled,
        Level::Allowed | Level::Preferred => MySqlSslMode::Preferred,
        Level::Encrypted => MySqlSslMode::Required,
        Level::Authority => MySqlSslMode::VerifyCa,
        Level::Host => MySqlSslMode::VerifyIdentity,
    };
    let mut options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .database(&config.name)
        .ssl_mode(mode);
    if let Some(password) = &config.password {
        options = options.password(password.expose_secret());
    }
    if let Some(ca) = ca {
        options = options.ssl_ca(ca);
    }
    if let Some((cert, key)) = identity {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options
}

fn postgres(config: &ServerConfig) -> PgConnectOptions {
    let Security { level, ca, identity } = &config.security;
    let mode = match level {
        Level::Off => PgSslMode::Disable,
        Level::Allowed => PgSslMode::Allow,
        Level::Preferred => PgSslMode::Prefer,
        Level::Encrypted => PgSslMode::Require,
        Level::Authority => PgSslMode::VerifyCa,
        Level::Host => PgSslMode::VerifyFull,
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .database(&config.name)
        .application_name("dragonfly manager")
        .ssl_mode(mode);
    if let Some(password) = &config.password {
        options = options.password(password.expose_secret());
    }
    if let Some(ca) = ca {
        options = options.ssl_root_cert(ca);
    }
    if let Some((cert, key)) = identity {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options
}
