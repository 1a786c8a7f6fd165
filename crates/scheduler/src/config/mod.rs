//! The scheduler's configuration: [`Raw`] is the file, [`Config`] what it means. After the conversion nothing is "maybe".

mod ineffective;
mod raw;

pub use dragonfly_service::config::Ineffective;
pub use raw::*;

use dragonfly_service::config::{Error, Problems};
use dragonfly_service::tls;
use dragonfly_source::EgressPolicy;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a scheduler needs to know, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How and where to log; the program that starts the scheduler sees to it.
    pub log: LogConfig,
    /// Directory of the table of hosts. The scheduler takes it for itself.
    pub data_dir: PathBuf,
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// What others are told about this scheduler.
    pub identity: Identity,
    /// The manager, if there is one.
    pub manager: Option<ManagerConfig>,
    /// How seed peers are asked.
    pub seed_peer: SeedPeerConfig,
    /// How parents are chosen.
    pub scheduling: dragonfly_scheduling::Config,
    /// Which registries may be asked.
    pub egress: EgressPolicy,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// What the operator should know about the file; logged by the scheduler when it is built.
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
    /// Requests per second over all connections.
    pub requests_per_second: NonZeroU32,
}

/// What others are told about this scheduler.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub hostname: String,
    /// Its address; absent: found when it is built.
    pub ip: Option<IpAddr>,
    /// Its port; absent: the one it listens on.
    pub port: Option<u16>,
    /// Its data centre; empty if unknown.
    pub idc: String,
    /// Its place; empty if unknown.
    pub location: String,
}

/// The manager.
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    /// Where it is: `host:port`.
    pub addr: String,
    /// For talking to it.
    pub tls: Option<tls::Files>,
    /// The cluster that this scheduler belongs to.
    pub cluster_id: u64,
    /// How often it is told that this scheduler lives.
    pub keep_alive: Duration,
    /// How often its configuration is asked for.
    pub refresh: Duration,
}

/// How seed peers are asked.
#[derive(Debug, Clone)]
pub struct SeedPeerConfig {
    /// For talking to them.
    pub tls: Option<tls::Files>,
    /// How long one may take for one task.
    pub task_timeout: Duration,
}

impl TryFrom<Raw> for Config {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let warnings = Ineffective::warnings(&raw, ineffective::TABLE);
        let any = any_address(raw.network.enable_ipv6);
        let listen_ip = address("server.listenIP", raw.server.listen_ip.as_deref(), &mut problems);
        let advertise_ip = address("server.advertiseIP", raw.server.advertise_ip.as_deref(), &mut problems);
        let metrics = listen_addr("metrics.addr", &raw.metrics.addr, any, &mut problems);
        let scheduling = scheduling(&raw.scheduler, &mut problems);
        let manager = manager(raw.manager, raw.dyn_config.refresh_interval, &mut problems);
        let egress = EgressPolicy {
            allow: networks("security.egress.allow", &raw.security.egress.allow, &mut problems),
            deny_private: raw.security.egress.deny_private,
            own_ports: Vec::new(),
        };
        problems.require(
            !raw.server.data_dir.as_os_str().is_empty(),
            "server.dataDir",
            "empty",
            "name a directory",
        );
        let config = Self {
            log: LogConfig {
                level: if raw.verbose {
                    "debug".to_owned()
                } else {
                    raw.server.log_level
                },
                dir: raw.server.log_dir.filter(|_| !raw.console),
                max_file_size: raw.server.log_max_size.saturating_mul(1_000_000).max(1_000_000),
                max_files: raw.server.log_max_backups.saturating_add(1),
            },
            data_dir: raw.server.data_dir,
            grpc: GrpcConfig {
                addr: SocketAddr::new(listen_ip.unwrap_or(any), raw.server.port),
                tls: raw.server.tls,
                requests_per_second: raw.server.request_rate_limit,
            },
            identity: Identity {
                hostname: raw.server.host.unwrap_or_else(dragonfly_service::net::hostname),
                ip: advertise_ip.or(listen_ip.filter(|ip| !ip.is_unspecified())),
                port: raw.server.advertise_port,
                idc: raw.host.idc,
                location: raw.host.location,
            },
            manager,
            seed_peer: SeedPeerConfig {
                tls: raw.seed_peer.tls,
                task_timeout: raw.seed_peer.task_download_timeout,
            },
            scheduling,
            egress,
            metrics: raw.metrics.enable.then_some(metrics),
            warnings,
        };
        problems.into_result(config)
    }
}

fn scheduling(raw: &Scheduling, problems: &mut Problems) -> dragonfly_scheduling::Config {
    problems.require(
        raw.back_to_source_count > 0,
        "scheduler.backToSourceCount",
        raw.back_to_source_count,
        "use at least 1, or nobody could fetch a content that no peer has",
    );
    problems.require(
        !raw.wait_timeout.is_zero() && raw.wait_timeout <= raw.max_wait_timeout,
        "scheduler.waitTimeout",
        format_args!("{:?}", raw.wait_timeout),
        "use a time above 0 and not above scheduler.maxWaitTimeout",
    );
    let weights = &raw.weights;
    for (key, weight) in [
        ("goodput", weights.goodput),
        ("load", weights.load),
        ("pieces", weights.pieces),
        ("idc", weights.idc),
        ("location", weights.location),
        ("hostType", weights.host_type),
    ] {
        let sound = weight.is_finite() && weight >= 0.0;
        problems.require(sound, &format!("scheduler.weights.{key}"), weight, "use 0 or more");
    }
    dragonfly_scheduling::Config {
        back_to_source_count: raw.back_to_source_count as usize,
        weights: dragonfly_scheduling::Weights {
            goodput: weights.goodput,
            load: weights.load,
            pieces: weights.pieces,
            idc: weights.idc,
            location: weights.location,
            host_kind: weights.host_type,
        },
        wait: raw.wait_timeout,
        patience: raw.max_wait_timeout,
        piece_timeout: raw.gc.piece_download_timeout,
        peer_ttl: raw.gc.peer_ttl,
        host_ttl: raw.gc.host_ttl,
        ..dragonfly_scheduling::Config::default()
    }
}

fn manager(raw: Manager, refresh: Duration, problems: &mut Problems) -> Option<ManagerConfig> {
    let second = Duration::from_secs(1);
    for (key, interval) in [
        ("manager.keepAlive.interval", raw.keep_alive.interval),
        ("dynConfig.refreshInterval", refresh),
    ] {
        problems.require(interval >= second, key, format_args!("{interval:?}"), "use at least 1s");
    }
    Some(ManagerConfig {
        addr: raw.addr.filter(|addr| !addr.is_empty())?,
        tls: raw.tls,
        cluster_id: raw.scheduler_cluster_id,
        keep_alive: raw.keep_alive.interval,
        refresh,
    })
}

fn any_address(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

fn address(key: &str, text: Option<&str>, problems: &mut Problems) -> Option<IpAddr> {
    let text = text.filter(|text| !text.is_empty())?;
    problems.take(key, text, text.parse::<IpAddr>())
}

fn networks(key: &str, texts: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let parsed = texts
        .iter()
        .filter_map(|text| problems.take(key, text, text.parse::<IpNet>()));
    parsed.collect()
}

/// `:8000`, `127.0.0.1:8000`, `[::1]:8000`.
fn listen_addr(key: &str, text: &str, any: IpAddr, problems: &mut Problems) -> SocketAddr {
    let parsed = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(any, port)),
        None => text.parse().ok(),
    };
    parsed.unwrap_or_else(|| {
        let remedy = "write an address and a port, such as 127.0.0.1:8000, or :8000 for all addresses";
        problems.push(key, text, remedy);
        SocketAddr::new(any, 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, Error> {
        dragonfly_service::config::parse::<Raw>(text, "scheduler.yaml").and_then(Config::try_from)
    }

    #[test]
    fn an_empty_file_has_the_documented_defaults() {
        let config = config("").unwrap();
        assert_eq!(config.grpc.addr.to_string(), "0.0.0.0:8002");
        assert_eq!(config.grpc.requests_per_second.get(), 4000);
        assert_eq!(config.scheduling, dragonfly_scheduling::Config::default());
        assert_eq!(config.seed_peer.task_timeout, Duration::from_secs(36_000));
        assert!(config.manager.is_none() && config.metrics.is_none() && config.warnings.is_empty());
    }

    #[test]
    fn a_file_of_dragonfly_2_5_is_understood() {
        let text = "
server: {advertiseIP: 10.1.2.3, port: 8002, listenIP: 0.0.0.0, host: s1, requestRateLimit: 4000}
scheduler:
  algorithm: default
  backToSourceCount: 3
  retryLimit: 5
  gc: {pieceDownloadTimeout: 30m, peerGCInterval: 10s, peerTTL: 720h, hostTTL: 1h}
dynConfig: {refreshInterval: 1m}
host: {idc: west, location: eu|fr}
manager: {addr: m:65003, schedulerClusterID: 2, keepAlive: {interval: 5s}}
seedPeer: {taskDownloadTimeout: 10h}
job: {enable: true}
metrics: {enable: true, addr: ':8000'}
console: false
pprofPort: -1
";
        let config = config(text).unwrap();
        let manager = config.manager.unwrap();
        assert_eq!((manager.addr.as_str(), manager.cluster_id), ("m:65003", 2));
        assert_eq!(config.identity.ip, Some([10, 1, 2, 3].into()));
        assert_eq!(config.scheduling.peer_ttl, Duration::from_secs(720 * 3600));
        assert_eq!(config.scheduling.back_to_source_count, 3);
        assert_eq!(config.metrics.unwrap().to_string(), "0.0.0.0:8000");
        assert_eq!(config.warnings.len(), 5, "{:?}", config.warnings);
    }

    #[test]
    fn all_problems_are_told_at_once_and_an_unknown_key_names_its_neighbour() {
        let text = "{server: {listenIP: here}, scheduler: {backToSourceCount: 0, weights: {load: -1}}, metrics: {addr: x}, security: {egress: {allow: [x]}}}";
        let problems = config(text).unwrap_err().to_string();
        for key in [
            "server.listenIP",
            "scheduler.backToSourceCount",
            "scheduler.weights.load",
            "metrics.addr",
            "security.egress.allow",
        ] {
            assert!(problems.contains(key), "{problems}");
        }
        let unknown = config("{server: {advertizeIP: 10.1.2.3}}").unwrap_err().to_string();
        assert!(unknown.contains("advertiseIP"), "{unknown}");
    }
}
