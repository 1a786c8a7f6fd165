//! `dfget`: a thin client of the dfdaemon on this host. It owns the output file and what the user sees; the daemon owns
//! the download.

mod args;
mod directory;
pub(crate) mod download;
mod error;
pub(crate) mod landed;
mod origin;
pub(crate) mod part;
pub(crate) mod progress;
mod report;
mod tree;
pub(crate) mod verify;

pub(crate) use args::Args;

use crate::console;
use crate::failure::Failure;
use args::Format;
use download::{Daemon, Received};
use dragonfly_service::exit;
use part::Part;
use progress::Progress;
use report::Report;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Downloads, and reports on stdout. `cancel` ends it without a file.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> Result<(), Failure> {
    let format = args.format();
    let outcome = tokio::select! {
        outcome = dispatch(&args) => outcome,
        () = tokio::time::sleep(args.timeout) => Err(Failure::new(format!(
            "not finished after {}; allow more with --timeout",
            humantime::format_duration(args.timeout)
        ))),
        () = cancel.cancelled() => Err(Failure::new("interrupted; the same command goes on where it ended")),
    };
    match (&outcome, format) {
        (Ok(outcome), _) => console::say(&format!("{}\n", outcome.said)),
        (Err(failure), Format::Json) => console::say(&format!("{}\n", report::failure(&failure.to_string()))),
        (Err(_), Format::Human) => {}
    }
    outcome?.failure.map_or(Ok(()), Err)
}

/// How it ended.
struct Outcome {
    /// What stands on stdout.
    said: String,
    /// What was left undone.
    failure: Option<Failure>,
}

async fn dispatch(args: &Args) -> Result<Outcome, Failure> {
    if args.is_directory() {
        return directory::get(args).await;
    }
    get(args).await.map(|said| Outcome { said, failure: None })
}

/// The report, once the output has its name.
async fn get(args: &Args) -> Result<String, Failure> {
    let started = Instant::now();
    let (output, format) = args.output().map_err(|error| Failure::of(&error, exit::FAILURE))?;
    // Before anything is asked of anyone.
    let part = Part::begin(&output, args.overwrite).map_err(failed)?;
    let daemon = Daemon::connect(args).await.map_err(failed)?;
    let name = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let progress = Progress::start(&name, !args.no_progress);
    let received = fill(args, &daemon, part, &progress).await.map_err(failed)?;
    drop(progress);
    let url = error::shown(args);
    let report = Report::new(&url, &output, &received, started.elapsed());
    Ok(match format {
        Format::Human => report.line(),
        Format::Json => report.json(),
    })
}

/// Downloads one file to where it belongs.
async fn fill(args: &Args, daemon: &Daemon, mut part: Part, progress: &Progress) -> Result<Received, error::Error> {
    let received = daemon.download(args, &mut part, progress).await?;
    if let Some(digest) = args.digest.clone() {
        let content = part.content()?;
        let verified = tokio::task::spawn_blocking(move || verify::verify(&content, &digest)).await;
        verified.map_err(error::Error::Crashed)??;
    }
    part.finish(args.overwrite)?;
    Ok(received)
}

fn failed<E: std::error::Error + 'static>(error: E) -> Failure {
    Failure::of(&error, exit::FAILURE)
}
