//! The three programs, each seen as a [`Program`].

use crate::failure::Failure;
use crate::program::{Log, Program};
use dragonfly_manager::Manager;
use dragonfly_peer::Peer;
use dragonfly_scheduler::Scheduler;
use dragonfly_service::Ready;
use dragonfly_service::telemetry::Tracing;
use tokio_util::sync::CancellationToken;

/// Log files of programs whose configuration does not say more.
const MAX_FILE_SIZE: u64 = 1 << 30;
const MAX_FILES: usize = 6;

macro_rules! program {
    ($program:ident, $name:literal, $service:literal, $room:ident, $log:expr) => {
        impl Program for $program {
            const NAME: &'static str = $name;
            type Raw = $room::config::Raw;
            type Config = $room::Config;

            fn log(raw: &Self::Raw) -> Log {
                $log(raw)
            }

            fn tracing(raw: &Self::Raw) -> (&'static str, &Tracing) {
                ($service, &raw.tracing)
            }

            async fn build(config: Self::Config) -> Result<Self, Failure> {
                $program::build(config)
                    .await
                    .map_err(|error| Failure::of(&error, error.exit_code()))
            }

            fn ready(&self) -> Ready {
                $program::ready(self)
            }

            async fn run(self, cancel: CancellationToken) -> Result<(), Failure> {
                $program::run(self, cancel)
                    .await
                    .map_err(|error| Failure::of(&error, error.exit_code()))
            }
        }
    };
}

program!(
    Manager,
    "manager",
    "dragonfly-manager",
    dragonfly_manager,
    |raw: &dragonfly_manager::config::Raw| Log {
        level: level(raw.verbose, &raw.server.log_level),
        dir: raw.server.log_dir.clone(),
        max_file_size: raw.server.log_max_size.saturating_mul(1_000_000),
        max_files: raw.server.log_max_backups.saturating_add(1),
        console: raw.console,
    }
);

program!(
    Scheduler,
    "scheduler",
    "dragonfly-scheduler",
    dragonfly_scheduler,
    |raw: &dragonfly_scheduler::config::Raw| Log {
        level: level(raw.verbose, &raw.server.log_level),
        dir: raw.server.log_dir.clone(),
        max_file_size: raw.server.log_max_size.saturating_mul(1_000_000),
        max_files: raw.server.log_max_backups.saturating_add(1),
        console: raw.console,
    }
);

// Under this name Dragonfly's own peers are found.
program!(
    Peer,
    "dfdaemon",
    "dragonfly-dfget",
    dragonfly_peer,
    |raw: &dragonfly_peer::config::Raw| {
        Log {
            level: level(raw.verbose, "info"),
            dir: None,
            max_file_size: MAX_FILE_SIZE,
            max_files: MAX_FILES,
            console: false,
        }
    }
);

#[cfg(test)]
mod tests;

fn level(verbose: bool, configured: &str) -> String {
    if verbose { "debug" } else { configured }.to_owned()
}
