//! Logs and traces: one subscriber for the process. Logs are human-readable or JSON and go to stderr or to files that are
//! rolled by size; traces go to a collector, if one is named.
//!
//! Messages are lower-case sentences with dotted fields (`task.id`). Secrets are types that can't be printed.

mod rolling;
mod tail;
mod traces;

pub use traces::{Error as TracesError, Lasting, Protocol, SPANS, Traces, Tracing, follow, number, pass_on};

use rolling::Rolling;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard error.
    Stderr,
    /// `<dir>/<name>.log`, which becomes `<name>.log.1` when it is full, and so on.
    Dir {
        /// The directory; created if it is missing.
        dir: PathBuf,
        /// Name of the program.
        name: String,
        /// Size in bytes at which a file is rolled.
        max_file_size: u64,
        /// How many files are kept, the one that is written included; at least 1.
        max_files: usize,
    },
}

/// What [`init`] needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,dragonfly_peer=debug`. A bare level is that of
    /// our own lines; libraries are heard from `warn` on.
    pub level: String,
    /// How lines look.
    pub format: Format,
    /// Where they go.
    pub target: Target,
    /// Where traces go; nowhere without.
    pub traces: Option<Traces>,
}

/// Why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is no filter.
    #[error("log level can't be {level:?}: use error, warn, info, debug or trace")]
    Level {
        /// What was given.
        level: String,
    },
    /// A file can't be opened.
    #[error("can't write logs to {}", path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Traces can't be exported.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The process has a subscriber already.
    #[error("logging was started before in this process")]
    Started,
}

/// Keeps the log writer and the export of traces alive; what is buffered is written when it is dropped.
#[derive(Debug)]
#[must_use = "lines that are not yet written are lost without it"]
pub struct Guard {
    _traces: Option<traces::Exporting>,
    _writer: WorkerGuard,
}

/// Lines that may wait for a slow disk or terminal before further ones are dropped.
const BUFFERED_LINES: usize = 32_768;

/// Starts logging for the whole process, and routes panics into the log. Traces need a runtime.
pub fn init(options: Options) -> Result<Guard, Error> {
    let filter = filter(&options.level)?;
    let (writer, guard, colour) = writer(&options.target)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colour && options.format == Format::Human);
    let lines = match options.format {
        Format::Human => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let (spans, exporting) = options.traces.map(Traces::begin).transpose()?.unzip();
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(spans)
        .try_init()
        .map_err(|_| Error::Started)?;
    log_panics();
    Ok(Guard {
        _traces: exporting,
        _writer: guard,
    })
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    let malformed = || Error::Level {
        level: level.to_owned(),
    };
    // A bare word that is no level would be taken for the name of a target and silence all others.
    if !level.contains(['=', ',']) && !known.contains(&level.to_lowercase().as_str()) {
        return Err(malformed());
    }
    // A level is that of our own lines; what libraries have to say below a warning is for those who ask for it.
    let directives = match level.to_lowercase().as_str() {
        "info" | "debug" | "trace" => format!("warn,dragonfly={level}"),
        _ => level.to_owned(),
    };
    EnvFilter::builder().parse(directives).map_err(|_| malformed())
}

fn writer(target: &Target) -> Result<(NonBlocking, WorkerGuard, bool), Error> {
    let builder = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        .thread_name("log");
    match target {
        Target::Stderr => {
            let stderr = io::stderr();
            let colour = stderr.is_terminal() && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
            let (writer, guard) = builder.finish(stderr);
            Ok((writer, guard, colour))
        }
        Target::Dir {
            dir,
            name,
            max_file_size,
            max_files,
        } => {
            let failed = |path: PathBuf| move |source| Error::Open { path, source };
            std::fs::create_dir_all(dir).map_err(failed(dir.clone()))?;
            let path = dir.join(format!("{name}.log"));
            let file = Rolling::open(path.clone(), *max_file_size, *max_files).map_err(failed(path))?;
            let (writer, guard) = builder.finish(file);
            Ok((writer, guard, false))
        }
    }
}

/// A panic in a worker is an event like others, in the same place, with its own place as a field.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("of an unknown kind");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(panic.at = at, panic.backtrace = %backtrace, "panic: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_directives() {
        for good in ["info", "DEBUG", "info,dragonfly_peer=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["verbose", "", "a=b=c"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_reach_the_file_as_json_and_a_second_start_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            level: "info".to_owned(),
            format: Format::Json,
            target: Target::Dir {
                dir: dir.path().join("logs"),
                name: "dfdaemon".to_owned(),
                max_file_size: 1 << 20,
                max_files: 2,
            },
            traces: None,
        };
        let guard = init(options.clone()).unwrap();
        tracing::info!(task.id = "abc", "piece finished");
        tracing::debug!("below the level");
        let panicked = std::thread::spawn(|| panic!("on purpose")).join();
        assert!(panicked.is_err());
        assert!(matches!(init(options), Err(Error::Started)));
        drop(guard);
        let text = std::fs::read_to_string(dir.path().join("logs/dfdaemon.log")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["message"], "piece finished");
        assert_eq!(lines[0]["task.id"], "abc");
        assert_eq!(lines[1]["message"], "panic: on purpose");
    }
}
