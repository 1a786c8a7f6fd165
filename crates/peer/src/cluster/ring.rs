//! Which scheduler is responsible for a task: the same answer on every peer, upstream's included.

use dragonfly_model::TaskId;
use hashring::HashRing;
use std::net::SocketAddr;

/// Characters of the task id that decide.
const PREFIX: usize = 5;

/// The schedulers of one cluster on a hash ring: one point each, keyed by the first characters of the task id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ring(HashRing<SocketAddr>);

impl Ring {
    pub(crate) fn new(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut ring = HashRing::new();
        ring.batch_add(addrs.into_iter().collect());
        Self(ring)
    }

    /// All schedulers, the responsible one first, then those that take over for it.
    pub(crate) fn order(&self, task: &TaskId) -> Vec<SocketAddr> {
        // A `String`'s hash is its text's; `TaskId` guarantees that there are so many characters.
        let key = &task.as_str()[..PREFIX];
        let others = self.0.len().saturating_sub(1);
        self.0.get_with_replicas(&key, others).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(start: &str) -> TaskId {
        TaskId::parse(&format!("{start:0<64}")).unwrap()
    }

    fn addrs(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|n| SocketAddr::from(([10, 0, 0, n], 8002))).collect()
    }

    #[test]
    fn the_order_starts_with_the_rings_own_choice_and_names_each_once() {
        let all = addrs(5);
        let ring = Ring::new(all.clone());
        for start in ["00000", "abcde", "f00d1", "12345"] {
            let order = ring.order(&task(start));
            // How upstream's peers ask the same ring.
            assert_eq!(order.first(), ring.0.get(&start.to_owned()));
            let mut named = order.clone();
            named.sort();
            assert_eq!(named, all);
        }
    }

    #[test]
    fn one_scheduler_is_responsible_for_all_and_none_for_nothing() {
        assert_eq!(Ring::new(addrs(1)).order(&task("abc")), addrs(1));
        assert!(Ring::default().order(&task("abc")).is_empty());
    }

    #[test]
    fn losing_a_scheduler_moves_only_its_tasks() {
        let all = addrs(4);
        let before = Ring::new(all.clone());
        let after = Ring::new(all[1..].to_vec());
        for n in 0..64 {
            let task = task(&format!("{n:05x}"));
            let order = before.order(&task);
            if order[0] != all[0] {
                assert_eq!(after.order(&task)[0], order[0]);
            } else {
                assert_eq!(after.order(&task)[0], order[1]);
            }
        }
    }
}
