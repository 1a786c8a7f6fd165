//! What the product costs before it does anything: its size, its start, its memory, and the least that a download takes.

use super::Common;
use super::room::{Plan, Room, place};
use super::usage::resident;
use crate::load::Times;
use anyhow::{Context, Result};
use dragonfly_testkit::packages::CURL;
use dragonfly_testkit::process::run;
use dragonfly_testkit::up::{Options, Up, binary};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Longer than any command here takes.
const WITHIN: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Start {
    /// Starts, and downloads of a byte
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    #[command(flatten)]
    common: Common,
}

impl Start {
    pub(crate) fn run(&self) -> Result<()> {
        self.common.run("start", self.found())
    }

    async fn found(&self) -> Result<String> {
        let binary = binary()?;
        let mut ready = Vec::new();
        for _ in 0..self.repeats {
            let start = Instant::now();
            let mut up = Up::start(Options::default()).await?;
            ready.push(start.elapsed());
            up.stop().await?;
        }
        let room = Room::start(Plan {
            nodes: 1,
            rate: None,
            dir: &self.common.dir,
        })
        .await?;
        let node = room.nodes.first().context("a node was asked for")?;
        let idle = resident(node.id().context("the peer has ended")?)?;
        let (mut bare, mut dfget) = (Vec::new(), Vec::new());
        for seed in 0..u64::from(self.repeats) {
            let url = room.origin.url(&room.put(seed + 1, 1)?.path());
            let mut command = place(node).command(CURL.1);
            command.args(["--silent", "--fail", "--output", "/dev/null", &url]);
            bare.push(timed(command).await?);
            let mut command = place(node).command(&binary);
            command
                .args(["dfget", &url, "--overwrite", "--endpoint"])
                .arg(node.dir().join("dfdaemon.sock"))
                .arg("--output")
                .arg(room.dir().join("byte"));
            dfget.push(timed(command).await?);
        }
        let size = std::fs::metadata(&binary)?.len();
        let (bare, dfget) = (Times::of(bare).p50(), Times::of(dfget).p50());
        let mut text = format!(
            "Medians of {}:\n\n| what | measured | goal |\n|---|---|---|\n",
            self.repeats
        );
        writeln!(
            text,
            "| the binary | {:.1} MiB | 40 MiB |",
            size as f64 / f64::from(1 << 20)
        )?;
        writeln!(
            text,
            "| `dragonfly up`, until everything answers | {:.2} s | 1 s |",
            Times::of(ready).p50().as_secs_f64()
        )?;
        writeln!(
            text,
            "| a peer's memory before its first download | {:.1} MiB | 30 MiB |",
            idle as f64 / f64::from(1 << 20)
        )?;
        writeln!(
            text,
            "| `dfget` of one byte, to its end | {:.1} ms | |",
            dfget.as_secs_f64() * 1e3
        )?;
        writeln!(
            text,
            "| the same with curl, straight from nginx | {:.1} ms | |",
            bare.as_secs_f64() * 1e3
        )?;
        writeln!(
            text,
            "| the difference | {:.1} ms | 10 ms |",
            (dfget.as_secs_f64() - bare.as_secs_f64()) * 1e3
        )?;
        Ok(text)
    }
}

async fn timed(command: std::process::Command) -> Result<Duration> {
    let start = Instant::now();
    run(command, WITHIN).await?;
    Ok(start.elapsed())
}
