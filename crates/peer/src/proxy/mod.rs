//! The HTTP proxy of a peer: container runtimes and other clients ask it for what their origins have, and what a rule
//! names travels peer to peer.
//!
//! A request is routed (`route`, pure): to the engine (`p2p`), to its origin (`direct`), or it opens a tunnel
//! (`connect`). A cached content is sent only to callers whom its origin allows to read it (`grants`). A response whose
//! content turns out to be wrong or short is reset, never ended cleanly. The peer builds a [`Proxy`] and runs it.

mod answer;
mod auth;
mod body;
mod config;
mod connect;
mod direct;
mod exchange;
mod grants;
mod headers;
mod intercept;
mod manifests;
mod metrics;
mod multipart;
mod p2p;
mod refusal;
mod registry;
mod route;
mod serve;

pub use config::{Config, Limits};
pub use grants::Error as GrantsError;
pub use intercept::Error as InterceptError;
pub(crate) use registry::blob_trust;

use crate::engine::Engine;
use auth::Gate;
use direct::Direct;
use dragonfly_service::metrics::LimitsReached;
use dragonfly_service::{Metrics, Workers, exit};
use dragonfly_source::{Caller, Sources};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use grants::Grants;
use intercept::Interceptor;
use manifests::Manifests;
use metrics::ProxyMetrics;
use p2p::Peers;
use route::{Door, Router};
use serve::{Client, Place};
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The pause after a failed accept, which is mostly a lack of file descriptors and passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client is told that comes when all places are taken, if its connection takes it at once.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nX-Dragonfly-Error-Type: proxy\r\n\
Connection: close\r\nContent-Length: 0\r\n\r\n";

/// Why the proxy can't be set up. The operator's fault, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The memory of permissions.
    #[error("the proxy's memory of permissions can't be used")]
    Grants(#[from] GrantsError),
    /// The manifests that are kept.
    #[error("the proxy can't keep manifests in {}", path.display())]
    Manifests {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate authority for intercepted tunnels.
    #[error("the proxy can't end TLS inside tunnels")]
    Intercept(#[from] InterceptError),
}

impl Error {
    /// 64 for what the operator must change in the configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Intercept(_) => exit::BAD_CONFIG,
            Error::Grants(_) | Error::Manifests { .. } => exit::FAILURE,
        }
    }
}

/// The proxy, ready to run.
pub struct Proxy {
    core: Arc<Core>,
}

/// What all connections share.
struct Core {
    router: Router,
    peers: Peers,
    direct: Direct,
    manifests: Manifests,
    grants: Grants,
    interceptor: Option<Interceptor>,
    gate: Option<Gate>,
    limiter: DefaultDirectRateLimiter,
    limits: Limits,
    metrics: ProxyMetrics,
}

impl Proxy {
    /// Reads the key and the remembered permissions, and the certificate authority if there is one; starts nothing.
    /// `metrics` carries the prefix of the peer's metrics.
    pub(crate) fn new(
        config: Config,
        engine: Engine,
        sources: Sources,
        (metrics, limits): (&Metrics, &LimitsReached),
    ) -> Result<Self, Error> {
        let proxy = &config.proxy;
        let grants = Grants::open(&config.data_dir, proxy.authorization_ttl)?;
        let idle_timeout = config.limits.idle_timeout;
        let interceptor = match &proxy.mitm {
            Some(ca) => Some(Interceptor::new(ca, &proxy.rules)?),
            None => None,
        };
        let per_second = NonZeroU32::new(proxy.request_rate_limit).unwrap_or(NonZeroU32::MIN);
        let metrics = ProxyMetrics::new(metrics, limits);
        let direct = Direct {
            sources: sources.clone(),
            grants: grants.clone(),
            pseudonym: format!("dragonfly-{:016x}", rand::random::<u64>()),
            idle_timeout,
            passed: metrics.direct_bytes.clone(),
        };
        let path = config.data_dir.join("manifests");
        let manifests = Manifests::open(&path, direct.clone(), proxy.registry_mirror.tag_ttl, metrics.clone())
            .map_err(|source| Error::Manifests { path, source })?;
        let core = Core {
            router: Router::new(proxy, config.server_ip),
            peers: Peers {
                engine,
                sources,
                grants: grants.clone(),
                server_ip: config.server_ip,
                disable_back_to_source: proxy.disable_back_to_source,
                idle_timeout,
            },
            direct,
            manifests,
            grants,
            interceptor,
            gate: proxy.basic_auth.as_ref().map(Gate::new),
            limiter: RateLimiter::direct(Quota::per_second(per_second)),
            metrics,
            limits: config.limits,
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// Serves until `workers` are cancelled: then it accepts nobody, and ends when the requests that were being
    /// answered have been. Whoever drains `workers` says how long that may take.
    pub async fn run(self, listener: TcpListener, workers: Workers) {
        let cancel = workers.cancel_token();
        workers.spawn("proxy grants", self.core.grants.clone().keep(cancel.clone()));
        let places = Arc::new(Semaphore::new(self.core.limits.max_connections));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, &places, &workers),
                Err(error) => {
                    tracing::warn!(%error, "the proxy can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, places: &Arc<Semaphore>, workers: &Workers) {
        let Ok(permit) = places.clone().try_acquire_owned() else {
            self.core.metrics.no_place.inc();
            // Best effort: a client that can't take it now only sees the connection close.
            stream.try_write(FULL).ok();
            return;
        };
        // A client that is gone already has no addresses.
        let Some(door) = door(&stream) else { return };
        tune(&stream, self.core.limits.idle_timeout);
        let client = Client {
            core: self.core.clone(),
            workers: workers.clone(),
            door,
            _place: Arc::new(Place::new(self.core.clone(), permit)),
        };
        workers.spawn("proxy connection", client.serve(stream));
    }
}

/// Who connected from where. A process of this host comes from the loopback or from the very address it connects to.
fn door(stream: &TcpStream) -> Option<Door> {
    let local = stream.local_addr().ok()?;
    let peer = stream.peer_addr().ok()?.ip().to_canonical();
    let caller = if peer.is_loopback() || peer == local.ip().to_canonical() {
        Caller::Local
    } else {
        Caller::Remote
    };
    Some(Door {
        caller,
        local,
        tunnel: None,
    })
}

/// Small answers leave at once, and a client that is gone or takes nothing for `silence` is given up. Both are
/// improvements that a connection can do without.
fn tune(stream: &TcpStream, silence: Duration) {
    stream.set_nodelay(true).ok();
    let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, millis).ok();
    rustix::net::sockopt::set_socket_keepalive(stream, true).ok();
}
