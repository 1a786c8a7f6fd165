//! Connections to origins. The addresses that the egress guard has seen are the ones connected to.

use crate::error::BoxError;
use crate::trust::Anybody;
use crate::{Caller, Config, EgressPolicy, Error, Refusal, Trust};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// More addresses of one name than this are not tried.
const MAX_ADDRESSES: usize = 8;
/// Idle connections kept per origin, and how long.
const POOLED: usize = 16;
const POOLED_FOR: Duration = Duration::from_secs(30);
/// How long one address may keep the next from being tried too.
const HEAD_START: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no address of the host may be asked")]
    Refused(#[source] Refusal),
    #[error("the URL names no host")]
    NoHost,
    #[error("the host's name can't be resolved")]
    Resolve(#[source] io::Error),
    #[error("the host has no address")]
    NoAddress,
    #[error("the host does not accept a connection")]
    Connect(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("no connection was made in {0:?}")]
    Timeout(Duration),
}

/// Makes the connectors and clients of both kinds of callers.
#[derive(Clone)]
pub(super) struct Connectors {
    egress: Arc<EgressPolicy>,
    roots: RootCertStore,
    tls: TlsConnector,
    timeout: Duration,
}

impl Connectors {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let roots = roots(config)?;
        Ok(Self {
            egress: Arc::new(config.egress.clone()),
            tls: tls(roots.clone(), &Trust::default())?,
            roots,
            timeout: config.connect_timeout,
        })
    }

    /// As these, but with what one request trusts beside.
    pub(super) fn trusting(&self, trust: &Trust) -> Result<Self, Error> {
        let mut roots = self.roots.clone();
        for root in trust.authorities() {
            roots.add(root.clone()).map_err(|error| Error::Config {
                what: "a given certificate authority is no certificate",
                source: error.into(),
            })?;
        }
        Ok(Self {
            egress: self.egress.clone(),
            tls: tls(roots.clone(), trust)?,
            roots,
            timeout: self.timeout,
        })
    }

    pub(super) fn connector(&self, caller: Caller) -> Connector {
        Connector {
            egress: self.egress.clone(),
            caller,
            tls: self.tls.clone(),
            timeout: self.timeout,
        }
    }

    /// A client with a pool of its own.
    pub(super) fn client<B>(&self, caller: Caller) -> Client<Connector, B>
    where
        B: hyper::body::Body<Data: Send> + Send,
    {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOLED_FOR)
            .pool_max_idle_per_host(POOLED)
            .build(self.connector(caller))
    }
}

/// The operating system's certificate authorities and those of the configuration.
fn roots(config: &Config) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(native.certs);
    if added == 0 || ignored > 0 || !native.errors.is_empty() {
        tracing::warn!(added, ignored, errors = ?native.errors, "not all of the system's certificate authorities are usable");
    }
    for root in &config.extra_roots {
        roots.add(root.clone()).map_err(|error| Error::Config {
            what: "a configured certificate authority is no certificate",
            source: error.into(),
        })?;
    }
    Ok(roots)
}

/// Verification is off only for a request whose caller asked for that.
fn tls(roots: RootCertStore, trust: &Trust) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Config {
        what: "TLS can't be set up",
        source: error.into(),
    })?;
    let builder = if trust.is_unverified() {
        let anybody = Arc::new(Anybody(provider));
        builder.dangerous().with_custom_certificate_verifier(anybody)
    } else {
        builder.with_root_certificates(roots)
    };
    Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())))
}

/// Makes connections for one kind of caller. Each kind has its own pool, so a connection that only a local caller may
/// have is never used for another.
#[derive(Clone)]
pub(super) struct Connector {
    egress: Arc<EgressPolicy>,
    caller: Caller,
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Wire, ConnectError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or(ConnectError::NoHost)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = connect_any(self.addresses(host, port).await?).await?;
        // Only latency is at stake if it can't be set.
        drop(stream.set_nodelay(true));
        if !secure {
            return Ok(Wire(TokioIo::new(Either::Left(stream))));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| ConnectError::Tls(io::Error::other(e)))?;
        match self.tls.connect(name, stream).await {
            Ok(stream) => Ok(Wire(TokioIo::new(Either::Right(Box::new(stream))))),
            // What rustls objects to is the origin's fault; anything else is the network's.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(ConnectError::Tls(error))
            }
            Err(error) => Err(ConnectError::Connect(error)),
        }
    }

    /// A bare connection to a host, for bytes that are passed on unread.
    pub(super) async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let opening = async { connect_any(self.addresses(host, port).await?).await };
        timeout(self.timeout, opening)
            .await
            .unwrap_or(Err(ConnectError::Timeout(self.timeout)))
    }

    /// The addresses of a host that may be asked, literal ones included.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(ConnectError::Resolve)?
                .collect(),
        };
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.egress.check(address, self.caller) {
                Ok(()) => allowed.push(address),
                Err(reason) => refusal = Some(reason),
            }
        }
        allowed.truncate(MAX_ADDRESSES);
        match (allowed.is_empty(), refusal) {
            (false, _) => Ok(allowed),
            (true, Some(reason)) => Err(ConnectError::Refused(reason)),
            (true, None) => Err(ConnectError::NoAddress),
        }
    }
}

/// The first address to accept wins. The next is tried as soon as one fails, or is slow.
async fn connect_any(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut failure = None;
    loop {
        match waiting.next() {
            Some(address) => trying.push(TcpStream::connect(address)),
            None if trying.is_empty() => return Err(failure.map_or(ConnectError::NoAddress, ConnectError::Connect)),
            None => {}
        }
        match timeout(HEAD_START, trying.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => failure = Some(error),
            Ok(None) | Err(_) => {}
        }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Wire;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Wire, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let limit = connector.timeout;
            match timeout(limit, connector.connect(uri)).await {
                Ok(result) => Ok(result?),
                Err(_) => Err(ConnectError::Timeout(limit).into()),
            }
        })
    }
}

/// A connection, in the clear or not.
pub(super) struct Wire(TokioIo<Either<TcpStream, Box<TlsStream<TcpStream>>>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
