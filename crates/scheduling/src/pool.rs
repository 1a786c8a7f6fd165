//! The peers of a task that may be parents: by how much room they have for another child, by data centre, and within one
//! in an order that is as good as random. So a walk from a random place is a fair sample, however long the pool is, and
//! meets nobody who has no room.

use dragonfly_model::PeerId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much room a possible parent has for one child more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// It has few children.
    Free,
    /// It has as many as it should, and its host has slots.
    Crowded,
    /// Its host has no slot, or is shunned.
    Closed,
}

/// A peer's place in the pool. No other peer has its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) room: Room,
    pub(crate) idc: Arc<str>,
    pub(crate) salt: u64,
}

type Tier = BTreeMap<Arc<str>, BTreeMap<u64, PeerId>>;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    tiers: [Tier; 3],
    len: usize,
}

impl Pool {
    pub(crate) fn insert(&mut self, place: &Place, peer: PeerId) {
        let bucket = self.tier_mut(place.room).entry(place.idc.clone()).or_default();
        let new = bucket.insert(place.salt, peer).is_none();
        self.len += usize::from(new);
    }

    pub(crate) fn remove(&mut self, place: &Place) {
        let tier = self.tier_mut(place.room);
        let Some(bucket) = tier.get_mut(&place.idc) else {
            return;
        };
        let removed = bucket.remove(&place.salt).is_some();
        if bucket.is_empty() {
            tier.remove(&place.idc);
        }
        self.len -= usize::from(removed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The peers of one data centre with this much room, each once, from the salt `start` on and around.
    pub(crate) fn within(&self, room: Room, idc: &str, start: u64) -> impl Iterator<Item = &PeerId> {
        let bucket = self.tier(room).get(idc).into_iter();
        bucket.flat_map(move |bucket| around(bucket, start))
    }

    /// The peers of all other data centres with this much room, each once.
    pub(crate) fn outside(&self, room: Room, idc: &str, start: u64) -> impl Iterator<Item = &PeerId> {
        let tier = self.tier(room);
        let skip = start as usize % tier.len().max(1);
        let buckets = tier.iter().skip(skip).chain(tier.iter().take(skip));
        buckets
            .filter(move |(other, _)| other.as_ref() != idc)
            .flat_map(move |(_, bucket)| around(bucket, start))
    }

    /// The peers with this much room, each once.
    pub(crate) fn with(&self, room: Room) -> impl Iterator<Item = &PeerId> {
        self.tier(room).values().flat_map(BTreeMap::values)
    }

    fn tier(&self, room: Room) -> &Tier {
        &self.tiers[room as usize]
    }

    fn tier_mut(&mut self, room: Room) -> &mut Tier {
        &mut self.tiers[room as usize]
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
    fn every_walk_meets_every_peer_with_its_room_once() {
        let mut pool = Pool::default();
        let place = |room, idc: &str, salt| Place {
            room,
            idc: idc.into(),
            salt,
        };
        for n in 0..30u64 {
            let idc = ["a", "b", "c"][n as usize % 3];
            pool.insert(&place(Room::Free, idc, n * 1_000), format!("p{n}").parse().unwrap());
        }
        pool.insert(&place(Room::Crowded, "b", 500), "crowded".parse().unwrap());
        for start in [0, 14_500, u64::MAX] {
            let mine: Vec<_> = pool.within(Room::Free, "b", start).collect();
            let others: Vec<_> = pool.outside(Room::Free, "b", start).collect();
            assert_eq!((mine.len(), others.len()), (10, 20));
            assert_eq!(mine.into_iter().chain(others).collect::<BTreeSet<_>>().len(), 30);
        }
        pool.remove(&place(Room::Free, "b", 1_000));
        pool.remove(&place(Room::Free, "b", 1_000));
        pool.remove(&place(Room::Free, "b", 500));
        assert_eq!((pool.len(), pool.with(Room::Crowded).count()), (30, 1));
        assert_eq!(pool.within(Room::Free, "b", 0).count(), 9);
        assert_eq!(pool.within(Room::Free, "x", 0).count(), 0);
    }
}
