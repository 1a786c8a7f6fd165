//! A peer under test.

use dragonfly_peer::config::Raw;
use dragonfly_peer::{Addresses, Config, Peer};
use dragonfly_service::Workers;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Nothing here takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running peer that knows no manager and no scheduler.
pub(crate) struct TestPeer {
    pub(crate) addresses: Addresses,
    cancel: CancellationToken,
    ended: oneshot::Receiver<()>,
    workers: Workers,
    dir: TempDir,
}

impl TestPeer {
    /// With the proxy's defaults but for what `change` changes.
    pub(crate) async fn start(change: impl FnOnce(&mut Raw)) -> Self {
        Self::start_in(TempDir::new().unwrap(), change).await
    }

    /// As [`TestPeer::start`], on what an earlier peer left behind.
    pub(crate) async fn start_in(dir: TempDir, change: impl FnOnce(&mut Raw)) -> Self {
        let mut raw = raw(dir.path());
        change(&mut raw);
        let peer = Peer::build(Config::try_from(raw).unwrap()).await.unwrap();
        let (addresses, ready) = (peer.addresses(), peer.ready());
        let cancel = CancellationToken::new();
        let workers = Workers::new(CancellationToken::new());
        let (tell, ended) = oneshot::channel();
        let run = peer.run(cancel.clone());
        workers.spawn("peer", async move {
            run.await.unwrap();
            tell.send(()).ok();
        });
        tokio::time::timeout(PATIENCE, ready.wait()).await.unwrap();
        Self {
            addresses,
            cancel,
            ended,
            workers,
            dir,
        }
    }

    /// The proxy's address.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.addresses.proxy
    }

    /// Begins the end, as SIGTERM would.
    pub(crate) fn begin_to_stop(&self) {
        self.cancel.cancel();
    }

    /// Ends it and returns what it keeps.
    pub(crate) async fn stop(self) -> TempDir {
        self.cancel.cancel();
        tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap();
        self.workers.drain(PATIENCE).await.unwrap();
        self.dir
    }
}

fn raw(dir: &Path) -> Raw {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut raw = Raw::default();
    raw.host.hostname = Some("peer-under-test".to_owned());
    raw.host.ip = Some(loopback);
    raw.download.server.socket_path = dir.join("dfdaemon.sock");
    raw.upload.server.ip = Some(loopback);
    raw.upload.server.port = 0;
    raw.storage.dir = dir.join("data");
    raw.storage.server.ip = Some(loopback);
    raw.storage.server.tcp_port = 0;
    raw.proxy.server.ip = Some(loopback);
    raw.proxy.server.port = 0;
    for endpoint in [&mut raw.health, &mut raw.metrics] {
        endpoint.server.ip = Some(loopback);
        endpoint.server.port = Some(0);
    }
    raw
}
