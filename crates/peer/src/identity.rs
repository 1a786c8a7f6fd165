//! Who this peer is: the ids and addresses under which managers, schedulers and other peers know it.

use crate::config::Config;
use dragonfly_api::manager::{ListSchedulersRequest, SourceType};
use dragonfly_model::{HostId, HostKind, PeerId};
use dragonfly_service::net;
use std::net::{IpAddr, SocketAddr};

/// This host, as it announces itself. Fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `<ip>-<hostname>`, with `-seed` behind it for a seed peer.
    pub host_id: HostId,
    /// The address that others reach this host by.
    pub ip: IpAddr,
    /// This host's name.
    pub hostname: String,
    /// Normal or seed.
    pub kind: HostKind,
    /// Data centre.
    pub idc: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// The cluster this host is pinned to; 0 for none.
    pub scheduler_cluster_id: u64,
}

impl Identity {
    /// Resolves name and address. Without a configured address it is the source of the route to the manager, else to
    /// the first scheduler.
    pub async fn resolve(config: &Config) -> Self {
        let ip = match config.host.ip {
            Some(ip) => ip,
            None => net::advertised_ip(&remotes(config).await),
        };
        let hostname = config.host.hostname.clone().unwrap_or_else(net::hostname);
        let kind = if config.seed.is_some() {
            HostKind::Seed
        } else {
            HostKind::Normal
        };
        Self {
            host_id: HostId::of(ip, &hostname, kind.is_seed()),
            ip,
            hostname,
            kind,
            idc: config.host.idc.clone(),
            location: config.host.location.clone(),
            scheduler_cluster_id: config.host.scheduler_cluster_id,
        }
    }

    /// As whom it speaks to the manager.
    pub(crate) fn source_type(&self) -> SourceType {
        match self.kind.is_seed() {
            true => SourceType::SeedPeerSource,
            false => SourceType::PeerSource,
        }
    }

    /// How it asks the manager for its cluster's schedulers.
    pub fn schedulers_request(&self) -> ListSchedulersRequest {
        ListSchedulersRequest {
            source_type: self.source_type().into(),
            hostname: self.hostname.clone(),
            ip: self.ip.to_string(),
            idc: self.idc.clone(),
            location: self.location.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: String::new(),
            scheduler_cluster_id: self.scheduler_cluster_id,
        }
    }

    /// A new id for one download.
    pub fn new_peer(&self) -> PeerId {
        PeerId::random(self.ip, &self.hostname, self.kind.is_seed())
    }
}

/// Where manager and schedulers are, as far as their names can be resolved now.
async fn remotes(config: &Config) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for addr in config.manager.iter().map(|m| &m.addr).chain(&config.schedulers.local) {
        match tokio::net::lookup_host(addr).await {
            Ok(addrs) => found.extend(addrs),
            Err(error) => tracing::debug!(addr, %error, "can't resolve a name to find the route to it"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    #[tokio::test]
    async fn a_seed_peers_ids_end_in_seed() {
        let mut raw = Raw::default();
        raw.host.ip = Some("10.0.0.9".parse().unwrap());
        raw.host.hostname = Some("node".to_owned());
        raw.seed_peer.enable = true;
        let identity = Identity::resolve(&Config::try_from(raw).unwrap()).await;
        assert_eq!(identity.host_id.as_str(), "10.0.0.9-node-seed");
        assert!(identity.new_peer().as_str().ends_with("-seed"));
    }
}
