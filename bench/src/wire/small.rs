//! Many small files, where what counts is what each costs at all.

use super::Common;
use super::fetch::fetch_all;
use super::room::{Plan, Room, place, through};
use crate::load::Times;
use anyhow::Result;
use std::fmt::Write;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Small {
    /// Files
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    files: u64,
    /// KiB of each
    #[arg(long, default_value_t = 16)]
    size: u64,
    /// Fetches at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    callers: u32,
    #[command(flatten)]
    common: Common,
}

impl Small {
    pub(crate) fn run(&self) -> Result<()> {
        self.common.run("small", self.found())
    }

    async fn found(&self) -> Result<String> {
        let room = Room::start(Plan {
            nodes: 2,
            rate: None,
            dir: &self.common.dir,
        })
        .await?;
        let blobs: Vec<_> = (0..self.files)
            .map(|seed| room.put(seed + 1, self.size << 10))
            .collect::<Result<_>>()?;
        let direct: Vec<String> = blobs.iter().map(|blob| room.origin.url(&blob.path())).collect();
        let by_peer: Vec<String> = blobs.iter().map(|blob| through(&blob.path())).collect();
        let (first, second) = room.pair()?;
        let mut rows = Vec::new();
        for (who, node, urls) in [
            ("nginx, straight", first, &direct),
            ("the origin, through a peer", first, &by_peer),
            ("another node", second, &by_peer),
            ("the caller's own peer", second, &by_peer),
        ] {
            let before = room.origin.served()?.len();
            let start = Instant::now();
            let fetched = fetch_all(&place(node), urls, self.callers).await?;
            let whole = start.elapsed();
            let asked = served_since(&room, before)?;
            let times = Times::of(fetched.iter().map(|one| one.total).collect());
            rows.push((who, whole, times, asked));
        }
        self.table(&rows)
    }

    fn table(&self, rows: &[(&str, Duration, Times, (usize, usize))]) -> Result<String> {
        let mut text = format!(
            "{} files of {} KiB, {} at a time by one curl, links that nothing limits:\n\n\
             | who has the files | files/s | p50 | p99 | files the origin gave | heads the origin gave |\n|---|---|---|---|---|---|\n",
            self.files, self.size, self.callers
        );
        for (who, whole, times, (files, heads)) in rows {
            writeln!(
                text,
                "| {who} | {:.0} | {:.2} ms | {:.2} ms | {files} | {heads} |",
                self.files as f64 / whole.as_secs_f64(),
                times.p50().as_secs_f64() * 1e3,
                times.p99().as_secs_f64() * 1e3,
            )?;
        }
        Ok(text)
    }
}

/// How many files and how many heads the origin gave since its log had so many lines.
fn served_since(room: &Room, before: usize) -> Result<(usize, usize)> {
    let served = room.origin.served()?;
    let of = |method: &str| served.iter().skip(before).filter(|one| one.method == method).count();
    Ok((of("GET"), of("HEAD")))
}
