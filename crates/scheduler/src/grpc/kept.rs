//! The calls about kept tasks that are one question and one answer. Both of Dragonfly's families become one thing here.

use super::service::Service;
use crate::kept::{Facts, Keeping, Kept, Key, Peer, Refused, StoredAt, TaskState, View};
use dragonfly_api::common::{self, ObjectStorage};
use dragonfly_api::ext::{self, KeptTask};
use dragonfly_api::scheduler::*;
use dragonfly_api::{Invalid, PeerIds, duration, timestamp};
use dragonfly_model::{HostId, PeerId, TaskId};
use std::time::Duration;
use tonic::Status;

/// For how long a task may be kept, as in Dragonfly.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(300)..=Duration::from_secs(7 * 24 * 3600);
/// How many replicas a task may have.
const MAX_REPLICAS: u64 = 1000;

/// A request's ids, and the task that they name.
fn ids(keeping: Keeping, host: &str, task: &str, peer: &str) -> Result<(Key, (HostId, PeerId)), Invalid> {
    let ids = PeerIds::parse(host, task, peer)?;
    let key = Key { keeping, id: ids.task };
    Ok((key, (ids.host, ids.peer)))
}

fn key(keeping: Keeping, task: &str) -> Result<Key, Invalid> {
    let id = TaskId::parse(task)?;
    Ok(Key { keeping, id })
}

impl Service {
    pub(super) fn begin_cached(&self, request: UploadPersistentCacheTaskStartedRequest) -> Result<(), Status> {
        let keeping = Keeping::PersistentCache;
        let (key, who) = ids(keeping, &request.host_id, &request.task_id, &request.peer_id)?;
        let facts = Facts {
            replicas: replicas(request.persistent_replica_count)?,
            tag: request.tag,
            application: request.application,
            piece_length: request.piece_length,
            content_length: request.content_length,
            piece_count: request.piece_count,
            ttl: ttl(request.ttl)?,
            store: None,
        };
        Ok(self.grpc.kept.begin(key, who, facts, None)?)
    }

    pub(super) fn begin_stored(&self, request: UploadPersistentTaskStartedRequest) -> Result<(), Status> {
        let keeping = Keeping::Persistent;
        let (key, who) = ids(keeping, &request.host_id, &request.task_id, &request.peer_id)?;
        let opening = request.object_storage.unwrap_or_default();
        let facts = Facts {
            replicas: replicas(request.persistent_replica_count)?,
            tag: None,
            application: None,
            piece_length: 0,
            content_length: request.content_length,
            piece_count: request.piece_count,
            ttl: ttl(request.ttl)?,
            store: Some(stored_at(request.url, &opening)),
        };
        Ok(self.grpc.kept.begin(key, who, facts, Some(opening))?)
    }

    /// `ids` are those of the host, the task and the peer.
    pub(super) fn end_upload(
        &self,
        keeping: Keeping,
        [host, task, peer]: [&str; 3],
        state: TaskState,
    ) -> Result<View, Status> {
        let (key, (_, peer)) = ids(keeping, host, task, peer)?;
        Ok(self.grpc.kept.end(&key, &peer, state)?)
    }

    pub(super) fn kept_task(&self, keeping: Keeping, task: &str) -> Result<View, Status> {
        Ok(self.grpc.kept.view(&key(keeping, task)?)?)
    }

    pub(super) async fn drop_kept(&self, keeping: Keeping, task: &str) -> Result<(), Status> {
        let told = self.grpc.keeper.drop(&key(keeping, task)?).await?;
        for (host, told) in told {
            if let Err(failure) = told {
                tracing::warn!(host.id = host.id, error = %failure, "a host was not told to drop a task; it does when the task's time is over");
            }
        }
        Ok(())
    }

    pub(super) fn kept_peer(&self, keeping: Keeping, [host, task, peer]: [&str; 3]) -> Result<(View, Peer), Status> {
        let (key, (_, peer)) = ids(keeping, host, task, peer)?;
        Ok(self.grpc.kept.peer(&key, peer)?)
    }

    pub(super) fn drop_kept_peer(&self, keeping: Keeping, [host, task, peer]: [&str; 3]) -> Result<(), Status> {
        let (key, (_, peer)) = ids(keeping, host, task, peer)?;
        match self.grpc.kept.leave(&key, &peer) {
            Err(Refused::NoTask(_)) | Ok(()) => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }
}

fn replicas(count: u64) -> Result<u64, Invalid> {
    match count {
        1..=MAX_REPLICAS => Ok(count),
        _ => Err(Invalid::Value {
            field: "persistent_replica_count",
            value: count.to_string(),
        }),
    }
}

fn ttl(ttl: Option<prost_types::Duration>) -> Result<Duration, Invalid> {
    let given = ttl.ok_or(Invalid::Missing("ttl"))?;
    let ttl = Duration::try_from(given).ok().filter(|ttl| TTL.contains(ttl));
    ttl.ok_or_else(|| Invalid::Value {
        field: "ttl",
        value: format!("{} s; it is kept for 5 minutes to 7 days", given.seconds),
    })
}

fn stored_at(url: String, opening: &ObjectStorage) -> StoredAt {
    StoredAt {
        url,
        region: opening.region.clone(),
        endpoint: opening.endpoint.clone(),
    }
}

/// Peers of a task that the manager is told of.
const MAX_TOLD: usize = 200;

/// A task in the words of the manager's extension.
pub(crate) fn told_task(kept: &Kept, view: &View) -> KeptTask {
    let peers = kept.peers(view).take(MAX_TOLD);
    KeptTask {
        keeping: ext::Keeping::from(view.key.keeping).into(),
        task: Some(cached_task(view)),
        peers: peers.map(peer_words).collect(),
    }
}

pub(super) fn cached_task(view: &View) -> common::PersistentCacheTask {
    let (facts, (kept, held)) = (&view.task.facts, view.counts);
    common::PersistentCacheTask {
        id: view.key.id.to_string(),
        persistent_replica_count: facts.replicas,
        current_persistent_replica_count: kept,
        current_replica_count: held,
        tag: facts.tag.clone(),
        application: facts.application.clone(),
        piece_length: facts.piece_length,
        content_length: facts.content_length,
        piece_count: facts.piece_count,
        state: view.task.state.name().to_owned(),
        ttl: Some(duration(facts.ttl)),
        created_at: Some(timestamp(view.task.created_at)),
        updated_at: Some(timestamp(view.task.updated_at)),
    }
}

pub(super) fn stored_task(view: &View) -> common::PersistentTask {
    let task = cached_task(view);
    common::PersistentTask {
        id: task.id,
        persistent_replica_count: task.persistent_replica_count,
        current_persistent_replica_count: task.current_persistent_replica_count,
        current_replica_count: task.current_replica_count,
        content_length: task.content_length,
        piece_count: task.piece_count,
        state: task.state,
        ttl: task.ttl,
        created_at: task.created_at,
        updated_at: task.updated_at,
    }
}

pub(super) fn cached_peer(view: &View, peer: Peer) -> common::PersistentCachePeer {
    common::PersistentCachePeer {
        task: Some(cached_task(view)),
        ..peer_words(peer)
    }
}

pub(super) fn stored_peer(view: &View, peer: Peer) -> common::PersistentPeer {
    let peer = peer_words(peer);
    common::PersistentPeer {
        id: peer.id,
        persistent: peer.persistent,
        cost: peer.cost,
        state: peer.state,
        task: Some(stored_task(view)),
        host: peer.host,
        created_at: peer.created_at,
        updated_at: peer.updated_at,
        concurrent_piece_count: peer.concurrent_piece_count,
    }
}

/// Without the task.
fn peer_words(peer: Peer) -> common::PersistentCachePeer {
    let replica = peer.replica;
    let cost = replica
        .updated_at
        .duration_since(replica.created_at)
        .unwrap_or_default();
    common::PersistentCachePeer {
        id: peer.id.to_string(),
        persistent: replica.persistent,
        cost: Some(duration(cost)),
        state: replica.state.name().to_owned(),
        task: None,
        host: peer.host.map(|host| (*host).clone()),
        created_at: Some(timestamp(replica.created_at)),
        updated_at: Some(timestamp(replica.updated_at)),
        concurrent_piece_count: 0,
    }
}
