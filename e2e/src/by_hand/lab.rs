//! A lab that stays: it describes itself in a file, by which other commands find it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dragonfly_e2e::article::{self, Standing};
use dragonfly_testkit::lab::{self, Blueprint};
use dragonfly_testkit::place::Place;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

const END_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a running lab tells of itself.
#[derive(Serialize, Deserialize)]
struct Description {
    /// The process that holds it.
    process: i32,
    hosts: Vec<HostDescription>,
}

#[derive(Serialize, Deserialize)]
struct HostDescription {
    name: String,
    ip: std::net::Ipv4Addr,
    namespace: String,
}

pub(super) async fn up(blueprint: Blueprint) -> Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let standing = tokio::select! {
        standing = article::stand(&blueprint, super::progress()) => standing?,
        _ = interrupt.recv() => bail!("interrupted; what there was is cleared"),
        _ = terminate.recv() => bail!("ended; what there was is cleared"),
    };
    describe(&standing)?;
    println!("{}", welcome(&standing));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("ending");
    drop(standing);
    println!("the lab is gone");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn down() -> Result<ExitCode> {
    let mut ended = 0;
    for path in lab::descriptions() {
        let process = Pid::from_raw(read(&path)?.process);
        if kill(process, Signal::SIGTERM) == Err(Errno::ESRCH) {
            continue;
        }
        ended += 1;
        let end = tokio::time::Instant::now() + END_WITHIN;
        while kill(process, None).is_ok() {
            if tokio::time::Instant::now() > end {
                bail!("the lab of process {process} did not end within {END_WITHIN:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    let left = lab::clear_left_behind()?.len();
    println!("{ended} labs ended, {left} hosts of killed ones cleared");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn exec(host: &str, command: &[String]) -> Result<ExitCode> {
    let mut names = Vec::new();
    for path in lab::descriptions() {
        let description = read(&path)?;
        if let Some(found) = description.hosts.iter().find(|one| one.name == host) {
            return enter(found, command);
        }
        names.extend(description.hosts.into_iter().map(|host| host.name));
    }
    match names.as_slice() {
        [] => bail!("no lab runs; start one with `cargo xtask lab up`"),
        _ => bail!("the lab has no host {host:?}; there are {}", names.join(", ")),
    }
}

/// Becomes the command, so that signals and the exit code are its own.
fn enter(host: &HostDescription, command: &[String]) -> Result<ExitCode> {
    let [program, arguments @ ..] = command else {
        bail!("no command");
    };
    let mut command: Command = Place::Namespace(host.namespace.clone()).command(program);
    Err(command.args(arguments).exec()).context("entering the host")
}

fn describe(standing: &Standing) -> Result<()> {
    let hosts = standing.lab.network.hosts().map(|host| HostDescription {
        name: host.name.clone(),
        ip: host.ip,
        namespace: host.namespace.clone(),
    });
    let description = Description {
        process: i32::try_from(std::process::id())?,
        hosts: hosts.collect(),
    };
    let path: PathBuf = standing.lab.network.slot().description();
    std::fs::write(&path, serde_json::to_vec_pretty(&description)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<Description> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn welcome(standing: &Standing) -> String {
    let lab = &standing.lab;
    let mut text = String::from("host        address\n");
    for host in lab.network.hosts() {
        text.push_str(&format!("{:<11} {}\n", host.name, host.ip));
    }
    let manager = lab.managers[0].host().ip;
    text.push_str(&format!(
        "\nmanager     http://{manager}:8080  (user {}, password {})\n",
        lab::ROOT,
        lab::PASSWORD
    ));
    for node in lab.clusters.iter().flat_map(|cluster| &cluster.nodes) {
        let command = node.containerd.pull_command(&standing.reference);
        let line: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        text.push_str(&format!(
            "\npull on {}:\n  cargo xtask lab exec {} -- {}\n",
            node.name(),
            node.name(),
            line.join(" ")
        ));
    }
    text.push_str("\nCtrl-C or `cargo xtask lab down` ends it.");
    text
}
