//! How many downloads fetch from each origin. An origin is asked by at most [`Config::origin_budget`](crate::Config)
//! downloads of the whole cluster; who waits for its turn waits in the order of tasks, and is woken one at a time.

use super::Graph;
use crate::{OriginId, PeerKey};
use dragonfly_model::TaskId;
use std::collections::BTreeSet;

/// One origin that is asked, or that somebody would ask.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// Downloads that fetch from it, or may.
    pub(super) roots: usize,
    /// Tasks with a child that waits for its turn.
    waiting: BTreeSet<TaskId>,
}

impl Graph {
    pub(super) fn enter_origin(&mut self, origin: Option<OriginId>) {
        if let Some(origin) = origin {
            self.origins.entry(origin).or_default().roots += 1;
        }
    }

    pub(super) fn leave_origin(&mut self, origin: Option<OriginId>) {
        let Some((origin, used)) = origin.and_then(|origin| Some((origin, self.origins.get_mut(&origin)?))) else {
            return;
        };
        used.roots -= 1;
        if !used.waiting.is_empty() {
            self.changed.origins.insert(origin);
        } else if used.roots == 0 {
            self.origins.remove(&origin);
        }
    }

    /// Whether one more download may ask the origin. If not, the task is woken when one of them is through.
    pub(super) fn origin_has_room(&mut self, key: &PeerKey, origin: Option<OriginId>) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        let budget = self.config.origin_budget;
        let used = self.origins.entry(origin).or_default();
        if used.roots < budget {
            return true;
        }
        used.waiting.insert(key.task.clone());
        false
    }

    /// Wakes the next task that waits for an origin, if there is room; the one after it when it turned out that this one
    /// took no room.
    pub(super) fn wake_for_origin(&mut self, origin: OriginId) {
        let budget = self.config.origin_budget;
        let Some(used) = self.origins.get_mut(&origin) else {
            return;
        };
        if used.roots < budget
            && let Some(task) = used.waiting.pop_first()
        {
            self.changed.unsettled.insert(task);
            self.changed.origins.insert(origin);
        } else if used.roots == 0 && used.waiting.is_empty() {
            self.origins.remove(&origin);
        }
    }
}
