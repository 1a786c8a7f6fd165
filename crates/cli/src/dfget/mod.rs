//! `dfget`: a thin client of the dfdaemon on this host. It owns the output file and what the user sees; the daemon owns
//! the download.

mod args;
pub(crate) mod download;
mod error;
pub(crate) mod landed;
pub(crate) mod part;
pub(crate) mod progress;
mod report;
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
use std::path::Path;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Downloads, and reports on stdout. `cancel` ends it without a file.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> Result<(), Failure> {
    let format = args.format();
    let outcome = tokio::select! {
        outcome = get(&args) => outcome,
        () = tokio::time::sleep(args.timeout) => Err(Failure::new(format!(
            "not finished after {}; allow more with --timeout",
            humantime::format_duration(args.timeout)
        ))),
        () = cancel.cancelled() => Err(Failure::new("interrupted; the same command goes on where it ended")),
    };
    match (&outcome, format) {
        (Ok(report), _) => console::say(&format!("{report}\n")),
        (Err(failure), Format::Json) => console::say(&format!("{}\n", report::failure(&failure.to_string()))),
        (Err(_), Format::Human) => {}
    }
    outcome.map(|_| ())
}

/// The report, once the output has its name.
async fn get(args: &Args) -> Result<String, Failure> {
    let started = Instant::now();
    let (output, format) = args.output().map_err(|error| Failure::of(&error, exit::FAILURE))?;
    // Before anything is asked of anyone.
    let mut part = Part::begin(&output, args.overwrite).map_err(failed)?;
    let received = fill(args, &mut part, &output).await?;
    part.finish(args.overwrite).map_err(failed)?;
    let url = error::shown(args);
    let report = Report::new(&url, &output, &received, started.elapsed());
    Ok(match format {
        Format::Human => report.line(),
        Format::Json => report.json(),
    })
}

async fn fill(args: &Args, part: &mut Part, output: &Path) -> Result<Received, Failure> {
    let name = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut daemon = Daemon::connect(&args.endpoint).await.map_err(failed)?;
    let progress = Progress::start(&name, !args.no_progress);
    let received = daemon.download(args, part, &progress).await.map_err(failed)?;
    drop(progress);
    if let Some(digest) = args.digest.clone() {
        let content = part.content().map_err(failed)?;
        let verified = tokio::task::spawn_blocking(move || verify::verify(&content, &digest)).await;
        verified
            .map_err(|panic| Failure::of(&panic, exit::FAILURE))?
            .map_err(failed)?;
    }
    Ok(received)
}

fn failed<E: std::error::Error + 'static>(error: E) -> Failure {
    Failure::of(&error, exit::FAILURE)
}
