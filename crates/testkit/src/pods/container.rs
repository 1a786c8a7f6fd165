//! A container as a process: runc runs it, in a root file system that nobody else sees and that is gone with it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::images::Image;
use crate::packages::RUNC;
use crate::process::{Process, output, said_by};

const ASK_WITHIN: Duration = Duration::from_secs(20);
const INIT_WITHIN: Duration = Duration::from_secs(60);
/// Mounts are this process's own, so they leave with it. Over the files $1 are those of $2, if any, in the bundle $3, which the runtime
/// $4 with its state in $5 runs as $6.
const RUN: &str = r#"
mount -t tmpfs tmpfs "$3/changes"
mkdir "$3/changes/upper" "$3/changes/work"
[ -z "$2" ] || cp -R "$2/." "$3/changes/upper"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/changes/upper,workdir=$3/changes/work" "$3/root"
exec "$4" --root "$5" run --bundle "$3" "$6"
"#;

/// A container that was started. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Container {
    id: String,
    runtime: PathBuf,
    process: Process,
}

impl Container {
    /// Starts what `config` says as `id` in `dir`, which it has for itself.
    pub(super) fn start(id: &str, dir: &Path, runtime: &Path, (image, config): (&Image, &Value)) -> Result<Self> {
        for part in ["changes", "root"] {
            std::fs::create_dir_all(dir.join(part))?;
        }
        std::fs::write(dir.join("config.json"), serde_json::to_vec_pretty(config)?)?;
        let mut command = Command::new("/usr/bin/unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "/bin/sh",
                "-euc",
                RUN,
                "sh",
            ])
            .arg(&image.base)
            .arg(image.more.as_deref().unwrap_or(Path::new("")))
            .arg(dir)
            .arg(RUNC.1)
            .arg(runtime)
            .arg(id);
        Ok(Self {
            process: Process::start(id, command, dir)?,
            id: id.to_owned(),
            runtime: runtime.to_owned(),
        })
    }

    /// Waits until it has done its work.
    ///
    /// # Errors
    /// When it fails or doesn't end; the error says what it said.
    pub(super) async fn done(mut self) -> Result<()> {
        let status = self.process.exited(INIT_WITHIN).await?;
        if !status.success() {
            bail!(self.ended(status)?);
        }
        Ok(())
    }

    /// An error when it doesn't run any more.
    pub(super) async fn runs(&mut self) -> Result<()> {
        match self.process.exited(Duration::ZERO).await {
            Ok(status) => bail!(self.ended(status)?),
            Err(_) => Ok(()),
        }
    }

    /// Whether a command in it ends well.
    pub(super) async fn ask(&self, command: &[String]) -> Result<bool> {
        let mut runc = Command::new(RUNC.1);
        runc.arg("--root")
            .arg(&self.runtime)
            .args(["exec", &self.id])
            .args(command);
        Ok(output(runc, ASK_WITHIN).await?.status.success())
    }

    /// Everything it has logged.
    pub(super) fn log(&self) -> Result<String> {
        Ok(self.process.stdout()? + &self.process.stderr()?)
    }

    fn ended(&self, status: ExitStatus) -> Result<String> {
        Ok(format!(
            "{} ended ({status}):\n{}",
            self.id,
            self.log().context("its log")?
        ))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut delete = Command::new(RUNC.1);
        delete
            .arg("--root")
            .arg(&self.runtime)
            .args(["delete", "--force", &self.id]);
        if let Err(error) = said_by(&mut delete) {
            eprintln!("ending {}: {error:#}", self.id);
        }
    }
}
