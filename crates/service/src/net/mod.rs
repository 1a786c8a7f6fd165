//! Sockets to listen on, and the address under which others reach this host.

mod bind;
mod route;

pub use bind::{bind_tcp, bind_tcp_std, bind_unix};
pub use route::advertised_ip;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a socket can't be had. Each is one line that an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there.
    #[error("port {} on {} is taken ({what}); stop the program that holds it or configure another port", addr.port(), addr.ip())]
    Taken {
        /// Where.
        addr: SocketAddr,
        /// What it is for.
        what: String,
    },
    /// No interface of this host has the address.
    #[error("{} is no address of this host ({what}); configure one that `ip address` shows", addr.ip())]
    NotOurs {
        /// Where.
        addr: SocketAddr,
        /// What it is for.
        what: String,
    },
    /// Ports below 1024 and the like.
    #[error("not allowed to listen on {addr} ({what}); configure a port above 1023 or grant CAP_NET_BIND_SERVICE")]
    Denied {
        /// Where.
        addr: SocketAddr,
        /// What it is for.
        what: String,
    },
    /// Anything else that listening on TCP can fail of.
    #[error("can't listen on {addr} ({what})")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// What it is for.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A process answers on the socket.
    #[error("another program answers on the socket {}; stop it or configure another path", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket, and so not ours to remove, has the name.
    #[error("{} exists and is no socket; remove it or configure another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Anything else that listening on a Unix socket can fail of.
    #[error("can't listen on the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The name of this host, as the kernel knows it; part of host ids.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
