//! A small HTTP/1.1 server with limits, for the pages that programs offer to operators.

use crate::tls::ServerTls;
use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What a server grants to those it does not know.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; further ones wait in the backlog of the socket.
    pub connections: usize,
    /// For the header of a request, from the first byte or from the end of the request before.
    pub header_timeout: Duration,
    /// Bytes of a request's header.
    pub header_bytes: usize,
    /// For what runs when the server is cancelled.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            drain: Duration::from_secs(2),
        }
    }
}

/// Serves `router` until `cancel`, then lets running requests end. Each request knows its caller by
/// `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, cancel: CancellationToken) {
    serve_tls(listener, None, router, limits, cancel).await;
}

/// As [`serve`], over TLS if that is given.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Option<&ServerTls>,
    router: Router,
    limits: Limits,
    cancel: CancellationToken,
) {
    let tls = tls.map(acceptor);
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // The set owns the connections: those that outlive the drain are aborted when it is dropped.
    let mut connections = JoinSet::new();
    while let Some(Some((stream, caller))) = cancel.run_until_cancelled(accept(&listener, &mut connections)).await {
        let Some(Ok(permit)) = cancel.run_until_cancelled(free.clone().acquire_owned()).await else {
            break;
        };
        let router = router.clone().layer(Extension(ConnectInfo(caller)));
        let (tls, watcher) = (tls.clone(), graceful.watcher());
        connections.spawn(async move {
            let _permit = permit;
            match tls {
                None => converse(stream, router, limits, watcher).await,
                Some(tls) => match tokio::time::timeout(limits.header_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, router, limits, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                },
            }
        });
    }
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections cut after {:?}",
            limits.drain
        );
    }
}

/// This server speaks HTTP/1.1 only, so it must not offer more.
fn acceptor(tls: &ServerTls) -> TlsAcceptor {
    let mut config = (*tls.rustls()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config).into()
}

async fn converse<I>(io: I, router: Router, limits: Limits, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// The next connection; meanwhile reaps those that ended. Running out of descriptors must not end the server.
async fn accept(listener: &TcpListener, connections: &mut JoinSet<()>) -> Option<(TcpStream, SocketAddr)> {
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}
