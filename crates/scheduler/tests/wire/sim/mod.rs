//! A scheduler on free ports, and the programs around it: peers that speak the protocol and hold no bytes, seed peers
//! that do what the test says.

pub(crate) mod attention;
pub(crate) mod manager;
pub(crate) mod peer;
pub(crate) mod seed;

use dragonfly_api::common::{Host, Network};
use dragonfly_api::scheduler::AnnounceHostRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_scheduler::config::Raw;
use dragonfly_scheduler::{Config, RunError, Scheduler};
use dragonfly_service::Workers;
use dragonfly_service::grpc::{self, Timeouts};
use dragonfly_service::tls::{ClientTls, Files};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Long enough for anything that happens at all.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen"),
    }
}

/// A running scheduler.
pub(crate) struct Lab {
    pub(crate) addr: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) client: SchedulerClient<Channel>,
    pub(crate) workers: Workers,
    cancel: CancellationToken,
    ended: oneshot::Receiver<Result<(), RunError>>,
}

/// A configuration for tests: loopback, free ports.
pub(crate) fn raw(dir: &Path) -> Raw {
    let mut raw = Raw::default();
    raw.server.listen_ip = Some("127.0.0.1".to_owned());
    raw.server.port = 0;
    raw.server.host = Some("scheduler-1".to_owned());
    raw.server.data_dir = dir.to_owned();
    raw.metrics.enable = true;
    raw.metrics.addr = "127.0.0.1:0".to_owned();
    raw
}

impl Lab {
    pub(crate) async fn start(raw: Raw) -> Self {
        Self::start_with(raw, None).await
    }

    /// As [`Lab::start`], with a client that has a certificate.
    pub(crate) async fn start_with(raw: Raw, tls: Option<&Files>) -> Self {
        let scheduler = Scheduler::build(Config::try_from(raw).unwrap()).await.unwrap();
        let (addresses, ready) = (scheduler.addresses(), scheduler.ready());
        let workers = Workers::new(CancellationToken::new());
        let cancel = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let running = scheduler.run(cancel.clone());
        workers.spawn("scheduler", async move {
            end.send(running.await).ok();
        });
        soon("readiness", ready.wait()).await;
        let tls = tls.map(|files| ClientTls::load(files).unwrap());
        let addr = addresses.grpc.to_string();
        let channel = grpc::connect(&addr, tls.as_ref(), Timeouts::default()).await;
        let client = SchedulerClient::new(channel.unwrap());
        Self {
            addr: addresses.grpc,
            metrics: addresses.metrics.unwrap(),
            client,
            workers,
            cancel,
            ended,
        }
    }

    /// Stops it and returns how it ended.
    pub(crate) async fn stop(self) -> Result<(), RunError> {
        self.cancel.cancel();
        soon("the end of the scheduler", self.ended).await.unwrap()
    }

    pub(crate) async fn announce(&self, host: Host) {
        let request = AnnounceHostRequest {
            host: Some(host),
            interval: None,
        };
        self.client.clone().announce_host(request).await.unwrap();
    }

    /// Announces normal hosts with invented ports.
    pub(crate) async fn announce_all(&self, names: &[&str]) {
        for name in names {
            self.announce(host(name, 4000)).await;
        }
    }
}

/// A host at 127.0.0.1; those named `seed…` are seed peers.
pub(crate) fn host(name: &str, port: u16) -> Host {
    Host {
        id: name.to_owned(),
        r#type: u32::from(name.starts_with("seed")),
        hostname: name.to_owned(),
        name: name.to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: i32::from(port),
        download_port: i32::from(port),
        os: "linux".to_owned(),
        network: Some(Network {
            max_tx_bandwidth: 8_000_000_000,
            ..Default::default()
        }),
        ..Default::default()
    }
}
