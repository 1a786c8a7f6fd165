//! The cluster as this peer sees it: its schedulers, its announcements to them, the hosts around it, and what its operator
//! refuses to move.
//!
//! A peer starts and serves without manager and scheduler; the membership worker keeps looking for them and joins when
//! they appear. What was learnt stays in force while the teacher is away.

mod announcement;
mod holdings;
mod kept;
mod manager;
mod membership;
mod neighbours;
mod ring;

pub(crate) use announcement::{Announcement, Ports};
pub(crate) use neighbours::Neighbours;

use crate::config::Config;
use dragonfly_api::{DownloadRules, Transferring, common, scheduler};
use dragonfly_model::{Blocked, Policy, Subject, TaskId};
use dragonfly_service::grpc::{self, Timeouts};
use dragonfly_service::tls::{self, ClientTls};
use dragonfly_storage::Storage;
use manager::Manager;
use ring::Ring;
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::transport::Channel;

pub(crate) type SchedulerClient = scheduler::scheduler_client::SchedulerClient<Channel>;

/// Longest wait for the answer to a call that is no stream.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the cluster can't be configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The manager's address is malformed.
    #[error("manager.addr: {0}")]
    Manager(#[source] grpc::ConnectError),
}

/// The handle of the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    directory: Directory,
    tls: Option<ClientTls>,
    refresh_interval: Duration,
    announce_interval: Duration,
    announcement: Announcement,
    members: watch::Sender<Arc<Members>>,
    /// What the cluster refuses.
    rules: watch::Sender<Arc<DownloadRules>>,
    /// Wakes the membership worker.
    poke: Notify,
    /// Every scheduler that this host was announced to, and must take its leave of.
    introduced: Mutex<BTreeMap<SocketAddr, Channel>>,
    /// Schedulers that said that they don't know this host.
    forgetful: Mutex<HashSet<SocketAddr>>,
}

/// Where schedulers are looked up.
enum Directory {
    Manager(Box<Manager>),
    Names(Vec<String>),
    Nowhere,
}

/// The schedulers that answer, and their order for each task.
#[derive(Default)]
struct Members {
    /// The cluster that they belong to, if a manager has named it.
    cluster: Option<u64>,
    channels: BTreeMap<SocketAddr, Channel>,
    ring: Ring,
}

/// One scheduler.
#[derive(Clone)]
pub(crate) struct Scheduler {
    pub(crate) addr: SocketAddr,
    pub(crate) client: SchedulerClient,
}

impl Cluster {
    pub(crate) fn new(config: &Config, announcement: Announcement) -> Result<Self, Error> {
        let tls = config.schedulers.tls.as_ref().map(ClientTls::load).transpose()?;
        let directory = match &config.manager {
            Some(remote) => Directory::Manager(Box::new(Manager::new(remote, config.seed.clone(), &announcement)?)),
            None if config.schedulers.local.is_empty() => Directory::Nowhere,
            None => Directory::Names(config.schedulers.local.clone()),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                directory,
                tls,
                refresh_interval: config.schedulers.refresh_interval,
                announce_interval: config.schedulers.announce_interval,
                announcement,
                members: watch::Sender::new(Arc::default()),
                rules: watch::Sender::new(Arc::default()),
                poke: Notify::new(),
                introduced: Mutex::default(),
                forgetful: Mutex::default(),
            }),
        })
    }

    /// Whether there is anything to be found: a manager or a scheduler is configured.
    pub(crate) fn is_configured(&self) -> bool {
        !matches!(self.inner.directory, Directory::Nowhere)
    }

    /// The schedulers for a task, the responsible one first. Empty while none answers.
    pub(crate) fn schedulers_of(&self, task: &TaskId) -> Vec<Scheduler> {
        let members = self.inner.members.borrow().clone();
        let of = |addr| {
            let channel = members.channels.get(&addr)?.clone();
            Some(Scheduler {
                addr,
                client: SchedulerClient::new(channel),
            })
        };
        members.ring.order(task).into_iter().filter_map(of).collect()
    }

    /// Whether the cluster's block list lets this be downloaded. Without a manager, and before it has been heard, everything
    /// may.
    pub(crate) fn allows(&self, subject: &Subject<'_>) -> Result<(), Blocked> {
        let rules = self.inner.rules.borrow().clone();
        rules.check(subject)
    }

    /// Whether the cluster's block list lets this be done with a content that the cluster keeps.
    pub(crate) fn allows_kept(&self, what: Transferring, subject: &Subject<'_>) -> Result<(), Blocked> {
        let rules = self.inner.rules.borrow().clone();
        rules.check_kept(what, subject)
    }

    /// All schedulers that answer.
    pub(crate) fn schedulers(&self) -> Vec<Scheduler> {
        let members = self.inner.members.borrow().clone();
        let of = |(addr, channel): (&SocketAddr, &Channel)| Scheduler {
            addr: *addr,
            client: SchedulerClient::new(channel.clone()),
        };
        members.channels.iter().map(of).collect()
    }

    /// The cluster of this host, once a manager has named it.
    fn id(&self) -> Option<u64> {
        self.inner.members.borrow().cluster
    }

    /// Whether an answering scheduler has this address.
    pub(crate) fn has_scheduler_at(&self, ip: IpAddr) -> bool {
        self.inner.members.borrow().channels.keys().any(|addr| addr.ip() == ip)
    }

    /// Looks for schedulers now rather than at the next interval: one of them has failed.
    pub(crate) fn refresh(&self) {
        self.inner.poke.notify_one();
    }

    /// Announces this host to a scheduler that says that it does not know it.
    pub(crate) async fn reannounce(&self, scheduler: &Scheduler) -> Result<(), Status> {
        let announced = self.inner.announce_to(scheduler.client.clone()).await;
        if announced.is_err() {
            lock(&self.inner.forgetful).insert(scheduler.addr);
            self.refresh();
        }
        announced
    }

    /// Takes one host's task off the scheduler's books, after it was deleted here.
    async fn task_deleted(&self, task: &TaskId) -> Result<(), Status> {
        let Some(mut scheduler) = self.schedulers_of(task).into_iter().next() else {
            return Ok(());
        };
        let request = scheduler::DeleteTaskRequest {
            host_id: self.inner.announcement.host_id().to_string(),
            task_id: task.to_string(),
        };
        match timed(scheduler.client.delete_task(request)).await {
            Err(status) if status.code() != tonic::Code::NotFound => Err(status),
            _ => Ok(()),
        }
    }

    /// Takes what this host had of a task off its scheduler's books, of whatever kind it was.
    pub(crate) async fn deleted(&self, task: &TaskId, policy: &Policy) -> Result<(), Status> {
        match policy.replica() {
            None => self.task_deleted(task).await,
            Some(replica) => self.left_kept(task, &replica.peer).await,
        }
    }

    /// What the responsible scheduler knows of a task.
    pub(crate) async fn stat_task(&self, task: &TaskId) -> Result<common::Task, Status> {
        let Some(mut scheduler) = self.schedulers_of(task).into_iter().next() else {
            return Err(Status::unavailable("no scheduler answers"));
        };
        let request = scheduler::StatTaskRequest {
            host_id: self.inner.announcement.host_id().to_string(),
            task_id: task.to_string(),
        };
        timed(scheduler.client.stat_task(request)).await
    }

    /// Keeps membership up to date until it is dropped: finds schedulers and announces this host to them.
    pub(crate) async fn run(self) {
        match &self.inner.directory {
            Directory::Nowhere => std::future::pending().await,
            Directory::Names(_) => membership::run(&self.inner).await,
            Directory::Manager(manager) => {
                let poke = &self.inner.poke;
                tokio::join!(
                    membership::run(&self.inner),
                    manager.keep_alive(poke),
                    manager.watch(poke)
                );
            }
        }
    }

    /// Keeps the schedulers told of what this host holds, until it is dropped.
    pub(crate) async fn report_holdings(self, storage: Storage) {
        holdings::run(&self.inner, &storage).await;
    }

    /// Tells all schedulers that this host goes.
    pub(crate) async fn leave(&self) {
        let introduced: Vec<_> = lock(&self.inner.introduced).keys().copied().collect();
        self.inner.part_with(&introduced).await;
    }
}

impl Inner {
    /// Takes over the block list in the cluster's configuration, if it is not the one that holds.
    fn take_rules(&self, config: &[u8]) {
        let held = self.rules.borrow().clone();
        if let Some((rules, problems)) = held.after(config) {
            for problem in problems {
                tracing::warn!(problem, "a part of the cluster's block list can't be used");
            }
            self.rules.send_replace(Arc::new(rules));
        }
    }

    /// Tells those of these schedulers that this host was announced to that it goes.
    async fn part_with(&self, schedulers: &[SocketAddr]) {
        let request = scheduler::DeleteHostRequest {
            host_id: self.announcement.host_id().to_string(),
        };
        let goodbyes = schedulers.iter().filter_map(|addr| {
            let channel = lock(&self.introduced).remove(addr)?;
            let request = request.clone();
            Some(async move {
                if let Err(status) = timed(SchedulerClient::new(channel).delete_host(request)).await {
                    tracing::debug!(scheduler.addr = %addr, %status, "a scheduler took no leave");
                }
            })
        });
        futures::future::join_all(goodbyes).await;
    }

    async fn announce_to(&self, mut client: SchedulerClient) -> Result<(), Status> {
        let request = scheduler::AnnounceHostRequest {
            host: Some(self.announcement.host()),
            interval: Some(dragonfly_api::duration(self.announce_interval)),
        };
        timed(client.announce_host(request)).await
    }

    /// A channel that connects by itself. Streams on it may take any time, so it has no time limit of its own.
    fn channel(&self, addr: SocketAddr) -> Result<Channel, grpc::ConnectError> {
        grpc::connect_lazy(&addr.to_string(), self.tls.as_ref(), long_lived())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time limits of a channel that carries streams.
fn long_lived() -> Timeouts {
    Timeouts {
        request: None,
        ..Timeouts::default()
    }
}

/// One unary call within [`CALL_TIMEOUT`].
async fn timed<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    within(CALL_TIMEOUT, call).await
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}
