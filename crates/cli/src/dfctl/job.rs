//! `dfctl job`

use super::client::Manager;
use super::follow::{self, Wait};
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Job, JobFilter, JobState, JobTarget, JobType, RetryJob, TargetFilter, TargetState};
use std::fmt::Write;

pub(super) const PATH: &str = "/api/v1/jobs";

const LS_EXAMPLES: &str = "\
Examples:
  dfctl job ls
  dfctl job ls --failed --type preheat --output json";

const SHOW_EXAMPLES: &str = "\
Examples:
  dfctl job show 7
  dfctl job show 7 --targets
  dfctl job show 7 --wait";

const RETRY_EXAMPLES: &str = "\
Examples:
  dfctl job retry 7
  dfctl job retry 7 --password-stdin < registry.password

A job's password and headers are forgotten when it ends, and are needed again.";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List jobs, newest first
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        /// Only those of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
        kind: Option<JobType>,
        /// Only those that have not ended
        #[arg(long, conflicts_with_all = ["succeeded", "failed"])]
        pending: bool,
        /// Only those that succeeded
        #[arg(long, conflicts_with = "failed")]
        succeeded: bool,
        /// Only those that failed
        #[arg(long)]
        failed: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Show a job: how far each cluster is, and what has failed
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its id
        id: u64,
        /// Every content on every host, too
        #[arg(long)]
        targets: bool,
        /// Follow it to its end; exit with 1 if it fails
        #[arg(long)]
        wait: bool,
    },
    /// Give up a job that has not ended
    Cancel {
        /// Its id
        id: u64,
    },
    /// Try again what has failed of a job
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// Its id
        id: u64,
        /// Read the registry's password from stdin
        #[arg(long)]
        password_stdin: bool,
        /// A header for the origin, as `Name: value`; all of the job's are needed
        #[arg(short = 'H', long = "header", value_name = "HEADER")]
        headers: Vec<String>,
        /// Don't wait for its end
        #[arg(long)]
        no_wait: bool,
    },
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls {
            kind,
            pending,
            succeeded,
            failed,
            limit,
        } => {
            let state = [
                (pending, JobState::Pending),
                (succeeded, JobState::Success),
                (failed, JobState::Failure),
            ];
            let filter = JobFilter {
                r#type: kind,
                state: state.into_iter().find(|(wanted, _)| *wanted).map(|(_, state)| state),
                user_id: None,
            };
            let jobs: Vec<Job> = manager.first(PATH, &filter, limit).await?;
            match output {
                Output::Table => Ok(listed(&jobs)),
                Output::Json => output::json(&jobs),
            }
        }
        Verb::Show { id, targets, wait } => {
            if wait {
                return follow::to_end(manager, id, output).await;
            }
            let job: Job = manager.get(&format!("{PATH}/{id}"), &()).await?;
            let all = match targets {
                true => Some(self::targets(manager, id, None).await?),
                false => None,
            };
            match (output, all) {
                (Output::Json, Some(targets)) => output::json(&targets),
                (Output::Json, None) => output::json(&job),
                (Output::Table, targets) => Ok(shown(&job) + &targets.map(|all| rows(&all)).unwrap_or_default()),
            }
        }
        Verb::Cancel { id } => {
            let job: Job = manager.post(&format!("{PATH}/{id}/cancel"), &()).await?;
            match output {
                Output::Table => Ok(format!("job {id} is cancelled\n")),
                Output::Json => output::json(&job),
            }
        }
        Verb::Retry {
            id,
            password_stdin,
            headers,
            no_wait,
        } => {
            let retry = RetryJob {
                password: follow::password(password_stdin)?,
                headers: follow::headers(&headers)?,
                ..RetryJob::default()
            };
            let job: Job = manager.post(&format!("{PATH}/{id}/retry"), &retry).await?;
            follow::job(manager, job, Wait::unless(no_wait), output).await
        }
    }
}

/// All targets of a job, or those in one state.
pub(super) async fn targets(manager: &Manager, id: u64, state: Option<TargetState>) -> Result<Vec<JobTarget>, Failure> {
    let filter = TargetFilter {
        state,
        scheduler_cluster_id: None,
    };
    manager.list(&format!("{PATH}/{id}/targets"), &filter).await
}

fn kind(text: &str) -> Result<JobType, String> {
    let found = JobType::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        let words = JobType::ALL.map(JobType::as_str);
        format!("must be one of {}", words.join(", "))
    })
}

fn listed(jobs: &[Job]) -> String {
    let rows = jobs.iter().map(|job| {
        let progress = &job.result.progress;
        [
            job.id.to_string(),
            job.r#type.as_str().to_owned(),
            job.state.as_str().to_owned(),
            format!("{}/{}", progress.targets.done, progress.targets.total()),
            format!("{}/{}", progress.works_ended, progress.works),
            output::time(job.created_at),
            job.user.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
            what(job),
        ]
    });
    output::table(
        ["ID", "TYPE", "STATE", "TARGETS", "CLUSTERS", "MADE", "USER", "WHAT"],
        rows,
    )
}

/// What a job is about, in a word.
fn what(job: &Job) -> String {
    let texts = ["url", "task_id", "type"].map(|field| job.args[field].as_str().unwrap_or_default());
    let first = job.args["urls"][0].as_str().unwrap_or_default();
    let [url, task, kind] = texts;
    let found = [url, first, task, kind].into_iter().find(|text| !text.is_empty());
    found.unwrap_or(&job.bio).to_owned()
}

fn shown(job: &Job) -> String {
    let progress = &job.result.progress;
    let mut text = format!(
        "job {}: {} {}, {}\nmade {}",
        job.id,
        job.r#type.as_str(),
        what(job),
        job.state.as_str(),
        output::time(job.created_at),
    );
    // Writing to a String does not fail.
    match progress.ended_at {
        Some(ended) => writeln!(text, ", ended {}", output::time(ended)).ok(),
        None => writeln!(text, ", ends at {} at the latest", output::time(progress.deadline)).ok(),
    };
    let rows = job.result.job_states.iter().map(|work| {
        [
            work.scheduler_cluster_id.to_string(),
            work.state.as_str().to_owned(),
            work.targets.done.to_string(),
            (work.targets.waiting + work.targets.running).to_string(),
            (work.targets.failed + work.targets.cancelled).to_string(),
            work.error.clone(),
        ]
    });
    text + &output::table(["CLUSTER", "STATE", "DONE", "OPEN", "FAILED", "WHY"], rows)
}

/// Targets, one a line.
pub(super) fn rows(targets: &[JobTarget]) -> String {
    let rows = targets.iter().map(|target| {
        let total = target.content_length.map(|length| length.to_string());
        [
            target.scheduler_cluster_id.to_string(),
            target.hostname.clone(),
            target.ip.clone(),
            target.state.as_str().to_owned(),
            format!("{}/{}", target.finished_length, total.as_deref().unwrap_or("?")),
            target.url.clone(),
            target.description.clone(),
        ]
    });
    output::table(["CLUSTER", "HOST", "IP", "STATE", "BYTES", "URL", "WHY"], rows)
}
