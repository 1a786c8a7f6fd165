//! From one peer's store to another's, over a link that nothing limits: what the machine carries, beside what nginx and curl
//! carry from file to file over the same link.

use super::Common;
use super::fetch::{To, fetch};
use super::room::{Blob, Plan, Room, place, through};
use super::usage::Usage;
use crate::load::Times;
use anyhow::{Context, Result, ensure};
use dragonfly_api::common::{Download, TaskType};
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_testkit::lab::Program;
use std::fmt::Write;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Transport {
    /// MiB of the content
    #[arg(long, default_value_t = 2048)]
    size: u64,
    /// Transfers of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    #[command(flatten)]
    common: Common,
}

impl Transport {
    pub(crate) fn run(&self) -> Result<()> {
        self.common.run("transport", self.found())
    }

    async fn found(&self) -> Result<String> {
        let room = Room::start(Plan {
            nodes: 2,
            rate: None,
            dir: &self.common.dir,
        })
        .await?;
        let blob = room.put(1, self.size << 20)?;
        let (parent, child) = room.pair()?;
        fetch(&place(parent), &through(&blob.path()), To::Nowhere).await?;
        room.forget(&blob, [&room.seed]).await?;
        let nginx = room.nginx_on(parent).await?;
        let target = room.dir().join("fetched");
        let (mut direct, mut carried) = (Vec::new(), Vec::new());
        let before = Usage::of([parent, child])?.cpu;
        for number in 1..=self.repeats {
            direct.push(
                fetch(&place(child), &nginx.url(&blob.path()), To::File(&target))
                    .await?
                    .total,
            );
            std::fs::remove_file(&target)?;
            carried.push(stored(&room, child, &blob).await?);
            room.forget(&blob, [child]).await?;
            eprintln!("transfer {number} of {}", self.repeats);
        }
        let cpu = Usage::of([parent, child])?.cpu - before;
        let bytes = blob.length as f64;
        let (direct, carried) = (Times::of(direct).p50(), Times::of(carried).p50());
        let speed = |time: Duration| bytes / time.as_secs_f64() / 1e9;
        let mut text = format!(
            "{} MiB from store to store in memory, {} transfers of each kind, medians:\n\n\
             | who | GB/s | share of nginx and curl | CPU-s per GB |\n|---|---|---|---|\n",
            self.size, self.repeats
        );
        writeln!(
            text,
            "| nginx (sendfile) to curl (file), the bound | {:.2} | 1.00 | |",
            speed(direct)
        )?;
        writeln!(
            text,
            "| peer to peer, checked | {:.2} | {:.2} | {:.2} |",
            speed(carried),
            speed(carried) / speed(direct),
            cpu.as_secs_f64() / (bytes * f64::from(self.repeats) / 1e9)
        )?;
        Ok(text)
    }
}

/// How long a peer takes to have the content in its store.
async fn stored(room: &Room, peer: &Program, blob: &Blob) -> Result<Duration> {
    let download = Download {
        url: room.origin.url(&blob.path()),
        r#type: TaskType::Standard.into(),
        enable_task_id_based_blob_digest: true,
        disable_back_to_source: true,
        ..Download::default()
    };
    let request = DownloadTaskRequest {
        download: Some(download),
    };
    let mut daemon = room.daemon(peer).await?;
    let start = Instant::now();
    let mut answers = daemon.download_task(request).await?.into_inner();
    let mut pieces = 0;
    while let Some(answer) = answers.message().await? {
        pieces += usize::from(matches!(
            answer.response.context("an answer says something")?,
            dragonfly_api::dfdaemon::download_task_response::Response::DownloadPieceFinishedResponse(_)
        ));
    }
    ensure!(pieces > 0, "the peer had the content already");
    Ok(start.elapsed())
}
