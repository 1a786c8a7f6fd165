//! Channels to gRPC servers.

use crate::tls::ClientTls;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For the headers of an answer; none for calls whose answer may take any time.
    pub request: Option<Duration>,
    /// Time after which a silent connection is asked whether it lives; it has 20 s to answer.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Some(Duration::from_secs(10)),
            keepalive: Duration::from_secs(30),
        }
    }
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is malformed. Retrying does not help.
    #[error("{addr:?} is no address; write host:port")]
    Address {
        /// What was given.
        addr: String,
    },
    /// Nobody answers, or not as it should. Retrying may help.
    #[error("can't connect to {addr}")]
    Unreachable {
        /// Where.
        addr: String,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
    /// Nobody answers on a Unix socket.
    #[error("can't connect to the socket {}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A channel to `addr` (`host:port`, `[ip6]:port`, or a URL), connected.
pub async fn connect(addr: &str, tls: Option<&ClientTls>, timeouts: Timeouts) -> Result<Channel, ConnectError> {
    let endpoint = endpoint(addr, tls, timeouts)?;
    endpoint.connect().await.map_err(|source| ConnectError::Unreachable {
        addr: addr.to_owned(),
        source,
    })
}

/// As [`connect`], but connects at the first call, and again when the connection was lost.
pub fn connect_lazy(addr: &str, tls: Option<&ClientTls>, timeouts: Timeouts) -> Result<Channel, ConnectError> {
    Ok(endpoint(addr, tls, timeouts)?.connect_lazy())
}

/// A channel to the Unix socket at `path`, connected.
pub async fn connect_unix(path: &Path, timeouts: Timeouts) -> Result<Channel, ConnectError> {
    let failed = |source| ConnectError::Socket {
        path: path.to_owned(),
        source,
    };
    // Tried before the channel, whose error would hide the reason.
    UnixStream::connect(path).await.map_err(failed)?;
    // The authority is sent as the host and names nothing.
    let endpoint = endpoint("localhost:1", None, timeouts)?;
    let socket = path.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| failed(io::Error::other(error)))
}

fn endpoint(addr: &str, tls: Option<&ClientTls>, timeouts: Timeouts) -> Result<Endpoint, ConnectError> {
    let malformed = || ConnectError::Address { addr: addr.to_owned() };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let host = addr.split_once("://").map_or(addr, |(_, host)| host);
    let uri: http::Uri = format!("{scheme}://{host}").parse().map_err(|_| malformed())?;
    if uri.port_u16().is_none() {
        return Err(malformed());
    }
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(timeouts.connect)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(timeouts.keepalive))
        .http2_keep_alive_interval(timeouts.keepalive)
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(64 * 1024)
        .initial_stream_window_size(512 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    if let Some(request) = timeouts.request {
        endpoint = endpoint.timeout(request);
    }
    match tls {
        None => Ok(endpoint),
        Some(tls) => endpoint
            .tls_config(tls.tonic())
            .map_err(|source| ConnectError::Unreachable {
                addr: addr.to_owned(),
                source,
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_port() {
        for good in ["manager:65003", "http://127.0.0.1:8002", "[::1]:8002"] {
            assert!(endpoint(good, None, Timeouts::default()).is_ok(), "{good}");
        }
        for bad in ["manager", "", "a b:1", "http://"] {
            let error = endpoint(bad, None, Timeouts::default()).unwrap_err();
            assert!(matches!(error, ConnectError::Address { .. }), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_socket_without_a_server_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dfdaemon.sock");
        let error = connect_unix(&path, Timeouts::default()).await.unwrap_err();
        let shown = crate::chain(&error).to_string();
        assert!(shown.contains("dfdaemon.sock: No such file"), "{shown}");
    }
}
