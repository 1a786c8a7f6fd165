//! manager.yaml as it is written: the keys, defaults and units of Dragonfly 2.5, and a few keys of our own.

mod database;

pub use database::{Database, DatabaseTls, MySql, Postgres, Redis, Sqlite};

use dragonfly_service::config::{ByteSize, Ineffective, duration};
use dragonfly_service::telemetry::Tracing;
use dragonfly_service::{config_section, tls};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 3600);
const THREE_DAYS: Duration = Duration::from_secs(3 * 24 * 3600);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(4000).expect("4000 is not 0");

config_section! {
    /// The whole file.
    Raw {
        /// Logs, data, gRPC and REST.
        server: Server = Server::default(),
        /// Users and their sessions.
        auth: Auth = Auth::default(),
        /// Where the manager keeps its data.
        database: Database = Database::default(),
        /// Metrics for Prometheus.
        metrics: Metrics = Metrics::default(),
        /// Addresses.
        network: Network = Network::default(),
        /// Log to standard error instead of `server.logDir`.
        console: bool = false,
        /// Log more. The same as `server.logLevel: debug`.
        verbose: bool = false,
        /// Without effect.
        #[serde(skip_serializing)]
        cache: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        job: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        object_storage: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        security: Ineffective = Ineffective::default(),
        /// Where traces go.
        tracing: Tracing = Tracing::default(),
        /// Traces that others send here.
        otlp: Otlp = Otlp::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        pprof_port: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Logs, data, gRPC and REST.
    Server {
        /// Directory of the embedded database.
        data_dir: PathBuf = PathBuf::from("/var/lib/dragonfly/manager"),
        /// Directory of the log; absent: standard error.
        log_dir: Option<PathBuf> = None,
        /// `error`, `warn`, `info`, `debug` or `trace`.
        log_level: String = "info".to_owned(),
        /// Size in MB at which a log file is rolled.
        log_max_size: u64 = 1024,
        /// How many log files are kept beside the one that is written.
        log_max_backups: usize = 20,
        /// The gRPC server.
        grpc: Grpc = Grpc::default(),
        /// The REST server.
        rest: Rest = Rest::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        name: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        log_max_age: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        plugin_dir: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        cache_dir: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        work_home: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// The gRPC server, which schedulers and peers call.
    Grpc {
        /// Address to listen on; absent: all.
        #[serde(rename = "listenIP")]
        listen_ip: Option<String> = None,
        /// Port to listen on.
        port: Port = Port::default(),
        /// Certificate and key of the server, and the CA of those who may call; absent: no TLS.
        tls: Option<tls::Files> = None,
        /// Which schedulers are handed works that hold secrets, such as a registry's password: certified, proved or anyone.
        tell_secrets_to: TellSecretsTo = TellSecretsTo::Proved,
        /// Requests per second over all connections.
        request_rate_limit: NonZeroU32 = REQUESTS_PER_SECOND,
        /// Without effect.
        #[serde(rename = "advertiseIP", skip_serializing)]
        advertise_ip: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        advertise_port: Ineffective = Ineffective::default(),
    }
}

/// Which schedulers are handed works that hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TellSecretsTo {
    /// Those that show a certificate of the CA in `tls.caCert`.
    Certified,
    /// Those, and those that call from the manager's own host.
    Proved,
    /// All that have registered.
    Anyone,
}

config_section! {
    /// A port.
    Port {
        /// The port; 0 takes a free one.
        start: u16 = 65003,
        /// Without effect.
        #[serde(skip_serializing)]
        end: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// The REST server, which people, consoles and scripts call.
    Rest {
        /// Address and port to listen on; without an address: all; port 0 takes a free one.
        addr: String = ":8080".to_owned(),
        /// Certificate and key of the server; absent: no TLS.
        tls: Option<tls::Files> = None,
        /// Which pages of other origins may call.
        cors: Cors = Cors::default(),
        /// Networks (CIDR) of the proxies before the server, whose X-Forwarded-For says who calls. Nobody else's counts.
        trusted_proxies: Vec<String> = Vec::new(),
    }
}

config_section! {
    /// Pages of other origins.
    Cors {
        /// Their origins, such as `https://console.example.org`; empty: none.
        allow_origins: Vec<String> = Vec::new(),
    }
}

config_section! {
    /// Users and their sessions.
    Auth {
        /// Session tokens.
        jwt: Jwt = Jwt::default(),
        /// The session's cookie.
        cookie: Cookie = Cookie::default(),
        /// Identity providers.
        oauth: OauthClient = OauthClient::default(),
        /// Whether the initial password `dragonfly` opens nothing but the setting of another one. Only for labs: false.
        force_password_change: bool = true,
    }
}

config_section! {
    /// Signing in by identity providers, which are entries of `/api/v1/oauth`.
    OauthClient {
        /// Whether they may be asked without TLS, so that codes and secrets can be read on the way. Only for labs: true.
        #[serde(rename = "plainHTTP")]
        plain_http: bool = false,
    }
}

config_section! {
    /// Session tokens.
    Jwt {
        /// Shown to those who have to sign in.
        realm: String = "Dragonfly".to_owned(),
        /// Key of the tokens, at least 16 characters; absent: a random one, kept in the database.
        #[serde(serialize_with = "dragonfly_service::config::hidden")]
        key: Option<SecretString> = None,
        /// How long a session lasts.
        #[serde(with = "duration")]
        timeout: Duration = TWO_WEEKS,
        /// How long after the sign-in a session can be renewed by another.
        #[serde(with = "duration")]
        max_refresh: Duration = A_WEEK,
    }
}

config_section! {
    /// The session's cookie.
    Cookie {
        /// Whether scripts of a page may read it, as the console of Dragonfly 2.5 does.
        readable: bool = false,
    }
}

config_section! {
    /// Traces that others send here by OTLP: to `server.grpc`, and with a token to `POST /v1/traces` of `server.rest`. They are
    /// found at `/jaeger` of `server.rest`.
    Otlp {
        /// Whether they are received; absent: with the embedded database. Each of several managers keeps its own.
        enable: Option<bool> = None,
        /// Address and port of one more gRPC server, for traces only, without TLS, such as `:4317`; empty: none.
        listen: String = String::new(),
        /// What they may take on disk, at least 128 MiB; the oldest go first.
        max_size: ByteSize = ByteSize::gib(1),
        /// How long each is kept, at least 1m.
        #[serde(with = "duration")]
        max_age: Duration = THREE_DAYS,
    }
}

config_section! {
    /// Metrics for Prometheus.
    Metrics {
        /// Whether they are served.
        enable: bool = false,
        /// Address and port to listen on; without an address: all; port 0 takes a free one.
        addr: String = ":8000".to_owned(),
        /// Without effect.
        #[serde(skip_serializing)]
        enable_peer_gauge: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Addresses.
    Network {
        /// Whether servers without an address listen on IPv6 too.
        #[serde(rename = "enableIPv6")]
        enable_ipv6: bool = false,
    }
}
