//! When schedulers and peers should ask again: what they would be told is compared with what it was. It is looked at when
//! somebody changes something and every few seconds, so what time alone changes (a lease that runs out) and what another
//! manager has changed is news, too; a sign of life, or a write that changes nothing, is not.
//!
//! Those who watch are told within a moment that grows with their number, so that ten thousand peers do not ask at once.

use super::wire;
use crate::applications;
use crate::clusters::{Cluster, Clusters};
use crate::error::Error;
use crate::members;
use crate::metrics::Counts;
use crate::store::entity::{scheduler, seed_peer};
use crate::store::{Store, Time};
use crate::wake::{Ear, Topic, Wake};
use dragonfly_api::manager;
use dragonfly_service::chain;
use futures::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Watchers at a time.
const MAX_WATCHERS: usize = 32 * 1024;
/// About how many of them are told in a second: fewer than the questions that the manager answers in one.
const TOLD_PER_SECOND: f64 = 2500.0;
/// Changes come in bursts; they are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// What can be news.
const TOPICS: [Topic; 3] = [Topic::Clusters, Topic::Members, Topic::Applications];

/// Tells watchers of changes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct News {
    changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
    counts: Counts,
}

/// So many watch already.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_WATCHERS} callers watch already; ask now and then instead")]
pub(crate) struct Crowded;

/// How soon a watcher is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// At once: there are few of its kind, and others wait for it.
    AtOnce,
    /// When its turn comes among many.
    InTurn,
}

/// Looks for news.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) news: News,
    pub(crate) store: Store,
    pub(crate) clusters: Clusters,
    pub(crate) wake: Wake,
    /// After how long it looks unasked.
    pub(crate) look_after: Duration,
}

/// All that schedulers and peers are told. Signs of life do not change it.
#[derive(Debug, PartialEq)]
struct World {
    clusters: Vec<Cluster>,
    schedulers: Vec<manager::Scheduler>,
    seed_peers: Vec<manager::SeedPeer>,
    applications: Vec<manager::Application>,
}

impl News {
    pub(crate) fn new(counts: Counts) -> Self {
        Self::with_places(MAX_WATCHERS, counts)
    }

    fn with_places(places: usize, counts: Counts) -> Self {
        Self {
            changes: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(places)),
            counts,
        }
    }

    /// An item now, since the caller may have missed something, and one for each change or burst of changes.
    pub(crate) fn watch(&self, haste: Haste) -> Result<impl Stream<Item = ()> + Send + use<>, Crowded> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.counts.watch_refused();
            return Err(Crowded);
        };
        self.counts.watchers.inc();
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        let watcher = Watcher {
            news: self.clone(),
            changes,
            haste,
            _place: place,
        };
        Ok(futures::stream::unfold(watcher, Watcher::next))
    }

    fn tell(&self) {
        self.changes.send_modify(|change| *change += 1);
        self.counts.news.inc();
    }
}

/// One who watches.
#[derive(Debug)]
struct Watcher {
    news: News,
    changes: watch::Receiver<u64>,
    haste: Haste,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    async fn next(mut self) -> Option<((), Self)> {
        self.changes.changed().await.ok()?;
        if self.haste == Haste::InTurn {
            let watchers = u32::try_from(self.news.changes.receiver_count()).unwrap_or(u32::MAX);
            let within = f64::from(watchers) / TOLD_PER_SECOND;
            tokio::time::sleep(Duration::from_secs_f64(within * rand::random::<f64>())).await;
        }
        // Whoever asks now sees what has changed meanwhile, too.
        self.changes.mark_unchanged();
        Some(((), self))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.news.counts.watchers.dec();
    }
}

impl Reporter {
    /// Looks for news again and again; never ends.
    pub(crate) async fn report(self) -> Infallible {
        let mut ear = self.wake.ear(&TOPICS);
        let mut known = None;
        loop {
            ear.deafen();
            match self.world().await {
                Ok(world) => {
                    if known.as_ref() != Some(&world) {
                        known = Some(world);
                        self.tell(&mut ear);
                    }
                }
                Err(error) => tracing::debug!(error = %chain(&error), "can't look for news"),
            }
            tokio::select! {
                () = ear.heard() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(self.look_after) => {}
            }
        }
    }

    /// What is remembered of clusters may be older than what was just seen, and those who are told ask at once.
    fn tell(&self, ear: &mut Ear) {
        self.wake.woken(Topic::Clusters);
        ear.deafen();
        self.news.tell();
    }

    async fn world(&self) -> Result<World, Error> {
        let now = Time::now();
        let schedulers = members::all_active::<scheduler::Entity>(self.store.db(), now).await?;
        let seed_peers = members::all_active::<seed_peer::Entity>(self.store.db(), now).await?;
        let applications = applications::with_priority(&self.store).await?;
        Ok(World {
            clusters: self.clusters.as_they_are().await?,
            schedulers: schedulers.into_iter().map(|row| wire::scheduler(row, now)).collect(),
            seed_peers: seed_peers.into_iter().map(|row| wire::seed_peer(row, now)).collect(),
            applications: applications.into_iter().map(wire::application).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_service::Metrics;
    use futures::{FutureExt, StreamExt};

    fn news(places: usize) -> News {
        News::with_places(places, Counts::new(&Metrics::new(), false))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_word_and_a_watcher_that_is_slow_misses_none() {
        let news = news(8);
        let mut watcher = std::pin::pin!(news.watch(Haste::InTurn).unwrap());
        watcher.next().await.unwrap();
        assert!(watcher.next().now_or_never().is_none());
        for _ in 0..3 {
            news.tell();
        }
        watcher.next().await.unwrap();
        assert!(watcher.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_told_one_after_the_other_and_schedulers_at_once() {
        let news = news(6000);
        let begun = tokio::time::Instant::now();
        let crowd: Vec<_> = (0..5000).map(|_| news.watch(Haste::InTurn).unwrap().boxed()).collect();
        let mut scheduler = news.watch(Haste::AtOnce).unwrap().boxed();
        assert!(scheduler.next().now_or_never().is_some());
        let told = futures::future::join_all(crowd.into_iter().map(|mut watcher| async move {
            watcher.next().await.unwrap();
            begun.elapsed()
        }));
        let told = told.await;
        let early = told.iter().filter(|after| **after < Duration::from_secs(1)).count();
        assert!(
            (2000..3000).contains(&early),
            "{early} of 5000 in the first of two seconds"
        );
        assert!(told.iter().all(|after| *after <= Duration::from_millis(2100)));
    }

    #[tokio::test]
    async fn one_too_many_is_refused_until_another_goes() {
        let news = news(1);
        let first = news.watch(Haste::InTurn).unwrap();
        assert!(news.watch(Haste::InTurn).is_err());
        assert_eq!(news.counts.watchers.get(), 1);
        drop(first);
        assert_eq!(news.counts.watchers.get(), 0);
        assert!(news.watch(Haste::InTurn).is_ok());
    }
}
