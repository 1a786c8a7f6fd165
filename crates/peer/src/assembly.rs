//! The parts of a peer, made from its configuration.

use crate::cluster::{Announcement, Cluster, Neighbours, Ports};
use crate::config::Config;
use crate::daemon::{Addresses, BuildError};
use crate::engine::Settings;
use crate::gc::Evictor;
use crate::grpc::Context;
use crate::identity::Identity;
use crate::metrics::{self, Metrics, Origins, Readings};
use crate::proxy::{self, Proxy};
use crate::room::{Promises, Room};
use dragonfly_service::Workers;
use dragonfly_service::tls::ClientTls;
use dragonfly_source::{self as source, EgressPolicy, Sources};
use dragonfly_storage::{self as storage, Storage};
use dragonfly_transfer::{ClientConfig, PieceClient, PieceServer, RateLimit, ServerConfig, Transfer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;

const MAX_PIECE_CONNECTIONS: usize = 4096;
/// How long a piece connection may idle.
const PIECE_IDLE: Duration = Duration::from_secs(60);

/// What this host is, with the ports that it really listens on.
pub(crate) async fn announcement(config: &Config, addresses: &Addresses) -> Announcement {
    let identity = Identity::resolve(config).await;
    tracing::info!(host.id = %identity.host_id, host.ip = %identity.ip, "this host");
    let ports = Ports {
        grpc: addresses.upload.port(),
        proxy: addresses.proxy.port(),
    };
    Announcement::new(identity, ports, config)
}

pub(crate) fn proxy(
    config: &Config,
    context: &Context,
    sources: Sources,
    registry: &dragonfly_service::Metrics,
) -> Result<Proxy, proxy::Error> {
    let settings = proxy::Config {
        proxy: config.proxy.clone(),
        data_dir: config.storage.dir.join("proxy"),
        server_ip: context.announcement.identity().ip,
        limits: proxy::Limits::default(),
    };
    let shown = (&metrics::client(registry), &context.metrics.limits);
    Proxy::new(settings, context.engine.clone(), sources, shown)
}

pub(crate) fn evictor(config: &Config, context: &Context, (room, metrics): (Arc<Room>, Metrics)) -> Evictor {
    Evictor {
        policy: config.gc.clone(),
        storage: context.storage.clone(),
        engine: context.engine.clone(),
        cluster: context.cluster.clone(),
        room,
        metrics,
    }
}

pub(crate) fn room(
    config: &Config,
    (storage, cluster): (&Storage, &Cluster),
    metrics: &Metrics,
    workers: &Workers,
) -> Arc<Room> {
    Arc::new(Room {
        quota: config.gc.quota,
        storage: storage.clone(),
        cluster: cluster.clone(),
        metrics: metrics.clone(),
        lacked: metrics.limits.of("disk_room"),
        workers: workers.clone(),
        promised: Promises::default(),
    })
}

pub(crate) async fn open_storage(config: &Config) -> Result<Storage, BuildError> {
    let dir = config.storage.dir.join("store");
    let opened = Storage::open(storage::Config {
        dir: dir.clone(),
        keep: config.storage.keep,
        write_buffer: config.storage.write_buffer,
    })
    .await;
    let (storage, recovery) = opened.map_err(|source| BuildError::Storage { dir, source })?;
    tracing::info!(?recovery, "opened the storage");
    Ok(storage)
}

pub(crate) fn sources(config: &Config, addresses: &Addresses, origins: Origins) -> Result<Sources, BuildError> {
    let extra_roots = match &config.proxy.registry_mirror.cert {
        None => Vec::new(),
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| BuildError::RegistryCert {
                path: path.clone(),
                message: error.to_string(),
            })?,
    };
    Sources::new(source::Config {
        egress: EgressPolicy {
            allow: config.origin.allow.clone(),
            deny_private: config.origin.deny_private,
            own_ports: vec![
                addresses.upload,
                addresses.proxy,
                addresses.metrics,
                addresses.health,
                addresses.piece_tcp,
            ],
        },
        extra_roots,
        max_retries: config.origin.max_retries,
        user_agent: concat!("dragonfly/", env!("CARGO_PKG_VERSION")).to_owned(),
        request_headers: config.origin.headers.clone(),
        observer: Some(Arc::new(origins)),
        ..source::Config::default()
    })
    .map_err(BuildError::Sources)
}

pub(crate) fn transfer(config: &Config, sources: Sources) -> Transfer {
    Transfer {
        client: PieceClient::new(ClientConfig {
            piece_timeout: config.download.piece_timeout,
            ..ClientConfig::default()
        }),
        sources,
        download_limit: RateLimit::new(Some(config.download.bandwidth)),
        source_limit: RateLimit::new(Some(config.download.source_bandwidth)),
        concurrent_pieces: config.download.concurrent_pieces,
    }
}

pub(crate) fn piece_server(storage: Storage, neighbours: Neighbours, upload_limit: RateLimit) -> PieceServer {
    PieceServer::new(
        storage,
        ServerConfig {
            upload_limit,
            max_connections: MAX_PIECE_CONNECTIONS,
            idle_timeout: PIECE_IDLE,
            admission: Arc::new(neighbours),
        },
    )
}

/// What is looked up elsewhere when somebody asks for metrics.
pub(crate) fn readings(
    config: &Config,
    storage: &Storage,
    pieces: &PieceServer,
    (transfer, upload_limit): (&Transfer, RateLimit),
) -> Readings {
    Readings {
        storage: storage.clone(),
        dir: config.storage.dir.clone(),
        pieces: pieces.stats(),
        download_limit: transfer.download_limit.clone(),
        source_limit: transfer.source_limit.clone(),
        upload_limit,
    }
}

pub(crate) fn settings(config: &Config) -> Result<Settings, BuildError> {
    Ok(Settings {
        schedule_timeout: config.schedulers.schedule_timeout,
        max_schedule_count: config.schedulers.max_schedule_count,
        parent_silence: config.download.collected_piece_timeout,
        concurrent_pieces: u32::try_from(config.download.concurrent_pieces).unwrap_or(u32::MAX),
        revalidate_after: config.proxy.revalidate_after,
        read_chunk: config.storage.read_buffer,
        peer_tls: config.upload.client_tls.as_ref().map(ClientTls::load).transpose()?,
    })
}
