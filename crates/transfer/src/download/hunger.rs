//! Notices when a download has nothing to do, and says so once.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long nothing may be under way before that is called starving, while parents may still announce more.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether, and since when, there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hunger {
    /// Nothing is known yet that could be done.
    #[default]
    Asleep,
    /// Something is under way, or was a moment ago.
    Fed,
    /// Starving, if nothing begins before this time.
    From(Instant),
    /// Starving, and that was said.
    Said,
}

impl Hunger {
    /// The first source became known.
    pub(super) fn awaken(&mut self) {
        if *self == Hunger::Asleep {
            *self = Hunger::Fed;
        }
    }

    /// Looks again. `busy` if something is under way or nothing is wanted, `hopeful` if a parent may announce more.
    pub(super) fn feel(&mut self, busy: bool, hopeful: bool) {
        *self = match *self {
            Hunger::Asleep => Hunger::Asleep,
            _ if busy => Hunger::Fed,
            Hunger::Said => Hunger::Said,
            Hunger::Fed if hopeful => Hunger::From(Instant::now() + PATIENCE),
            Hunger::From(at) if hopeful => Hunger::From(at),
            Hunger::Fed | Hunger::From(_) => Hunger::From(Instant::now()),
        };
    }

    /// It was said, so it is not said again before something was under way.
    pub(super) fn said(&mut self) {
        *self = Hunger::Said;
    }

    /// Waits until the download starves; for ever if it does not.
    pub(super) async fn starved(&self) {
        match *self {
            Hunger::From(at) => sleep_until(at).await,
            Hunger::Asleep | Hunger::Fed | Hunger::Said => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn starving_waits_for_parents_that_may_announce_more() {
        let mut hunger = Hunger::default();
        hunger.feel(false, false);
        assert_eq!(hunger, Hunger::Asleep);
        hunger.awaken();
        hunger.feel(false, true);
        let start = Instant::now();
        hunger.starved().await;
        assert_eq!(start.elapsed(), PATIENCE);
        hunger.said();
        hunger.feel(false, false);
        assert_eq!(hunger, Hunger::Said);
        hunger.feel(true, true);
        hunger.feel(false, false);
        let start = Instant::now();
        hunger.starved().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
