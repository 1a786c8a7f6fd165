//! Tells each scheduler which complete contents this host holds of the tasks that the ring gives it: when it is found, when
//! it has restarted and when the ring has changed. So nobody asks the origin for what is here.
//!
//! The stream stays open after the last report. That it breaks is how a restart is noticed, long before the next look at
//! the scheduler's health.

use super::{Inner, Members, SchedulerClient};
use dragonfly_api::ext::scheduler_client::SchedulerClient as ExtensionClient;
use dragonfly_api::ext::{Holding, HoldingsReport};
use dragonfly_model::Policy;
use dragonfly_storage::{Storage, TaskRecord};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;
use tokio_stream::wrappers::IntervalStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Contents in one message; schedulers take no more.
const PART: usize = 1000;
/// Contents that one scheduler is told of, those that were used last; schedulers take no more.
const MOST: usize = 100_000;
/// Between two messages, so that many hosts at once leave a scheduler time for its children.
const PACE: Duration = Duration::from_millis(100);
/// First and longest pause before a scheduler that was lost is told again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A scheduler that does not know the call may be replaced by one that does.
const UNSERVED: Duration = Duration::from_secs(600);

/// Keeps all schedulers told; ends with the cluster.
pub(super) async fn run(cluster: &Inner, storage: &Storage) {
    let mut changes = cluster.members.subscribe();
    loop {
        let members = changes.borrow_and_update().clone();
        let tellers = members.channels.iter().map(|(addr, channel)| Teller {
            cluster,
            storage,
            members: &members,
            addr: *addr,
            channel,
        });
        let tellers: Vec<Teller<'_>> = tellers.collect();
        let telling = async {
            join_all(tellers.iter().map(Teller::keep_told)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = telling => {}
            changed = changes.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Tells one scheduler.
struct Teller<'a> {
    cluster: &'a Inner,
    storage: &'a Storage,
    members: &'a Members,
    addr: SocketAddr,
    channel: &'a Channel,
}

impl Teller<'_> {
    /// Never ends.
    async fn keep_told(&self) {
        let mut pause = RETRY.0;
        loop {
            let begun = tokio::time::Instant::now();
            let wait = match self.tell().await {
                Err(status) if status.code() == Code::Unimplemented => UNSERVED,
                ended => {
                    tracing::debug!(scheduler.addr = %self.addr, ?ended, "a scheduler hears no more of what is held here");
                    self.cluster.poke.notify_one();
                    if begun.elapsed() > RETRY.1 {
                        pause = RETRY.0;
                    }
                    pause
                }
            };
            // Those who lost the same scheduler do not come back all at once.
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Tells everything and stays on the line. A scheduler takes nothing from a host that it does not know.
    async fn tell(&self) -> Result<(), Status> {
        self.cluster
            .announce_to(SchedulerClient::new(self.channel.clone()))
            .await?;
        let ticks = IntervalStream::new(tokio::time::interval(PACE));
        let paced = ticks.zip(stream::iter(self.reports())).map(|(_, report)| report);
        let reports = paced.chain(stream::pending());
        let mut client = ExtensionClient::new(self.channel.clone());
        client.report_holdings(reports).await.map(tonic::Response::into_inner)
    }

    fn reports(&self) -> Vec<HoldingsReport> {
        let mut held = self.storage.list();
        held.retain(|task| {
            let is_its = || self.members.ring.order(&task.id).first() == Some(&self.addr);
            task.is_finished() && task.policy == Policy::Standard && is_its()
        });
        held.sort_by_key(|task| Reverse(task.used_at));
        let holdings: Vec<Holding> = held.iter().take(MOST).filter_map(holding).collect();
        let host_id = self.cluster.announcement.host_id().to_string();
        let report = |part: &[Holding]| HoldingsReport {
            host_id: host_id.clone(),
            holdings: part.to_vec(),
        };
        holdings.chunks(PART).map(report).collect()
    }
}

fn holding(task: &TaskRecord) -> Option<Holding> {
    Some(Holding {
        task_id: task.id.to_string(),
        content_length: task.content_length?,
        piece_count: task.layout()?.count(),
    })
}
