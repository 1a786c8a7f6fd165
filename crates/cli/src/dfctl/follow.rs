//! Following a preheat or another job to its end: a bar on stderr, what has failed, and the exit code.

use super::client::Manager;
use super::job::{self, PATH};
use super::output::{self, Output};
use crate::console;
use crate::failure::Failure;
use dragonfly_api::rest::{Job, JobState, JobTarget, TargetCounts, TargetState};
use dragonfly_service::exit;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::time::Duration;

/// Between two looks at a job.
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// Failed targets that are printed.
const MAX_LINES: usize = 100;
/// Bytes of a password.
const MAX_PASSWORD_BYTES: u64 = 16 * 1024;

/// Whether a job's end is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    No,
}

impl Wait {
    pub(super) fn unless(no_wait: bool) -> Self {
        if no_wait { Self::No } else { Self::Yes }
    }
}

/// What to print of a job that was made.
pub(super) async fn job(manager: &Manager, job: Job, wait: Wait, output: Output) -> Result<String, Failure> {
    match (wait, output) {
        (Wait::Yes, _) => to_end(manager, job.id, output).await,
        (Wait::No, Output::Json) => output::json(&job),
        (Wait::No, Output::Table) => Ok(format!("{}\n", job.id)),
    }
}

/// Waits for the end of a job. A job that fails is a failure that names what has failed.
pub(super) async fn to_end(manager: &Manager, id: u64, output: Output) -> Result<String, Failure> {
    let bar = Bar::start(format!("job {id}"));
    let path = format!("{PATH}/{id}");
    let job = loop {
        let job: Job = manager.get(&path, &()).await?;
        let progress = &job.result.progress;
        bar.show(&progress.targets, progress.finished_length, progress.content_length);
        if job.state.has_ended() {
            break job;
        }
        tokio::time::sleep(LOOK_AFTER).await;
    };
    drop(bar);
    let text = match output {
        Output::Json => output::json(&job)?,
        Output::Table if job.state == JobState::Success => done(&job),
        Output::Table => String::new(),
    };
    if job.state == JobState::Success {
        return Ok(text);
    }
    console::say(&text);
    let mut failed = job::targets(manager, id, Some(TargetState::Failed)).await?;
    failed.extend(job::targets(manager, id, Some(TargetState::Cancelled)).await?);
    Err(Failure::new(reason(&job, &failed)))
}

fn done(job: &Job) -> String {
    let progress = &job.result.progress;
    format!(
        "job {}: {} targets in {} clusters have it, {}\n",
        job.id,
        progress.targets.done,
        progress.works,
        bytesize::ByteSize::b(progress.finished_length)
    )
}

/// Which clusters failed and why, then which hosts.
fn reason(job: &Job, failed: &[JobTarget]) -> String {
    let works = &job.result.job_states;
    let mut lines = vec![format!("job {} failed", job.id)];
    for work in works.iter().filter(|work| work.state != JobState::Success) {
        lines.push(format!("  cluster {}: {}", work.scheduler_cluster_id, work.error));
    }
    lines.extend(failures(failed));
    if failed.len() > MAX_LINES {
        let more = failed.len() - MAX_LINES;
        lines.push(format!("  and {more} more; dfctl job show {} --targets", job.id));
    }
    lines.push(format!("try again what failed with: dfctl job retry {}", job.id));
    lines.join("\n")
}

/// The first of those that failed and why, one a line.
pub(super) fn failures(failed: &[JobTarget]) -> impl Iterator<Item = String> {
    failed.iter().take(MAX_LINES).map(|target| {
        let host = match target.hostname.is_empty() {
            true => format!("cluster {}", target.scheduler_cluster_id),
            false => format!("{} ({})", target.hostname, target.ip),
        };
        format!("  {host}: {}: {}", target.url, target.description)
    })
}

/// The bar on stderr; nothing if that is no terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn start(prefix: String) -> Self {
        let visible = std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let template = "{prefix} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {msg} {elapsed}";
        let style = ProgressStyle::with_template(template).expect("the template is constant");
        let bar = ProgressBar::with_draw_target(Some(0), target)
            .with_style(style.progress_chars("=> "))
            .with_prefix(prefix);
        if visible {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    pub(super) fn show(&self, targets: &TargetCounts, finished: u64, length: u64) {
        self.0.set_length(length);
        self.0.set_position(finished);
        let failed = targets.failed + targets.cancelled;
        let failed = if failed > 0 {
            format!(", {failed} failed")
        } else {
            String::new()
        };
        let (done, total) = (targets.done, targets.total());
        self.0.set_message(format!("{done}/{total} targets{failed}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A password from stdin, if it is wanted. On a command line every user of the host would see it.
pub(super) fn password(from_stdin: bool) -> Result<Option<SecretString>, Failure> {
    if !from_stdin {
        return Ok(None);
    }
    let mut text = String::new();
    let read = std::io::stdin()
        .lock()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut text);
    read.map_err(|error| Failure::of(&error, exit::FAILURE).within("stdin"))?;
    let password = text.trim_end_matches(['\r', '\n']);
    match password.is_empty() {
        true => Err(Failure::new("--password-stdin: stdin is empty")),
        false => Ok(Some(password.into())),
    }
}

/// Headers as they are written.
pub(super) fn headers(lines: &[String]) -> Result<BTreeMap<String, SecretString>, Failure> {
    let header = |line: &String| match line.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().into())),
        _ => Err(Failure::new("--header must be like 'Name: value'")),
    };
    lines.iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_header_is_a_name_and_a_value_and_a_wrong_one_is_not_repeated() {
        let headers = self::headers(&["Authorization:  Bearer a:b ".to_owned()]).ok().unwrap();
        assert_eq!(headers["Authorization"].expose_secret(), "Bearer a:b");
        let error = self::headers(&["hunter2".to_owned()]).err().unwrap().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
