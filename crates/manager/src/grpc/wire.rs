//! Rows <-> messages of `manager.v2`.

use crate::clusters::Cluster;
use crate::error::{Error, wire_id};
use crate::members::{self, Identity, schedulers};
use crate::placement::Caller;
use crate::store::Time;
use crate::store::entity::{application, scheduler, seed_peer, seed_peer_cluster};
use dragonfly_api::rest;
use dragonfly_api::{common, manager};
use dragonfly_service::chain;
use serde::Serialize;
use std::net::IpAddr;
use tonic::Status;

/// The most bytes of each text that a peer says about itself.
const MAX_TEXT_BYTES: usize = 4096;

/// An error as a status. A failure of ours is logged here, and its details are not told.
pub(super) fn status(error: Error) -> Status {
    match &error {
        Error::NotFound { .. } => Status::not_found(error.to_string()),
        Error::Exists { .. } => Status::already_exists(error.to_string()),
        Error::Conflict(_) => Status::failed_precondition(error.to_string()),
        Error::Invalid(_) => Status::invalid_argument(error.to_string()),
        Error::Unavailable(_) => Status::unavailable(error.to_string()),
        Error::TooMany { .. } => Status::resource_exhausted(error.to_string()),
        Error::Store(_) => {
            tracing::error!(error = %chain(&error), "a call failed");
            Status::internal(error.to_string())
        }
    }
}

/// An address; empty means that the caller does not say it.
pub(super) fn ip(text: &str) -> Result<Option<IpAddr>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed: Result<IpAddr, _> = text.parse();
    parsed
        .map(|ip| Some(ip.to_canonical()))
        .map_err(|_| Status::invalid_argument(format!("ip can't be {text:?}")))
}

pub(super) fn identity(host_name: String, ip: &str, cluster: u64) -> Result<Identity, Status> {
    Ok(Identity {
        host_name,
        ip: self::ip(ip)?.map(members::ip_text),
        cluster,
    })
}

pub(super) fn caller(request: manager::ListSchedulersRequest) -> Result<Caller, Status> {
    let source = request.source_type();
    let idc = request.idc.unwrap_or_default();
    let location = request.location.unwrap_or_default();
    for (field, text) in [("hostname", &request.hostname), ("idc", &idc), ("location", &location)] {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Status::invalid_argument(format!(
                "{field} is longer than {MAX_TEXT_BYTES} bytes"
            )));
        }
    }
    Ok(Caller {
        is_seed_peer: source == manager::SourceType::SeedPeerSource,
        ip: ip(&request.ip)?,
        host_name: request.hostname,
        idc,
        location,
        pinned: (request.scheduler_cluster_id != 0).then_some(request.scheduler_cluster_id),
    })
}

pub(super) fn scheduler_registration(
    request: manager::UpdateSchedulerRequest,
) -> Result<rest::CreateScheduler, Status> {
    let config = if request.config.is_empty() {
        rest::SchedulerConfig::default()
    } else {
        serde_json::from_slice(&request.config)
            .map_err(|error| Status::invalid_argument(format!("config is no scheduler configuration: {error}")))?
    };
    Ok(rest::CreateScheduler {
        ip: required_ip(&request.ip)?,
        port: port("port", request.port)?,
        host_name: request.hostname,
        scheduler_cluster_id: request.scheduler_cluster_id,
        idc: request.idc.unwrap_or_default(),
        location: request.location.unwrap_or_default(),
        features: request.features,
        config,
    })
}

pub(super) fn seed_peer_registration(request: manager::UpdateSeedPeerRequest) -> Result<rest::CreateSeedPeer, Status> {
    if !["", "super"].contains(&request.r#type.as_str()) {
        return Err(Status::invalid_argument(format!(
            "type can't be {:?}: there is only super",
            request.r#type
        )));
    }
    Ok(rest::CreateSeedPeer {
        ip: required_ip(&request.ip)?,
        port: port("port", request.port)?,
        download_port: port("download_port", request.download_port)?,
        host_name: request.hostname,
        r#type: rest::SeedPeerType::Super,
        seed_peer_cluster_id: request.seed_peer_cluster_id,
        idc: request.idc.unwrap_or_default(),
        location: request.location.unwrap_or_default(),
        object_storage_port: 0,
    })
}

fn required_ip(text: &str) -> Result<IpAddr, Status> {
    ip(text)?.ok_or_else(|| Status::invalid_argument("the request lacks ip"))
}

fn port(field: &str, port: i32) -> Result<u16, Status> {
    u16::try_from(port).map_err(|_| Status::invalid_argument(format!("{field} can't be {port}")))
}

pub(super) fn scheduler(row: scheduler::Model, now: Time) -> manager::Scheduler {
    let scheduler = schedulers::wire(row, now);
    manager::Scheduler {
        id: scheduler.id,
        hostname: scheduler.host_name,
        idc: some(scheduler.idc),
        location: some(scheduler.location),
        ip: scheduler.ip,
        port: i32::from(scheduler.port),
        state: scheduler.state.as_str().to_owned(),
        scheduler_cluster_id: scheduler.scheduler_cluster_id,
        scheduler_cluster: None,
        seed_peers: Vec::new(),
        features: json(&scheduler.features),
    }
}

pub(super) fn scheduler_cluster(cluster: &Cluster) -> manager::SchedulerCluster {
    let row = &cluster.scheduler;
    manager::SchedulerCluster {
        id: wire_id(row.id),
        name: row.name.clone(),
        bio: row.bio.clone(),
        config: json(&row.config.0),
        client_config: json(&row.client_config.0),
        scopes: json(&row.scopes.0),
        seed_client_config: json(&cluster.seed.config.0),
    }
}

pub(super) fn seed_peer_cluster(row: &seed_peer_cluster::Model) -> manager::SeedPeerCluster {
    manager::SeedPeerCluster {
        id: wire_id(row.id),
        name: row.name.clone(),
        bio: row.bio.clone(),
        config: json(&row.config.0),
    }
}

pub(super) fn seed_peer(row: seed_peer::Model, now: Time) -> manager::SeedPeer {
    let kind = row.r#type.clone();
    let seed_peer = members::seed_peers::wire(row, now);
    manager::SeedPeer {
        id: seed_peer.id,
        hostname: seed_peer.host_name,
        r#type: kind,
        idc: some(seed_peer.idc),
        location: some(seed_peer.location),
        ip: seed_peer.ip,
        port: i32::from(seed_peer.port),
        download_port: i32::from(seed_peer.download_port),
        state: seed_peer.state.as_str().to_owned(),
        seed_peer_cluster_id: seed_peer.seed_peer_cluster_id,
        seed_peer_cluster: None,
        schedulers: Vec::new(),
    }
}

pub(super) fn application(row: application::Model) -> manager::Application {
    manager::Application {
        id: wire_id(row.id),
        name: row.name,
        url: row.url,
        bio: row.bio,
        priority: row.priority.map(|priority| manager::ApplicationPriority {
            value: priority_value(priority.0.value),
            urls: priority
                .0
                .urls
                .into_iter()
                .map(|url| manager::UrlPriority {
                    regex: url.regex,
                    value: priority_value(url.value),
                })
                .collect(),
        }),
    }
}

/// A priority that `common.v2` knows, or the lowest.
fn priority_value(value: i32) -> i32 {
    common::Priority::try_from(value).unwrap_or_default().into()
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs, lists and scalars are JSON")
}
