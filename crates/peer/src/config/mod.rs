//! The peer's configuration: [`Raw`] is the file, [`Config`] what it means. After the conversion nothing is "maybe".

mod ineffective;
mod proxy;
mod raw;

pub use dragonfly_service::config::Ineffective;
pub use proxy::{BasicAuth, MitmCa, Proxy, RegistryMirror, Rule};
pub use raw::*;

use dragonfly_service::config::{Error, Problems};
use dragonfly_service::grpc::Limits;
use dragonfly_service::tls;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a peer needs to know, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Log more than usual.
    pub verbose: bool,
    /// This host's place and name.
    pub host: HostConfig,
    /// Whether and how this is a seed peer.
    pub seed: Option<Seed>,
    /// The manager, if there is one.
    pub manager: Option<Remote>,
    /// Schedulers.
    pub schedulers: Schedulers,
    /// Fetching.
    pub download: DownloadConfig,
    /// Serving.
    pub upload: UploadConfig,
    /// Keeping.
    pub storage: StorageConfig,
    /// Eviction.
    pub gc: Eviction,
    /// The HTTP proxy.
    pub proxy: Proxy,
    /// Asking origins.
    pub origin: Origin,
    /// Where liveness and readiness are told.
    pub health: SocketAddr,
    /// Where metrics are told.
    pub metrics: SocketAddr,
    /// What the operator should know about the file, to be logged once.
    pub warnings: Vec<String>,
}

/// Place and name of this host.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Data centre.
    pub idc: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// Name; the system's when absent.
    pub hostname: Option<String>,
    /// Advertised address; found by the route to manager or scheduler when absent.
    pub ip: Option<IpAddr>,
    /// The cluster this host is pinned to; 0 means none.
    pub scheduler_cluster_id: u64,
}

/// A seed peer's registration.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The seed peer cluster to register with; without one the manager is not told.
    pub cluster_id: Option<u64>,
}

/// A gRPC service that this peer calls.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `host:port`.
    pub addr: String,
    /// Certificates, if it is called over TLS.
    pub tls: Option<tls::Files>,
}

/// How schedulers are found and talked to.
#[derive(Debug, Clone)]
pub struct Schedulers {
    /// `host:port` of schedulers, used when no manager is configured.
    pub local: Vec<String>,
    /// How often the manager, or the name service, is asked for them.
    pub refresh_interval: Duration,
    /// How often this host announces itself.
    pub announce_interval: Duration,
    /// Longest silence of a scheduler in a download.
    pub schedule_timeout: Duration,
    /// Answers after which a download goes to the origin.
    pub max_schedule_count: u32,
    /// Certificates, if they are called over TLS.
    pub tls: Option<tls::Files>,
}

/// Fetching.
#[derive(Debug, Clone)]
pub struct DownloadConfig {
    /// The unix socket of the local API.
    pub socket: PathBuf,
    /// How many are answered on it.
    pub limits: Limits,
    /// Bytes per second from peers.
    pub bandwidth: u64,
    /// Bytes per second from origins.
    pub source_bandwidth: u64,
    /// Longest time for one piece from one parent.
    pub piece_timeout: Duration,
    /// Longest silence of a parent about its pieces.
    pub collected_piece_timeout: Duration,
    /// Pieces of one task in flight.
    pub concurrent_pieces: usize,
}

/// Serving.
#[derive(Debug, Clone)]
pub struct UploadConfig {
    /// The gRPC service for peers and schedulers.
    pub grpc: SocketAddr,
    /// The piece service.
    pub pieces: SocketAddr,
    /// How many are answered on gRPC.
    pub limits: Limits,
    /// Certificates of the gRPC service.
    pub server_tls: Option<tls::Files>,
    /// Certificates for calling other peers.
    pub client_tls: Option<tls::Files>,
    /// Never be a parent.
    pub disable_shared: bool,
    /// Bytes per second to peers.
    pub bandwidth: u64,
}

/// Keeping.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The directory.
    pub dir: PathBuf,
    /// Keep the cache over a restart.
    pub keep: bool,
    /// Bytes per write.
    pub write_buffer: usize,
    /// Bytes per read.
    pub read_buffer: usize,
}

/// Eviction.
#[derive(Debug, Clone)]
pub struct Eviction {
    /// How often.
    pub interval: Duration,
    /// Unused tasks live so long.
    pub ttl: Duration,
    /// Bytes that tasks may take; `None` means the file system's size.
    pub quota: Option<u64>,
    /// Percent of the quota above which tasks are evicted.
    pub high_percent: u8,
    /// Percent of the quota at which eviction stops.
    pub low_percent: u8,
}

/// Asking origins.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Headers that are added where the caller sent none.
    pub headers: HeaderMap,
    /// Repetitions after a passing fault.
    pub max_retries: u32,
    /// Networks that are always allowed.
    pub allow: Vec<IpNet>,
    /// Refuse private ranges.
    pub deny_private: bool,
}

impl TryFrom<Raw> for Config {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let any = if raw.network.enable_ipv6 {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        };
        let listen = |ip: Option<IpAddr>, port| SocketAddr::new(ip.unwrap_or(any), port);
        let endpoint = |endpoint: &Endpoint, port| listen(endpoint.server.ip, endpoint.server.port.unwrap_or(port));
        let warnings = Ineffective::warnings(&raw, ineffective::TABLE);
        let config = Config {
            verbose: raw.verbose,
            health: endpoint(&raw.health, 4003),
            metrics: endpoint(&raw.metrics, 4002),
            seed: seed(&raw, &mut problems),
            manager: manager(&raw, &mut problems),
            schedulers: schedulers(&raw, &mut problems),
            download: download(&raw, &mut problems),
            upload: upload(&raw, &mut problems, any),
            storage: storage(&raw, &mut problems),
            gc: eviction(&raw, &mut problems),
            proxy: proxy::resolve(&raw.proxy, any, &mut problems),
            origin: origin(&raw, &mut problems),
            host: host(raw.host),
            warnings,
        };
        problems.into_result(config)
    }
}

fn host(raw: Host) -> HostConfig {
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    HostConfig {
        idc: given(raw.idc),
        location: given(raw.location),
        hostname: given(raw.hostname),
        ip: raw.ip,
        scheduler_cluster_id: raw.scheduler_cluster_id.unwrap_or(0),
    }
}

fn seed(raw: &Raw, problems: &mut Problems) -> Option<Seed> {
    let kind = raw.seed_peer.r#type.as_str();
    problems.require(
        ["normal", "super", "strong", "weak"].contains(&kind),
        "seedPeer.type",
        kind,
        "use normal or super",
    );
    raw.seed_peer.enable.then(|| Seed {
        cluster_id: raw.seed_peer.cluster_id.filter(|id| *id != 0),
    })
}

fn manager(raw: &Raw, problems: &mut Problems) -> Option<Remote> {
    let manager = &raw.manager;
    let tls = tls_files("manager", [&manager.ca_cert, &manager.cert, &manager.key], problems);
    let addr = manager.addr.as_deref().filter(|addr| !addr.is_empty())?;
    Some(Remote {
        addr: host_and_port("manager.addr", addr, problems)?,
        tls,
    })
}

fn schedulers(raw: &Raw, problems: &mut Problems) -> Schedulers {
    let scheduler = &raw.scheduler;
    for (key, interval) in [
        ("scheduler.announceInterval", scheduler.announce_interval),
        ("scheduler.scheduleTimeout", scheduler.schedule_timeout),
        ("dynconfig.refreshInterval", raw.dynconfig.refresh_interval),
    ] {
        positive(key, interval, problems);
    }
    Schedulers {
        local: scheduler
            .addrs
            .iter()
            .filter_map(|addr| host_and_port("scheduler.addrs", addr, problems))
            .collect(),
        refresh_interval: raw.dynconfig.refresh_interval,
        announce_interval: scheduler.announce_interval,
        schedule_timeout: scheduler.schedule_timeout,
        max_schedule_count: scheduler.max_schedule_count,
        tls: tls_files(
            "scheduler",
            [&scheduler.ca_cert, &scheduler.cert, &scheduler.key],
            problems,
        ),
    }
}

fn download(raw: &Raw, problems: &mut Problems) -> DownloadConfig {
    let download = &raw.download;
    positive("download.pieceTimeout", download.piece_timeout, problems);
    positive(
        "download.collectedPieceTimeout",
        download.collected_piece_timeout,
        problems,
    );
    let count = download.concurrent_piece_count;
    problems.require(
        (1..=1024).contains(&count),
        "download.concurrentPieceCount",
        count,
        "use 1 to 1024",
    );
    problems.require(
        download.protocol == "tcp" || download.protocol == "quic",
        "download.protocol",
        &download.protocol,
        "use tcp",
    );
    let server = &download.server;
    DownloadConfig {
        socket: server.socket_path.clone(),
        limits: limits(
            "download.server",
            (server.request_rate_limit, server.request_buffer_size),
            problems,
        ),
        bandwidth: download.bandwidth_limit.as_u64(),
        source_bandwidth: download.back_to_source_bandwidth_limit.as_u64(),
        piece_timeout: download.piece_timeout,
        collected_piece_timeout: download.collected_piece_timeout,
        concurrent_pieces: count as usize,
    }
}

/// What a gRPC server grants: so many requests in a second, and so many that wait for their turn.
fn limits(section: &str, (rate, waiting): (u32, u32), problems: &mut Problems) -> Limits {
    let per_second = NonZeroU32::new(rate);
    let key = format!("{section}.requestRateLimit");
    problems.require(per_second.is_some(), &key, rate, "use 1 or more");
    Limits {
        waiting,
        ..Limits::per_second(per_second.unwrap_or(NonZeroU32::MIN))
    }
}

fn upload(raw: &Raw, problems: &mut Problems, any: IpAddr) -> UploadConfig {
    let (server, client) = (&raw.upload.server, &raw.upload.client);
    UploadConfig {
        grpc: SocketAddr::new(server.ip.unwrap_or(any), server.port),
        pieces: SocketAddr::new(raw.storage.server.ip.unwrap_or(any), raw.storage.server.tcp_port),
        limits: limits(
            "upload.server",
            (server.request_rate_limit, server.request_buffer_size),
            problems,
        ),
        server_tls: tls_files("upload.server", [&server.ca_cert, &server.cert, &server.key], problems),
        client_tls: tls_files("upload.client", [&client.ca_cert, &client.cert, &client.key], problems),
        disable_shared: raw.upload.disable_shared,
        bandwidth: raw.upload.bandwidth_limit.as_u64(),
    }
}

fn storage(raw: &Raw, problems: &mut Problems) -> StorageConfig {
    let storage = &raw.storage;
    let mut buffer = |key: &str, size: dragonfly_service::config::ByteSize| {
        let bytes = size.as_u64();
        let fits = (4096..=1 << 30).contains(&bytes);
        problems.require(fits, key, size, "use 4KiB to 1GiB");
        usize::try_from(bytes).unwrap_or(4096)
    };
    StorageConfig {
        dir: storage.dir.clone(),
        keep: storage.keep,
        write_buffer: buffer("storage.writeBufferSize", storage.write_buffer_size),
        read_buffer: buffer("storage.readBufferSize", storage.read_buffer_size),
    }
}

fn eviction(raw: &Raw, problems: &mut Problems) -> Eviction {
    let policy = &raw.gc.policy;
    positive("gc.interval", raw.gc.interval, problems);
    positive("gc.policy.taskTTL", policy.task_ttl, problems);
    let (high, low) = (policy.disk_high_threshold_percent, policy.disk_low_threshold_percent);
    problems.require(
        (1..=99).contains(&high),
        "gc.policy.diskHighThresholdPercent",
        high,
        "use 1 to 99",
    );
    problems.require(
        (1..=high).contains(&low),
        "gc.policy.diskLowThresholdPercent",
        low,
        "use 1 to diskHighThresholdPercent",
    );
    Eviction {
        interval: raw.gc.interval,
        ttl: policy.task_ttl,
        quota: Some(policy.disk_threshold.as_u64()).filter(|bytes| *bytes > 0),
        high_percent: high,
        low_percent: low,
    }
}

fn origin(raw: &Raw, problems: &mut Problems) -> Origin {
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.backend.request_header {
        let key = format!("backend.requestHeader.{name}");
        let name = problems.take(&key, name, name.parse::<HeaderName>());
        // The value may be a credential and stays out of the message.
        let value = problems.take(&key, "<hidden>", HeaderValue::from_str(value));
        if let (Some(name), Some(mut value)) = (name, value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    let egress = &raw.security.egress;
    Origin {
        headers,
        max_retries: raw.backend.max_retries,
        allow: egress
            .allow
            .iter()
            .filter_map(|net| problems.take("security.egress.allow", net, net.parse::<IpNet>()))
            .collect(),
        deny_private: egress.deny_private,
    }
}

fn positive(key: &str, interval: Duration, problems: &mut Problems) {
    problems.require(!interval.is_zero(), key, "0s", "use a time above zero");
}

/// Mutual TLS needs all three files; some of them is a mistake.
fn tls_files(section: &str, files: [&Option<PathBuf>; 3], problems: &mut Problems) -> Option<tls::Files> {
    let names = ["caCert", "cert", "key"];
    if let [Some(_), Some(_), Some(_)] = files {
        let [ca_cert, cert, key] = files.map(Clone::clone);
        return Some(tls::Files { ca_cert, cert, key });
    }
    if files.iter().any(|file| file.is_some()) {
        for (name, file) in names.iter().zip(files) {
            problems.require(
                file.is_some(),
                &format!("{section}.{name}"),
                "",
                "TLS needs caCert, cert and key together",
            );
        }
    }
    None
}

/// `host:port` from that or from `http://host:port`.
fn host_and_port(key: &str, text: &str, problems: &mut Problems) -> Option<String> {
    let bare = text
        .split_once("://")
        .map_or(text, |(_, rest)| rest)
        .trim_end_matches('/');
    let port = bare.rsplit_once(':').and_then(|(host, port)| {
        let port: u16 = port.parse().ok()?;
        (!host.is_empty() && port > 0).then_some(port)
    });
    problems.require(port.is_some(), key, text, "write host:port");
    port.map(|_| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, Error> {
        dragonfly_service::config::parse::<Raw>(text, "dfdaemon.yaml").and_then(Config::try_from)
    }

    #[test]
    fn an_empty_file_means_upstreams_ports_and_safe_defaults() {
        let config = config("").unwrap();
        assert_eq!(config.upload.grpc, "0.0.0.0:4000".parse().unwrap());
        assert_eq!(config.upload.pieces, "0.0.0.0:4005".parse().unwrap());
        assert_eq!(config.proxy.addr, "0.0.0.0:4001".parse().unwrap());
        assert_eq!(config.metrics, "0.0.0.0:4002".parse().unwrap());
        assert_eq!(config.health, "0.0.0.0:4003".parse().unwrap());
        assert!(config.storage.keep && config.proxy.registry_mirror.enable_task_id_based_blob_digest);
        assert!(config.manager.is_none() && config.seed.is_none() && config.warnings.is_empty());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = "
download: {concurrentPieceCount: 0}
manager: {addr: nowhere}
upload: {server: {cert: /c.pem}}
gc: {policy: {diskHighThresholdPercent: 50, diskLowThresholdPercent: 60}}
security: {egress: {allow: [10.0.0.0/99]}}
proxy: {rules: [{regex: '('}]}
";
        let error = config(text).unwrap_err().to_string();
        for key in [
            "download.concurrentPieceCount",
            "manager.addr",
            "upload.server.caCert",
            "upload.server.key",
            "gc.policy.diskLowThresholdPercent",
            "security.egress.allow",
            "proxy.rules",
        ] {
            assert!(error.contains(key), "{key} is not in {error}");
        }
    }

    #[test]
    fn an_unknown_key_names_its_nearest() {
        let error = config("storage: {keeep: true}").unwrap_err().to_string();
        assert!(error.contains("keeep") && error.contains("keep"), "{error}");
    }

    #[test]
    fn addresses_come_with_and_without_scheme() {
        let config =
            config("manager: {addr: 'http://m.example:65003'}\nscheduler: {addrs: ['10.0.0.1:8002']}").unwrap();
        assert_eq!(config.manager.unwrap().addr, "m.example:65003");
        assert_eq!(config.schedulers.local, ["10.0.0.1:8002"]);
    }

    #[test]
    fn keys_without_effect_give_one_warning_each() {
        let config = config("stats: {server: {port: 4004}}\nproxy: {prefetch: true}").unwrap();
        assert_eq!(config.warnings.len(), 2);
        assert!(config.warnings[0].starts_with("proxy.prefetch has no effect"));
        assert!(config.warnings[1].starts_with("stats has no effect"));
    }
}
