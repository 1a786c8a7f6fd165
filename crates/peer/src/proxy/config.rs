//! What the proxy is told to do.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the proxy needs to know, without any "maybe" left.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file's part.
    pub proxy: crate::config::Proxy,
    /// Where the key and the list of remembered permissions are kept.
    pub data_dir: PathBuf,
    /// This host's address, as told to clients in `X-Dragonfly-Server-IP`.
    pub server_ip: IpAddr,
    /// What bounds one client and all of them.
    pub limits: Limits,
}

/// Bounds of connections and headers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections at once, tunnels included. More are answered 503 and closed.
    pub max_connections: usize,
    /// Bytes of one request's header, request line included.
    pub max_header_bytes: usize,
    /// Header lines of one request.
    pub max_headers: usize,
    /// Requests at once in one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a request header may take to arrive; also how long an HTTP/1.1 connection may idle.
    pub header_timeout: Duration,
    /// How long a connection may idle, a tunnel be silent, or a body stand still.
    pub idle_timeout: Duration,
    /// Bytes that one HTTP/1.1 connection buffers for reading and writing.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_header_bytes: 64 * 1024,
            max_headers: 128,
            max_streams: 256,
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            buffer_bytes: 512 * 1024,
        }
    }
}
