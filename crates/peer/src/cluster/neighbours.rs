//! Whom this peer serves: its own host, and the hosts that a scheduler of its cluster has named.
//!
//! Without certificates an address is all that tells a neighbour from a stranger, so private content then rests on the
//! network being honest about addresses.

use super::{Cluster, timed};
use dragonfly_api::scheduler::ListHostsRequest;
use dragonfly_transfer::Admission;
use futures::future::{BoxFuture, join_all};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Stranger's knocks make us ask the schedulers no more often than this.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// A host that was named as a candidate parent stays welcome so long without being named again.
const NAMED_TTL: Duration = Duration::from_secs(3600);
const MAX_NAMED: u64 = 65_536;

/// Decides who is served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Neighbours {
    inner: Arc<Inner>,
}

/// The address of a host, and the cluster that it was met in: after a move to another, nobody is known.
type Neighbour = (Option<u64>, IpAddr);

struct Inner {
    own: IpAddr,
    /// Serve nobody but this host.
    alone: bool,
    cluster: Cluster,
    /// Candidate parents, each a neighbour in the cluster in which it was named.
    named: moka::sync::Cache<Neighbour, ()>,
    /// The hosts that the schedulers listed last.
    listed: RwLock<HashSet<Neighbour>>,
    /// When the schedulers were asked last; locked while they are.
    asked: Mutex<Option<Instant>>,
}

impl Neighbours {
    pub(crate) fn new(own: IpAddr, alone: bool, cluster: Cluster) -> Self {
        Self {
            inner: Arc::new(Inner {
                own,
                alone,
                cluster,
                named: moka::sync::Cache::builder()
                    .max_capacity(MAX_NAMED)
                    .time_to_live(NAMED_TTL)
                    .build(),
                listed: RwLock::default(),
                asked: Mutex::default(),
            }),
        }
    }

    /// A scheduler has named this host as a parent of ours.
    pub(crate) fn named(&self, ip: IpAddr) {
        self.inner.named.insert(self.here(ip), ());
    }

    /// Whether a caller at `ip` is of this cluster. Asks the schedulers about an unknown one, once a second at most.
    pub(crate) async fn knows(&self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        if self.is_own(ip) {
            return true;
        }
        if self.inner.alone {
            return false;
        }
        if self.remembers(ip) {
            return true;
        }
        let arrived = Instant::now();
        let mut asked = self.inner.asked.lock().await;
        // Somebody else may have asked since this call began to wait; that answer is as good as another.
        let answered = asked.is_some_and(|at| at >= arrived);
        if !answered && !self.remembers(ip) {
            if let Some(at) = *asked {
                tokio::time::sleep_until(at + REFRESH_PAUSE).await;
            }
            *asked = Some(Instant::now());
            self.refresh().await;
        }
        self.remembers(ip)
    }

    /// Whether a caller at `ip` is this host, a neighbour or one of our schedulers.
    pub(crate) async fn knows_or_schedules(&self, ip: IpAddr) -> bool {
        self.inner.cluster.has_scheduler_at(plain(ip)) || self.knows(ip).await
    }

    /// Whether `ip` is this very host.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        ip.is_loopback() || ip == plain(self.inner.own)
    }

    fn here(&self, ip: IpAddr) -> Neighbour {
        (self.inner.cluster.id(), plain(ip))
    }

    fn remembers(&self, ip: IpAddr) -> bool {
        let neighbour = self.here(ip);
        let listed = self.inner.listed.read().unwrap_or_else(PoisonError::into_inner);
        listed.contains(&neighbour) || self.inner.named.contains_key(&neighbour)
    }

    /// The list stays as it was if no scheduler answers.
    async fn refresh(&self) {
        let cluster = self.inner.cluster.id();
        let lists = self
            .inner
            .cluster
            .schedulers()
            .into_iter()
            .map(|mut scheduler| async move { timed(scheduler.client.list_hosts(ListHostsRequest::default())).await });
        let answers: Vec<_> = join_all(lists).await.into_iter().filter_map(Result::ok).collect();
        if answers.is_empty() {
            return;
        }
        let hosts = answers.into_iter().flat_map(|answer| answer.hosts);
        let listed = hosts
            .filter_map(|host| Some((cluster, plain(host.ip.parse().ok()?))))
            .collect();
        *self.inner.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }
}

impl Admission for Neighbours {
    fn admit(&self, ip: IpAddr) -> BoxFuture<'_, bool> {
        Box::pin(self.knows(ip))
    }
}

/// An IPv4 address that came through an IPv6 socket is the IPv4 address.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
