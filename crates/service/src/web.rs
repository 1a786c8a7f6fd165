//! A small HTTP/1.1 server with limits, for the pages that programs offer to operators.

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
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

/// Serves `router` until `cancel`, then lets running requests end.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, cancel: CancellationToken) {
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // The set owns the connections: those that outlive the drain are aborted when it is dropped.
    let mut connections = JoinSet::new();
    while let Some(Some(stream)) = cancel.run_until_cancelled(accept(&listener, &mut connections)).await {
        let Some(Ok(permit)) = cancel.run_until_cancelled(free.clone().acquire_owned()).await else {
            break;
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
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

/// The next connection; meanwhile reaps those that ended. Running out of descriptors must not end the server.
async fn accept(listener: &TcpListener, connections: &mut JoinSet<()>) -> Option<TcpStream> {
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}
