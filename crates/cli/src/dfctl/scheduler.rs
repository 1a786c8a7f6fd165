//! `dfctl scheduler`

use super::args::Liveness;
use super::client::Manager;
use super::output::{self, Output};
use super::trace::Trace;
use crate::failure::Failure;
use dragonfly_api::rest::{Scheduler, SchedulerFilter};

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
        #[command(flatten)]
        liveness: Liveness,
    },
    /// Remove a scheduler; one that is alive registers again
    Rm {
        /// Its id
        id: u64,
    },
    /// Tell why the peers of a task have the parents that they have. The scheduler itself is asked: only it judges, and no
    /// manager is needed
    Trace(Trace),
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls { cluster, liveness } => {
            let filter = SchedulerFilter {
                scheduler_cluster_id: cluster,
                state: liveness.state(),
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
        Verb::Trace(trace) => trace.run(None, output).await,
    }
}

fn listed(schedulers: &[Scheduler]) -> String {
    let rows = schedulers.iter().map(|scheduler| {
        [
            scheduler.id.to_string(),
            scheduler.host_name.clone(),
            format!("{}:{}", scheduler.ip, scheduler.port),
            scheduler.scheduler_cluster_id.to_string(),
            scheduler.state.as_str().to_owned(),
            scheduler.last_keep_alive_at.map(output::time).unwrap_or_default(),
            scheduler.idc.clone(),
            scheduler.location.clone(),
        ]
    });
    let headings = ["ID", "HOST", "ADDRESS", "CLUSTER", "STATE", "SEEN", "IDC", "LOCATION"];
    output::table(headings, rows)
}
