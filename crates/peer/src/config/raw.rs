//! dfdaemon.yaml as it is written: the keys, defaults and units of Dragonfly 2.5, with safer defaults where theirs would
//! lose the cache or trust anyone, and a few keys of our own. One long file, since it is one table.

use dragonfly_service::config::{ByteSize, Ineffective, duration};
use dragonfly_service::config_section;
use dragonfly_service::telemetry::Tracing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

const SIX_MINUTES: Duration = Duration::from_secs(360);

config_section! {
    /// The whole file.
    Raw {
        /// Log more. The same as `--log-level debug`.
        verbose: bool = false,
        /// Without effect.
        #[serde(skip_serializing)]
        pprof_port: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        log: Ineffective = Ineffective::default(),
        /// This host.
        host: Host = Host::default(),
        /// The daemon itself.
        server: Server = Server::default(),
        /// Fetching.
        download: Download = Download::default(),
        /// Serving other peers.
        upload: Upload = Upload::default(),
        /// The manager.
        manager: Manager = Manager::default(),
        /// The schedulers.
        scheduler: Scheduler = Scheduler::default(),
        /// Being a seed peer.
        seed_peer: SeedPeer = SeedPeer::default(),
        /// Configuration that comes from the manager.
        dynconfig: Dynconfig = Dynconfig::default(),
        /// Keeping pieces on disk.
        storage: Storage = Storage::default(),
        /// Eviction.
        gc: Gc = Gc::default(),
        /// The HTTP proxy.
        proxy: Proxy = Proxy::default(),
        /// Asking origins.
        backend: Backend = Backend::default(),
        /// What may be asked of origins.
        security: Security = Security::default(),
        /// Address families.
        network: Network = Network::default(),
        /// The endpoint of liveness and readiness.
        health: Endpoint = Endpoint::default(),
        /// The endpoint of metrics.
        metrics: Endpoint = Endpoint::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        stats: Ineffective = Ineffective::default(),
        /// Where traces go.
        tracing: Tracing = Tracing::default(),
    }
}

config_section! {
    /// `host`
    Host {
        /// Internet data centre of this host, for choosing cluster and parents.
        idc: Option<String> = None,
        /// Place of this host, `area|country|province|city`.
        location: Option<String> = None,
        /// Name of this host; the system's by default. Part of the host id.
        hostname: Option<String> = None,
        /// Address that other hosts reach this one by; found by itself when absent. Part of the host id.
        #[serde(alias = "advertiseIP")]
        ip: Option<IpAddr> = None,
        /// Joins this cluster whatever idc, location and address say.
        #[serde(rename = "schedulerClusterID")]
        scheduler_cluster_id: Option<u64> = None,
    }
}

config_section! {
    /// `server`
    Server {
        /// Without effect.
        #[serde(skip_serializing)]
        plugin_dir: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        cache_dir: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        adaptive_rate_limit: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `download`
    Download {
        /// The unix socket that dfget and other local tools use.
        server: DownloadServer = DownloadServer::default(),
        /// How pieces travel; `tcp` is what this version speaks.
        protocol: String = "tcp".to_owned(),
        /// Bytes per second from other peers.
        bandwidth_limit: ByteSize = ByteSize::gb(50),
        /// Bytes per second from origins.
        back_to_source_bandwidth_limit: ByteSize = ByteSize::gb(50),
        /// How long one piece may take from one parent.
        #[serde(with = "duration")]
        piece_timeout: Duration = SIX_MINUTES,
        /// How long a parent may be silent about new pieces.
        #[serde(with = "duration")]
        collected_piece_timeout: Duration = SIX_MINUTES,
        /// Pieces of one task that are fetched at the same time.
        concurrent_piece_count: u32 = 8,
    }
}

config_section! {
    /// `download.server`
    DownloadServer {
        /// Path of the socket.
        socket_path: PathBuf = PathBuf::from("/var/run/dragonfly/dfdaemon.sock"),
        /// Requests per second. A small file takes three.
        request_rate_limit: u32 = 4000,
        /// Requests that may wait for the rate.
        #[serde(alias = "requestbufferSize")]
        request_buffer_size: u32 = 50,
    }
}

config_section! {
    /// `upload`
    Upload {
        /// The gRPC service for peers and schedulers.
        server: UploadServer = UploadServer::default(),
        /// How this peer calls other peers.
        client: Tls = Tls::default(),
        /// Never be a parent.
        disable_shared: bool = false,
        /// Bytes per second to other peers.
        bandwidth_limit: ByteSize = ByteSize::gb(50),
    }
}

config_section! {
    /// `upload.server`
    UploadServer {
        /// Address to listen on.
        ip: Option<IpAddr> = None,
        /// Port to listen on.
        port: u16 = 4000,
        /// CA of the clients; mutual TLS needs all three.
        ca_cert: Option<PathBuf> = None,
        /// Certificate.
        cert: Option<PathBuf> = None,
        /// Key of the certificate.
        key: Option<PathBuf> = None,
        /// Requests per second. A small file takes three.
        request_rate_limit: u32 = 4000,
        /// Requests that may wait for the rate.
        #[serde(alias = "requestbufferSize")]
        request_buffer_size: u32 = 50,
    }
}

config_section! {
    /// Client certificates: all three or none.
    Tls {
        /// CA of the server.
        ca_cert: Option<PathBuf> = None,
        /// Certificate.
        cert: Option<PathBuf> = None,
        /// Key of the certificate.
        key: Option<PathBuf> = None,
    }
}

config_section! {
    /// `manager`
    Manager {
        /// `http://host:port` of the manager's gRPC service; without one, `scheduler.addrs` names the schedulers.
        addr: Option<String> = None,
        /// CA of the manager.
        ca_cert: Option<PathBuf> = None,
        /// Certificate.
        cert: Option<PathBuf> = None,
        /// Key of the certificate.
        key: Option<PathBuf> = None,
    }
}

config_section! {
    /// `scheduler`
    Scheduler {
        /// Schedulers as `host:port`, for a peer without a manager.
        addrs: Vec<String> = Vec::new(),
        /// How often this host announces itself.
        #[serde(with = "duration")]
        announce_interval: Duration = Duration::from_secs(300),
        /// How long a scheduler may be silent while a download waits for it.
        #[serde(with = "duration")]
        schedule_timeout: Duration = Duration::from_secs(3 * 3600),
        /// After so many answers that did not help, a download goes to the origin.
        max_schedule_count: u32 = 5,
        /// CA of the schedulers.
        ca_cert: Option<PathBuf> = None,
        /// Certificate.
        cert: Option<PathBuf> = None,
        /// Key of the certificate.
        key: Option<PathBuf> = None,
        /// Without effect.
        #[serde(skip_serializing)]
        enable_back_to_source: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `seedPeer`
    SeedPeer {
        /// Whether this is a seed peer.
        enable: bool = false,
        /// `normal` or `super`; both mean the same.
        r#type: String = "normal".to_owned(),
        /// Seed peer cluster to register with at the manager.
        #[serde(rename = "clusterID")]
        cluster_id: Option<u64> = None,
        /// Without effect.
        #[serde(skip_serializing)]
        server: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        keep_alive: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `dynconfig`
    Dynconfig {
        /// How often the manager is asked for the schedulers.
        #[serde(with = "duration")]
        refresh_interval: Duration = Duration::from_secs(60),
    }
}

config_section! {
    /// `storage`
    Storage {
        /// The piece service.
        server: StorageServer = StorageServer::default(),
        /// Directory of pieces and index.
        dir: PathBuf = PathBuf::from("/var/lib/dragonfly/"),
        /// Keep what is stored over a restart.
        keep: bool = true,
        /// Bytes gathered before a write.
        write_buffer_size: ByteSize = ByteSize::kib(512),
        /// Bytes read at once.
        read_buffer_size: ByteSize = ByteSize::kib(512),
        /// Without effect.
        #[serde(skip_serializing)]
        write_piece_timeout: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        cache_capacity: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `storage.server`
    StorageServer {
        /// Address to listen on.
        ip: Option<IpAddr> = None,
        /// Port of the piece service.
        tcp_port: u16 = 4005,
        /// Without effect.
        #[serde(skip_serializing)]
        tcp_fastopen: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        quic_port: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `gc`
    Gc {
        /// How often old tasks are looked for.
        #[serde(with = "duration")]
        interval: Duration = Duration::from_secs(900),
        /// What is old or too much.
        policy: GcPolicy = GcPolicy::default(),
    }
}

config_section! {
    /// `gc.policy`
    GcPolicy {
        /// A task that nobody used for so long goes.
        #[serde(with = "duration", rename = "taskTTL")]
        task_ttl: Duration = Duration::from_secs(720 * 3600),
        /// Bytes that tasks may take; 0 means the whole file system.
        #[serde(alias = "distThreshold")]
        disk_threshold: ByteSize = ByteSize(0),
        /// Above this share of the disk, the least recently used tasks go …
        #[serde(alias = "distHighThresholdPercent")]
        disk_high_threshold_percent: u8 = 80,
        /// … until this share is reached.
        #[serde(alias = "distLowThresholdPercent")]
        disk_low_threshold_percent: u8 = 60,
        /// Without effect.
        #[serde(skip_serializing, rename = "persistentTaskTTL")]
        persistent_task_ttl: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing, rename = "persistentCacheTaskTTL")]
        persistent_cache_task_ttl: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        page_cache_idle_timeout: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `proxy`
    Proxy {
        /// Where the proxy listens.
        server: ProxyServer = ProxyServer::default(),
        /// Which requests travel peer to peer; the first that matches counts.
        rules: Vec<ProxyRule> = Vec::new(),
        /// Registries.
        registry_mirror: RegistryMirror = RegistryMirror::default(),
        /// Requests of the proxy never go to the origin.
        disable_back_to_source: bool = false,
        /// An origin is asked whether a content that no digest names is still the same if it was not asked for so long,
        /// and its `Cache-Control` says nothing.
        #[serde(with = "duration")]
        revalidate_after: Duration = Duration::from_secs(10),
        /// How long an origin's word that a caller may read is remembered.
        #[serde(with = "duration", rename = "authorizationTTL")]
        authorization_ttl: Duration = Duration::from_secs(3600),
        /// Without effect.
        #[serde(skip_serializing)]
        prefetch: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        prefetch_bandwidth_limit: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        read_buffer_size: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `proxy.server`
    ProxyServer {
        /// Address to listen on.
        ip: Option<IpAddr> = None,
        /// Port to listen on.
        port: u16 = 4001,
        /// Requests per second.
        request_rate_limit: u32 = 4000,
        /// CA that signs certificates for intercepted hosts.
        ca_cert: Option<PathBuf> = None,
        /// Key of that CA.
        ca_key: Option<PathBuf> = None,
        /// What clients of the proxy must show.
        basic_auth: Option<BasicAuth> = None,
    }
}

/// `proxy.server.basicAuth`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BasicAuth {
    /// 1 to 20 characters.
    pub username: String,
    /// 1 to 20 characters.
    #[serde(serialize_with = "hidden")]
    pub password: SecretString,
}

/// One of `proxy.rules`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProxyRule {
    /// Matched against the URL without query and fragment.
    pub regex: String,
    /// Ask the origin over TLS.
    #[serde(default, rename = "useTLS")]
    pub use_tls: bool,
    /// Ask this `host[:port]` instead.
    #[serde(default)]
    pub redirect: Option<String>,
    /// Query parameters that don't enter the task id; absent means the built-in list.
    #[serde(default)]
    pub filtered_query_params: Option<Vec<String>>,
}

config_section! {
    /// `proxy.registryMirror`
    RegistryMirror {
        /// The registry of requests that name none.
        addr: String = "https://index.docker.io".to_owned(),
        /// CA certificates that origins' TLS is verified with, besides the system's.
        cert: Option<PathBuf> = None,
        /// A tag leads for so long where it led when its registry was asked last; 0s asks it each time. While the registry
        /// is down a tag that was pulled before leads where it led last.
        #[serde(with = "duration", rename = "tagTTL")]
        tag_ttl: Duration = Duration::ZERO,
        /// A blob is the same task under every repository and trusted registry.
        #[serde(rename = "enableTaskIDBasedBlobDigest")]
        enable_task_id_based_blob_digest: bool = true,
        /// Registries that may vouch for each other's blobs, besides `addr`: URLs or hosts.
        trusted_registries: Vec<String> = Vec::new(),
    }
}

config_section! {
    /// `backend`
    Backend {
        /// Headers for origins that the caller did not send.
        request_header: HashMap<String, String> = HashMap::new(),
        /// Repetitions after a fault that may pass.
        max_retries: u32 = 1,
        /// Without effect.
        #[serde(skip_serializing)]
        enable_cache_temporary_redirect: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing, rename = "cacheTemporaryRedirectTTL")]
        cache_temporary_redirect_ttl: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        put_concurrent_chunk_count: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        put_chunk_size: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        put_timeout: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing, rename = "enableHickoryDNS")]
        enable_hickory_dns: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `security`
    Security {
        /// Which origins may be asked.
        egress: Egress = Egress::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        enable: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `security.egress`
    Egress {
        /// Networks (CIDR) that are allowed whatever else is refused.
        allow: Vec<String> = Vec::new(),
        /// Refuse private address ranges.
        deny_private: bool = false,
    }
}

config_section! {
    /// `network`
    Network {
        /// Listen on `::` where no address is given, and prefer IPv6.
        #[serde(rename = "enableIPv6")]
        enable_ipv6: bool = false,
        /// Without effect.
        #[serde(skip_serializing, rename = "enableIPv4")]
        enable_ipv4: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// `health`, `metrics`
    Endpoint {
        /// Where it listens.
        server: EndpointServer = EndpointServer::default(),
    }
}

config_section! {
    /// `health.server`, `metrics.server`
    EndpointServer {
        /// Address to listen on.
        ip: Option<IpAddr> = None,
        /// Port to listen on; 4003 for health and 4002 for metrics when absent.
        port: Option<u16> = None,
    }
}

fn hidden<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() {
        ""
    } else {
        "<hidden>"
    })
}
