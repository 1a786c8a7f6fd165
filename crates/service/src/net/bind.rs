//! Binding, with errors that name port, purpose and remedy.

use super::Error;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on `addr`; port 0 takes a free one. `what` says in errors what the port is for. Must be called inside a
/// runtime.
pub fn bind_tcp(addr: SocketAddr, what: &str) -> Result<tokio::net::TcpListener, Error> {
    let listener = bind_tcp_std(addr, what)?;
    tokio::net::TcpListener::from_std(listener).map_err(|error| explain(addr, what, error))
}

/// As [`bind_tcp`], for those that drive the socket themselves. It is non-blocking already.
pub fn bind_tcp_std(addr: SocketAddr, what: &str) -> Result<std::net::TcpListener, Error> {
    listen(addr).map_err(|error| explain(addr, what, error))
}

fn listen(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the old connections have left TIME_WAIT; a live listener is refused all the same.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        // `::` shall mean both families whatever net.ipv6.bindv6only says.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(addr: SocketAddr, what: &str, source: io::Error) -> Error {
    let what = what.to_owned();
    match source.kind() {
        ErrorKind::AddrInUse => Error::Taken { addr, what },
        ErrorKind::AddrNotAvailable => Error::NotOurs { addr, what },
        ErrorKind::PermissionDenied => Error::Denied { addr, what },
        _ => Error::Listen { addr, what, source },
    }
}

/// Listens on a Unix socket whose permissions are `mode`. A socket left by a dead process is replaced; a live one is
/// not. The directory is created if it is missing. Must be called inside a runtime.
pub fn bind_unix(path: &Path, mode: u32) -> Result<tokio::net::UnixListener, Error> {
    let failed = |source| Error::Socket {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    check_unused(path)?;
    // Bound aside and renamed: the name never shows a socket with wider permissions or nobody behind it, and a
    // stale one is replaced without a moment in which the name is free.
    let aside = aside(path);
    remove_if_there(&aside).map_err(failed)?;
    let listener = tokio::net::UnixListener::bind(&aside).map_err(failed)?;
    let named = std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(mode))
        .and_then(|()| std::fs::rename(&aside, path));
    match named {
        Ok(()) => Ok(listener),
        Err(error) => {
            // The first error is the one to tell; what is left is removed by the next start.
            remove_if_there(&aside).ok();
            Err(failed(error))
        }
    }
}

/// Fails if a live socket, or anything that is no socket, has the name.
fn check_unused(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Socket {
        path: path.to_owned(),
        source,
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // An answer, or a backlog that is full: somebody is there.
        Ok(_) => Err(Error::SocketInUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Error::SocketInUse { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_taken_port_is_one_clear_line() {
        let first = bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), "proxy").unwrap();
        let addr = first.local_addr().unwrap();
        let shown = bind_tcp(addr, "proxy").unwrap_err().to_string();
        assert_eq!(
            shown,
            format!(
                "port {} on 127.0.0.1 is taken (proxy); stop the program that holds it or configure another port",
                addr.port()
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_named() {
        // From the block reserved for documentation, so nobody's.
        let error = bind_tcp("192.0.2.1:0".parse().unwrap(), "upload").unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/dfdaemon.sock");
        let live = bind_unix(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind_unix(&path, 0o600), Err(Error::SocketInUse { .. })));
        UnixStream::connect(&path).expect("the refused bind left the live socket alone");
        drop(live);
        let _replaced = bind_unix(&path, 0o600).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_socket_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dfdaemon.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind_unix(&path, 0o600), Err(Error::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120));
        let shown = bind_unix(&path, 0o600).unwrap_err().to_string();
        assert!(shown.contains("xxx"), "{shown}");
    }
}
