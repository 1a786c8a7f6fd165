//! CONNECT: a tunnel to one host and port. Its bytes pass unread, unless a rule can match the host and there is a
//! certificate authority to sign for it; then TLS ends here and the requests inside go the ordinary way as https.

use super::body::{self, Body};
use super::refusal::Refusal;
use super::registry;
use super::route::Door;
use super::serve::Client;
use dragonfly_service::chain;
use dragonfly_source::Caller;
use http::uri::Authority;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

impl Client {
    /// Answers a CONNECT and sets its tunnel to work.
    pub(super) async fn open_tunnel(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let authority = self.tunnel_target(&request)?;
        let host = authority.host().to_owned();
        let port = authority.port_u16().unwrap_or(443);
        let interceptor = self.core.interceptor.as_ref();
        if let Some(interceptor) = interceptor.filter(|interceptor| interceptor.covers(&host, port)) {
            let config = interceptor.server(&host).map_err(|error| {
                tracing::warn!(host, error = %chain(&error), "a tunnel can't be opened");
                Refusal::bad_request("the tunnel's host can't have a certificate".to_owned())
            })?;
            let upgrade = hyper::upgrade::on(&mut request);
            let inner = self.clone().inside(authority);
            self.workers
                .spawn("proxy intercepted tunnel", inner.intercept(upgrade, config));
        } else {
            let opened = self.core.direct.sources.tunnel(&host, port, self.door.caller).await;
            let origin = opened.map_err(|error| Refusal::from(&error))?;
            let upgrade = hyper::upgrade::on(&mut request);
            self.workers.spawn("proxy tunnel", self.clone().pass(upgrade, origin));
        }
        Ok(Response::new(body::empty()))
    }

    fn tunnel_target(&self, request: &Request<Incoming>) -> Result<Authority, Refusal> {
        if self.door.tunnel.is_some() {
            return Err(Refusal::bad_request("there is no tunnel inside a tunnel".to_owned()));
        }
        let authority = request.uri().authority().filter(|authority| {
            // `Authority::host` leaves a user out, but a tunnel has none.
            !authority.as_str().contains('@') && !authority.host().is_empty() && authority.port_u16().is_some()
        });
        let authority = authority.ok_or_else(|| Refusal::bad_request("CONNECT needs a host and a port".to_owned()))?;
        let port = authority.port_u16().unwrap_or_default();
        if self.door.caller == Caller::Remote && !self.may_tunnel_to(port) {
            let message =
                format!("tunnels from other hosts lead to port 443 and those of configured registries, not {port}");
            return Err(Refusal::proxy(StatusCode::FORBIDDEN, message));
        }
        Ok(authority.clone())
    }

    /// A tunnel speaks whatever its port speaks, mail and databases too, so other hosts do not choose it freely.
    fn may_tunnel_to(&self, port: u16) -> bool {
        port == 443 || registry::ports(self.core.router.mirror()).any(|known| known == port)
    }

    fn inside(mut self, authority: Authority) -> Self {
        self.door = Door {
            tunnel: Some(authority),
            ..self.door
        };
        self
    }

    async fn intercept(self, upgrade: OnUpgrade, config: Arc<ServerConfig>) {
        let limit = self.core.limits.header_timeout;
        let accepting = async {
            let stream = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
            TlsAcceptor::from(config).accept(stream).await
        };
        match tokio::time::timeout(limit, accepting).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS inside a tunnel"),
            Err(_) => tracing::debug!("no TLS inside a tunnel in time"),
        }
    }

    async fn pass(self, upgrade: OnUpgrade, origin: TcpStream) {
        let limit = self.core.limits.idle_timeout;
        let cancel = self.workers.cancel_token();
        match upgrade.await {
            Ok(client) => match pass_bytes(TokioIo::new(client), origin, limit, cancel).await {
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "tunnel ended"),
            },
            Err(error) => tracing::debug!(%error, "no tunnel"),
        }
    }
}

/// Copies both ways until both ends are done, nothing moves for `idle` (at most twice that), or the proxy stops.
async fn pass_bytes<S>(mut client: S, origin: TcpStream, idle: Duration, cancel: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let moves = Arc::new(AtomicU64::new(0));
    let mut origin = Counted {
        inner: origin,
        moves: moves.clone(),
    };
    let mut copying = std::pin::pin!(tokio::io::copy_bidirectional(&mut client, &mut origin));
    let mut seen = 0;
    loop {
        tokio::select! {
            ended = copying.as_mut() => return ended.map(drop),
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(idle) => {
                let now = moves.load(Ordering::Relaxed);
                if now == seen {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                seen = now;
            }
        }
    }
}

/// Counts the moves of bytes. All of a tunnel's bytes pass its origin's side, so one side is enough.
struct Counted<S> {
    inner: S,
    moves: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if polled.is_ready() {
            this.moves.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        if polled.is_ready() {
            this.moves.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_silent_tunnel_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_client, near) = tokio::io::duplex(64);
        let ended = pass_bytes(near, origin, Duration::from_millis(20), CancellationToken::new()).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
