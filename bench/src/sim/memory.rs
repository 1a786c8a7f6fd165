//! What a simulation leaves in the scheduler's memory.

use super::world::{World, download_key};
use crate::MEMORY;
use dragonfly_scheduling::{Event, Graph};
use std::fmt;

/// Bytes that the judgement keeps.
pub(super) struct Memory {
    /// For each host that is known.
    host: f64,
    /// For each peer that is known, beside its host's.
    peer: f64,
}

impl Memory {
    /// Found by letting go: of everything but the graph, so that nothing is shared with it; then of all peers in it; then of
    /// the rest.
    pub(super) fn of(world: World) -> Self {
        let now = world.clock();
        let (mut graph, tasks) = graph_alone(world);
        let counts = graph.counts();
        let all = MEMORY.current_usage();
        for (number, task) in tasks.iter().enumerate() {
            let peer = download_key(*task, number as u32);
            graph.apply(Event::PeerDeleted { peer }, now);
        }
        let hosts = MEMORY.current_usage();
        drop(graph);
        let nothing = MEMORY.current_usage();
        let each = |more: usize, less: usize, count: usize| (more as f64 - less as f64) / count.max(1) as f64;
        Self {
            host: each(hosts, nothing, counts.hosts),
            peer: each(all, hosts, counts.peers),
        }
    }
}

/// The graph, and the tasks of all downloads.
fn graph_alone(world: World) -> (Graph, Vec<u32>) {
    let tasks = world.downloads.iter().map(|download| download.task).collect();
    (world.graph, tasks)
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its scheduler keeps {:.0} bytes per host and {:.0} per peer",
            self.host, self.peer
        )
    }
}
