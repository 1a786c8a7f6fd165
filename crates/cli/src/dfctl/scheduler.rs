//! `dfctl scheduler`

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{MemberState, Scheduler, SchedulerFilter};

const PATH: &str = "/api/v1/schedulers";

const LS_EXAMPLES: &str = "\
Examples:
  dfctl scheduler ls
  dfctl scheduler ls --cluster 2 --active --output json";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List schedulers, and which of them are alive
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        /// Only those of the cluster with this id
        #[arg(long, value_name = "ID")]
        cluster: Option<u64>,
        /// Only those that are alive
        #[arg(long, conflicts_with = "inactive")]
        active: bool,
        /// Only those that are not
        #[arg(long)]
        inactive: bool,
    },
    /// Remove a scheduler; one that is alive registers again
    Rm {
        /// Its id
        id: u64,
    },
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls {
            cluster,
            active,
            inactive,
        } => {
            let filter = SchedulerFilter {
                scheduler_cluster_id: cluster,
                state: match (active, inactive) {
                    (true, _) => Some(MemberState::Active),
                    (_, true) => Some(MemberState::Inactive),
                    _ => None,
                },
                ..SchedulerFilter::default()
            };
            let schedulers: Vec<Scheduler> = manager.list(PATH, &filter).await?;
            match output {
                Output::Table => Ok(listed(&schedulers)),
                Output::Json => output::json(&schedulers),
            }
        }
        Verb::Rm { id } => {
            manager.delete(&format!("{PATH}/{id}")).await?;
            Ok(String::new())
        }
    }
}

fn listed(schedulers: &[Scheduler]) -> String {
    let rows = schedulers.iter().map(|scheduler| {
        [
            scheduler.id.to_string(),
            scheduler.host_name.clone(),
            format!("{}:{}", scheduler.ip, scheduler.port),
            scheduler.scheduler_cluster_id.to_string(),
            match scheduler.state {
                MemberState::Active => "active",
                MemberState::Inactive => "inactive",
            }
            .to_owned(),
            scheduler.last_keep_alive_at.map(output::time).unwrap_or_default(),
            scheduler.idc.clone(),
            scheduler.location.clone(),
        ]
    });
    let headings = ["ID", "HOST", "ADDRESS", "CLUSTER", "STATE", "SEEN", "IDC", "LOCATION"];
    output::table(headings, rows)
}
