//! Real programs, started by a test and gone when it ends.
//!
//! Every program gets its own log files and is ended through the handle that started it, never by name. A test that
//! is killed takes its programs with it: they ask the kernel to die with the thread that started them.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often the state of a program that gives no event is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a program that was sent SIGKILL may take to be gone.
const REAP_WITHIN: Duration = Duration::from_secs(5);
/// How much of a log is shown when a test fails.
const LOG_TAIL: usize = 40;

/// What says that a program is ready.
#[derive(Clone, Debug)]
pub enum Ready {
    /// It accepts connections at this address.
    Port(SocketAddr),
    /// It accepts connections at this unix socket.
    Socket(PathBuf),
    /// This file is there.
    File(PathBuf),
}

impl Ready {
    async fn holds(&self) -> bool {
        match self {
            Self::Port(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
            Self::Socket(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
            Self::File(path) => path.exists(),
        }
    }
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: tokio::process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `<log_dir>/<name>.out` and `<name>.err`, which are emptied first.
    ///
    /// Call it from the test's own task: the program dies with the thread that started it.
    ///
    /// # Errors
    /// When the program can't be started or the log files can't be made.
    pub fn start(name: &str, command: std::process::Command, log_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(log_dir)?;
        let stdout = log_dir.join(format!("{name}.out"));
        let stderr = log_dir.join(format!("{name}.err"));
        let child = tied_to_us(command)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        })
    }

    /// The process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything it wrote to standard output so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.stdout)?).into_owned())
    }

    /// Everything it wrote to standard error so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.stderr)?).into_owned())
    }

    /// Waits until the program is ready.
    ///
    /// # Errors
    /// When it exits before, or isn't ready `within` this time. The error ends with what it said.
    pub async fn ready(&mut self, sign: &Ready, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        while !sign.holds().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before {sign:?}\n{}", self.name, self.tail());
            }
            if Instant::now() > end {
                bail!(
                    "{} was not ready ({sign:?}) within {within:?}\n{}",
                    self.name,
                    self.tail()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until the program ends by itself.
    ///
    /// # Errors
    /// When it still runs after this time.
    pub async fn exited(&mut self, within: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still ran after {within:?}\n{}", self.name, self.tail()),
        }
    }

    /// Sends a signal to this one process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().with_context(|| format!("{} has ended", self.name))?;
        kill(Pid::from_raw(i32::try_from(id)?), signal)?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it has ended before, or still runs after this time.
    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.exited(within).await
    }

    /// Ends it at once (SIGKILL), as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When it had ended before by something else.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        let status = self.exited(REAP_WITHIN).await?;
        if status.signal() != Some(Signal::SIGKILL as i32) {
            bail!(
                "{} had ended before it was killed: {status}\n{}",
                self.name,
                self.tail()
            );
        }
        Ok(())
    }

    /// The ends of its logs, for a message.
    fn tail(&self) -> String {
        let mut text = String::new();
        for path in [&self.stdout, &self.stderr] {
            let log = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = log.lines().collect();
            if !lines.is_empty() {
                let from = lines.len().saturating_sub(LOG_TAIL);
                text.push_str(&format!(
                    "--- the end of {}\n{}\n",
                    path.display(),
                    lines[from..].join("\n")
                ));
            }
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        if self.child.start_kill().is_err() {
            return;
        }
        let end = Instant::now() + REAP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// When it can't be started, fails, or takes longer than `within`; the error carries its standard error.
pub async fn run(command: std::process::Command, within: Duration) -> Result<String> {
    let what = format!("{command:?}");
    let output = output(command, within).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end, whatever its exit code.
///
/// # Errors
/// When it can't be started or takes longer than `within`, after which it is killed.
pub async fn output(command: std::process::Command, within: Duration) -> Result<std::process::Output> {
    let what = format!("{command:?}");
    let running = tied_to_us(command).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(within, running).await;
    output
        .with_context(|| format!("{what} took longer than {within:?}"))?
        .with_context(|| format!("starting {what}"))
}

/// The same command, asking the kernel for SIGKILL when the thread that starts it is gone.
fn tied_to_us(command: std::process::Command) -> tokio::process::Command {
    let mut tied = tokio::process::Command::new("/usr/bin/setpriv");
    tied.args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        tied.current_dir(directory);
    }
    tied
}

/// Runs to the end, blocking its thread; stdout if it succeeded, else an error with all that it said.
pub(crate) fn said_by(command: &mut std::process::Command) -> Result<String> {
    let what = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("running {what}"))?;
    if !output.status.success() {
        bail!(
            "{what}: {}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A port on `ip` that was free a moment ago.
///
/// # Errors
/// When the address is not ours.
pub fn free_port(ip: IpAddr) -> Result<u16> {
    Ok(std::net::TcpListener::bind((ip, 0))
        .with_context(|| format!("finding a free port on {ip}"))?
        .local_addr()?
        .port())
}

/// A loopback address that no other test uses, so that programs with fixed ports can run side by side.
#[must_use]
pub fn own_loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    // 127.16.0.0 and up, 16 addresses a process: process ids of one boot stay apart for long.
    let host = std::process::id().wrapping_mul(16).wrapping_add(next % 16) % 0x00e0_0000;
    Ipv4Addr::from_bits(0x7f10_0001 + host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command.args(arguments);
        command
    }

    #[tokio::test]
    async fn a_program_that_ends_too_early_shows_what_it_said() {
        let logs = tempfile::tempdir().unwrap();
        let fails = command("sh", &["-c", "echo no disk >&2; exit 3"]);
        let mut process = Process::start("fails", fails, logs.path()).unwrap();
        let sign = Ready::File(logs.path().join("never"));
        let error = process
            .ready(&sign, Duration::from_secs(20))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("no disk"), "{error}");
        assert_eq!(process.exited(Duration::from_secs(1)).await.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn a_dropped_program_is_gone() {
        let logs = tempfile::tempdir().unwrap();
        let process = Process::start("sleeps", command("sleep", &["600"]), logs.path()).unwrap();
        let id = process.id().unwrap();
        assert!(Path::new(&format!("/proc/{id}")).exists());
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[tokio::test]
    async fn stop_lets_a_program_end_well_and_kill_does_not() {
        let logs = tempfile::tempdir().unwrap();
        let ready = logs.path().join("ready");
        let traps = format!(
            "trap 'exit 7' TERM; touch {}; while :; do sleep 0.01; done",
            ready.display()
        );
        for killed in [false, true] {
            let mut process = Process::start("traps", command("sh", &["-c", &traps]), logs.path()).unwrap();
            process
                .ready(&Ready::File(ready.clone()), Duration::from_secs(20))
                .await
                .unwrap();
            if killed {
                process.kill().await.unwrap();
            } else {
                assert_eq!(process.stop(Duration::from_secs(20)).await.unwrap().code(), Some(7));
            }
            std::fs::remove_file(&ready).unwrap();
        }
    }

    #[tokio::test]
    async fn a_failing_command_is_an_error_with_its_words() {
        let error = run(command("sh", &["-c", "echo why >&2; exit 1"]), Duration::from_secs(20))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        let error = run(command("sleep", &["600"]), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains("longer than"), "{error:#}");
    }

    #[test]
    fn loopback_addresses_differ_and_can_be_bound() {
        let (one, other) = (own_loopback(), own_loopback());
        assert_ne!(one, other);
        for ip in [one, other] {
            assert!(ip.is_loopback());
            assert_ne!(free_port(ip.into()).unwrap(), 0);
        }
    }
}
