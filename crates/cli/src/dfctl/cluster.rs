//! `dfctl cluster`

mod shape;

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Cluster, ClusterMatch, MatchQuery, Scopes};
use shape::Shape;

const PATH: &str = "/api/v1/clusters";

const LS_EXAMPLES: &str = "\
Examples:
  dfctl cluster ls
  dfctl cluster ls --name cluster-2 --output json";

const MATCH_EXAMPLES: &str = "\
Examples:
  dfctl cluster match --ip 10.2.0.9
  dfctl cluster match --ip 10.2.0.9 --idc cluster-2 --location 'asia|china'
  dfctl cluster match --hostname seed-1 --ip 10.0.0.5 --seed-peer
  dfctl cluster match --scheduler-cluster-id 2 --output json";

const CREATE_EXAMPLES: &str = "\
Examples:
  dfctl cluster create cluster-2 --idc cluster-2
  dfctl cluster create edge --cidr 10.8.0.0/16 --cidr 10.9.0.0/16 --location 'asia|china'
  dfctl cluster create labs --hostname '^lab-' --job-rate-limit 2 --output json";

const EDIT_EXAMPLES: &str = "\
Examples:
  dfctl cluster edit 2 --name cluster-b --bio 'the second one'
  dfctl cluster edit 2 --cidr 10.8.0.0/16 --cidr 10.9.0.0/16
  dfctl cluster edit 2 --idc '' --default

What is not named stays. --cidr and --hostname replace all that there were; an empty value takes a scope away.";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List clusters and their scopes
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        /// Only the one of this name
        #[arg(long)]
        name: Option<String>,
    },
    /// Say which cluster serves a host, and what each other one lacked
    #[command(name = "match", after_help = MATCH_EXAMPLES)]
    Match(Host),
    /// Make a cluster
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name, which no other cluster has
        name: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Change a cluster; its schedulers and peers are told within seconds
    #[command(after_help = EDIT_EXAMPLES)]
    Edit {
        /// Its id
        id: u64,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        shape: Shape,
    },
    /// Remove a cluster with its schedulers and seed peers, none of which may be alive
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id
        id: u64,
    },
}

/// A host, as it would say itself what it is.
#[derive(clap::Args)]
pub(super) struct Host {
    /// Its address, as it advertises it
    #[arg(long, default_value = "", hide_default_value = true)]
    ip: String,
    /// Its name
    #[arg(long, default_value = "", hide_default_value = true)]
    hostname: String,
    /// Its data centre, host.idc
    #[arg(long, default_value = "", hide_default_value = true)]
    idc: String,
    /// Its place, host.location
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// The cluster that its configuration names, host.schedulerClusterID
    #[arg(long, value_name = "ID")]
    scheduler_cluster_id: Option<u64>,
    /// It is a seed peer, which is served where it is registered
    #[arg(long)]
    seed_peer: bool,
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls { name } => {
            let query: Vec<(&str, String)> = name.into_iter().map(|name| ("name", name)).collect();
            let clusters: Vec<Cluster> = manager.list(PATH, &query).await?;
            match output {
                Output::Table => Ok(listed(&clusters)),
                Output::Json => output::json(&clusters),
            }
        }
        Verb::Match(host) => {
            let query = MatchQuery {
                ip: host.ip,
                hostname: host.hostname,
                idc: host.idc,
                location: host.location,
                scheduler_cluster_id: host.scheduler_cluster_id,
                seed_peer: host.seed_peer,
            };
            let found: ClusterMatch = manager.get("/api/v1/clusters/match", &query).await?;
            match output {
                Output::Table => Ok(matched(&found)),
                Output::Json => output::json(&found),
            }
        }
        Verb::Create { name, shape } => {
            let made: Cluster = manager.post(PATH, &shape.create(name)).await?;
            told(&made, output)
        }
        Verb::Edit { id, name, shape } => {
            if name.is_none() && shape == Shape::default() {
                return Err(Failure::new(format!(
                    "nothing to change in cluster {id}: name what, as dfctl cluster edit --help shows"
                )));
            }
            let path = format!("{PATH}/{id}");
            let present: Cluster = manager.get(&path, &()).await?;
            let edited: Cluster = manager.patch(&path, &shape.update(name, &present)).await?;
            told(&edited, output)
        }
        Verb::Delete { id } => {
            manager.delete(&format!("{PATH}/{id}")).await?;
            Ok(String::new())
        }
    }
}

/// A cluster as it is now, with what its services' files name it by.
fn told(cluster: &Cluster, output: Output) -> Result<String, Failure> {
    match output {
        Output::Json => output::json(cluster),
        Output::Table => Ok(format!(
            "{}\nscheduler.yaml: manager.schedulerClusterID: {}\ndfdaemon.yaml of seed peers: seedPeer.clusterID: {}\n",
            listed(std::slice::from_ref(cluster)),
            cluster.scheduler_cluster_id,
            cluster.seed_peer_cluster_id
        )),
    }
}

fn listed(clusters: &[Cluster]) -> String {
    let rows = clusters.iter().map(|cluster| {
        let Scopes {
            idc,
            location,
            cidrs,
            hostnames,
        } = &cluster.scopes;
        [
            cluster.id.to_string(),
            cluster.name.clone(),
            if cluster.is_default { "yes" } else { "" }.to_owned(),
            cidrs.join(" "),
            hostnames.join(" "),
            idc.clone(),
            location.clone(),
        ]
    });
    output::table(["ID", "NAME", "DEFAULT", "CIDRS", "HOSTNAMES", "IDC", "LOCATION"], rows)
}

fn matched(found: &ClusterMatch) -> String {
    let rows = found.clusters.iter().map(|cluster| {
        [
            cluster.id.to_string(),
            cluster.name.clone(),
            cluster.verdict.word().to_owned(),
            cluster.explanation.clone(),
        ]
    });
    let warning = match found.active_schedulers {
        0 => "it has no active scheduler: the host gets none\n",
        _ => "",
    };
    format!(
        "cluster {} ({}): {}\n{warning}\n{}",
        found.cluster_id,
        found.cluster_name,
        found.explanation,
        output::table(["ID", "NAME", "VERDICT", "WHY"], rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::rest::{ClusterVerdict, Verdict};

    #[test]
    fn a_match_tells_the_choice_first_and_that_nobody_is_there() {
        let found = ClusterMatch {
            cluster_id: 2,
            cluster_name: "b".into(),
            reason: "idc".into(),
            explanation: "the caller is in its IDC".into(),
            active_schedulers: 0,
            clusters: vec![ClusterVerdict {
                id: 2,
                name: "b".into(),
                verdict: Verdict::Chosen,
                explanation: "the caller is in its IDC".into(),
            }],
        };
        let text = matched(&found);
        assert!(text.starts_with("cluster 2 (b): the caller is in its IDC\n"), "{text}");
        assert!(text.contains("no active scheduler"), "{text}");
        assert!(text.contains("chosen"), "{text}");
    }
}
