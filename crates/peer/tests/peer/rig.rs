//! A peer under test, and a tool that talks to it over its socket.

use dragonfly_api::common::{Download, Range};
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::dfdaemon::download_task_response::Response as Part;
use dragonfly_api::dfdaemon::{DownloadTaskRequest, DownloadTaskStartedResponse};
use dragonfly_peer::config::Raw;
use dragonfly_peer::{Addresses, Config, Peer, RunError};
use dragonfly_service::Workers;
use dragonfly_service::grpc::{MAX_MESSAGE_BYTES, Timeouts, connect_unix};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

/// Nothing here takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const MIB: u64 = 1 << 20;

/// What a peer is started with.
pub(crate) struct Options {
    pub(crate) name: &'static str,
    pub(crate) seed: bool,
    pub(crate) schedulers: Vec<SocketAddr>,
    pub(crate) manager: Option<SocketAddr>,
    pub(crate) change: fn(&mut Raw),
}

impl Options {
    pub(crate) fn peer(name: &'static str) -> Self {
        Self {
            name,
            seed: false,
            schedulers: Vec::new(),
            manager: None,
            change: |_| {},
        }
    }

    pub(crate) fn seed(name: &'static str) -> Self {
        Self {
            seed: true,
            ..Self::peer(name)
        }
    }

    pub(crate) fn managed_by(self, manager: SocketAddr) -> Self {
        Self {
            manager: Some(manager),
            ..self
        }
    }

    pub(crate) fn of(self, schedulers: &[SocketAddr]) -> Self {
        Self {
            schedulers: schedulers.to_vec(),
            ..self
        }
    }
}

/// A running peer.
pub(crate) struct TestPeer {
    pub(crate) addresses: Addresses,
    workers: Workers,
    cancel: CancellationToken,
    ended: oneshot::Receiver<Result<(), RunError>>,
    dir: Dir,
}

/// Where a peer keeps its things; may outlive it.
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // Other users must find the socket in it.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl TestPeer {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_in(Dir::new(), options).await
    }

    pub(crate) async fn start_in(dir: Dir, options: Options) -> Self {
        let peer = Peer::build(config(dir.path(), &options)).await.unwrap();
        let workers = Workers::new(CancellationToken::new());
        let cancel = CancellationToken::new();
        let (addresses, ready) = (peer.addresses(), peer.ready());
        let (tell, ended) = oneshot::channel();
        let run = peer.run(cancel.clone());
        workers.spawn("peer", async move {
            tell.send(run.await).ok();
        });
        ready.wait().await;
        Self {
            addresses,
            workers,
            cancel,
            ended,
            dir,
        }
    }

    /// Ends it as SIGTERM would.
    pub(crate) async fn stop(self) -> Dir {
        self.cancel.cancel();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        self.workers.drain(PATIENCE).await.unwrap();
        self.dir
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn client(&self) -> DfdaemonDownloadClient<Channel> {
        let channel = connect_unix(&self.addresses.socket, Timeouts::default()).await.unwrap();
        DfdaemonDownloadClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Downloads as dfget does: the bytes over the socket.
    pub(crate) async fn get(&self, download: Download) -> Result<Got, Status> {
        let asking = get(self.client().await, download);
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("the download hangs")
    }

    pub(crate) async fn get_url(&self, url: &str) -> Result<Vec<u8>, Status> {
        Ok(self.get(whole(url)).await?.bytes)
    }

    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }
}

/// What a download gave.
pub(crate) struct Got {
    pub(crate) started: DownloadTaskStartedResponse,
    pub(crate) bytes: Vec<u8>,
    pub(crate) task_id: String,
}

pub(crate) async fn get(mut client: DfdaemonDownloadClient<Channel>, download: Download) -> Result<Got, Status> {
    let range = download.range;
    let request = DownloadTaskRequest {
        download: Some(download),
    };
    let mut stream = client.download_task(request).await?.into_inner();
    let mut started = None;
    let mut content = Vec::new();
    let mut task_id = String::new();
    while let Some(message) = stream.message().await? {
        task_id = message.task_id;
        match message.response.expect("a message says something") {
            Part::DownloadTaskStartedResponse(response) => {
                content = vec![0; response.content_length as usize];
                assert!(started.replace(response).is_none(), "started twice");
            }
            Part::DownloadPieceFinishedResponse(response) => {
                assert!(started.is_some(), "a piece before the start");
                let piece = response.piece.unwrap();
                let bytes = piece.content.unwrap_or_default();
                let at = piece.offset as usize;
                content[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
    }
    if let Some(Range { start, length }) = range {
        content = content[start as usize..(start + length) as usize].to_vec();
    }
    Ok(Got {
        started: started.expect("it never started"),
        bytes: content,
        task_id,
    })
}

/// A whole content, its bytes in the answer.
pub(crate) fn whole(url: &str) -> Download {
    Download {
        url: url.to_owned(),
        priority: 6,
        need_piece_content: true,
        ..Default::default()
    }
}

fn config(dir: &Path, options: &Options) -> Config {
    let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut raw = Raw::default();
    raw.host.ip = local;
    raw.host.hostname = Some(options.name.to_owned());
    raw.seed_peer.enable = options.seed;
    raw.manager.addr = options.manager.map(|addr| format!("http://{addr}"));
    raw.scheduler.addrs = options.schedulers.iter().map(ToString::to_string).collect();
    raw.dynconfig.refresh_interval = Duration::from_secs(2);
    raw.storage.dir = dir.join("data");
    raw.download.server.socket_path = dir.join("dfdaemon.sock");
    for (ip, port) in [
        (&mut raw.upload.server.ip, &mut raw.upload.server.port),
        (&mut raw.proxy.server.ip, &mut raw.proxy.server.port),
        (&mut raw.storage.server.ip, &mut raw.storage.server.tcp_port),
    ] {
        (*ip, *port) = (local, 0);
    }
    for endpoint in [&mut raw.health.server, &mut raw.metrics.server] {
        (endpoint.ip, endpoint.port) = (local, Some(0));
    }
    (options.change)(&mut raw);
    Config::try_from(raw).unwrap()
}
