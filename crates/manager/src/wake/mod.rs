//! Wake-ups: "something of this kind has changed, look again". They carry no data and promise nothing: whoever remembers
//! what the database holds also looks again by itself after a while, so a wake-up that is lost costs seconds.
//!
//! What this manager changes wakes its own rooms at once. With Redis ([`redis`]) it wakes those of all managers of the
//! database; without, they look for themselves.

mod redis;

pub(crate) use redis::{Link, State};

use futures::FutureExt;
use futures::future::select_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};

/// What can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Clusters, their scopes and their configuration.
    Clusters,
    /// Which schedulers and seed peers there are, and which of them are alive.
    Members,
    /// Applications.
    Applications,
    /// What schedulers are to do, and to leave.
    Jobs,
}

impl Topic {
    pub(crate) const ALL: [Self; 4] = [Self::Clusters, Self::Members, Self::Applications, Self::Jobs];

    fn word(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Members => "members",
            Self::Applications => "applications",
            Self::Jobs => "jobs",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.word() == word)
    }

    fn bit(self) -> usize {
        1 << self as usize
    }
}

/// Tells and hears of changes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// How often each topic has changed.
    generations: [watch::Sender<u64>; Topic::ALL.len()],
    /// The topics that other managers have not been told of, as bits: so there is no queue that could overflow.
    untold: AtomicUsize,
    some_untold: Notify,
}

impl Wake {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            generations: Topic::ALL.map(|_| watch::Sender::new(0)),
            untold: AtomicUsize::new(0),
            some_untold: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// This manager has changed something; the change is committed.
    pub(crate) fn changed(&self, topic: Topic) {
        self.woken(topic);
        self.still_untold(topic.bit());
    }

    /// Grows with every change. What was read before it grew may be of the past.
    pub(crate) fn generation(&self, topic: Topic) -> u64 {
        *self.shared.generations[topic as usize].borrow()
    }

    /// What [`Wake::generation`] tells, to be waited for.
    pub(crate) fn listen(&self, topic: Topic) -> watch::Receiver<u64> {
        self.shared.generations[topic as usize].subscribe()
    }

    /// Hears of the changes of these topics from now on.
    pub(crate) fn ear(&self, topics: &[Topic]) -> Ear {
        let generation = |topic: &Topic| self.shared.generations[*topic as usize].subscribe();
        Ear(topics.iter().map(generation).collect())
    }

    /// Another manager has changed something, or a look at the database has shown that something changed.
    pub(crate) fn woken(&self, topic: Topic) {
        self.shared.generations[topic as usize].send_modify(|generation| *generation += 1);
    }

    /// Anything may have changed.
    fn all_woken(&self) {
        for topic in Topic::ALL {
            self.woken(topic);
        }
    }

    /// Waits for topics that others must be told of, and takes them.
    async fn untold(&self) -> usize {
        loop {
            let notified = self.shared.some_untold.notified();
            match self.shared.untold.swap(0, Ordering::AcqRel) {
                0 => notified.await,
                topics => return topics,
            }
        }
    }

    /// They could not be told; the next attempt tells of them again.
    fn still_untold(&self, topics: usize) {
        self.shared.untold.fetch_or(topics, Ordering::AcqRel);
        self.shared.some_untold.notify_one();
    }
}

/// One who waits for changes of some topics.
#[derive(Debug)]
pub(crate) struct Ear(Vec<watch::Receiver<u64>>);

impl Ear {
    /// Waits for a change after [`Ear::deafen`].
    pub(crate) async fn heard(&mut self) {
        let changes = self.0.iter_mut().map(|generation| generation.changed().boxed());
        // The senders are gone only when the manager is; then nothing changes any more.
        if select_all(changes).await.0.is_err() {
            std::future::pending().await
        }
    }

    /// Forgets what has been heard so far: whoever looks after this sees it.
    pub(crate) fn deafen(&mut self) {
        for generation in &mut self.0 {
            generation.mark_unchanged();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_changes_are_told_once_and_none_is_forgotten() {
        let wake = Wake::new();
        let other = wake.clone();
        for _ in 0..3 {
            wake.changed(Topic::Clusters);
        }
        assert_eq!(other.generation(Topic::Clusters), 3);
        assert_eq!(other.untold().await, Topic::Clusters.bit());
        other.still_untold(Topic::Clusters.bit());
        assert_eq!(other.untold().await, Topic::Clusters.bit());
        let waiting = other.untold();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        wake.changed(Topic::Clusters);
        assert_eq!(waiting.await, Topic::Clusters.bit());
    }

    #[test]
    fn a_wake_up_from_elsewhere_is_not_told_on() {
        let wake = Wake::new();
        wake.all_woken();
        assert_eq!(wake.generation(Topic::Clusters), 1);
        assert_eq!(wake.shared.untold.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn an_ear_hears_its_topics_alone_and_each_change_once() {
        let wake = Wake::new();
        let mut ear = wake.ear(&[Topic::Members, Topic::Applications]);
        wake.changed(Topic::Clusters);
        assert!(ear.heard().now_or_never().is_none());
        wake.changed(Topic::Applications);
        wake.changed(Topic::Members);
        assert!(ear.heard().now_or_never().is_some());
        ear.deafen();
        assert!(ear.heard().now_or_never().is_none());
    }

    #[test]
    fn every_topic_is_known_by_its_word() {
        for topic in Topic::ALL {
            assert_eq!(Topic::of_word(topic.word()), Some(topic));
        }
        assert_eq!(Topic::of_word("weather"), None);
    }
}
