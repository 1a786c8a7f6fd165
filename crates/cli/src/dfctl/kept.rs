//! `dfctl kept`

use super::client::Manager;
use super::follow::{self, Wait};
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Job, KeptTask, KeptTaskFilter};
use jiff::{Timestamp, ToSpan};

const LS_EXAMPLES: &str = "\
Examples:
  dfctl kept ls
  dfctl kept ls --cluster 2 --stored --output json";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List the tasks that a cluster keeps with replicas
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        #[command(flatten)]
        of: Of,
    },
    /// Show one, and who has it
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        of: Of,
    },
    /// Have every peer of the cluster drop one
    Rm {
        /// Its id
        id: String,
        #[command(flatten)]
        of: Of,
        /// Print the job's id, and don't wait for its end
        #[arg(long)]
        no_wait: bool,
    },
}

/// Which of them.
#[derive(clap::Args)]
pub(super) struct Of {
    /// Those of the cluster with this id
    #[arg(long, value_name = "ID", default_value_t = 1)]
    cluster: u64,
    /// Those that are in an object store as well (persistent tasks); without it those that only the cluster has
    /// (persistent cache tasks)
    #[arg(long)]
    stored: bool,
}

impl Of {
    fn path(&self) -> &'static str {
        match self.stored {
            true => "/api/v1/persistent-tasks",
            false => "/api/v1/persistent-cache-tasks",
        }
    }

    fn filter(&self) -> KeptTaskFilter {
        KeptTaskFilter {
            scheduler_cluster_id: self.cluster,
        }
    }
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls { of } => {
            let tasks: Vec<KeptTask> = manager.list(of.path(), &of.filter()).await?;
            match output {
                Output::Table => Ok(listed(&tasks)),
                Output::Json => output::json(&tasks),
            }
        }
        Verb::Show { id, of } => {
            let task: KeptTask = manager.get(&format!("{}/{id}", of.path()), &of.filter()).await?;
            match output {
                Output::Table => Ok(listed(std::slice::from_ref(&task)) + "\n" + &holders(&task)),
                Output::Json => output::json(&task),
            }
        }
        Verb::Rm { id, of, no_wait } => {
            let job: Job = manager.remove(&format!("{}/{id}", of.path()), &of.filter()).await?;
            follow::job(manager, job, Wait::unless(no_wait), output).await
        }
    }
}

fn listed(tasks: &[KeptTask]) -> String {
    let rows = tasks.iter().map(|task| {
        [
            task.id.clone(),
            task.state.clone(),
            format!(
                "{}/{}",
                task.current_persistent_replica_count, task.persistent_replica_count
            ),
            bytesize::ByteSize::b(task.content_length).to_string(),
            ends(task).map(output::time).unwrap_or_default(),
            task.application.clone(),
            task.tag.clone(),
        ]
    });
    output::table(["ID", "STATE", "REPLICAS", "SIZE", "UNTIL", "APPLICATION", "TAG"], rows)
}

fn holders(task: &KeptTask) -> String {
    let rows = task.peers.iter().map(|peer| {
        let keeps = if peer.persistent { "keeps" } else { "caches" };
        [
            peer.host.hostname.clone(),
            peer.host.ip.clone(),
            keeps.to_owned(),
            peer.state.clone(),
            output::time(peer.updated_at),
        ]
    });
    output::table(["HOST", "IP", "KIND", "STATE", "SINCE"], rows)
}

/// When its time is over.
fn ends(task: &KeptTask) -> Option<Timestamp> {
    let kept = i64::try_from(task.ttl).ok()?;
    task.created_at.checked_add(kept.nanoseconds()).ok()
}
