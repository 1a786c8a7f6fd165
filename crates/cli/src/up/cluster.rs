//! The programs together: all are built before any runs, and the bytes' ways end before those of the decisions.

use super::addresses::Bound;
use super::plan::Plan;
use super::sample::Sample;
use crate::failure::Failure;
use crate::program::Program;
use dragonfly_api::scheduler::ListHostsRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_manager::Manager;
use dragonfly_peer::Peer;
use dragonfly_scheduler::Scheduler;
use dragonfly_service::{Ready, StillRunning, Workers, grpc};
use futures::future::{join_all, try_join_all};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// For peers to end their downloads and leave.
const DRAIN_PEERS: Duration = Duration::from_millis(3500);
/// For manager and scheduler afterwards; all together less than the 5 s that are promised.
const DRAIN_CONTROL: Duration = Duration::from_millis(1200);
/// Until peers that serve are also known to the scheduler. Without it they work, only not together.
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

    /// Starts everything.
    pub(super) fn start(self) -> Running {
        let (ended, endings) = mpsc::channel(1);
        let mut running = Running {
            control: Workers::new(CancellationToken::new()),
            edge: Workers::new(CancellationToken::new()),
            scheduler: self.scheduler.addresses().grpc.to_string(),
            hosts: self.peers.len() + 1,
            ready: Vec::new(),
            endings,
        };
        running
            .edge
            .spawn("sample file", self.sample.serve(running.edge.cancel_token()));
        let (control, edge) = (running.control.clone(), running.edge.clone());
        running.spawn("manager", self.manager, &control, ended.clone());
        running.spawn("scheduler", self.scheduler, &control, ended.clone());
        running.spawn("seed peer", self.seed, &edge, ended.clone());
        for peer in self.peers {
            running.spawn("peer", peer, &edge, ended.clone());
        }
        running
    }
}

/// A cluster that serves, or begins to.
pub(super) struct Running {
    /// Manager and scheduler.
    control: Workers,
    /// Peers, which need the others to the end.
    edge: Workers,
    scheduler: String,
    hosts: usize,
    ready: Vec<Ready>,
    /// Programs that ended without being asked.
    endings: mpsc::Receiver<Failure>,
}

impl Running {
    fn spawn<P: Program>(&mut self, name: &'static str, program: P, workers: &Workers, ended: mpsc::Sender<Failure>) {
        self.ready.push(program.ready());
        let cancel = workers.cancel_token();
        workers.spawn(name, async move {
            let outcome = program.run(cancel.clone()).await;
            let failure = match outcome {
                Err(failure) => failure.within(name),
                Ok(()) if !cancel.is_cancelled() => Failure::new(format!("the {name} ended by itself")),
                Ok(()) => return,
            };
            tracing::error!("{failure}");
            // The first one is enough to end all.
            ended.try_send(failure).ok();
        });
    }

    /// Returns when all serve and know each other.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let all = join_all(self.ready.iter().map(Ready::wait));
        let joined = async {
            all.await;
            if tokio::time::timeout(JOIN_WITHIN, joined(&self.scheduler, self.hosts))
                .await
                .is_err()
            {
                tracing::warn!("not all peers are known to the scheduler yet");
            }
        };
        tokio::select! {
            () = joined => Ok(()),
            Some(failure) = self.endings.recv() => Err(failure),
        }
    }

    /// Returns when a program ended that should not have.
    pub(super) async fn failed(&mut self) -> Failure {
        match self.endings.recv().await {
            Some(failure) => failure,
            // All have ended, which each would have told.
            None => std::future::pending().await,
        }
    }

    /// Ends everything in order.
    pub(super) async fn stop(self) {
        report(self.edge.drain(DRAIN_PEERS).await);
        report(self.control.drain(DRAIN_CONTROL).await);
    }
}

/// Asks the scheduler until it knows so many hosts.
async fn joined(scheduler: &str, hosts: usize) {
    loop {
        match known(scheduler).await {
            Ok(known) if known >= hosts => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %dragonfly_service::chain(&*error), "can't ask the scheduler"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn known(scheduler: &str) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let channel = grpc::connect(scheduler, None, grpc::Timeouts::default()).await?;
    let answer = SchedulerClient::new(channel)
        .list_hosts(ListHostsRequest::default())
        .await?;
    Ok(answer.into_inner().hosts.len())
}

fn report(drained: Result<(), StillRunning>) {
    if let Err(error) = drained {
        tracing::warn!("{error}");
    }
}
