//! `dfctl cluster`

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Cluster, ClusterMatch, MatchQuery, Scopes};

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
            let clusters: Vec<Cluster> = manager.list("/api/v1/clusters", &query).await?;
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
