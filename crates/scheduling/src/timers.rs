//! What is due when. Every object has at most one entry; it may fire early, and is then armed again, which costs less
//! than moving it at each sign of life.

use crate::PeerKey;
use dragonfly_model::{HostId, TaskId};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whom a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Peer(PeerKey),
    Task(TaskId),
    Host(HostId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Duration, Subject)>);

impl Timers {
    /// Makes sure that `subject` fires at `due` or earlier. `armed` is the subject's own note of its entry.
    pub(crate) fn arm(&mut self, armed: &mut Option<Duration>, due: Duration, subject: Subject) {
        match *armed {
            Some(at) if at <= due => {}
            earlier => {
                self.disarm(earlier, subject.clone());
                self.0.insert((due, subject));
                *armed = Some(due);
            }
        }
    }

    /// Takes an entry back.
    pub(crate) fn disarm(&mut self, armed: Option<Duration>, subject: Subject) {
        if let Some(at) = armed {
            self.0.remove(&(at, subject));
        }
    }

    /// The earliest entry, if it is due.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<Subject> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, subject)| subject)
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| *at)
    }
}
