//! The server that is asked, in this process, and the connections to it.

use super::wordless::Wordless;
use anyhow::{Context, Result};
use dragonfly_api::common::{Host, Network};
use dragonfly_api::scheduler::AnnounceHostRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_scheduler::config::Raw;
use dragonfly_scheduler::{Config, Scheduler};
use dragonfly_service::{Workers, tls};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};

const DRAIN: Duration = Duration::from_secs(30);

/// A server and those who ask it.
pub(super) struct Room {
    workers: Workers,
    clients: Vec<SchedulerClient<Channel>>,
    /// The scheduler's data, which go with it.
    _dir: TempDir,
}

impl Room {
    /// A real scheduler, alone.
    pub(super) async fn start(connections: u32) -> Result<Self> {
        tls::install_provider();
        let dir = tempfile::tempdir()?;
        let mut raw = Raw::default();
        raw.server.listen_ip = Some("127.0.0.1".to_owned());
        raw.server.port = 0;
        raw.server.request_rate_limit = NonZeroU32::MAX;
        dir.path().clone_into(&mut raw.server.data_dir);
        let scheduler = Scheduler::build(Config::try_from(raw)?).await?;
        let (addr, ready) = (scheduler.addresses().grpc, scheduler.ready());
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        workers.spawn("scheduler", async move {
            if let Err(error) = scheduler.run(cancel).await {
                eprintln!("error: {error}");
            }
        });
        ready.wait().await;
        Self::at(addr, connections, (workers, dir)).await
    }

    /// A server that has one answer for everybody.
    pub(super) async fn wordless(connections: u32) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        workers.spawn("server", async move {
            let serving = Server::builder().add_service(Wordless);
            let incoming = TcpListenerStream::new(listener);
            let ended = serving.serve_with_incoming_shutdown(incoming, cancel.cancelled_owned());
            if let Err(error) = ended.await {
                eprintln!("error: {error}");
            }
        });
        Self::at(addr, connections, (workers, tempfile::tempdir()?)).await
    }

    async fn at(addr: SocketAddr, connections: u32, (workers, dir): (Workers, TempDir)) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))?;
        let connecting = (0..connections).map(|_| endpoint.connect());
        let channels: Vec<Channel> = stream::iter(connecting)
            .buffered(1)
            .try_collect()
            .await
            .context("connecting")?;
        Ok(Self {
            workers,
            clients: channels.into_iter().map(SchedulerClient::new).collect(),
            _dir: dir,
        })
    }

    /// The connection for the caller with this number.
    pub(super) fn client(&self, n: u64) -> SchedulerClient<Channel> {
        self.clients[n as usize % self.clients.len()].clone()
    }

    /// Announces a host as a peer does.
    pub(super) async fn announce(&self, n: u64) -> Result<()> {
        let request = AnnounceHostRequest {
            host: Some(host(n)),
            interval: None,
        };
        self.client(n).announce_host(request).await?;
        Ok(())
    }

    pub(super) async fn stop(self) -> Result<()> {
        drop(self.clients);
        Ok(self.workers.drain(DRAIN).await?)
    }
}

/// The id of a host by its number.
pub(super) fn host_id(n: u64) -> String {
    format!("{}-node-{n}", ip(n))
}

fn ip(n: u64) -> String {
    format!("10.{}.{}.{}", 64 + n / 62_500, n / 250 % 250, n % 250 + 1)
}

fn host(n: u64) -> Host {
    Host {
        id: host_id(n),
        hostname: format!("node-{n}"),
        ip: ip(n),
        port: 4000,
        download_port: 4000,
        os: "linux".to_owned(),
        platform: "debian".to_owned(),
        kernel_version: "6.12.0".to_owned(),
        network: Some(Network {
            idc: Some(format!("idc-{}", n % 8)),
            location: Some(format!("eu|de|fra|rack-{}", n % 64)),
            max_tx_bandwidth: 1_250_000_000,
            ..Network::default()
        }),
        scheduler_cluster_id: 1,
        ..Host::default()
    }
}
