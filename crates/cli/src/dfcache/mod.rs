//! `dfcache`: files that the cluster keeps by itself, with replicas and for a time. A thin client of the dfdaemon on this host: it
//! opens the files that go in and writes those that come out, with its user's rights; the daemon does the rest.

mod export;
mod import;
mod tasks;

use crate::console;
use crate::dfctl::output::Output;
use crate::failure::Failure;
use crate::local::Endpoint;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// For `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  dfcache import model.bin
  dfcache import model.bin --persistent-replica-count 3 --ttl 24h --tag v2
  dfcache import model.bin --content-for-calculating-task-id model-v2
  dfcache export 5e884898da28047151d0e56f8dc62927… -O model.bin
  dfcache stat 5e884898da28047151d0e56f8dc62927… --output json
  dfcache ls
  dfcache rm 5e884898da28047151d0e56f8dc62927…

Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong.";

/// `dfcache`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Put a file in; prints the id by which it is had again
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
    /// Get a file out, from the hosts that have it
    #[command(after_help = export::EXAMPLES)]
    Export(export::Args),
    /// Show what the cluster knows of one
    Stat {
        /// Its id
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// List those that this host has
    Ls {
        #[command(flatten)]
        how: How,
    },
    /// Have every host of the cluster drop one
    Rm {
        /// Its id
        id: String,
        #[command(flatten)]
        of: Endpoint,
    },
}

/// Which daemon is asked, and how the answer is printed.
#[derive(clap::Args)]
struct How {
    /// What is printed to stdout
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    of: Endpoint,
}

/// Does what the command line says. `cancel` gives up; nothing half done stays.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> Result<(), Failure> {
    let doing = async {
        match args.verb {
            Verb::Import(args) => within(args.timeout, import::run(&args)).await,
            Verb::Export(args) => {
                let done = within(args.timeout, export::run(&args)).await;
                export::told(&args, done)
            }
            Verb::Stat { id, how } => tasks::stat(&how.of, &id, how.output).await,
            Verb::Ls { how } => tasks::ls(&how.of, how.output).await,
            Verb::Rm { id, of } => tasks::rm(&of, &id).await,
        }
    };
    let text = tokio::select! {
        text = doing => text?,
        () = cancel.cancelled() => return Err(Failure::new("interrupted")),
    };
    console::say(&text);
    Ok(())
}

async fn within<T>(time: Duration, doing: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let done = tokio::time::timeout(time, doing).await;
    done.unwrap_or_else(|_| {
        let time = humantime::format_duration(time);
        Err(Failure::new(format!(
            "not finished after {time}; allow more with --timeout"
        )))
    })
}
