//! Which seed peer fetches a task first, second, …: rendezvous hashing, so that the order for a task changes only where
//! a seed peer came or went.

use dragonfly_model::{HostId, TaskId};
use sha2::{Digest as _, Sha256};

/// How much a seed peer is meant for a task; the greatest goes first.
pub fn weight(task: &TaskId, seed: &HostId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(task.as_str());
    hash.update([0]);
    hash.update(seed.as_str());
    let digest = hash.finalize();
    u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 is longer than 8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn first(task: &TaskId, seeds: &[HostId]) -> HostId {
        seeds.iter().max_by_key(|seed| weight(task, seed)).unwrap().clone()
    }

    #[test]
    fn tasks_spread_over_seed_peers_and_stay_when_another_goes() {
        let seeds: Vec<HostId> = (0..4)
            .map(|n| format!("10.0.0.{n}-s{n}-seed").parse().unwrap())
            .collect();
        let tasks: Vec<TaskId> = (0..400).map(|n| format!("{n:064x}").parse().unwrap()).collect();
        let mut shares: BTreeMap<HostId, usize> = BTreeMap::new();
        for task in &tasks {
            let chosen = first(task, &seeds);
            if chosen != seeds[3] {
                assert_eq!(first(task, &seeds[..3]), chosen);
            }
            *shares.entry(chosen).or_default() += 1;
        }
        assert!(
            shares.len() == 4 && shares.values().all(|&n| (60..140).contains(&n)),
            "{shares:?}"
        );
    }
}
