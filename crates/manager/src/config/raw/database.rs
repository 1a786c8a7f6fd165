//! `database` in manager.yaml.

use dragonfly_service::config::{Ineffective, duration};
use dragonfly_service::config_section;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

/// How long a start waits for a database server.
const START_TIMEOUT: Duration = Duration::from_secs(120);

config_section! {
    /// Where the manager keeps its data, and what tells several managers of each other's changes.
    Database {
        /// `sqlite`, `mysql`, `mariadb` or `postgres`; absent: the one whose section is there, else `sqlite`.
        r#type: Option<String> = None,
        /// How long a start waits for a database server that does not answer yet.
        #[serde(with = "duration")]
        start_timeout: Duration = START_TIMEOUT,
        /// The embedded database.
        sqlite: Sqlite = Sqlite::default(),
        /// MySQL or MariaDB.
        mysql: Option<MySql> = None,
        /// PostgreSQL.
        postgres: Option<Postgres> = None,
        /// Redis, which several managers on one database may use; nothing needs it.
        redis: Option<Redis> = None,
        /// Refused: it would hold data that is not used.
        #[serde(skip_serializing)]
        polardb: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// The embedded database.
    Sqlite {
        /// Its file; absent: `manager.db` in `server.dataDir`.
        path: Option<PathBuf> = None,
    }
}

config_section! {
    /// MySQL or MariaDB.
    MySql {
        /// Name of the user.
        user: String = String::new(),
        /// Password of the user.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        password: Option<SecretString> = None,
        /// Host name or address of the server.
        host: String = String::new(),
        /// Port of the server.
        port: u16 = 3306,
        /// Name of the database, which must be there.
        dbname: String = "manager".to_owned(),
        /// Without `tls`: `preferred` (the default: TLS if the server offers it), `true` (verified by the roots of the
        /// system), `skip-verify`, or `false`.
        tls_config: String = String::new(),
        /// TLS with certificates of one's own.
        tls: Option<DatabaseTls> = None,
        /// Without effect.
        #[serde(skip_serializing)]
        migrate: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// PostgreSQL.
    Postgres {
        /// Name of the user.
        user: String = String::new(),
        /// Password of the user.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        password: Option<SecretString> = None,
        /// Host name or address of the server.
        host: String = String::new(),
        /// Port of the server.
        port: u16 = 5432,
        /// Name of the database, which must be there.
        dbname: String = "manager".to_owned(),
        /// `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
        ssl_mode: String = "prefer".to_owned(),
        /// Certificates of one's own, for `require` and the modes that verify.
        tls: Option<DatabaseTls> = None,
        /// Without effect.
        #[serde(skip_serializing)]
        prefer_simple_protocol: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        timezone: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        migrate: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// TLS to a server that keeps data.
    DatabaseTls {
        /// PEM file with the certificates of the CA; absent: the roots of the system.
        ca_cert: Option<PathBuf> = None,
        /// PEM file with the manager's certificate, if the server asks for one.
        cert: Option<PathBuf> = None,
        /// PEM file with the private key of `cert`.
        key: Option<PathBuf> = None,
        /// Take any certificate. Whoever is between the manager and the server can then read and change all of it.
        insecure_skip_verify: bool = false,
    }
}

config_section! {
    /// Redis, which tells several managers on one database of each other's changes at once.
    Redis {
        /// `host:port` of the server, or, with `masterName`, of the sentinels.
        addrs: Vec<String> = Vec::new(),
        /// Name under which the sentinels know the master; absent: there are no sentinels.
        master_name: String = String::new(),
        /// Name of the user; absent: the default user.
        username: String = String::new(),
        /// Password of the user.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        password: Option<SecretString> = None,
        /// Name of the user at the sentinels.
        sentinel_username: String = String::new(),
        /// Password of the user at the sentinels.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        sentinel_password: Option<SecretString> = None,
        /// Number of the database.
        db: u32 = 0,
        /// Host of the server, for files that know no `addrs`.
        host: String = String::new(),
        /// Port of the server, for files that know no `addrs`.
        port: u16 = 6379,
        /// TLS; absent: none.
        tls: Option<DatabaseTls> = None,
        /// Without effect.
        #[serde(rename = "brokerDB", skip_serializing)]
        broker_db: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(rename = "backendDB", skip_serializing)]
        backend_db: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        pool_size: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        pool_timeout: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        proxy: Ineffective = Ineffective::default(),
    }
}
