//! Which hosts are meant. The order is that of host names, then of host ids, so that the same words choose the same hosts.

use super::Error;
use crate::hosts::Hosts;
use dragonfly_api::common::Host;
use dragonfly_model::{HostId, HostKind};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses that one order may name.
const MAX_IPS: usize = 100;
/// Hosts that one order may count.
const MAX_COUNT: u32 = 200;

/// Where the contents are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// On one seed peer: the one that would fetch it for the cluster anyway.
    SingleSeedPeer,
    /// On seed peers.
    AllSeedPeers,
    /// On peers that are no seed peers.
    AllPeers,
}

/// Which of the hosts of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    All,
    Count(u32),
    /// At least one.
    Percentage(u32),
}

/// Scope and choice, checked.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) scope: Scope,
    ips: Vec<IpAddr>,
    share: Share,
}

/// The words of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) scope: &'a str,
    pub(crate) ips: &'a [String],
    pub(crate) count: Option<u32>,
    pub(crate) percentage: Option<u32>,
}

/// The hosts that were chosen, in order.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) scope: Scope,
    pub(crate) hosts: Vec<(HostId, Arc<Host>)>,
}

impl Scope {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scope::SingleSeedPeer => "single_seed_peer",
            Scope::AllSeedPeers => "all_seed_peers",
            Scope::AllPeers => "all_peers",
        }
    }

    /// The scope that a word means; none is the first.
    pub(crate) fn of(word: &str) -> Result<Self, Error> {
        let all = [Scope::SingleSeedPeer, Scope::AllSeedPeers, Scope::AllPeers];
        if word.is_empty() {
            return Ok(Scope::SingleSeedPeer);
        }
        let known = all.into_iter().find(|scope| scope.as_str() == word);
        known.ok_or_else(|| Error::Value {
            field: "scope",
            value: format!("{:?}", word.chars().take(64).collect::<String>()),
            remedy: "use single_seed_peer, all_seed_peers or all_peers",
        })
    }
}

impl Selection {
    /// Addresses come before a number, and that before a percentage. Zero says nothing.
    pub(crate) fn of_words(words: Words<'_>) -> Result<Self, Error> {
        let scope = Scope::of(words.scope)?;
        if words.ips.len() > MAX_IPS {
            return Err(Error::Value {
                field: "ips",
                value: format!("a list of {}", words.ips.len()),
                remedy: "name 100 at most",
            });
        }
        let address = |text: &String| {
            text.trim().parse::<IpAddr>().map_err(|_| Error::Value {
                field: "ips",
                value: format!("{:?}", text.chars().take(64).collect::<String>()),
                remedy: "give addresses such as 10.0.0.7",
            })
        };
        let ips = words.ips.iter().map(address).collect::<Result<_, _>>()?;
        let count = words.count.filter(|count| *count > 0);
        let percentage = words.percentage.filter(|percentage| *percentage > 0);
        let share = match (count, percentage) {
            (Some(count), _) if count > MAX_COUNT => {
                return Err(Error::Value {
                    field: "count",
                    value: count.to_string(),
                    remedy: "use 1 to 200",
                });
            }
            (Some(count), _) => Share::Count(count),
            (None, Some(percentage)) if percentage > 100 => {
                return Err(Error::Value {
                    field: "percentage",
                    value: percentage.to_string(),
                    remedy: "use 1 to 100",
                });
            }
            (None, Some(percentage)) => Share::Percentage(percentage),
            (None, None) => Share::All,
        };
        Ok(Self { scope, ips, share })
    }

    /// The hosts of the table that are meant; an error if there are none.
    pub(crate) fn of(&self, hosts: &Hosts) -> Result<Selected, Error> {
        let table = hosts.all().into_iter().map(|(id, entry)| (id, entry.host)).collect();
        let hosts = self.choose(table);
        if hosts.is_empty() {
            return Err(Error::NoHosts {
                scope: self.scope,
                ips: self.ips.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(Selected {
            scope: self.scope,
            hosts,
        })
    }

    fn choose(&self, mut hosts: Vec<(HostId, Arc<Host>)>) -> Vec<(HostId, Arc<Host>)> {
        let wanted = match self.scope {
            Scope::AllPeers => HostKind::Normal,
            Scope::AllSeedPeers | Scope::SingleSeedPeer => HostKind::Seed,
        };
        hosts.retain(|(_, host)| HostKind::from_number(host.r#type) == wanted);
        hosts.sort_by(|(id, host), (other_id, other)| (&host.hostname, id).cmp(&(&other.hostname, other_id)));
        // Each content finds its own one of all seed peers.
        if self.scope == Scope::SingleSeedPeer {
            return hosts;
        }
        if !self.ips.is_empty() {
            hosts.retain(|(_, host)| host.ip.parse().is_ok_and(|ip| self.ips.contains(&ip)));
            return hosts;
        }
        let number = match self.share {
            Share::All => hosts.len(),
            Share::Count(count) => count as usize,
            Share::Percentage(percentage) => (hosts.len() * percentage as usize / 100).max(1),
        };
        hosts.truncate(number);
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, ip: &str, kind: u32) -> (HostId, Arc<Host>) {
        let host = Host {
            hostname: name.to_owned(),
            ip: ip.to_owned(),
            r#type: kind,
            ..Host::default()
        };
        (format!("{ip}-{name}").parse().unwrap(), Arc::new(host))
    }

    fn hosts() -> Vec<(HostId, Arc<Host>)> {
        vec![
            host("d", "10.0.0.1", 0),
            host("c", "10.0.0.2", 0),
            host("b", "10.0.0.3", 0),
            host("a", "10.0.0.4", 0),
            host("b", "10.0.0.0", 0),
            host("s2", "10.0.1.2", 1),
            host("s1", "10.0.1.1", 1),
        ]
    }

    fn chosen(scope: &str, ips: &[&str], count: u32, percentage: u32) -> String {
        let ips: Vec<String> = ips.iter().map(|ip| (*ip).to_owned()).collect();
        let words = Words {
            scope,
            ips: &ips,
            count: Some(count),
            percentage: Some(percentage),
        };
        let chosen = Selection::of_words(words).unwrap().choose(hosts());
        let names: Vec<&str> = chosen.iter().map(|(_, host)| host.hostname.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn addresses_come_before_a_number_and_that_before_a_percentage() {
        assert_eq!(chosen("all_peers", &[], 0, 0), "a b b c d");
        assert_eq!(chosen("all_peers", &["10.0.0.1", "10.0.0.2", "10.0.1.1"], 1, 1), "c d");
        assert_eq!(chosen("all_peers", &[], 2, 100), "a b");
        assert_eq!(chosen("all_peers", &[], 200, 0), "a b b c d");
        assert_eq!(chosen("all_peers", &[], 0, 50), "a b");
        assert_eq!(chosen("all_peers", &[], 0, 1), "a");
        assert_eq!(chosen("all_seed_peers", &[], 1, 0), "s1");
        assert_eq!(chosen("", &["10.0.0.1"], 1, 1), "s1 s2");
    }

    #[test]
    fn impossible_words_are_refused() {
        let words = Words {
            scope: "all_peers",
            ips: &[],
            count: None,
            percentage: None,
        };
        let many = vec!["10.0.0.1".to_owned(); 101];
        let no_ip = ["host".to_owned()];
        for wrong in [
            Words {
                scope: "everyone",
                ..words
            },
            Words { ips: &many, ..words },
            Words { ips: &no_ip, ..words },
            Words {
                count: Some(201),
                ..words
            },
            Words {
                percentage: Some(101),
                ..words
            },
        ] {
            assert!(Selection::of_words(wrong).is_err(), "{wrong:?}");
        }
    }
}
