//! Why a task's peers have the parents that they have.

use crate::brain::{Brain, Traced, TracedPeers};
use dragonfly_api::ext::{TraceRequest, TraceResponse, TracedPeer, WeighedPeer};
use dragonfly_api::{Invalid, duration};
use dragonfly_model::{PeerId, TaskId};
use dragonfly_scheduling::{Explained, Parked, PeerView, Weighed};
use dragonfly_service::metrics::Call;
use std::time::Duration;
use tonic::Status;

/// Tells how the graph judges. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Tracing {
    pub(super) brain: Brain,
    pub(super) calls: Call,
}

impl Tracing {
    pub(super) async fn tell(&self, request: TraceRequest) -> Result<TraceResponse, Status> {
        self.calls.count(self.told(request).await)
    }

    async fn told(&self, request: TraceRequest) -> Result<TraceResponse, Status> {
        let task = TaskId::parse(&request.task_id).map_err(Invalid::from)?;
        let peer = request.peer_id.as_deref().map(PeerId::parse).transpose();
        let peer = peer.map_err(Invalid::from)?;
        let what = match &peer {
            None => format!("no task {task}"),
            Some(peer) => format!("no peer {peer} of the task {task}"),
        };
        let traced = self.brain.trace(task, peer).await?;
        Ok(response(traced.ok_or_else(|| Status::not_found(what))?))
    }
}

fn response(traced: Traced) -> TraceResponse {
    let (view, now) = (traced.view, traced.now);
    let (peers, one) = match traced.peers {
        TracedPeers::All(peers) => (peers, None),
        TracedPeers::One(peer, explained) => (vec![(peer, explained.view.clone())], Some(explained)),
    };
    let one = one.as_deref();
    let waits = one.and_then(|one: &Explained| one.waits);
    TraceResponse {
        content_length: view.content.length,
        piece_count: view.content.pieces,
        peer_count: count(view.peers),
        waiting_count: count(view.waiting),
        holder_count: count(view.holders),
        peers: peers.into_iter().map(|(id, view)| peer(&id, view)).collect(),
        weighed: one.map_or_else(Vec::new, |one| {
            one.weighed.iter().map(|one| weighed(one, now)).collect()
        }),
        waits_for: waits.map(|parked| parked.map_or("nobody", Parked::label).to_owned()),
    }
}

fn weighed(weighed: &Weighed, now: Duration) -> WeighedPeer {
    WeighedPeer {
        peer: Some(peer(&weighed.peer, weighed.view.clone())),
        score: weighed.score,
        slow: weighed.slow,
        goodput: weighed.goodput,
        verdict: weighed.verdict.label().to_owned(),
        again_in: weighed.until.map(|until| duration(until.saturating_sub(now))),
    }
}

fn peer(id: &PeerId, view: PeerView) -> TracedPeer {
    TracedPeer {
        peer_id: id.to_string(),
        host_id: view.host.to_string(),
        state: view.stage.name().to_owned(),
        pieces: view.pieces,
        parent_ids: view.parents.iter().map(ToString::to_string).collect(),
        children: count(view.children),
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
