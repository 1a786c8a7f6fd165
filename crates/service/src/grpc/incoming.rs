//! Connections to a gRPC server, at most so many at a time.

use futures::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

/// A listener for either kind of socket.
pub trait Accept: Send + 'static {
    /// What it accepts; `request.extensions()` has its connect info.
    type Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Small answers shall not wait for more bytes.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// The connections of `listener` for `serve_with_incoming_shutdown`: at most `max` at a time, further ones wait in the
/// backlog of the socket. Errors of accepting are logged and never end the server.
pub fn incoming<L: Accept + Sync>(listener: L, max: usize) -> impl Stream<Item = io::Result<Conn<L::Io>>> + Send {
    let free = Arc::new(Semaphore::new(max));
    futures::stream::unfold((listener, free), |(listener, free)| async move {
        let permit = free.clone().acquire_owned().await.ok()?;
        loop {
            match listener.next().await {
                Ok(io) => return Some((Ok(Conn { io, _permit: permit }), (listener, free))),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
}

/// A connection that holds its place among the allowed ones.
#[derive(Debug)]
pub struct Conn<I> {
    io: I,
    _permit: OwnedSemaphorePermit,
}

impl<I: Connected> Connected for Conn<I> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> I::ConnectInfo {
        self.io.connect_info()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Conn<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Conn<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_connection_waits_until_another_has_ended() {
        let listener = crate::net::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), "grpc").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut connections = Box::pin(incoming(listener, 1));
        let _first = TcpStream::connect(addr).await.unwrap();
        let _second = TcpStream::connect(addr).await.unwrap();
        let first = connections.next().await.unwrap().unwrap();
        // Polled once: the second is there to be accepted, but there is no place.
        assert!(futures::poll!(connections.next()).is_pending());
        drop(first);
        connections.next().await.unwrap().unwrap();
    }
}
