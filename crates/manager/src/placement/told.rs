//! Which host was told which cluster, so that the log says it when it changes and not each time that a peer asks.

use super::{Caller, Judgement};
use moka::sync::Cache;
use std::net::IpAddr;
use std::time::Duration;

/// Hosts that are remembered.
const REMEMBERED: u64 = 64 * 1024;
/// After this time a host that has not asked again is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What hosts were told. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    hosts: Cache<(String, Option<IpAddr>), (u64, &'static str)>,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(FORGET_AFTER)
                .build(),
        }
    }

    /// Whether this host hears this for the first time.
    pub(crate) fn is_news(&self, caller: &Caller, judgement: &Judgement) -> bool {
        let host = (caller.host_name.clone(), caller.ip);
        let said = (judgement.choice.cluster, judgement.choice.reason.word());
        if self.hosts.get(&host) == Some(said) {
            return false;
        }
        self.hosts.insert(host, said);
        true
    }
}
