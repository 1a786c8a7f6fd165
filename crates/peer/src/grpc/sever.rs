//! Connections that can be cut: a server that ends politely waits for its callers, and some never read.

use futures::{Stream, StreamExt};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// The connections of a server, all of which fail as soon as `sever` is cancelled.
pub(crate) fn severable<I>(
    incoming: impl Stream<Item = io::Result<I>>,
    sever: CancellationToken,
) -> impl Stream<Item = io::Result<Severable<I>>> {
    incoming.map(move |connection| {
        Ok(Severable {
            io: connection?,
            severed: Box::pin(sever.clone().cancelled_owned()),
            is_severed: false,
        })
    })
}

/// A connection that fails when it is severed.
pub(crate) struct Severable<I> {
    io: I,
    severed: Pin<Box<WaitForCancellationFutureOwned>>,
    is_severed: bool,
}

impl<I> Severable<I> {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // A future that is done must not be polled again.
        if self.is_severed || self.severed.as_mut().poll(cx).is_ready() {
            self.is_severed = true;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl<I: Connected> Connected for Severable<I> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> I::ConnectInfo {
        self.io.connect_info()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Severable<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Severable<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is severed needs no farewell.
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_severed_connection_wakes_who_waits_for_it() {
        let (near, _far) = tokio::io::duplex(16);
        let sever = CancellationToken::new();
        let connections = futures::stream::iter([Ok(near)]);
        let mut connection = severable(connections, sever.clone()).next().await.unwrap().unwrap();
        let (read, ()) = tokio::join!(connection.read_u8(), async { sever.cancel() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(connection.read_u8().await.is_err());
    }
}
