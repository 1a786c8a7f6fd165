//! Which downloads the cluster refuses: its operator's block lists, one for peers and one for seed peers. Peers refuse by
//! themselves; here those of other makes, and those that have not heard of it yet, are refused, too.

use dragonfly_api::common::Download;
use dragonfly_api::{DownloadRules, manager};
use dragonfly_model::{Blocked, HostKind, Priority, Subject};

/// The rules in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    peers: DownloadRules,
    seed_peers: DownloadRules,
}

impl Rules {
    /// What holds after the manager has told this; `None` if nothing changes. What can't be used of it is logged.
    pub(crate) fn after(&self, cluster: &manager::SchedulerCluster) -> Option<Self> {
        let peers = self.peers.after(&cluster.client_config);
        let seed_peers = self.seed_peers.after(&cluster.seed_client_config);
        if peers.is_none() && seed_peers.is_none() {
            return None;
        }
        Some(Self {
            peers: taken("peers", peers).unwrap_or_else(|| self.peers.clone()),
            seed_peers: taken("seed peers", seed_peers).unwrap_or_else(|| self.seed_peers.clone()),
        })
    }

    /// Whether a host of this kind may have this download, whose priority is its own or its application's.
    pub(crate) fn check(&self, kind: Option<HostKind>, download: &Download, priority: Priority) -> Result<(), Blocked> {
        let rules = match kind {
            Some(HostKind::Normal) | None => &self.peers,
            Some(_) => &self.seed_peers,
        };
        rules.check(&Subject {
            url: &download.url,
            tag: download.tag.as_deref(),
            application: download.application.as_deref(),
            priority,
        })
    }
}

fn taken(whose: &str, after: Option<(DownloadRules, Vec<String>)>) -> Option<DownloadRules> {
    let (rules, problems) = after?;
    for problem in problems {
        tracing::warn!(whose, problem, "a part of the cluster's block list can't be used");
    }
    Some(rules)
}
