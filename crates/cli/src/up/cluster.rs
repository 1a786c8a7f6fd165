//! The programs together: all are built before any runs, and the bytes' ways end before those of the decisions.

use super::addresses::Bound;
use super::plan::Plan;
use super::sample::Sample;
use crate::failure::Failure;
use crate::program::Program;
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{ListSchedulersRequest, SourceType};
use dragonfly_api::scheduler::ListHostsRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_manager::Manager;
use dragonfly_peer::Peer;
use dragonfly_scheduler::Scheduler;
use dragonfly_service::{Ready, StillRunning, Workers, grpc};
use futures::future::{join_all, try_join_all};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// For peers to end their downloads and leave.
const DRAIN_PEERS: Duration = Duration::from_millis(3500);
/// For manager and scheduler afterwards; all together less than the 5 s that are promised.
const DRAIN_CONTROL: Duration = Duration::from_millis(1200);
/// Until the scheduler is known to the manager, and the peers to the scheduler. Without it they work, only not together.
const JOIN_WITHIN: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// All programs, with everything reserved and nothing started.
pub(super) struct Cluster {
    manager: Manager,
    scheduler: Scheduler,
    seed: Peer,
    peers: Vec<Peer>,
    sample: Sample,
}

impl Cluster {
    /// Reserves what every program needs; the first that can't have it is the error, and nothing was started.
    pub(super) async fn build(plan: Plan, sample: Sample) -> Result<Self, Failure> {
        Ok(Self {
            manager: <Manager as Program>::build(plan.manager).await?,
            scheduler: <Scheduler as Program>::build(plan.scheduler).await?,
            seed: <Peer as Program>::build(plan.seed).await?,
            peers: try_join_all(plan.peers.into_iter().map(<Peer as Program>::build)).await?,
            sample,
        })
    }

    /// Where it listens. `scheme` is that of the manager's REST server.
    pub(super) fn bound(&self, scheme: &str) -> Bound {
        let manager = self.manager.addresses();
        Bound {
            rest: format!("{scheme}://{}", manager.rest),
            manager_grpc: manager.grpc,
            scheduler_grpc: self.scheduler.addresses().grpc,
            seed: self.seed.addresses(),
            peers: self.peers.iter().map(Peer::addresses).collect(),
        }
    }

    /// Starts those that the peers need; [`Running::ready`] starts the peers.
    pub(super) fn start(self) -> Running {
        let (ended, endings) = mpsc::channel(1);
        let running = Running {
            control: Workers::new(CancellationToken::new()),
            edge: Workers::new(CancellationToken::new()),
            manager_addr: self.manager.addresses().grpc.to_string(),
            scheduler_addr: self.scheduler.addresses().grpc.to_string(),
            control_ready: vec![self.manager.ready(), self.scheduler.ready()],
            hosts: self.peers.len() + 1,
            waiting: std::iter::once(self.seed).chain(self.peers).collect(),
            ended,
            endings,
        };
        let cancel = running.edge.cancel_token();
        running.edge.spawn("sample file", self.sample.serve(cancel));
        running.spawn(&running.control, "manager", self.manager);
        running.spawn(&running.control, "scheduler", self.scheduler);
        running
    }
}

/// A cluster that serves, or begins to.
pub(super) struct Running {
    /// Manager and scheduler.
    control: Workers,
    /// Peers, which need the others to the end.
    edge: Workers,
    manager_addr: String,
    scheduler_addr: String,
    control_ready: Vec<Ready>,
    /// How many hosts the scheduler shall know.
    hosts: usize,
    /// Peers that are not started yet.
    waiting: Vec<Peer>,
    ended: mpsc::Sender<Failure>,
    /// Programs that ended without being asked.
    endings: mpsc::Receiver<Failure>,
}

impl Running {
    fn spawn<P: Program>(&self, workers: &Workers, name: &'static str, program: P) {
        let (cancel, ended) = (workers.cancel_token(), self.ended.clone());
        workers.spawn(name, async move {
            let failure = match program.run(cancel.clone()).await {
                Err(failure) => failure.within(name),
                Ok(()) if !cancel.is_cancelled() => Failure::new(format!("the {name} ended by itself")),
                Ok(()) => return,
            };
            tracing::error!("{failure}");
            // The first one is enough to end all.
            ended.try_send(failure).ok();
        });
    }

    /// Starts the peers as soon as they have something to join, and returns when all serve and know each other.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let ready = self.control_ready.clone();
        self.unless_failed(async move { all(&ready).await }).await?;
        let manager = self.manager_addr.clone();
        self.unless_failed(soon("the scheduler is not registered yet", async move {
            registered(&manager).await
        }))
        .await?;
        let peers = std::mem::take(&mut self.waiting);
        let ready: Vec<Ready> = peers.iter().map(Peer::ready).collect();
        for peer in peers {
            self.spawn(&self.edge, "peer", peer);
        }
        self.unless_failed(async move { all(&ready).await }).await?;
        let (scheduler, hosts) = (self.scheduler_addr.clone(), self.hosts);
        self.unless_failed(soon("not all peers are known to the scheduler yet", async move {
            joined(&scheduler, hosts).await;
        }))
        .await
    }

    async fn unless_failed(&mut self, future: impl Future<Output = ()>) -> Result<(), Failure> {
        tokio::select! {
            () = future => Ok(()),
            Some(failure) = self.endings.recv() => Err(failure),
        }
    }

    /// Returns when a program ended that should not have.
    pub(super) async fn failed(&mut self) -> Failure {
        let failure = self.endings.recv().await;
        failure.expect("self holds a sender, so the queue does not end")
    }

    /// Ends everything in order.
    pub(super) async fn stop(self) {
        report(self.edge.drain(DRAIN_PEERS).await);
        report(self.control.drain(DRAIN_CONTROL).await);
    }
}

async fn all(ready: &[Ready]) {
    join_all(ready.iter().map(Ready::wait)).await;
}

/// Waits a while, since what works without is better than nothing.
async fn soon(else_say: &str, future: impl Future<Output = ()>) {
    if tokio::time::timeout(JOIN_WITHIN, future).await.is_err() {
        tracing::warn!("{else_say}");
    }
}

/// Asks the manager until it has a scheduler for peers of this host.
async fn registered(manager: &str) {
    let request = ListSchedulersRequest {
        source_type: SourceType::PeerSource.into(),
        hostname: dragonfly_service::net::hostname(),
        ip: manager
            .parse::<SocketAddr>()
            .map(|addr| addr.ip().to_string())
            .unwrap_or_default(),
        ..ListSchedulersRequest::default()
    };
    again(async || {
        let channel = grpc::connect(manager, None, grpc::Timeouts::default()).await?;
        let answer = ManagerClient::new(channel).list_schedulers(request.clone()).await?;
        Ok(!answer.into_inner().schedulers.is_empty())
    })
    .await;
}

/// Asks the scheduler until it knows so many hosts.
async fn joined(scheduler: &str, hosts: usize) {
    again(async || {
        let channel = grpc::connect(scheduler, None, grpc::Timeouts::default()).await?;
        let answer = SchedulerClient::new(channel)
            .list_hosts(ListHostsRequest::default())
            .await?;
        Ok(answer.into_inner().hosts.len() >= hosts)
    })
    .await;
}

async fn again(question: impl AsyncFn() -> Result<bool, Box<dyn Error + Send + Sync>>) {
    loop {
        match question().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::debug!(error = %dragonfly_service::chain(&*error), "asked too early"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn report(drained: Result<(), StillRunning>) {
    if let Err(error) = drained {
        tracing::warn!("{error}");
    }
}
