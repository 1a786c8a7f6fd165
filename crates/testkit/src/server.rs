//! A server that a test starts, kills and starts again on the same data: what the databases of this crate share.
//!
//! It is ready when a client of its own kind, started in the same place, was answered: a port that accepts connections
//! says little about a database that still replays its log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::process::{Process, output};
use crate::shared::Use;

/// How long a server may take from its start to its first answer; replaying a log after a kill is part of it.
const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How long one question may take before it is asked again.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A program and its arguments; unlike a [`Command`] it can be started more than once.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Line {
    pub(crate) fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = String>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
        }
    }

    pub(crate) fn command(&self, place: &Place) -> Command {
        let mut command = place.command(&self.program);
        command.args(&self.arguments);
        command
    }
}

/// A server, running or killed, with its data.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    place: Place,
    dir: PathBuf,
    run: Line,
    ask: Line,
    process: Option<Process>,
    /// Held while it is a server that other tests use, too.
    shared: Option<Use>,
}

impl Server {
    /// A server that isn't running yet. `run` starts it; `ask` ends well when it answers. Its logs go to `dir`.
    pub(crate) fn new(name: &'static str, place: &Place, dir: &Path, run: Line, ask: Line) -> Self {
        Self {
            name,
            place: place.clone(),
            dir: dir.to_owned(),
            run,
            ask,
            process: None,
            shared: None,
        }
    }

    /// A server that runs and is not ours to end.
    pub(crate) fn shared(name: &'static str, (run, ask): (Line, Line), shared: Use) -> Self {
        let mut server = Self::new(name, &Place::Here, &shared.dir, run, ask);
        server.shared = Some(shared);
        server
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Starts it on the data it has and waits until it answers.
    ///
    /// # Errors
    /// When it runs already or doesn't come up.
    pub(crate) async fn start(&mut self) -> Result<()> {
        if self.process.is_some() || self.shared.is_some() {
            bail!("{} is running already", self.name);
        }
        let end = Instant::now() + START_WITHIN;
        loop {
            let mut process = Process::start(self.name, self.run.command(&self.place), &self.dir)?;
            match self.answered(&mut process, end).await {
                Ok(()) => {
                    self.process = Some(process);
                    return Ok(());
                }
                // What a kill left of the one before (shared memory, a child that is still ending) may be in the way
                // for a moment.
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    async fn answered(&self, process: &mut Process, end: Instant) -> Result<()> {
        loop {
            let asked = output(self.ask.command(&self.place), ASK_WITHIN).await;
            if asked.as_ref().is_ok_and(|output| output.status.success()) {
                return Ok(());
            }
            if let Ok(status) = process.exited(Duration::ZERO).await {
                bail!(
                    "{} ended ({status}) before it answered: {}",
                    self.name,
                    process.stderr()?
                );
            }
            if Instant::now() > end {
                let said = asked.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
                bail!(
                    "{} did not answer within {START_WITHIN:?}: {said:?}\n{}",
                    self.name,
                    process.stderr()?
                );
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it isn't running.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.take()?.kill().await
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it isn't running or doesn't end.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.take()?.stop(STOP_WITHIN).await?;
        Ok(())
    }

    /// The process id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    fn take(&mut self) -> Result<Process> {
        self.process
            .take()
            .with_context(|| format!("{} isn't running, or is shared", self.name))
    }
}
