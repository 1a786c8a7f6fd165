//! scheduler.yaml as it is written: the keys and units of Dragonfly 2.5, and a few keys of our own.

use dragonfly_service::config::{Ineffective, duration};
use dragonfly_service::telemetry::Tracing;
use dragonfly_service::{config_section, tls};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(4000).expect("4000 is not 0");

config_section! {
    /// The whole file.
    Raw {
        /// Address, limits, data and logs.
        server: Server = Server::default(),
        /// How parents are chosen.
        scheduler: Scheduling = Scheduling::default(),
        /// Configuration that the manager holds.
        #[serde(alias = "dynconfig")]
        dyn_config: DynConfig = DynConfig::default(),
        /// Where this scheduler stands.
        host: Host = Host::default(),
        /// The manager; without an address the scheduler works alone.
        manager: Manager = Manager::default(),
        /// How seed peers are asked.
        seed_peer: SeedPeer = SeedPeer::default(),
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
        peer: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        database: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        job: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        storage: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        resource: Ineffective = Ineffective::default(),
        /// What is asked for others' sake.
        security: Security = Security::default(),
        /// Where traces go.
        tracing: Tracing = Tracing::default(),
        /// Without effect.
        #[serde(skip_serializing, alias = "pprof-port")]
        pprof_port: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        jaeger: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Address, limits, data and logs.
    Server {
        /// Address that peers and the manager are told; absent: the one from which the manager is reached.
        #[serde(rename = "advertiseIP")]
        advertise_ip: Option<String> = None,
        /// Port that peers and the manager are told; absent: `port`.
        advertise_port: Option<u16> = None,
        /// Address to listen on; absent: all.
        #[serde(rename = "listenIP")]
        listen_ip: Option<String> = None,
        /// Port to listen on; 0 takes a free one.
        port: u16 = 8002,
        /// Name under which the manager knows this scheduler; absent: the host's.
        host: Option<String> = None,
        /// Certificate and key of the server, and the CA of those who may call; absent: no TLS.
        tls: Option<tls::Files> = None,
        /// Requests per second over all connections; each new stream counts as one.
        request_rate_limit: NonZeroU32 = REQUESTS_PER_SECOND,
        /// Directory of the table of hosts. The scheduler takes it for itself.
        data_dir: PathBuf = PathBuf::from("/var/lib/dragonfly/scheduler"),
        /// Directory of the log; absent: standard error.
        log_dir: Option<PathBuf> = None,
        /// `error`, `warn`, `info`, `debug` or `trace`.
        log_level: String = "info".to_owned(),
        /// Size in MB at which a log file is rolled.
        log_max_size: u64 = 1024,
        /// How many log files are kept beside the one that is written.
        log_max_backups: usize = 20,
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
    /// How parents are chosen.
    Scheduling {
        /// How many peers of a task that are no seed peers may fetch the same piece from the origin at the same time.
        back_to_source_count: u32 = 1,
        /// How long a peer waits for a parent that does not exist yet, before it may go to the origin itself.
        #[serde(with = "duration")]
        wait_timeout: Duration = Duration::from_secs(30),
        /// How long a peer waits in all, before it is sent away.
        #[serde(with = "duration")]
        max_wait_timeout: Duration = Duration::from_secs(90),
        /// How much each quality of a parent counts.
        weights: Weights = Weights::default(),
        /// How long things are remembered.
        gc: Gc = Gc::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        algorithm: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        retry_back_to_source_limit: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        retry_limit: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        retry_interval: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// How much each quality of a parent counts. Only the ratios matter.
    Weights {
        /// Speed that children measured.
        goodput: f64 = 0.3,
        /// Share of free upload slots.
        load: f64 = 0.3,
        /// Share of the content that the parent has already.
        pieces: f64 = 0.1,
        /// Same IDC.
        idc: f64 = 0.15,
        /// Shared elements of the location.
        location: f64 = 0.05,
        /// No seed peer.
        host_type: f64 = 0.1,
    }
}

config_section! {
    /// How long things are remembered.
    Gc {
        /// How long a downloading peer may be silent.
        #[serde(with = "duration")]
        piece_download_timeout: Duration = Duration::from_secs(30 * 60),
        /// How long a peer that has a task is remembered after its last use.
        #[serde(rename = "peerTTL", with = "duration")]
        peer_ttl: Duration = Duration::from_secs(24 * 3600),
        /// How long a host is remembered that does not say how often it announces itself. One that does is forgotten
        /// after twice that interval.
        #[serde(rename = "hostTTL", with = "duration")]
        host_ttl: Duration = HOUR,
        /// Without effect.
        #[serde(rename = "peerGCInterval", skip_serializing)]
        peer_gc_interval: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(rename = "taskGCInterval", skip_serializing)]
        task_gc_interval: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(rename = "hostGCInterval", skip_serializing)]
        host_gc_interval: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Configuration that the manager holds.
    DynConfig {
        /// How often it is asked for.
        #[serde(with = "duration")]
        refresh_interval: Duration = MINUTE,
        /// Without effect.
        #[serde(skip_serializing)]
        r#type: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Where this scheduler stands.
    Host {
        /// Its data centre.
        idc: String = String::new(),
        /// Its place, from wide to narrow: `area|country|province|city`.
        location: String = String::new(),
    }
}

config_section! {
    /// The manager.
    Manager {
        /// Address and port; absent: the scheduler works alone.
        addr: Option<String> = None,
        /// Certificate and key of this client, and the manager's CA; absent: no TLS.
        tls: Option<tls::Files> = None,
        /// The cluster that this scheduler belongs to.
        #[serde(rename = "schedulerClusterID")]
        scheduler_cluster_id: u64 = 1,
        /// Signs of life.
        keep_alive: KeepAlive = KeepAlive::default(),
    }
}

config_section! {
    /// Signs of life.
    KeepAlive {
        /// How often they are sent.
        #[serde(with = "duration")]
        interval: Duration = Duration::from_secs(5),
    }
}

config_section! {
    /// How seed peers are asked.
    SeedPeer {
        /// Certificate and key of this client, and the CA of the seed peers; absent: no TLS.
        tls: Option<tls::Files> = None,
        /// How long a seed peer may take for one task.
        #[serde(with = "duration")]
        task_download_timeout: Duration = Duration::from_secs(10 * 3600),
        /// Without effect.
        #[serde(skip_serializing)]
        enable: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// What is asked for others' sake.
    Security {
        /// Which registries may be asked when an image is preheated.
        egress: Egress = Egress::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        auto_issue_cert: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        ca_cert: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        tls_verify: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        tls_policy: Ineffective = Ineffective::default(),
        /// Without effect.
        #[serde(skip_serializing)]
        cert_spec: Ineffective = Ineffective::default(),
    }
}

config_section! {
    /// Which registries may be asked when an image is preheated.
    Egress {
        /// Networks (CIDR) that are allowed whatever else is refused.
        allow: Vec<String> = Vec::new(),
        /// Refuse private address ranges.
        deny_private: bool = false,
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
        enable_host: Ineffective = Ineffective::default(),
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
