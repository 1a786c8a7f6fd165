//! The manager's configuration: [`Raw`] is the file, [`Config`] what it means. After the conversion nothing is "maybe".

mod database;
mod ineffective;
mod raw;

pub use database::{DatabaseConfig, HostPort, Level, Login, RedisConfig, Security, ServerConfig};
pub use dragonfly_service::config::Ineffective;
pub use raw::*;

use crate::traces::MIN_BYTES;
use crate::users::Lasting;
use dragonfly_service::config::{Error, Problems};
use dragonfly_service::tls;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// The fewest characters of a key for sessions.
const MIN_KEY_CHARS: usize = 16;
/// The key in the documentation and the charts of Dragonfly 2: everybody knows it.
const PUBLISHED_KEY: &str = "ZHJhZ29uZmx5Cg==";

/// How old what a manager remembers of the database may be.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// Several of a scheduler's reports, which come every few seconds.
const WORK_LEASE: Duration = Duration::from_secs(30);

/// Everything a manager needs to know, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How and where to log; the program that starts the manager sees to it.
    pub log: LogConfig,
    /// Directory of the embedded database. A manager that has one takes the directory for itself; with a database server
    /// there is nothing to keep in it.
    pub data_dir: PathBuf,
    /// The database.
    pub database: DatabaseConfig,
    /// Redis, if there is one.
    pub redis: Option<RedisConfig>,
    /// After how long the manager looks for itself what others changed, when nobody tells it.
    pub look_after: Duration,
    /// How long a scheduler may be silent about a work before another may have it.
    pub work_lease: Duration,
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// The REST server.
    pub rest: RestConfig,
    /// Users and their sessions.
    pub auth: AuthConfig,
    /// The first user's first password, which the first start sets; absent: `dragonfly`, which opens nothing but the
    /// setting of another one. It comes from the environment or the caller, never from the file.
    pub initial_root_password: Option<SecretString>,
    /// A personal access token of the first user, kept from each start on; it comes from the environment or the caller,
    /// never from the file.
    pub first_token: Option<SecretString>,
    /// Traces that others send, if they are received.
    pub otlp: Option<OtlpConfig>,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// What the operator should know about the file; logged by the manager when it is built.
    pub warnings: Vec<String>,
}

/// How and where to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Level or directives.
    pub level: String,
    /// Directory of log files; absent: standard error.
    pub dir: Option<PathBuf>,
    /// Bytes at which a file is rolled.
    pub max_file_size: u64,
    /// How many files are kept, the one that is written included.
    pub max_files: usize,
}

/// The gRPC server.
#[derive(Debug, Clone)]
pub struct GrpcConfig {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its certificate and key, and the CA of its callers.
    pub tls: Option<tls::Files>,
    /// Which schedulers are handed works that hold secrets.
    pub tell_secrets_to: TellSecretsTo,
    /// Requests per second over all connections.
    pub requests_per_second: NonZeroU32,
}

/// The REST server.
#[derive(Debug, Clone)]
pub struct RestConfig {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its certificate and key.
    pub tls: Option<tls::Files>,
    /// Origins of other pages that may call.
    pub origins: Vec<HeaderValue>,
    /// The proxies before it, which say who calls.
    pub trusted_proxies: Vec<IpNet>,
}

/// Traces that others send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Where they are received beside the other servers.
    pub listen: Option<SocketAddr>,
    /// Bytes that they may take on disk.
    pub max_size: u64,
    /// How long each is kept.
    pub max_age: Duration,
}

/// Users and their sessions.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Shown to those who have to sign in.
    pub realm: String,
    /// Key of session tokens; absent: a random one in the database.
    pub key: Option<SecretString>,
    /// How long a session lasts.
    pub session: Duration,
    /// How long after the sign-in a session can be renewed by another.
    pub refresh: Duration,
    /// Whether the initial password opens nothing but the setting of another one.
    pub force_password_change: bool,
    /// Whether scripts of a page may read the cookie.
    pub cookie_readable: bool,
    /// Whether identity providers may be asked without TLS.
    pub plain_http: bool,
}

impl AuthConfig {
    pub(crate) fn lasting(&self) -> Lasting {
        Lasting {
            session: self.session,
            refresh: self.refresh,
        }
    }
}

impl TryFrom<Raw> for Config {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let mut warnings = Ineffective::warnings(&raw, ineffective::TABLE);
        let database = database::database(&raw.database, &raw.server.data_dir, &mut problems);
        let redis = raw.database.redis.as_ref();
        let redis = redis.and_then(|redis| database::redis(redis, &mut problems));
        let any = any_address(raw.network.enable_ipv6);
        let grpc_ip = match &raw.server.grpc.listen_ip {
            Some(ip) => problems
                .take("server.grpc.listenIP", ip, ip.parse::<IpAddr>())
                .unwrap_or(any),
            None => any,
        };
        let rest_addr = listen_addr("server.rest.addr", &raw.server.rest.addr, any, &mut problems);
        let origins = origins(&raw.server.rest.cors.allow_origins, &mut problems);
        let trusted_proxies = networks(
            "server.rest.trustedProxies",
            &raw.server.rest.trusted_proxies,
            &mut problems,
        );
        let metrics_addr = listen_addr("metrics.addr", &raw.metrics.addr, any, &mut problems);
        let key = session_key(raw.auth.jwt.key, &mut problems, &mut warnings);
        problems.require(
            raw.auth.jwt.timeout >= Duration::from_secs(60),
            "auth.jwt.timeout",
            format_args!("{:?}", raw.auth.jwt.timeout),
            "use at least 1m",
        );
        let embedded = matches!(database, DatabaseConfig::Sqlite(_));
        let otlp = otlp(&raw.otlp, any, embedded, &mut problems);
        problems.require(
            !raw.server.data_dir.as_os_str().is_empty(),
            "server.dataDir",
            "empty",
            "name a directory",
        );
        let config = Self {
            log: log_config(&raw.server, raw.console, raw.verbose),
            database,
            redis,
            look_after: LOOK_AFTER,
            work_lease: WORK_LEASE,
            data_dir: raw.server.data_dir,
            grpc: GrpcConfig {
                addr: SocketAddr::new(grpc_ip, raw.server.grpc.port.start),
                tls: raw.server.grpc.tls,
                tell_secrets_to: raw.server.grpc.tell_secrets_to,
                requests_per_second: raw.server.grpc.request_rate_limit,
            },
            rest: RestConfig {
                addr: rest_addr,
                tls: raw.server.rest.tls,
                origins,
                trusted_proxies,
            },
            auth: AuthConfig {
                realm: raw.auth.jwt.realm,
                key,
                session: raw.auth.jwt.timeout,
                refresh: raw.auth.jwt.max_refresh,
                force_password_change: raw.auth.force_password_change,
                cookie_readable: raw.auth.cookie.readable,
                plain_http: raw.auth.oauth.plain_http,
            },
            initial_root_password: None,
            first_token: None,
            otlp,
            metrics: raw.metrics.enable.then_some(metrics_addr),
            warnings,
        };
        problems.into_result(config)
    }
}

fn log_config(server: &Server, console: bool, verbose: bool) -> LogConfig {
    const MEGABYTE: u64 = 1_000_000;
    let level = if verbose { "debug" } else { server.log_level.as_str() };
    LogConfig {
        level: level.to_owned(),
        dir: server.log_dir.clone().filter(|_| !console),
        max_file_size: server.log_max_size.max(1).saturating_mul(MEGABYTE),
        max_files: server.log_max_backups.saturating_add(1),
    }
}

fn any_address(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// `:8080`, `127.0.0.1:8080`, `[::1]:8080`.
fn listen_addr(key: &str, text: &str, any: IpAddr, problems: &mut Problems) -> SocketAddr {
    let parsed = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(any, port)),
        None => text.parse().ok(),
    };
    parsed.unwrap_or_else(|| {
        problems.push(
            key,
            text,
            "write an address and a port, such as 127.0.0.1:8080, or :8080 for all addresses",
        );
        SocketAddr::new(any, 0)
    })
}

fn otlp(raw: &Otlp, any: IpAddr, embedded: bool, problems: &mut Problems) -> Option<OtlpConfig> {
    let listen = (!raw.listen.is_empty()).then(|| listen_addr("otlp.listen", &raw.listen, any, problems));
    problems.require(
        raw.max_size.as_u64() >= MIN_BYTES,
        "otlp.maxSize",
        raw.max_size,
        "use at least 128 MiB",
    );
    problems.require(
        raw.max_age >= Duration::from_secs(60),
        "otlp.maxAge",
        format_args!("{:?}", raw.max_age),
        "use at least 1m",
    );
    raw.enable.unwrap_or(embedded).then(|| OtlpConfig {
        listen,
        max_size: raw.max_size.as_u64(),
        max_age: raw.max_age,
    })
}

/// Origins as browsers write them: nothing else would ever match. `*` is none, since what calls has a session.
fn origins(given: &[String], problems: &mut Problems) -> Vec<HeaderValue> {
    let mut origins = Vec::new();
    for origin in given {
        let parsed = origin.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| {
                    *origin == format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
                        && !authority.as_str().contains('@')
                })
        });
        match parsed.and_then(|_| HeaderValue::try_from(origin).ok()) {
            Some(value) => origins.push(value),
            None => problems.push(
                "server.rest.cors.allowOrigins",
                format_args!("{origin:?}"),
                "write scheme, host and port only, such as https://console.example.org",
            ),
        }
    }
    origins
}

fn networks(key: &str, texts: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let parsed = texts.iter().filter_map(|text| {
        let network = text.parse().ok().or_else(|| text.parse().ok().map(IpAddr::into));
        if network.is_none() {
            problems.push(key, text, "write an address or a network, such as 10.0.0.0/8");
        }
        network
    });
    parsed.collect()
}

fn session_key(key: Option<SecretString>, problems: &mut Problems, warnings: &mut Vec<String>) -> Option<SecretString> {
    let key = key.filter(|key| !key.expose_secret().is_empty())?;
    if key.expose_secret() == PUBLISHED_KEY {
        warnings.push("auth.jwt.key is ignored: it is a published one; a random key is used instead".to_owned());
        return None;
    }
    problems.require(
        key.expose_secret().chars().count() >= MIN_KEY_CHARS,
        "auth.jwt.key",
        "so short",
        "use at least 16 characters, or leave it out for a random key",
    );
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, Error> {
        dragonfly_service::config::parse::<Raw>(text, "manager.yaml").and_then(Config::try_from)
    }

    #[test]
    fn an_empty_file_has_the_documented_defaults() {
        let config = config("").unwrap();
        assert_eq!(config.rest.addr.to_string(), "0.0.0.0:8080");
        assert_eq!(config.grpc.addr.to_string(), "0.0.0.0:65003");
        assert_eq!(config.metrics, None);
        let DatabaseConfig::Sqlite(path) = &config.database else {
            panic!("{:?}", config.database);
        };
        assert_eq!(*path, PathBuf::from("/var/lib/dragonfly/manager/manager.db"));
        assert!(config.redis.is_none());
        assert_eq!(config.auth.session, Duration::from_secs(336 * 3600));
        assert!(config.auth.force_password_change && !config.auth.cookie_readable);
        assert!(config.auth.key.is_none());
        assert_eq!(config.log.dir, None);
        assert_eq!(config.grpc.tell_secrets_to, TellSecretsTo::Proved);
        assert_eq!(config.warnings, [""; 0]);
    }

    #[test]
    fn who_is_told_secrets_is_one_of_three_words() {
        let told = |word: &str| config(&format!("server: {{grpc: {{tellSecretsTo: {word}}}}}"));
        for (word, expected) in [
            ("certified", TellSecretsTo::Certified),
            ("proved", TellSecretsTo::Proved),
            ("anyone", TellSecretsTo::Anyone),
        ] {
            assert_eq!(told(word).unwrap().grpc.tell_secrets_to, expected);
        }
        assert!(told("everyone").is_err());
    }

    #[test]
    fn a_file_of_dragonfly_2_5_for_the_article_is_accepted() {
        let config = config(
            "server:\n  grpc:\n    advertiseIP: 10.0.0.1\n    port: {start: 65003, end: 65003}\n  rest:\n    addr: :8080\n  \
             logDir: /var/log/dragonfly\nauth:\n  jwt:\n    realm: Dragonfly\n    key: ZHJhZ29uZmx5Cg==\n    timeout: 336h\n    \
             maxRefresh: 168h\nmetrics:\n  enable: true\n  addr: :8000\ncache: {redis: {ttl: 5m}}\nconsole: true\nverbose: true\n\
             pprofPort: 18066\nnetwork:\n  enableIPv6: true\n",
        )
        .unwrap();
        assert_eq!(config.rest.addr.to_string(), "[::]:8080");
        assert_eq!(config.metrics.unwrap().port(), 8000);
        assert_eq!((config.log.level.as_str(), config.log.dir), ("debug", None));
        assert!(config.auth.key.is_none(), "a published key is no key");
        assert_eq!(config.auth.refresh, Duration::from_secs(168 * 3600));
        assert_eq!(config.warnings.len(), 5, "{:?}", config.warnings);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let error = config(
            "server:\n  rest:\n    addr: nowhere\n    trustedProxies: [10.0.0.0/8, '::1', everywhere]\nauth:\n  jwt:\n    key: short\n    timeout: 1s\ndatabase:\n  type: mysql\n",
        )
        .unwrap_err()
        .to_string();
        for key in [
            "server.rest.addr",
            "server.rest.trustedProxies can't be everywhere",
            "auth.jwt.key",
            "auth.jwt.timeout",
            "database.mysql.host",
        ] {
            assert!(error.contains(key), "{key} in {error}");
        }
        assert!(!error.contains("short\""), "{error}");
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let config = |origin: &str| -> Result<Config, Error> {
            let text = format!("server:\n  rest:\n    cors: {{allowOrigins: ['{origin}']}}\n");
            Config::try_from(dragonfly_service::config::parse::<Raw>(&text, "test").unwrap())
        };
        let origins = config("https://console.example.org:8443").unwrap().rest.origins;
        assert_eq!(origins, ["https://console.example.org:8443"]);
        for wrong in [
            "*",
            "null",
            "console.example.org",
            "https://a/",
            "https://u@a",
            "ftp://a",
            "",
        ] {
            let error = config(wrong).unwrap_err().to_string();
            assert!(error.contains("server.rest.cors.allowOrigins"), "{wrong}: {error}");
        }
    }

    #[test]
    fn traces_are_kept_beside_the_embedded_database_or_where_it_is_said() {
        let otlp = |text: &str| config(text).unwrap().otlp;
        let usual = OtlpConfig {
            listen: None,
            max_size: 1 << 30,
            max_age: Duration::from_secs(72 * 3600),
        };
        assert_eq!(otlp(""), Some(usual));
        assert_eq!(otlp("otlp: {enable: false}\n"), None);
        let server = "database: {mysql: {host: db, user: u, dbname: d}}\n";
        assert_eq!(otlp(server), None);
        let said = otlp(&format!(
            "{server}otlp: {{enable: true, listen: ':4317', maxSize: 2GiB, maxAge: 1h}}\n"
        ))
        .unwrap();
        assert_eq!(said.listen.unwrap().to_string(), "0.0.0.0:4317");
        assert_eq!(said.max_size, 2 << 30);
        let error = config("otlp: {listen: x, maxSize: 1MiB, maxAge: 1s}\n")
            .unwrap_err()
            .to_string();
        for key in ["otlp.listen", "otlp.maxSize", "otlp.maxAge"] {
            assert!(error.contains(key), "{key} in {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let error = config("server:\n  rset: {}\n").unwrap_err().to_string();
        assert!(error.contains("rest"), "{error}");
    }

    #[test]
    fn a_key_is_never_printed() {
        let text = "auth:\n  jwt:\n    key: a-very-secret-key-indeed\n";
        let raw: Raw = dragonfly_service::config::parse(text, "manager.yaml").unwrap();
        let shown = format!(
            "{raw:?} {:?} {}",
            config(text).unwrap(),
            dragonfly_service::config::to_yaml(&raw)
        );
        assert!(!shown.contains("very-secret"), "{shown}");
    }
}
