//! `dragonfly up`: manager, scheduler, seed peer and peers in this process, on the usual ports of one address, with all
//! data in one directory.

mod addresses;
mod args;
mod cluster;
mod password;
mod plan;
mod sample;

pub(crate) use args::{Args, EXAMPLES};

use crate::console;
use crate::failure::Failure;
use crate::program::read;
use addresses::{Addresses, quoted};
use cluster::Cluster;
use dragonfly_service::fs::{self, DataDir};
use dragonfly_service::telemetry::{self, Format, Options, Target, Traces};
use dragonfly_service::{exit, net};
use password::RootPassword;
use plan::{Files, Place, Plan};
use sample::Sample;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Runs the cluster until `cancel`.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> Result<(), Failure> {
    let started = Instant::now();
    let data_dir = data_dir(&args)?;
    let files = files(&args)?;
    let scheme = if files.manager.server.rest.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut plan = Plan::new(files, &place(&args, &data_dir))?;
    let _guard = start_log(&args.log_level, plan.traces.take())?;
    // From here on the directory is ours, and so is the ready file.
    let data = DataDir::lock(&data_dir).map_err(|error| failed(&error))?;
    let ready_file = args.ready_file.as_deref().map(ReadyFile::new).transpose()?;
    let root = RootPassword::keep(data.path(), plan.manager.database.may_be_empty()).map_err(|error| failed(&error))?;
    plan.manager.initial_root_password = root.secret();
    let sample = Sample::bind(args.ip).map_err(|error| failed(&error))?;
    let url = sample.url();
    let cluster = Cluster::build(plan, sample).await?;
    let addresses = Addresses::new(cluster.bound(scheme), &root);
    let mut running = cluster.start();
    let tell = || {
        if let Some(file) = &ready_file {
            file.write(&addresses.json())?;
        }
        let try_it = try_it(&args, addresses.first_socket(), &url);
        console::say(&addresses.banner(started.elapsed(), root.shown(), &try_it));
        Ok(())
    };
    let outcome = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        outcome = async {
            running.ready().await?;
            tell()?;
            Err(running.failed().await)
        } => outcome,
    };
    running.stop().await;
    outcome
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::of(error, exit::FAILURE)
}

fn start_log(level: &str, traces: Option<Traces>) -> Result<telemetry::Guard, Failure> {
    let options = Options {
        level: level.to_owned(),
        format: Format::Human,
        target: Target::Stderr,
        traces,
    };
    telemetry::init(options).map_err(|error| Failure::config(&error))
}

fn data_dir(args: &Args) -> Result<PathBuf, Failure> {
    let dir = args.data_dir.clone().or_else(|| args.environment.data_dir());
    let dir = dir.ok_or_else(|| Failure::new("there is no home directory; say where to keep data with --data-dir"))?;
    std::path::absolute(&dir).map_err(|error| Failure::new(format!("{} is no directory: {error}", dir.display())))
}

fn files(args: &Args) -> Result<Files, Failure> {
    /// A file that is not named means the defaults, whatever lies in /etc: the programs there are others.
    fn content<R: serde::de::DeserializeOwned + Default>(file: Option<&Path>) -> Result<R, Failure> {
        match file {
            Some(file) => Ok(read(Some(file), "")?.0),
            None => Ok(R::default()),
        }
    }
    Ok(Files {
        manager: content(args.manager_config.as_deref())?,
        scheduler: content(args.scheduler_config.as_deref())?,
        seed: content(args.seed_config.as_deref())?,
        peer: content(args.dfdaemon_config.as_deref())?,
    })
}

fn place(args: &Args, data_dir: &Path) -> Place {
    Place {
        ip: args.ip,
        data_dir: data_dir.to_owned(),
        host: net::hostname(),
        peers: args.peers,
    }
}

/// The line to paste.
fn try_it(args: &Args, socket: &Path, url: &str) -> String {
    let own = std::env::current_exe().unwrap_or_else(|_| "dragonfly".into());
    let linked = args.environment.find("dfget").and_then(|path| path.canonicalize().ok());
    let program = if linked.is_some_and(|path| Some(path) == own.canonicalize().ok()) {
        "dfget".to_owned()
    } else {
        format!("{} dfget", quoted(&own.to_string_lossy()))
    };
    let output = std::env::temp_dir().join("dragonfly-sample.bin");
    format!(
        "{program} {url} -O {} --overwrite --digest {} --endpoint {}",
        quoted(&output.to_string_lossy()),
        sample::DIGEST,
        quoted(&socket.to_string_lossy()),
    )
}

/// There while all is serving, and never else.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Removes what an earlier run left.
    fn new(path: &Path) -> Result<Self, Failure> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(format!(
                "can't replace the ready file {}: {error}",
                path.display()
            ))),
            _ => Ok(Self(path.to_owned())),
        }
    }

    fn write(&self, content: &[u8]) -> Result<(), Failure> {
        fs::write_atomic(&self.0, content, 0o644).map_err(|error| failed(&error))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // It may never have been written.
        std::fs::remove_file(&self.0).ok();
    }
}
