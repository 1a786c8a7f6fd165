//! The peer as a program: reserves everything, runs, and ends in order.

use crate::assembly::{
    announcement, evictor, open_storage, piece_server, proxy, readings, room, settings, sources, transfer,
};
use crate::cluster;
use crate::cluster::{Cluster, Neighbours};
use crate::config::Config;
use crate::engine::{Engine, Parts};
use crate::gc::Evictor;
use crate::grpc::{AdmitLayer, Context, DownloadService, ImportService, UploadService, severable};
use crate::metrics::{Metrics, Origins};
use crate::proxy::{Error as ProxyError, Proxy};
use crate::sockets::Sockets;
use dragonfly_api::dfdaemon::dfdaemon_download_server::DfdaemonDownloadServer;
use dragonfly_api::dfdaemon::dfdaemon_upload_server::DfdaemonUploadServer;
use dragonfly_api::ext::dfdaemon_server::DfdaemonServer;
use dragonfly_service::fs::{self, DataDir};
use dragonfly_service::grpc::{self, Limits, MAX_MESSAGE_BYTES, incoming};
use dragonfly_service::ops::{self, Routes};
use dragonfly_service::tls::{self, ServerTls};
use dragonfly_service::{Ready, StillRunning, Workers, exit, net};
use dragonfly_source as source;
use dragonfly_storage as storage;
use dragonfly_transfer::{PieceServer, RateLimit};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, HealthService};

/// Connections to the services at the same time.
const MAX_GRPC_CONNECTIONS: usize = 4096;
/// The phases of the end: together less than what is promised for all of it.
const DRAIN_SERVERS: Duration = Duration::from_millis(2000);
const DRAIN_DOWNLOADS: Duration = Duration::from_millis(800);
const LEAVE: Duration = Duration::from_millis(500);
const LET_GO: Duration = Duration::from_millis(300);

/// Where a peer listens and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The unix socket of the local API.
    pub socket: PathBuf,
    /// gRPC for peers and schedulers.
    pub upload: SocketAddr,
    /// The HTTP proxy.
    pub proxy: SocketAddr,
    /// Metrics.
    pub metrics: SocketAddr,
    /// Liveness and readiness.
    pub health: SocketAddr,
    /// The piece service.
    pub piece_tcp: SocketAddr,
    /// What it keeps.
    pub data_dir: PathBuf,
}

/// Why a peer can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The data directory can't be used.
    #[error(transparent)]
    Data(#[from] fs::Error),
    /// A socket can't be had.
    #[error(transparent)]
    Socket(#[from] net::Error),
    /// The storage can't be opened.
    #[error("can't open the storage in {}", dir.display())]
    Storage {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: storage::Error,
    },
    /// Certificates can't be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The certificates of `proxy.registryMirror.cert` can't be read.
    #[error("proxy.registryMirror.cert: can't read {}: {message}", path.display())]
    RegistryCert {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The way to origins can't be set up.
    #[error("can't set up the way to origins")]
    Sources(#[source] source::Error),
    /// The proxy can't be set up.
    #[error("can't set up the proxy")]
    Proxy(#[from] ProxyError),
    /// Manager or schedulers are configured in a way that can't be used.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
}

impl BuildError {
    /// 64 for what the operator must change in the configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            BuildError::Tls(_) | BuildError::RegistryCert { .. } | BuildError::Cluster(_) => exit::BAD_CONFIG,
            BuildError::Proxy(error) => error.exit_code(),
            _ => exit::FAILURE,
        }
    }
}

/// Why a peer did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The storage could not be closed; the next start checks it.
    #[error("can't close the storage")]
    Close(#[source] storage::Error),
    /// The certificates were read but can't be used for gRPC.
    #[error("upload.server: the certificates can't be used")]
    Tls(#[source] tonic::transport::Error),
}

impl RunError {
    /// Always 1.
    pub fn exit_code(&self) -> u8 {
        exit::FAILURE
    }
}

/// A peer that has reserved everything it needs and started nothing.
pub struct Peer {
    sockets: Sockets,
    addresses: Addresses,
    ready: Ready,
    context: Arc<Context>,
    metrics: Metrics,
    registry: dragonfly_service::Metrics,
    neighbours: Neighbours,
    pieces: PieceServer,
    proxy: Proxy,
    evictor: Evictor,
    upload_tls: Option<ServerTls>,
    limits: ServiceLimits,
    /// Those who answer; asked to end first.
    servers: Workers,
    /// Cuts the connections that are left when the servers were drained.
    sever: CancellationToken,
    /// Downloads and what belongs to them; asked to end when nobody answers any more.
    downloads: Workers,
    _data: DataDir,
}

struct ServiceLimits {
    local: Limits,
    upload: Limits,
}

impl Peer {
    /// Takes the data directory, binds every socket, opens the storage; starts nothing. Whatever fails, nothing was
    /// damaged.
    pub async fn build(config: Config) -> Result<Peer, BuildError> {
        tls::install_provider();
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let data = DataDir::lock(&config.storage.dir)?;
        let sockets = Sockets::bind(&config)?;
        let addresses = sockets.addresses(&config)?;
        let upload_tls = config.upload.server_tls.as_ref().map(ServerTls::load).transpose()?;
        let registry = dragonfly_service::Metrics::new();
        let metrics = Metrics::new(&registry);
        let sources = sources(&config, &addresses, Origins::new(&registry))?;
        let storage = open_storage(&config).await?;
        let announcement = announcement(&config, &addresses).await;
        let cluster = Cluster::new(&config, announcement.clone())?;
        let own_ip = announcement.identity().ip;
        let neighbours = Neighbours::new(own_ip, config.upload.disable_shared, cluster.clone());
        let transfer = transfer(&config, sources.clone());
        let upload_limit = RateLimit::new(Some(config.upload.bandwidth));
        let pieces = piece_server(storage.clone(), neighbours.clone(), upload_limit.clone());
        readings(&config, &storage, &pieces, (&transfer, upload_limit)).show(&registry);
        let (servers, downloads) = (workers(), workers());
        let room = room(&config, (&storage, &cluster), &metrics, &downloads);
        let engine = Engine::new(Parts {
            identity: announcement.identity().clone(),
            storage: storage.clone(),
            sources: sources.clone(),
            transfer,
            cluster: cluster.clone(),
            neighbours: neighbours.clone(),
            workers: downloads.clone(),
            metrics: metrics.clone(),
            room: room.clone(),
            settings: settings(&config)?,
        });
        let context = Context {
            engine,
            storage,
            cluster,
            announcement,
            workers: downloads.clone(),
            metrics: metrics.clone(),
            ending: servers.cancel_token(),
            registries: config.proxy.registry_mirror.clone(),
            piece_port: addresses.piece_tcp.port(),
            alive: watch::Sender::new(()),
        };
        Ok(Peer {
            proxy: proxy(&config, &context, sources, &registry)?,
            pieces,
            evictor: evictor(&config, &context, (room, metrics.clone())),
            context: Arc::new(context),
            limits: ServiceLimits {
                local: config.download.limits.clone(),
                upload: config.upload.limits.clone(),
            },
            ready: Ready::new(),
            sever: CancellationToken::new(),
            servers,
            downloads,
            sockets,
            addresses,
            metrics,
            registry,
            neighbours,
            upload_tls,
            _data: data,
        })
    }

    /// What it tells of itself.
    pub fn metrics(&self) -> dragonfly_service::Metrics {
        self.registry.clone()
    }

    /// Where it listens: the actual ports, also where the configuration says 0.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Set while it serves.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Serves until `cancel`; then refuses what is new, finishes what is under way as far as a few seconds allow, leaves
    /// the cluster and closes the storage.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), RunError> {
        let (context, servers, downloads) = (self.context.clone(), self.servers.clone(), self.downloads.clone());
        let socket = self.addresses.socket.clone();
        let sever = self.sever.clone();
        let ready = self.ready.clone();
        let _data = self.serve()?;
        ready.set();
        cancel.cancelled().await;
        tracing::info!("ending");
        // A response that streams ends when its download does, so neither phase waits for all of its time.
        report(servers.drain(DRAIN_SERVERS).await);
        sever.cancel();
        report(downloads.drain(DRAIN_DOWNLOADS).await);
        if tokio::time::timeout(LEAVE, context.cluster.leave()).await.is_err() {
            tracing::debug!("the schedulers took no leave in time");
        }
        let closed = context.storage.close().await.map_err(RunError::Close);
        // Whoever starts a peer on the same data next must find it let go.
        let mut held = context.held();
        drop(context);
        if tokio::time::timeout(LET_GO, held.closed()).await.is_err() {
            tracing::debug!("a connection still holds the storage");
        }
        if let Err(error) = std::fs::remove_file(&socket) {
            tracing::debug!(%error, "the socket can't be removed");
        }
        closed
    }

    /// Starts everything; what is returned must be held until the end.
    fn serve(self) -> Result<DataDir, RunError> {
        let Peer { servers, sockets, .. } = self;
        let cancel = servers.cancel_token();
        let limits = self.limits;
        let reached = self.metrics.limits.clone();
        let granted = limits.local.counted(reached.of("local_grpc_requests"));
        let local = grpc::server(granted)
            .add_service(health())
            .add_service(
                DfdaemonDownloadServer::new(DownloadService::new(self.context.clone()))
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(DfdaemonServer::new(ImportService::new(self.context.clone())))
            .serve_with_incoming_shutdown(
                severable(incoming(sockets.local, MAX_GRPC_CONNECTIONS), self.sever.clone()),
                cancel.clone().cancelled_owned(),
            );
        servers.spawn("local grpc", ended("local grpc", local));
        let admit = match &self.upload_tls {
            Some(_) => AdmitLayer::everybody(),
            None => AdmitLayer::by_address(self.neighbours, self.metrics),
        };
        let granted = limits.upload.counted(reached.of("upload_grpc_requests"));
        let mut server = grpc::server(granted).layer(admit);
        if let Some(tls) = &self.upload_tls {
            server = server.tls_config(tls.tonic()).map_err(RunError::Tls)?;
        }
        let upload = server
            .add_service(health())
            .add_service(
                DfdaemonUploadServer::new(UploadService::new(self.context.clone()))
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .serve_with_incoming_shutdown(
                severable(incoming(sockets.upload, MAX_GRPC_CONNECTIONS), self.sever.clone()),
                cancel.clone().cancelled_owned(),
            );
        servers.spawn("upload grpc", ended("upload grpc", upload));
        servers.spawn("pieces", self.pieces.run(sockets.pieces, cancel.clone()));
        let proxy = self.proxy;
        let proxy_workers = servers.clone();
        servers.spawn("proxy", async move { proxy.run(sockets.proxy, proxy_workers).await });
        let routes = |metrics| Routes {
            ready: self.ready.clone(),
            metrics,
        };
        servers.spawn("health", ops::serve(sockets.health, routes(None), cancel.clone()));
        servers.spawn(
            "metrics",
            ops::serve(sockets.metrics, routes(Some(self.registry)), cancel.clone()),
        );
        let cluster = self.context.cluster.clone();
        let holdings = cluster.clone().report_holdings(self.context.storage.clone());
        servers.spawn("holdings", cancelled(cancel.clone(), holdings));
        servers.spawn("cluster", cancelled(cancel.clone(), cluster.run()));
        servers.spawn("evictor", cancelled(cancel, self.evictor.run()));
        Ok(self._data)
    }
}

fn workers() -> Workers {
    Workers::new(CancellationToken::new())
}

fn health() -> HealthServer<impl Health> {
    // Without a service name the answer is about the whole server, which serves as soon as it listens.
    HealthServer::new(HealthService::from_health_reporter(HealthReporter::new()))
}

async fn ended(name: &'static str, server: impl Future<Output = Result<(), tonic::transport::Error>>) {
    if let Err(error) = server.await {
        tracing::error!(
            server = name,
            error = &error as &dyn std::error::Error,
            "a server failed"
        );
    }
}

/// A future that never ends by itself, until `cancel`.
async fn cancelled(cancel: CancellationToken, future: impl Future<Output = ()>) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = future => {}
    }
}

fn report(drained: Result<(), StillRunning>) {
    if let Err(error) = drained {
        tracing::warn!("{error}");
    }
}
