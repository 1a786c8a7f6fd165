//! What can be seen of the graph from outside.

use super::Graph;
use crate::peer::Peer;
use crate::{Content, PeerKey, Stage};
use dragonfly_model::{HostId, PeerId, TaskId};
use std::time::Duration;

/// A task as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// What is known of the content.
    pub content: Content,
    /// How many peers want or have it.
    pub peers: usize,
    /// How many of them wait.
    pub waiting: usize,
    /// How many have all that they wanted.
    pub holders: usize,
    /// Whether a peer could be a parent now.
    pub has_available_peer: bool,
    /// When it was first heard of, counted from the start of the graph.
    pub created: Duration,
    /// When a peer last came or went.
    pub updated: Duration,
}

/// A peer as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Where it runs.
    pub host: HostId,
    /// What it does.
    pub stage: Stage,
    /// How many pieces it reported.
    pub pieces: u32,
    /// From whom it fetches.
    pub parents: Vec<PeerId>,
    /// How many fetch from it.
    pub children: usize,
    /// When it registered, counted from the start of the graph.
    pub created: Duration,
    /// Its last sign of life.
    pub updated: Duration,
}

/// A host as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostView {
    /// How many children fetch from it.
    pub uploads: usize,
    /// How many peers it has, of all tasks.
    pub peers: usize,
    /// Bytes per second that children measured.
    pub goodput: Option<f64>,
}

/// How much the graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Announced hosts.
    pub hosts: usize,
    /// Tasks.
    pub tasks: usize,
    /// Peers of all tasks.
    pub peers: usize,
    /// Waiting children of all tasks.
    pub waiting: usize,
}

impl PeerView {
    pub(super) fn of(peer: &Peer) -> Self {
        Self {
            host: peer.host.clone(),
            stage: peer.stage(),
            pieces: peer.have.len(),
            parents: peer.parents.iter().map(|(id, _)| id.clone()).collect(),
            children: peer.children.len(),
            created: peer.created,
            updated: peer.active,
        }
    }
}

impl Graph {
    /// Looks at a task.
    pub fn task(&self, id: &TaskId) -> Option<TaskView> {
        let task = self.tasks.get(id)?;
        let holders = task
            .peers
            .values()
            .filter(|peer| peer.stage() == Stage::Holding)
            .count();
        Some(TaskView {
            content: task.content,
            peers: task.peers.len(),
            waiting: task.waiting.len(),
            holders,
            has_available_peer: !task.pool.is_empty(),
            created: task.created,
            updated: task.updated,
        })
    }

    /// What is known of a task's content.
    pub fn content(&self, id: &TaskId) -> Option<Content> {
        self.tasks.get(id).map(|task| task.content)
    }

    /// Looks at a peer.
    pub fn peer_view(&self, key: &PeerKey) -> Option<PeerView> {
        self.peer(key).map(PeerView::of)
    }

    /// Looks at an announced host.
    pub fn host(&self, id: &HostId) -> Option<HostView> {
        let host = self.hosts.get(id).filter(|host| host.facts().is_some())?;
        Some(HostView {
            uploads: host.uploads,
            peers: host.peers().count(),
            goodput: host.goodput(),
        })
    }

    /// Counts everything.
    pub fn counts(&self) -> Counts {
        let waiting = self.hungry.iter().filter_map(|id| self.tasks.get(id));
        Counts {
            hosts: self.host_count,
            tasks: self.tasks.len(),
            peers: self.peer_count,
            waiting: waiting.map(|task| task.waiting.len()).sum(),
        }
    }
}
