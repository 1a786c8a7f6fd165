//! What `dfctl cluster create` and `edit` say of a cluster. The manager checks it; what is not said is left to its defaults,
//! or stays.

use dragonfly_api::rest::{
    Cluster, CreateCluster, PeerClusterConfig, SchedulerClusterConfig, Scopes, SeedPeerClusterConfig, UpdateCluster,
};

/// What a cluster is to be.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
pub(in crate::dfctl) struct Shape {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    bio: Option<String>,
    /// It serves hosts of these data centres: a, or a|b
    #[arg(long)]
    idc: Option<String>,
    /// It serves hosts at this place, from wide to narrow: asia|china
    #[arg(long)]
    location: Option<String>,
    /// It serves hosts of this network; more than once for more
    #[arg(long = "cidr", value_name = "CIDR")]
    cidrs: Option<Vec<String>>,
    /// It serves hosts whose name this regular expression finds; more than once for more
    #[arg(long = "hostname", value_name = "REGEX")]
    hostnames: Option<Vec<String>>,
    /// It serves the hosts that no cluster's scopes match, instead of the present default
    #[arg(long)]
    default: bool,
    /// The most parents that a peer is given, 1 to 20
    #[arg(long, value_name = "N")]
    candidate_parent_limit: Option<u32>,
    /// How many peers are looked at to find those parents, 10 to 1000
    #[arg(long, value_name = "N")]
    filter_parent_limit: Option<u32>,
    /// The most jobs per second
    #[arg(long, value_name = "N")]
    job_rate_limit: Option<u32>,
    /// The most concurrent uploads of a peer, 1 to 2000
    #[arg(long, value_name = "N")]
    peer_load_limit: Option<u32>,
    /// The most concurrent uploads of a seed peer, 1 to 50000
    #[arg(long, value_name = "N")]
    seed_peer_load_limit: Option<u32>,
}

impl Shape {
    pub(super) fn create(self, name: String) -> CreateCluster {
        CreateCluster {
            name,
            scopes: self.scopes(Scopes::default()),
            scheduler_cluster_config: self.schedulers(SchedulerClusterConfig::default()),
            seed_peer_cluster_config: self.seed_peers(SeedPeerClusterConfig::default()),
            peer_cluster_config: self.peers(PeerClusterConfig::default()),
            is_default: self.default,
            bio: self.bio.unwrap_or_default(),
        }
    }

    /// What changes of a cluster. The manager replaces scopes and configurations as wholes: those in which nothing changes
    /// are left out, so that somebody else's change to them at the same time stays.
    pub(super) fn update(self, name: Option<String>, present: &Cluster) -> UpdateCluster {
        UpdateCluster {
            name,
            scopes: changed(&present.scopes, |scopes| self.scopes(scopes)),
            scheduler_cluster_config: changed(&present.scheduler_cluster_config, |config| self.schedulers(config)),
            seed_peer_cluster_config: changed(&present.seed_peer_cluster_config, |config| self.seed_peers(config)),
            peer_cluster_config: changed(&present.peer_cluster_config, |config| self.peers(config)),
            is_default: self.default.then_some(true),
            bio: self.bio,
        }
    }

    fn scopes(&self, mut scopes: Scopes) -> Scopes {
        set(&mut scopes.idc, self.idc.as_ref());
        set(&mut scopes.location, self.location.as_ref());
        set(&mut scopes.cidrs, entries(self.cidrs.as_ref()).as_ref());
        set(&mut scopes.hostnames, entries(self.hostnames.as_ref()).as_ref());
        scopes
    }

    fn schedulers(&self, mut config: SchedulerClusterConfig) -> SchedulerClusterConfig {
        set(&mut config.candidate_parent_limit, self.candidate_parent_limit.as_ref());
        set(&mut config.filter_parent_limit, self.filter_parent_limit.as_ref());
        set(&mut config.job_rate_limit, self.job_rate_limit.as_ref());
        config
    }

    fn peers(&self, mut config: PeerClusterConfig) -> PeerClusterConfig {
        set(&mut config.load_limit, self.peer_load_limit.as_ref());
        config
    }

    fn seed_peers(&self, mut config: SeedPeerClusterConfig) -> SeedPeerClusterConfig {
        set(&mut config.load_limit, self.seed_peer_load_limit.as_ref());
        config
    }
}

fn set<T: Clone>(field: &mut T, said: Option<&T>) {
    if let Some(said) = said {
        field.clone_from(said);
    }
}

/// An empty entry is how a command line says "none".
fn entries(said: Option<&Vec<String>>) -> Option<Vec<String>> {
    let said = said?.iter().filter(|entry| !entry.is_empty());
    Some(said.cloned().collect())
}

fn changed<T: Clone + PartialEq>(present: &T, change: impl FnOnce(T) -> T) -> Option<T> {
    let next = change(present.clone());
    (next != *present).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::rest::BlockList;
    use jiff::Timestamp;

    fn cluster() -> Cluster {
        Cluster {
            id: 2,
            name: "b".into(),
            bio: String::new(),
            scopes: Scopes {
                idc: "b".into(),
                cidrs: vec!["10.2.0.0/16".into()],
                ..Scopes::default()
            },
            scheduler_cluster_id: 2,
            seed_peer_cluster_id: 2,
            scheduler_cluster_config: SchedulerClusterConfig::default(),
            seed_peer_cluster_config: SeedPeerClusterConfig::default(),
            peer_cluster_config: PeerClusterConfig {
                block_list: Some(BlockList::default()),
                ..PeerClusterConfig::default()
            },
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            is_default: false,
        }
    }

    #[test]
    fn what_was_not_said_is_not_sent_and_what_was_is_sent_with_its_neighbours() {
        let shape = Shape {
            location: Some("asia|china".into()),
            peer_load_limit: Some(7),
            job_rate_limit: Some(SchedulerClusterConfig::default().job_rate_limit),
            ..Shape::default()
        };
        let update = shape.update(None, &cluster());
        let scopes = Scopes {
            location: "asia|china".into(),
            ..cluster().scopes
        };
        let peers = PeerClusterConfig {
            load_limit: 7,
            ..cluster().peer_cluster_config
        };
        let expected = UpdateCluster {
            scopes: Some(scopes),
            peer_cluster_config: Some(peers),
            ..UpdateCluster::default()
        };
        assert_eq!(update, expected);
    }

    #[test]
    fn an_empty_value_takes_a_scope_away() {
        let shape = Shape {
            idc: Some(String::new()),
            cidrs: Some(vec![String::new()]),
            ..Shape::default()
        };
        assert_eq!(shape.update(None, &cluster()).scopes, Some(Scopes::default()));
    }

    #[test]
    fn a_cluster_that_only_has_a_name_has_the_managers_defaults() {
        let create = Shape::default().create("b".into());
        let plain: CreateCluster = serde_json::from_str(
            r#"{"name":"b","scheduler_cluster_config":{},"seed_peer_cluster_config":{},"peer_cluster_config":{}}"#,
        )
        .unwrap();
        assert_eq!(create, plain);
    }
}
