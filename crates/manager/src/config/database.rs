//! Which database and which Redis, resolved.

use super::raw::{Database, DatabaseTls, MySql, Postgres, Redis};
use dragonfly_service::config::Problems;
use secrecy::SecretString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the manager keeps its data.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// The embedded database, in this file.
    Sqlite(PathBuf),
    /// MySQL or MariaDB.
    MySql(ServerConfig),
    /// PostgreSQL.
    Postgres(ServerConfig),
}

impl DatabaseConfig {
    /// Whether this may be the first start on it. What a server holds is not known before it is asked.
    pub fn may_be_empty(&self) -> bool {
        match self {
            Self::Sqlite(path) => !path.exists(),
            Self::MySql(_) | Self::Postgres(_) => true,
        }
    }
}

/// A database server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the user.
    pub user: String,
    /// Password of the user.
    pub password: Option<SecretString>,
    /// Name of the database.
    pub name: String,
    /// Whether and how the connection is encrypted.
    pub security: Security,
    /// How long a start waits for the server.
    pub start_timeout: Duration,
}

/// Whether and how a connection to a database is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// What is asked of the server.
    pub level: Level,
    /// The CA of the server; absent: the roots of the system.
    pub ca: Option<PathBuf>,
    /// What the manager shows: files of a certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is asked of a database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No TLS.
    Off,
    /// TLS only if the server wants it.
    Allowed,
    /// TLS if the server has it.
    Preferred,
    /// TLS, whoever it is.
    Encrypted,
    /// TLS, and a certificate of the CA.
    Authority,
    /// TLS, and a certificate of the CA for this host.
    Host,
}

/// Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// The server, or the sentinels.
    pub addrs: Vec<HostPort>,
    /// Name of the master at the sentinels; absent: there are none.
    pub master_name: Option<String>,
    /// Who calls the server.
    pub login: Login,
    /// Who calls the sentinels.
    pub sentinel_login: Login,
    /// Number of the database.
    pub db: u32,
    /// TLS, if the connection is encrypted.
    pub tls: Option<Security>,
}

/// A name and a password, where they are needed.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// Name of the user; absent: the default user.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<SecretString>,
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address of the host.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The database of a file; the embedded one lies in `data_dir`.
pub(super) fn database(raw: &Database, data_dir: &Path, problems: &mut Problems) -> DatabaseConfig {
    problems.require(
        !raw.polardb.present(),
        "database.polardb",
        "given",
        "PolarDB speaks as MySQL does: use database.type: mysql and database.mysql",
    );
    let kind = match (raw.r#type.as_deref(), &raw.mysql, &raw.postgres) {
        (Some(kind), ..) => kind,
        (None, Some(_), Some(_)) => {
            problems.push("database.type", "", "say which of mysql and postgres is meant");
            "sqlite"
        }
        (None, Some(_), None) => "mysql",
        (None, None, Some(_)) => "postgres",
        (None, None, None) => "sqlite",
    };
    match kind {
        "mysql" | "mariadb" => {
            let server = raw.mysql.clone().unwrap_or_default();
            DatabaseConfig::MySql(mysql(server, raw.start_timeout, problems))
        }
        "postgres" => {
            let server = raw.postgres.clone().unwrap_or_default();
            DatabaseConfig::Postgres(postgres(server, raw.start_timeout, problems))
        }
        other => {
            const KINDS: &str = "use sqlite, mysql, mariadb or postgres";
            problems.require(other == "sqlite", "database.type", other, KINDS);
            let path = raw.sqlite.path.clone();
            DatabaseConfig::Sqlite(path.unwrap_or_else(|| data_dir.join("manager.db")))
        }
    }
}

fn mysql(raw: MySql, start_timeout: Duration, problems: &mut Problems) -> ServerConfig {
    let security = match (raw.tls_config.as_str(), &raw.tls) {
        (_, Some(tls)) => security("database.mysql.tls", tls, Level::Host, problems),
        ("" | "preferred", None) => plain(Level::Preferred),
        ("true", None) => plain(Level::Host),
        ("skip-verify", None) => plain(Level::Encrypted),
        ("false", None) => plain(Level::Off),
        (other, None) => {
            const REMEDY: &str = "use true, skip-verify, preferred or false, or database.mysql.tls";
            problems.push("database.mysql.tlsConfig", other, REMEDY);
            plain(Level::Host)
        }
    };
    let server = ServerConfig {
        host: raw.host,
        port: raw.port,
        user: raw.user,
        password: raw.password,
        name: raw.dbname,
        security,
        start_timeout,
    };
    checked("database.mysql", server, problems)
}

fn postgres(raw: Postgres, start_timeout: Duration, problems: &mut Problems) -> ServerConfig {
    let level = match raw.ssl_mode.as_str() {
        "disable" => Level::Off,
        "allow" => Level::Allowed,
        "prefer" => Level::Preferred,
        "require" => Level::Encrypted,
        "verify-ca" => Level::Authority,
        "verify-full" => Level::Host,
        other => {
            const REMEDY: &str = "use disable, allow, prefer, require, verify-ca or verify-full";
            problems.push("database.postgres.sslMode", other, REMEDY);
            Level::Host
        }
    };
    let security = match &raw.tls {
        Some(tls) => security("database.postgres.tls", tls, level, problems),
        None => plain(level),
    };
    let server = ServerConfig {
        host: raw.host,
        port: raw.port,
        user: raw.user,
        password: raw.password,
        name: raw.dbname,
        security,
        start_timeout,
    };
    checked("database.postgres", server, problems)
}

fn checked(section: &str, server: ServerConfig, problems: &mut Problems) -> ServerConfig {
    for (key, value, remedy) in [
        ("host", &server.host, "name the server"),
        ("user", &server.user, "name the user"),
        ("dbname", &server.name, "name the database"),
    ] {
        problems.require(!value.is_empty(), &format!("{section}.{key}"), value, remedy);
    }
    server
}

fn plain(level: Level) -> Security {
    Security {
        level,
        ca: None,
        identity: None,
    }
}

fn security(section: &str, tls: &DatabaseTls, level: Level, problems: &mut Problems) -> Security {
    let identity = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() { "cert" } else { "key" };
            problems.push(format!("{section}.{missing}"), "", "give both or none of cert and key");
            None
        }
    };
    Security {
        level: if tls.insecure_skip_verify {
            Level::Encrypted
        } else {
            level
        },
        ca: tls.ca_cert.clone(),
        identity,
    }
}

/// The Redis of a file, if it names one.
pub(super) fn redis(raw: &Redis, problems: &mut Problems) -> Option<RedisConfig> {
    let mut addrs: Vec<HostPort> = Vec::new();
    for text in &raw.addrs {
        match host_port(text) {
            Some(addr) => addrs.push(addr),
            None => problems.push("database.redis.addrs", text, "write host:port"),
        }
    }
    if addrs.is_empty() && !raw.host.is_empty() {
        addrs.push(HostPort {
            host: raw.host.clone(),
            port: raw.port,
        });
    }
    let master_name = some(&raw.master_name);
    if addrs.is_empty() {
        // A chart that was told to do without Redis leaves the section empty.
        return None;
    }
    problems.require(
        addrs.len() == 1 || master_name.is_some(),
        "database.redis.masterName",
        "",
        "several addresses are those of sentinels, which need the master's name; Redis Cluster is not used",
    );
    let tls = raw.tls.as_ref();
    Some(RedisConfig {
        addrs,
        master_name,
        login: login(&raw.username, &raw.password),
        sentinel_login: login(&raw.sentinel_username, &raw.sentinel_password),
        db: raw.db,
        tls: tls.map(|tls| security("database.redis.tls", tls, Level::Host, problems)),
    })
}

fn login(user: &str, password: &Option<SecretString>) -> Login {
    Login {
        user: some(user),
        password: password.clone(),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// `redis:6379`, `[::1]:6379`.
fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| HostPort {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests;
