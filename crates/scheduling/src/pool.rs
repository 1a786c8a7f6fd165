//! The peers of a task that may be parents, by data centre, and within one in an order that is as good as random. So a
//! walk from a random place is a fair sample, however long the pool is.

use dragonfly_model::PeerId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A peer's place: its data centre and its salt, which no other peer has.
pub(crate) type Spot = (Arc<str>, u64);

#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_idc: BTreeMap<Arc<str>, BTreeMap<u64, PeerId>>,
    len: usize,
}

impl Pool {
    pub(crate) fn insert(&mut self, spot: &Spot, peer: PeerId) {
        let new = self
            .by_idc
            .entry(spot.0.clone())
            .or_default()
            .insert(spot.1, peer)
            .is_none();
        self.len += usize::from(new);
    }

    pub(crate) fn remove(&mut self, spot: &Spot) {
        let Some(bucket) = self.by_idc.get_mut(&spot.0) else {
            return;
        };
        self.len -= usize::from(bucket.remove(&spot.1).is_some());
        if bucket.is_empty() {
            self.by_idc.remove(&spot.0);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The peers of one data centre, each once, from the salt `start` on and around.
    pub(crate) fn within(&self, idc: &str, start: u64) -> impl Iterator<Item = &PeerId> {
        self.by_idc
            .get(idc)
            .into_iter()
            .flat_map(move |bucket| around(bucket, start))
    }

    /// The peers of all other data centres, each once.
    pub(crate) fn outside(&self, idc: &str, start: u64) -> impl Iterator<Item = &PeerId> {
        let skip = start as usize % self.by_idc.len().max(1);
        let buckets = self.by_idc.iter().skip(skip).chain(self.by_idc.iter().take(skip));
        buckets
            .filter(move |(other, _)| other.as_ref() != idc)
            .flat_map(move |(_, bucket)| around(bucket, start))
    }
}

fn around(bucket: &BTreeMap<u64, PeerId>, start: u64) -> impl Iterator<Item = &PeerId> {
    bucket.range(start..).chain(bucket.range(..start)).map(|(_, peer)| peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_walk_meets_every_peer_once() {
        let mut pool = Pool::default();
        let spot = |idc: &str, salt| (Arc::from(idc), salt);
        for n in 0..30u64 {
            let idc = ["a", "b", "c"][n as usize % 3];
            pool.insert(&spot(idc, n * 1_000), format!("p{n}").parse().unwrap());
        }
        for start in [0, 14_500, u64::MAX] {
            let mine: Vec<_> = pool.within("b", start).collect();
            let others: Vec<_> = pool.outside("b", start).collect();
            assert_eq!((mine.len(), others.len()), (10, 20));
            assert_eq!(mine.into_iter().chain(others).collect::<BTreeSet<_>>().len(), 30);
        }
        pool.remove(&spot("b", 1_000));
        pool.remove(&spot("b", 1_000));
        assert_eq!(
            (pool.len(), pool.within("b", 0).count(), pool.within("x", 0).count()),
            (29, 9, 0)
        );
    }
}
