//! Decisions as messages. A parent is described by what a child needs of it and no more: nobody learns from it with which
//! headers somebody else asked.

use crate::hosts::Hosts;
use dragonfly_api::common::{Host, Network, Peer, SizeScope, Task};
use dragonfly_api::scheduler::NormalTaskResponse;
use dragonfly_api::{duration, timestamp};
use dragonfly_model::{PieceLayout, TaskId};
use dragonfly_scheduling::{Candidate, Content, Refusal, TaskView};
use std::time::{Duration, SystemTime};
use tonic::Status;
use tonic::metadata::MetadataValue;

/// When a peer that was sent away for lack of parents should come again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// The parents of a child. Some fields are there only because Dragonfly's own scheduler, to which a peer may repeat
/// them, wants them filled.
pub(super) fn parents(task: &TaskId, content: Content, parents: &[Candidate], hosts: &Hosts) -> NormalTaskResponse {
    let now = timestamp(SystemTime::now());
    let described = parents.iter().filter_map(|parent| {
        Some(Peer {
            id: parent.peer.to_string(),
            state: parent.stage.name().to_owned(),
            task: Some(stub(task, content)),
            host: Some(address(&*hosts.get(&parent.host)?)),
            cost: Some(duration(Duration::ZERO)),
            created_at: Some(now),
            updated_at: Some(now),
            ..Default::default()
        })
    });
    NormalTaskResponse {
        candidate_parents: described.collect(),
    }
}

/// A task by its id and its size.
pub(super) fn stub(task: &TaskId, content: Content) -> Task {
    let scope = content
        .length
        .map(|length| SizeScope::from(PieceLayout::for_content(length).size_scope()));
    Task {
        id: task.to_string(),
        content_length: content.length.unwrap_or(0),
        piece_count: content.pieces.unwrap_or(0),
        size_scope: scope.unwrap_or(SizeScope::Normal).into(),
        ..Default::default()
    }
}

/// A host by its name, address and network.
fn address(host: &Host) -> Host {
    Host {
        id: host.id.clone(),
        r#type: host.r#type,
        hostname: host.hostname.clone(),
        name: host.name.clone(),
        ip: host.ip.clone(),
        port: host.port,
        download_port: host.download_port,
        network: host.network.clone().map(|network| Network {
            tcp_connection_count: 0,
            upload_tcp_connection_count: 0,
            ..network
        }),
        scheduler_cluster_id: host.scheduler_cluster_id,
        ..Default::default()
    }
}

/// What a peer that is sent away is told.
pub(super) fn refusal(reason: Refusal) -> Status {
    match reason {
        Refusal::Forbidden => Status::permission_denied("the priority of this download forbids it"),
        Refusal::NotFound => {
            Status::not_found("no peer has the content, and the priority of this download allows nothing else")
        }
        Refusal::NoSource => {
            Status::failed_precondition("no peer has the content, and this download may not go to the origin")
        }
        Refusal::Exhausted => {
            let mut status = Status::resource_exhausted("no parent got free in time");
            let millis = MetadataValue::from(u64::try_from(COME_AGAIN.as_millis()).unwrap_or(u64::MAX));
            status.metadata_mut().insert("grpc-retry-pushback-ms", millis);
            status
        }
        Refusal::Silent => Status::deadline_exceeded("nothing was heard of this download for too long"),
        Refusal::Deleted => Status::aborted("the peer or its host was deleted"),
    }
}

/// The state of a task in the words of Dragonfly's protocol.
pub(crate) fn task_state(view: &TaskView) -> &'static str {
    match (view.holders, view.peers) {
        (0, 0) => "Pending",
        (0, _) => "Running",
        _ => "Succeeded",
    }
}
