//! One of our programs on a host of the lab: started with a file of its own, killed and started again by tests.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::network::Host;
use crate::process::{Process, Ready};

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A program and what it takes to start it.
#[derive(Debug)]
pub struct Program {
    host: Host,
    binary: PathBuf,
    verb: &'static str,
    ready: Ready,
    dir: PathBuf,
    process: Option<Process>,
    /// What earlier runs logged.
    earlier: String,
}

/// What makes a program the one it is.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where it runs.
    pub host: &'a Host,
    /// Our binary.
    pub binary: &'a Path,
    /// The verb of our binary.
    pub verb: &'static str,
    /// Its configuration file.
    pub config: Value,
    /// The port at which it is ready once that accepts connections.
    pub port: u16,
    /// Its directory, which it has for itself.
    pub dir: PathBuf,
}

impl Program {
    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it doesn't come up; the error says what it said.
    pub async fn start(launch: Launch<'_>) -> Result<Self> {
        std::fs::create_dir_all(&launch.dir)?;
        // JSON is YAML.
        std::fs::write(
            launch.dir.join("config.yaml"),
            serde_json::to_vec_pretty(&launch.config)?,
        )?;
        let mut program = Self {
            host: launch.host.clone(),
            binary: launch.binary.to_owned(),
            verb: launch.verb,
            ready: Ready::Port((launch.host.ip, launch.port).into()),
            dir: launch.dir,
            process: None,
            earlier: String::new(),
        };
        program.start_again().await?;
        Ok(program)
    }

    /// The host that it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The id of its process while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Everything it has logged.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> Result<String> {
        let now = self.process.as_ref().map(Process::stderr).transpose()?;
        Ok(self.earlier.clone() + &now.unwrap_or_default())
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().with_context(|| self.not_running())?;
        process.kill().await?;
        self.earlier.push_str(&process.stderr()?);
        Ok(())
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it had ended before or takes too long.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().with_context(|| self.not_running())?;
        let status = process.stop(STOP_WITHIN).await?;
        self.earlier.push_str(&process.stderr()?);
        Ok(status)
    }

    /// Starts it again with the same file and data.
    ///
    /// # Errors
    /// When it runs, or doesn't come up.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("{} on {} is running already", self.verb, self.host.name);
        }
        let mut command = self.host.place().command(&self.binary);
        command
            .args([self.verb, "--console", "--log-format", "json", "--config"])
            .arg(self.dir.join("config.yaml"));
        let name = format!("{}-{}", self.host.name, self.verb);
        let mut process = Process::start(&name, command, &self.dir)?;
        process.ready(&self.ready, START_WITHIN).await?;
        self.process = Some(process);
        Ok(())
    }

    fn not_running(&self) -> String {
        format!("{} on {} is not running", self.verb, self.host.name)
    }
}
