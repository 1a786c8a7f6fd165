//! The program: reserve, run, drain.

use crate::changes::Looker;
use crate::clusters::Clusters;
use crate::config::{Config, DatabaseConfig};
use crate::grpc::{self, Grpc};
use crate::jobs::{Jobs, Keeper};
use crate::kept::Kept;
use crate::metrics::{Counts, SpanCounts};
use crate::oauth::Providers;
use crate::peers::Peers;
use crate::rest::Rest;
use crate::retention::Retention;
use crate::store::seed::{self, FirstPassword};
use crate::store::{OpenError, Store, Time};
use crate::traces::{self, Traces};
use crate::users::{self, Hasher, MIN_FIRST_TOKEN_CHARS, Sessions, Users};
use crate::wake::{Link, Wake};
use dragonfly_api::rest::PASSWORD_CHARS;
use dragonfly_service::fs::{self, DataDir};
use dragonfly_service::ops::{self, Routes};
use dragonfly_service::tls::{self, ServerTls};
use dragonfly_service::{Metrics, Ready, Workers, exit, net};
use sea_orm::DbErr;
use secrecy::{ExposeSecret, SecretString};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// For requests that run when the manager is cancelled.
const DRAIN: Duration = Duration::from_secs(3);

/// A manager whose sockets are bound and whose store is open, but which serves nothing yet.
#[derive(Debug)]
pub struct Manager {
    grpc: Grpc,
    grpc_listener: TcpListener,
    rest: Rest,
    rest_listener: TcpListener,
    ops: Option<(TcpListener, Metrics)>,
    addresses: Addresses,
    ready: Ready,
    store: Store,
    retention: Retention,
    /// Absent if no traces are kept here.
    otlp: Option<Otlp>,
    keeper: Keeper,
    looker: Looker,
    /// The link to other managers, if there is a Redis.
    link: Option<Link>,
    /// Held as long as the embedded database or the traces are open.
    data_dir: Option<DataDir>,
}

/// What takes traces beside the other servers.
#[derive(Debug)]
struct Otlp {
    writer: traces::Writer,
    /// A further door, if there is one, and how often one may come through it in a second.
    door: Option<(TcpListener, Traces, NonZeroU32)>,
}

/// Where a manager listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// REST.
    pub rest: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
    /// Metrics, if they are served.
    pub metrics: Option<SocketAddr>,
    /// Traces alone, if there is such a door.
    pub otlp: Option<SocketAddr>,
}

impl Otlp {
    /// Where its own door is.
    fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(|(listener, ..)| bound(listener))
    }

    /// Takes traces until the workers are to end. That its door fails is no reason to end the manager.
    fn run(self, workers: &Workers) {
        let cancel = workers.cancel_token();
        if let Some((listener, traces, rate)) = self.door {
            let serving = grpc::serve_traces(traces, listener, rate, cancel.clone());
            workers.spawn("manager OTLP", async move {
                if let Err(error) = serving.await {
                    tracing::error!(error = %dragonfly_service::chain(&error), "the server for traces failed");
                }
            });
        }
        workers.spawn("manager traces", self.writer.run(cancel));
    }
}

impl Addresses {
    fn of(
        rest: &TcpListener,
        grpc: &TcpListener,
        (ops, otlp): (Option<&(TcpListener, Metrics)>, Option<&Otlp>),
    ) -> Self {
        Self {
            rest: bound(rest),
            grpc: bound(grpc),
            metrics: ops.map(|(listener, _)| bound(listener)),
            otlp: otlp.and_then(Otlp::address),
        }
    }
}

/// Why a manager can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The first password has the wrong length.
    #[error("the initial password of root must have {} to {} characters", PASSWORD_CHARS.start(), PASSWORD_CHARS.end())]
    InitialPassword,
    /// The data directory is in use or can't be used.
    #[error(transparent)]
    DataDir(#[from] fs::Error),
    /// The token of the environment could be guessed.
    #[error("DRAGONFLY_PAT must have at least {MIN_FIRST_TOKEN_CHARS} characters; take random ones")]
    FirstToken,
    /// A port is taken or can't be bound.
    #[error(transparent)]
    Bind(#[from] net::Error),
    /// A certificate or key can't be used.
    #[error("server.{server}.tls can't be used")]
    Tls {
        /// `grpc` or `rest`.
        server: &'static str,
        /// Why not.
        #[source]
        source: tls::Error,
    },
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Traces can't be kept.
    #[error(transparent)]
    Traces(#[from] traces::Error),
    /// A key for sessions, jobs or identity providers can't be read or kept.
    #[error("can't keep the manager's keys in the database")]
    Key(#[source] DbErr),
    /// The token of the environment can't be kept.
    #[error("can't keep the token of DRAGONFLY_PAT in the database")]
    KeepToken(#[source] DbErr),
    /// Passwords can't be hashed.
    #[error("the first password can't be hashed: {0}")]
    Hash(String),
}

impl BuildError {
    /// For the process: 64 if the configuration is to blame, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InitialPassword | Self::FirstToken | Self::Tls { .. } => exit::BAD_CONFIG,
            _ => exit::FAILURE,
        }
    }
}

/// Why a manager ceased to serve without being cancelled.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gRPC server failed.
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
    /// A server ended by a defect of ours.
    #[error("the {0} server stopped; the log says more")]
    Stopped(&'static str),
}

impl RunError {
    /// For the process: 1.
    pub fn exit_code(&self) -> u8 {
        exit::FAILURE
    }
}

impl Manager {
    /// Takes the data directory, binds every socket, opens the store, which it waits for, and writes the first start's rows.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        check(&config)?;
        let (grpc_tls, rest_tls) = certificates(&config)?;
        let data_dir = data_dir(&config)?;
        let (grpc_listener, rest_listener) = doors(&config)?;
        let metrics = Metrics::new();
        let ops = ops_socket(&config, &metrics)?;
        let (traces, otlp) = otlp(&config, &metrics).await?.unzip();
        let store = Store::open(&config.database).await?;
        let users = users(&config, &store).await?;
        let retention = swept(&store).await;
        let providers = providers(&config, &store).await?;
        let wake = Wake::new();
        let clusters = Clusters::new(store.clone(), wake.clone(), config.look_after);
        let peers = Peers::new(store.clone(), clusters.clone());
        let jobs = jobs(&config, &store, (&clusters, &wake)).await?;
        let keeper = Keeper::new(jobs.clone(), retention.clone(), config.look_after);
        let looker = Looker::new(store.clone(), wake.clone());
        let counts = Counts::new(&metrics, config.redis.is_some());
        let listens = |redis| Link::new(redis, wake.clone(), counts.redis.clone());
        let link = config.redis.map(listens);
        Ok(Self {
            addresses: Addresses::of(&rest_listener, &grpc_listener, (ops.as_ref(), otlp.as_ref())),
            grpc: Grpc {
                store: store.clone(),
                clusters: clusters.clone(),
                jobs: jobs.clone(),
                kept: Kept::new(store.clone()),
                peers: peers.clone(),
                traces: traces.clone(),
                wake: wake.clone(),
                look_after: config.look_after,
                counts: counts.clone(),
                requests_per_second: config.grpc.requests_per_second,
                tls: grpc_tls,
                tell_secrets_to: config.grpc.tell_secrets_to,
            },
            grpc_listener,
            rest: Rest {
                store: store.clone(),
                clusters,
                jobs,
                kept: Kept::new(store.clone()),
                peers,
                traces,
                wake,
                changes: looker.changes(),
                users: Arc::new(users),
                providers,
                counts,
                realm: config.auth.realm.into(),
                trusted_proxies: config.rest.trusted_proxies.into(),
                cookie_readable: config.auth.cookie_readable,
                tls: rest_tls,
                origins: config.rest.origins,
                listeners: Rest::listeners(),
                stopping: CancellationToken::new(),
            },
            rest_listener,
            ops,
            ready: Ready::new(),
            store,
            retention,
            otlp,
            keeper,
            looker,
            link,
            data_dir,
        })
    }

    /// Where it listens; ports that were 0 in the configuration are the ones that were taken.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it tells of itself, if that is served.
    pub fn metrics(&self) -> Option<Metrics> {
        self.ops.as_ref().map(|(_, metrics)| metrics.clone())
    }

    /// Set when it serves.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Serves until `cancel`, lets running requests end, and closes the store.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), RunError> {
        let workers = Workers::new(cancel.child_token());
        // A sender that is dropped says that its server stopped, whatever the reason.
        let (grpc_stops, grpc_stopped) = oneshot::channel();
        let (rest_stops, rest_stopped) = oneshot::channel::<Infallible>();
        let grpc = self.grpc.serve(self.grpc_listener, workers.cancel_token());
        workers.spawn("manager gRPC", async move {
            if let Err(error) = grpc.await {
                // Nobody waits for it only if the manager is stopping anyway.
                grpc_stops.send(error).ok();
            }
        });
        let rest = self.rest.serve(self.rest_listener, workers.cancel_token());
        workers.spawn("manager REST", async move {
            let _stops = rest_stops;
            rest.await;
        });
        workers.spawn("manager retention", self.retention.run(workers.cancel_token()));
        workers.spawn("manager jobs", self.keeper.run(workers.cancel_token()));
        workers.spawn("manager changes", self.looker.run(workers.cancel_token()));
        if let Some(otlp) = self.otlp {
            otlp.run(&workers);
        }
        if let Some(link) = self.link {
            workers.spawn("manager Redis", link.run(workers.cancel_token()));
        }
        if let Some((listener, metrics)) = self.ops {
            let routes = Routes {
                ready: self.ready.clone(),
                metrics: Some(metrics),
            };
            workers.spawn("manager metrics", ops::serve(listener, routes, workers.cancel_token()));
        }
        tracing::info!(rest = %self.addresses.rest, grpc = %self.addresses.grpc, "the manager serves");
        self.ready.set();
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            error = grpc_stopped => Err(error.map_or(RunError::Stopped("gRPC"), RunError::Grpc)),
            _ = rest_stopped => Err(RunError::Stopped("REST")),
        };
        if let Err(error) = workers.drain(DRAIN).await {
            tracing::warn!(%error, "the manager cut off requests");
        }
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database was not closed in order; the next start mends it");
        }
        drop(self.data_dir);
        outcome
    }
}

/// The traces, and what takes them, if they are kept here.
async fn otlp(config: &Config, metrics: &Metrics) -> Result<Option<(Traces, Otlp)>, BuildError> {
    let Some(otlp) = &config.otlp else {
        return Ok(None);
    };
    let listener = otlp
        .listen
        .map(|addr| net::bind_tcp(addr, "manager OTLP"))
        .transpose()?;
    let path = config.data_dir.join("traces");
    let (traces, writer) = Traces::open(&path, otlp, SpanCounts::new(metrics)).await?;
    let door = listener.map(|listener| (listener, traces.clone(), config.grpc.requests_per_second));
    Ok(Some((traces, Otlp { writer, door })))
}

/// The socket of the metrics, if they are served, and what it shows.
fn ops_socket(config: &Config, metrics: &Metrics) -> Result<Option<(TcpListener, Metrics)>, net::Error> {
    let bind = |addr| net::bind_tcp(addr, "manager metrics").map(|listener| (listener, metrics.clone()));
    config.metrics.map(bind).transpose()
}

/// The embedded database needs it, and so do traces.
fn data_dir(config: &Config) -> Result<Option<DataDir>, fs::Error> {
    let embedded = matches!(config.database, DatabaseConfig::Sqlite(_));
    let needed = embedded || config.otlp.is_some();
    needed.then(|| DataDir::lock(&config.data_dir)).transpose()
}

/// Writes what a first start finds, and returns what has hashed its password.
async fn first_rows(config: &Config, store: &Store) -> Result<Hasher, BuildError> {
    let hasher = Hasher::new().await.map_err(hash_error)?;
    seed_once(store, &hasher, config.initial_root_password.as_ref()).await?;
    first_token(store, config.first_token.as_ref()).await?;
    Ok(hasher)
}

/// What sees to old rows, which has done so once.
async fn swept(store: &Store) -> Retention {
    let retention = Retention::new(store.clone());
    retention.round(Time::now()).await;
    retention
}

/// The users, the first of whom a first start makes. Their sessions are signed with the configured key, or with the one in the
/// database.
async fn jobs(config: &Config, store: &Store, (clusters, wake): (&Clusters, &Wake)) -> Result<Jobs, BuildError> {
    let jobs = Jobs::new(store, clusters.clone(), wake.clone(), config.work_lease);
    jobs.await.map_err(BuildError::Key)
}

async fn users(config: &Config, store: &Store) -> Result<Users, BuildError> {
    let hasher = first_rows(config, store).await?;
    let key = match &config.auth.key {
        Some(key) => key.clone(),
        None => users::key_in(store, Time::now()).await.map_err(BuildError::Key)?,
    };
    let sessions = Sessions::new(&key, config.auth.lasting());
    let force = config.auth.force_password_change;
    Ok(Users::new(store.clone(), hasher, sessions, force))
}

/// By whom else people sign in.
async fn providers(config: &Config, store: &Store) -> Result<Providers, BuildError> {
    let providers = Providers::new(store.clone(), config.auth.plain_http).await;
    providers.map_err(BuildError::Key)
}

fn bound(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}

/// The certificates of gRPC and REST, where they have any.
fn certificates(config: &Config) -> Result<(Option<ServerTls>, Option<ServerTls>), BuildError> {
    let grpc = server_tls("grpc", config.grpc.tls.as_ref())?;
    Ok((grpc, server_tls("rest", config.rest.tls.as_ref())?))
}

/// The sockets of gRPC and REST.
fn doors(config: &Config) -> Result<(TcpListener, TcpListener), net::Error> {
    let grpc = net::bind_tcp(config.grpc.addr, "manager gRPC")?;
    Ok((grpc, net::bind_tcp(config.rest.addr, "manager REST")?))
}

fn server_tls(server: &'static str, files: Option<&tls::Files>) -> Result<Option<ServerTls>, BuildError> {
    files
        .map(ServerTls::load)
        .transpose()
        .map_err(|source| BuildError::Tls { server, source })
}

/// Says what is odd, and whether what the environment gives to the first start can be used.
fn check(config: &Config) -> Result<(), BuildError> {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let chars = |secret: &SecretString| secret.expose_secret().chars().count();
    if let Some(password) = &config.initial_root_password
        && !PASSWORD_CHARS.contains(&chars(password))
    {
        return Err(BuildError::InitialPassword);
    }
    if let Some(token) = &config.first_token
        && chars(token) < MIN_FIRST_TOKEN_CHARS
    {
        return Err(BuildError::FirstToken);
    }
    Ok(())
}

async fn first_token(store: &Store, token: Option<&SecretString>) -> Result<(), BuildError> {
    match token {
        Some(token) => users::keep_first_token(store, token, Time::now())
            .await
            .map_err(BuildError::KeepToken),
        None => Ok(()),
    }
}

/// Writes the first start's rows, if that has not been done.
async fn seed_once(store: &Store, hasher: &Hasher, initial: Option<&SecretString>) -> Result<(), BuildError> {
    if seed::is_done(store).await? {
        return Ok(());
    }
    let initial = initial.cloned().unwrap_or_else(|| users::DEFAULT_PASSWORD.into());
    let must_change = users::is_default(&initial);
    let password = FirstPassword {
        hash: hasher.hash(initial).await.map_err(hash_error)?,
        must_change,
    };
    if seed::run(store, password, Time::now()).await? {
        if must_change {
            tracing::warn!("user root has the password that everybody knows; sign in and set another one");
        }
        tracing::info!("made the first cluster and the user root");
    }
    Ok(())
}

fn hash_error(error: users::HashError) -> BuildError {
    BuildError::Hash(error.to_string())
}
