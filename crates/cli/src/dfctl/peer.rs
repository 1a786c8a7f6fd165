//! `dfctl peer`

use super::args::Liveness;
use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Peer, PeerFilter, PeerType};
use std::net::IpAddr;

const PATH: &str = "/api/v1/peers";

const LS_EXAMPLES: &str = "\
Examples:
  dfctl peer ls
  dfctl peer ls --cluster 2 --active --seed
  dfctl peer ls --hostname gpu-7 --output json";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List the hosts that schedulers know, as they report them
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        /// Only those of the cluster with this id
        #[arg(long, value_name = "ID")]
        cluster: Option<u64>,
        /// Only the host with this name
        #[arg(long, value_name = "NAME")]
        hostname: Option<String>,
        /// Only the host with this address
        #[arg(long, value_name = "IP")]
        ip: Option<IpAddr>,
        /// Only seed peers
        #[arg(long)]
        seed: bool,
        #[command(flatten)]
        liveness: Liveness,
    },
    /// Remove a peer from the list; one that is alive is reported again
    Rm {
        /// Its id
        id: u64,
    },
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls {
            cluster,
            hostname,
            ip,
            seed,
            liveness,
        } => {
            let filter = PeerFilter {
                scheduler_cluster_id: cluster,
                host_name: hostname,
                ip,
                r#type: seed.then_some(PeerType::Super),
                state: liveness.state(),
                ..PeerFilter::default()
            };
            let peers: Vec<Peer> = manager.list(PATH, &filter).await?;
            match output {
                Output::Table => Ok(listed(&peers)),
                Output::Json => output::json(&peers),
            }
        }
        Verb::Rm { id } => {
            manager.delete(&format!("{PATH}/{id}")).await?;
            Ok(String::new())
        }
    }
}

fn listed(peers: &[Peer]) -> String {
    let rows = peers.iter().map(|peer| {
        [
            peer.id.to_string(),
            peer.host_name.clone(),
            format!("{}:{}", peer.ip, peer.port),
            peer.scheduler_cluster_id.to_string(),
            match peer.r#type {
                PeerType::Super => "seed",
                PeerType::Normal => "peer",
            }
            .to_owned(),
            peer.state.as_str().to_owned(),
            peer.git_version.clone(),
            peer.idc.clone(),
            peer.location.clone(),
        ]
    });
    let headings = [
        "ID", "HOST", "ADDRESS", "CLUSTER", "KIND", "STATE", "VERSION", "IDC", "LOCATION",
    ];
    output::table(headings, rows)
}
