//! What stands on this host: the daemon, its ports, its socket, its proxy, its disk.

use super::finding::Finding;
use bytesize::ByteSize;
use dragonfly_api::dfdaemon::ListLocalTasksRequest;
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_peer::Config;
use dragonfly_service::chain;
use dragonfly_service::grpc::{self, MAX_MESSAGE_BYTES, Timeouts};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long whatever stands on this host may take to answer.
pub(super) const LOCAL: Duration = Duration::from_secs(5);
/// Free space below which contents soon have no place.
const LITTLE: u64 = 1 << 30;
/// Whoever may connect to the socket may write to it.
const WRITE_FOR_ALL: u32 = 0o002;

const START: &str =
    "start it (systemctl start dragonfly-dfdaemon, or dragonfly dfdaemon), and look into its log if it ends again";

/// Where a client on this host reaches what listens on `addr`.
pub(super) fn reached(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Whether the daemon says that it serves.
pub(super) async fn daemon(config: &Config) -> Finding {
    let check = "daemon";
    let at = reached(config.health);
    let url = format!("http://{at}/healthy");
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(LOCAL).build()?;
        client.get(&url).send().await
    };
    match asked.await {
        Ok(answer) if answer.status().is_success() => Finding::ok(check, format!("serves ({url})")),
        Ok(answer) if answer.status() == http::StatusCode::SERVICE_UNAVAILABLE => Finding::failed(
            check,
            format!("it starts or ends and does not serve ({url} says 503)"),
            "wait, and look into its log if this lasts",
        ),
        Ok(answer) => Finding::failed(
            check,
            format!("what answers on {at} is no dfdaemon ({})", answer.status()),
            format!(
                "set health.server.port to a free port, or stop what has taken {}",
                at.port()
            ),
        ),
        Err(error) => Finding::failed(check, format!("no dfdaemon answers on {at}: {}", chain(&error)), START),
    }
}

/// Whether each port is the daemon's.
pub(super) async fn ports(config: &Config, daemon_runs: bool) -> Finding {
    let check = "ports";
    let all = [
        ("upload.server.port", config.upload.grpc),
        ("proxy.server.port", config.proxy.addr),
        ("storage.server.tcpPort", config.upload.pieces),
        ("metrics.server.port", config.metrics),
    ];
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for (key, addr) in all {
        let at = reached(addr);
        match timeout(LOCAL, TcpStream::connect(at)).await {
            Ok(Ok(_)) => open.push(format!("{} ({key})", at.port())),
            _ => closed.push(format!("{} ({key})", at.port())),
        }
    }
    match (daemon_runs, open.is_empty(), closed.is_empty()) {
        (true, _, true) => Finding::ok(check, format!("open: {}", open.join(", "))),
        (true, _, false) => Finding::failed(
            check,
            format!("nobody listens on {}", closed.join(", ")),
            "the dfdaemon that runs has another configuration: restart it, or name its file with --dfdaemon-config",
        ),
        (false, true, _) => Finding::ok(check, "free for the dfdaemon"),
        (false, false, _) => Finding::failed(
            check,
            format!("taken by another program: {}", open.join(", ")),
            "stop that program, or set other ports in dfdaemon.yaml; `ss -ltnp` names it",
        ),
    }
}

/// Whether the tools of this host reach the daemon.
pub(super) async fn socket(config: &Config) -> Finding {
    let check = "socket";
    let path = &config.download.socket;
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            let remedy = "start the dfdaemon; if it runs, download.server.socketPath of the file is not its own";
            return Finding::failed(check, format!("{shown}: {error}"), remedy);
        }
    };
    if !found.file_type().is_socket() {
        let remedy = "remove it and restart the dfdaemon, or set another download.server.socketPath";
        return Finding::failed(check, format!("{shown} is no socket"), remedy);
    }
    if let Err(error) = answers(path).await {
        let remedy = "a dfdaemon that ended leaves the file behind: start it; if the system says that it is not permitted, run \
                      this as root or as its user";
        return Finding::failed(check, format!("{shown}: {error}"), remedy);
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & WRITE_FOR_ALL == 0 {
        let remedy = format!("chmod 666 {shown}, unless that is meant: dfget and dfcache of other users fail");
        return Finding::warning(
            check,
            format!("{shown} has mode {mode:o}: not all users may use it"),
            remedy,
        );
    }
    Finding::ok(check, format!("{shown} answers"))
}

async fn answers(socket: &Path) -> Result<(), String> {
    let timeouts = Timeouts {
        request: Some(LOCAL),
        ..Timeouts::default()
    };
    let channel = grpc::connect_unix(socket, timeouts).await;
    let channel = channel.map_err(|error| chain(&error).to_string())?;
    let mut client = DfdaemonDownloadClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let listed = client.list_local_tasks(ListLocalTasksRequest::default()).await;
    listed.map(drop).map_err(|status| status.message().to_owned())
}

/// Whether what listens on the proxy's port is the proxy.
pub(super) async fn proxy(config: &Config) -> Finding {
    let check = "proxy";
    let at = reached(config.proxy.addr);
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(LOCAL).build()?;
        // The proxy itself refuses this, in its own words, before it asks anybody.
        let nonsense = client
            .get(format!("http://{at}/"))
            .header("X-Dragonfly-Priority", "none");
        nonsense.send().await
    };
    match asked.await {
        Ok(answer) if answer.headers().contains_key("x-dragonfly-error-type") => {
            Finding::ok(check, format!("answers on {at}"))
        }
        Ok(_) => Finding::failed(
            check,
            format!("what answers on {at} is another program than the dfdaemon's proxy"),
            format!(
                "stop what has taken port {}, or set another proxy.server.port here and in dfinit.yaml",
                at.port()
            ),
        ),
        Err(error) => Finding::failed(check, format!("nobody answers on {at}: {}", chain(&error)), START),
    }
}

/// Whether contents have a place.
pub(super) fn disk(config: &Config) -> Finding {
    let check = "disk";
    let dir = &config.storage.dir;
    let shown = dir.display();
    let stat = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => {
            let remedy = "create it for the user of the dfdaemon, or set another storage.dir";
            return Finding::failed(check, format!("{shown}: {error}"), remedy);
        }
    };
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        let remedy = "mount it for writing, or set another storage.dir";
        return Finding::failed(
            check,
            format!("{shown} lies on a file system that can't be written"),
            remedy,
        );
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let said = format!("{} are free in {shown}", ByteSize(free));
    let remedy = "make room, lower gc.policy.diskThreshold so that contents go earlier, or set another storage.dir";
    match (free, stat.f_favail) {
        (0, _) => Finding::failed(check, said, remedy),
        (_, 0) if stat.f_files > 0 => Finding::failed(check, format!("{shown} takes no more files"), remedy),
        (free, _) if free < LITTLE => Finding::warning(check, said, remedy),
        _ => Finding::ok(check, said),
    }
}
