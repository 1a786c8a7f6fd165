//! Every socket that a peer listens on, bound before anything is started.

use crate::config::Config;
use crate::daemon::Addresses;
use dragonfly_service::net::{self, bind_tcp, bind_unix};
use std::net::SocketAddr;
use tokio::net::{TcpListener, UnixListener};

/// Any process of this host may ask for contents; who may name output paths is told by its user id.
const SOCKET_MODE: u32 = 0o666;

pub(crate) struct Sockets {
    pub(crate) local: UnixListener,
    pub(crate) upload: TcpListener,
    pub(crate) pieces: TcpListener,
    pub(crate) proxy: TcpListener,
    pub(crate) metrics: TcpListener,
    pub(crate) health: TcpListener,
}

impl Sockets {
    pub(crate) fn bind(config: &Config) -> Result<Self, net::Error> {
        Ok(Self {
            upload: bind_tcp(config.upload.grpc, "gRPC for peers, upload.server.port")?,
            proxy: bind_tcp(config.proxy.addr, "proxy, proxy.server.port")?,
            metrics: bind_tcp(config.metrics, "metrics, metrics.server.port")?,
            health: bind_tcp(config.health, "health, health.server.port")?,
            pieces: bind_tcp(config.upload.pieces, "pieces, storage.server.tcpPort")?,
            // The last, since a socket file stays behind if one of the others fails.
            local: bind_unix(&config.download.socket, SOCKET_MODE)?,
        })
    }

    pub(crate) fn addresses(&self, config: &Config) -> Result<Addresses, net::Error> {
        Ok(Addresses {
            socket: config.download.socket.clone(),
            upload: addr(&self.upload, config.upload.grpc)?,
            proxy: addr(&self.proxy, config.proxy.addr)?,
            metrics: addr(&self.metrics, config.metrics)?,
            health: addr(&self.health, config.health)?,
            piece_tcp: addr(&self.pieces, config.upload.pieces)?,
            data_dir: config.storage.dir.clone(),
        })
    }
}

fn addr(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, net::Error> {
    listener.local_addr().map_err(|source| net::Error::Listen {
        addr: asked,
        what: "its actual address".to_owned(),
        source,
    })
}
