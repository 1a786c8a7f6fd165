//! A real manager in this process, on SQLite in a directory of its own, and its callers.

use anyhow::{Context, Result, ensure};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{KeepAliveRequest, ListSchedulersRequest, SourceType, UpdateSchedulerRequest};
use dragonfly_manager::config::Raw;
use dragonfly_manager::{Config, Manager};
use dragonfly_service::{Workers, tls};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Entries of each page that is asked for.
pub(crate) const PER_PAGE: u32 = 100;
pub(super) const CLUSTERS: u32 = 10;
const PASSWORD: &str = "only for a bench";
const DRAIN: Duration = Duration::from_secs(30);
/// How long the manager may take to know all peers.
const FILL: Duration = Duration::from_secs(120);

pub(crate) struct Room {
    workers: Workers,
    rest: String,
    token: String,
    client: reqwest::Client,
    channel: Channel,
    grpc: ManagerClient<Channel>,
    /// The manager's data, which go with it.
    _dir: TempDir,
}

/// The signs of life of the schedulers.
pub(crate) struct Living(Workers);

/// The cluster of a scheduler by its number. The first cluster is the default one, which none of them is in.
pub(super) fn cluster_of(scheduler: u32) -> u64 {
    u64::from(scheduler % CLUSTERS + 2)
}

impl Room {
    pub(crate) async fn start() -> Result<Self> {
        tls::install_provider();
        let dir = tempfile::tempdir()?;
        let text = format!(
            "server:\n  dataDir: {}\n  grpc: {{listenIP: 127.0.0.1, port: {{start: 0}}, requestRateLimit: 1000000}}\n  \
             rest: {{addr: '127.0.0.1:0'}}\n",
            dir.path().display()
        );
        let raw: Raw = dragonfly_service::config::parse(&text, "bench")?;
        let mut config = Config::try_from(raw)?;
        config.initial_root_password = Some(PASSWORD.into());
        let manager = Box::pin(Manager::build(config)).await?;
        let (addresses, ready) = (manager.addresses(), manager.ready());
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        workers.spawn("manager", async move {
            if let Err(error) = manager.run(cancel).await {
                eprintln!("error: {error}");
            }
        });
        ready.wait().await;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let rest = format!("http://{}", addresses.rest);
        let signed_in: Value = client
            .post(format!("{rest}/api/v1/users/signin"))
            .json(&json!({"name": "root", "password": PASSWORD}))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let channel = Endpoint::from_shared(format!("http://{}", addresses.grpc))?
            .connect()
            .await?;
        Ok(Self {
            workers,
            token: signed_in["token"].as_str().context("no token")?.to_owned(),
            rest,
            client,
            grpc: ManagerClient::new(channel.clone()),
            channel,
            _dir: dir,
        })
    }

    /// Makes ten clusters and registers schedulers as they do it themselves; they live, and some report the peers.
    pub(crate) async fn fill(&self, schedulers: u32, peers: u32, callers: u32) -> Result<Living> {
        for n in 1..=CLUSTERS {
            let cluster = json!({
                "name": format!("bench-{n}"), "scopes": {"idc": format!("idc-{n}")},
                "scheduler_cluster_config": {}, "seed_peer_cluster_config": {}, "peer_cluster_config": {},
            });
            let made = self.client.post(format!("{}/api/v1/clusters", self.rest));
            made.bearer_auth(&self.token)
                .json(&cluster)
                .send()
                .await?
                .error_for_status()?;
        }
        let living = Workers::new(CancellationToken::new());
        stream::iter((0..schedulers).map(|n| self.register(n, &living)))
            .buffer_unordered(usize::try_from(callers)?)
            .try_collect::<()>()
            .await?;
        super::peers::report(&self.channel, peers, &living).await?;
        let all = async {
            while self.count_of_peers().await? < u64::from(peers) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(FILL, all)
            .await
            .context("the manager does not take the peers")??;
        Ok(Living(living))
    }

    async fn count_of_peers(&self) -> Result<u64> {
        let request = self.client.get(format!("{}/api/v1/peers?per_page=1", self.rest));
        let answer = request.bearer_auth(&self.token).send().await?.error_for_status()?;
        let count = answer.headers().get("x-total-count").context("no count")?;
        Ok(count.to_str()?.parse()?)
    }

    async fn register(&self, n: u32, living: &Workers) -> Result<()> {
        let request = UpdateSchedulerRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: format!("scheduler-{n}"),
            scheduler_cluster_id: cluster_of(n),
            ip: format!("10.{}.{}.1", n / 250, n % 250),
            port: 8002,
            config: br#"{"manager_keep_alive_interval":600000000000}"#.to_vec(),
            ..UpdateSchedulerRequest::default()
        };
        let alive = KeepAliveRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: request.hostname.clone(),
            cluster_id: request.scheduler_cluster_id,
            ip: request.ip.clone(),
        };
        let mut grpc = self.grpc.clone();
        grpc.update_scheduler(request).await?;
        // One sign of life, and a stream that does not end.
        let signs = stream::once(async { alive }).chain(stream::pending());
        let cancel = living.cancel_token();
        living.spawn("scheduler", async move {
            if let Some(Err(error)) = cancel.run_until_cancelled(grpc.keep_alive(signs)).await {
                eprintln!("error: a scheduler's stream ended: {error}");
            }
        });
        Ok(())
    }

    pub(crate) async fn healthy(&self) -> Result<()> {
        self.get("/healthy".to_owned()).await?;
        Ok(())
    }

    /// One page of a list that has it.
    pub(crate) async fn page(&self, list: &str, page: u64) -> Result<()> {
        let body = self
            .get(format!("/api/v1/{list}?page={page}&per_page={PER_PAGE}"))
            .await?;
        ensure!(
            body.as_array().is_some_and(|page| !page.is_empty()),
            "page {page} of {list} is empty"
        );
        Ok(())
    }

    /// As a peer of one of the clusters asks.
    pub(crate) async fn list_schedulers(&self, n: u64) -> Result<()> {
        let request = ListSchedulersRequest {
            source_type: SourceType::PeerSource.into(),
            hostname: format!("peer-{n}"),
            ip: "192.168.0.1".to_owned(),
            idc: Some(format!("idc-{}", n % u64::from(CLUSTERS) + 1)),
            ..ListSchedulersRequest::default()
        };
        let answer = self.grpc.clone().list_schedulers(request).await?.into_inner();
        ensure!(!answer.schedulers.is_empty(), "no scheduler for peer {n}");
        Ok(())
    }

    async fn get(&self, path: String) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.rest)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    pub(crate) async fn stop(self, living: Living) -> Result<()> {
        living.0.drain(DRAIN).await?;
        self.workers.drain(DRAIN).await?;
        Ok(())
    }
}
