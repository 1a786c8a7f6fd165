//! A directory with all that is below it: each file is a download of its own, several at a time. One that fails does not
//! stop the others; it is tried again when they are done, and named at the end if that did not help.

use super::args::{Args, ArgsError, Format};
use super::download::{Daemon, Received};
use super::landed::Traffic;
use super::part::Part;
use super::progress::Bars;
use super::report::{DirectoryReport, Fetched};
use super::tree::{self, Choice, Leaf};
use super::{Outcome, error, failed, fill};
use crate::failure::Failure;
use dragonfly_service::exit;
use futures::StreamExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::Url;

/// How often a file is tried.
const ATTEMPTS: usize = 3;
/// Before those that failed are tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures that are told one by one on stderr; `--format json` has them all.
const TOLD: usize = 20;

/// Fetches them; what is said at the end.
pub(super) async fn get(args: &Args) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let (output, format) = args.directory().map_err(|error| Failure::of(&error, exit::FAILURE))?;
    let choice = Choice::new(&args.include_files, &args.exclude_files).map_err(failed)?;
    let daemon = Daemon::connect(args).await.map_err(failed)?;
    let url = directory_of(&args.url);
    let listed = daemon.list(args, &url).await.map_err(failed)?;
    let leaves = tree::leaves(&url, listed, &choice, args.max_files).map_err(failed)?;
    // The output itself may be a link: the user has named it.
    if !output.is_dir() {
        tree::make_one(&output).map_err(failed)?;
    }
    let known = leaves.iter().map(|leaf| leaf.length).sum();
    let fetch = Fetch {
        args,
        daemon,
        output: &output,
        bars: Bars::start(known, leaves.len(), !args.no_progress),
    };
    let files = fetch.all(leaves).await;
    drop(fetch);
    let shown = error::shown(args);
    let report = DirectoryReport::new(&shown, &output, &files, started.elapsed());
    Ok(Outcome {
        said: match format {
            Format::Human => report.line(),
            Format::Json => report.json(),
        },
        failure: failure(&files),
    })
}

/// A directory's URL ends in a slash.
fn directory_of(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

fn failure(files: &[Fetched]) -> Option<Failure> {
    let failed: Vec<(&Path, &str)> = files
        .iter()
        .filter_map(|file| Some((file.path.as_path(), file.outcome.as_ref().err()?.as_str())))
        .collect();
    if failed.is_empty() {
        return None;
    }
    let mut message = format!(
        "{} of {} files failed; the same command with --overwrite goes on with what dfdaemon has",
        failed.len(),
        files.len()
    );
    for (path, reason) in failed.iter().take(TOLD) {
        message.push_str(&format!("\n  {}: {reason}", path.display()));
    }
    if failed.len() > TOLD {
        message.push_str(&format!("\n  and {} more", failed.len() - TOLD));
    }
    Some(Failure::new(message))
}

struct Fetch<'a> {
    args: &'a Args,
    daemon: Daemon,
    output: &'a Path,
    bars: Bars,
}

impl Fetch<'_> {
    async fn all(&self, leaves: Vec<Leaf>) -> Vec<Fetched> {
        let mut done = Vec::with_capacity(leaves.len());
        let mut due = leaves;
        for attempt in 1..=ATTEMPTS {
            let mut fetching = futures::stream::iter(std::mem::take(&mut due))
                .map(async |leaf| (self.one(&leaf).await, leaf))
                .buffer_unordered(self.args.max_concurrent_requests);
            while let Some((outcome, leaf)) = fetching.next().await {
                match outcome {
                    Err(failure) if failure.passes && attempt < ATTEMPTS => due.push(leaf),
                    outcome => done.push(self.ended(leaf, outcome)),
                }
            }
            if due.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        done.sort_by(|one, other| one.path.cmp(&other.path));
        done
    }

    fn ended(&self, leaf: Leaf, outcome: Result<Received, Reason>) -> Fetched {
        self.bars.file_ended();
        Fetched {
            url: leaf.url.to_string(),
            path: leaf.path,
            outcome: outcome.map_err(|reason| reason.text),
        }
    }

    async fn one(&self, leaf: &Leaf) -> Result<Received, Reason> {
        tree::make_way(self.output, &leaf.path).map_err(|error| Reason::lasting(&error))?;
        let args = self.args.for_file(leaf.url.clone());
        let part = Part::begin(&self.output.join(&leaf.path), args.overwrite);
        let part = part.map_err(|error| Reason::lasting(&error))?;
        let progress = self.bars.file(&leaf.path.to_string_lossy());
        let fetched = fill(&args, &self.daemon, part, &progress).await;
        if fetched.is_err() {
            // Its bytes will come again, or never.
            progress.restart();
        }
        fetched.map_err(|error| Reason {
            passes: error.passes(),
            text: dragonfly_service::chain(&error).to_string(),
        })
    }
}

/// Why a file is not there.
struct Reason {
    /// Whether another attempt may help.
    passes: bool,
    text: String,
}

impl Reason {
    fn lasting(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            passes: false,
            text: dragonfly_service::chain(error).to_string(),
        }
    }
}

/// Bytes of all files by where they came from.
pub(super) fn sum(files: &[Fetched]) -> (u64, Traffic) {
    let mut length = 0_u64;
    let mut traffic = Traffic::default();
    for received in files.iter().filter_map(|file| file.outcome.as_ref().ok()) {
        length = length.saturating_add(received.length);
        traffic.origin = traffic.origin.saturating_add(received.traffic.origin);
        traffic.peers = traffic.peers.saturating_add(received.traffic.peers);
        traffic.local = traffic.local.saturating_add(received.traffic.local);
    }
    (length, traffic)
}

impl Args {
    /// Whether a directory is asked for. HTTP has none, so there a slash at the end is part of a name like any other.
    pub(super) fn is_directory(&self) -> bool {
        let is_http = matches!(self.url.scheme(), "http" | "https");
        self.recursive || (!is_http && self.url.path().ends_with('/'))
    }

    fn directory(&self) -> Result<(PathBuf, Format), ArgsError> {
        if self.output_is_missing() {
            return Err(ArgsError::NoDirectory);
        }
        if self.digest.is_some() || self.content_for_calculating_task_id.is_some() {
            return Err(ArgsError::OneForMany);
        }
        self.output()
    }
}
