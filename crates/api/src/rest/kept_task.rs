//! Tasks that are kept with replicas, as the schedulers of their cluster report them.

use crate::{common, ext, timestamp_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use utoipa::{IntoParams, ToSchema};

/// A task that is kept with replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptTask {
    /// Its id.
    pub id: String,
    /// How many peers shall keep it.
    pub persistent_replica_count: u64,
    /// How many peers keep it.
    pub current_persistent_replica_count: u64,
    /// How many peers have it, those included that may drop it.
    pub current_replica_count: u64,
    /// A word of whoever put it in, or empty.
    pub tag: String,
    /// Its application, or empty.
    pub application: String,
    /// Bytes of a piece.
    pub piece_length: u64,
    /// Bytes in all.
    pub content_length: u64,
    /// Its pieces.
    pub total_piece_count: u32,
    /// How far it is: `Pending`, `Uploading`, `Succeeded` or `Failed`.
    pub state: String,
    /// Nanoseconds for which it is kept.
    pub ttl: u64,
    /// Its cluster.
    pub scheduler_cluster_id: u64,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Who has it: 200 at most, those first that keep it.
    pub peers: Vec<KeptTaskPeer>,
}

/// A peer that has a kept task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptTaskPeer {
    /// Its id.
    pub id: String,
    /// Whether it keeps the task, and does not drop it when room is needed.
    pub persistent: bool,
    /// How far it is.
    pub state: String,
    /// Nanoseconds that it took.
    pub cost: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Where it is.
    pub host: KeptTaskHost,
}

/// The host of a peer that has a kept task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptTaskHost {
    /// Its id.
    pub id: String,
    /// `super` for a seed peer, else `normal`.
    pub r#type: super::PeerType,
    /// Its name.
    pub hostname: String,
    /// Where it is reached.
    pub ip: String,
    /// Its gRPC port.
    pub port: i32,
    /// Its port for pieces.
    pub download_port: i32,
    /// Whether it gives nothing to others.
    pub disable_shared: bool,
    /// Its operating system.
    pub os: String,
    /// Its platform.
    pub platform: String,
    /// Its platform's family.
    pub platform_family: String,
    /// Its platform's version.
    pub platform_version: String,
    /// Its kernel's version.
    pub kernel_version: String,
}

/// Whose kept tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeptTaskFilter {
    /// Of this cluster.
    pub scheduler_cluster_id: u64,
}

impl KeptTask {
    /// What a scheduler of this cluster says, in REST's words; nothing if it leaves the task itself out.
    pub fn told(cluster: u64, kept: ext::KeptTask) -> Option<Self> {
        let task = kept.task?;
        Some(Self {
            id: task.id,
            persistent_replica_count: task.persistent_replica_count,
            current_persistent_replica_count: task.current_persistent_replica_count,
            current_replica_count: task.current_replica_count,
            tag: task.tag.unwrap_or_default(),
            application: task.application.unwrap_or_default(),
            piece_length: task.piece_length,
            content_length: task.content_length,
            total_piece_count: task.piece_count,
            state: task.state,
            ttl: nanoseconds(task.ttl),
            scheduler_cluster_id: cluster,
            created_at: time(task.created_at),
            updated_at: time(task.updated_at),
            peers: kept.peers.into_iter().map(peer).collect(),
        })
    }
}

fn peer(peer: common::PersistentCachePeer) -> KeptTaskPeer {
    let host = peer.host.unwrap_or_default();
    KeptTaskPeer {
        id: peer.id,
        persistent: peer.persistent,
        state: peer.state,
        cost: nanoseconds(peer.cost),
        created_at: time(peer.created_at),
        updated_at: time(peer.updated_at),
        host: KeptTaskHost {
            id: host.id,
            r#type: match host.r#type {
                0 => super::PeerType::Normal,
                _ => super::PeerType::Super,
            },
            hostname: host.hostname,
            ip: host.ip,
            port: host.port,
            download_port: host.download_port,
            disable_shared: host.disable_shared,
            os: host.os,
            platform: host.platform,
            platform_family: host.platform_family,
            platform_version: host.platform_version,
            kernel_version: host.kernel_version,
        },
    }
}

/// None, and what is negative, is zero.
fn nanoseconds(duration: Option<prost_types::Duration>) -> u64 {
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration.map_or(0, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// None is the beginning of time.
fn time(timestamp: Option<prost_types::Timestamp>) -> Timestamp {
    let time = timestamp.as_ref().map_or(SystemTime::UNIX_EPOCH, timestamp_of);
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
