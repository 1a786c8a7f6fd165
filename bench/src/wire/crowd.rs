//! Many nodes want one content at the same moment. The bound is that of pieces and links: with `M` pieces and `N` nodes the
//! last node has the last piece after `M + floor(log2 N)` rounds at the earliest, a round being the time of a piece on a
//! link, as one curl straight from nginx took it in the same run.

use super::Common;
use super::fetch::{To, fetch};
use super::room::{Blob, Plan, Room, place, through};
use super::usage::Usage;
use crate::load::Times;
use anyhow::{Context, Result, ensure};
use dragonfly_testkit::lab::Rate;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Bytes of a piece of contents of these sizes.
const PIECE: u64 = 4 << 20;
/// Fetches of one node alone, by which the links are known.
const ALONE: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Crowd {
    /// Nodes, for each number a crowd of its own
    #[arg(long, value_delimiter = ',', default_value = "4,8,16")]
    peers: Vec<u32>,
    /// MiB of the content
    #[arg(long, default_value_t = 256)]
    size: u64,
    /// Crowds of each number
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// What the links of origin, seed peer and nodes carry each way
    #[arg(long, default_value = "100mbit")]
    rate: Rate,
    /// Let the same nodes fetch straight from the origin, too
    #[arg(long)]
    direct: bool,
    #[command(flatten)]
    common: Common,
}

/// One crowd.
struct Run {
    last: Duration,
    p50: Duration,
    /// Bytes that left the origin.
    origin: u64,
    cpu: Duration,
}

/// All crowds of one number of nodes.
struct Row {
    peers: u32,
    bound: Duration,
    runs: Vec<Run>,
    direct: Option<Duration>,
    /// The largest memory of a peer, in bytes.
    peak: u64,
}

impl Crowd {
    pub(crate) fn run(&self) -> Result<()> {
        self.common.run("crowd", self.found())
    }

    async fn found(&self) -> Result<String> {
        let mut rows = Vec::new();
        for peers in &self.peers {
            rows.push(self.row(*peers).await?);
        }
        self.table(&rows)
    }

    async fn row(&self, peers: u32) -> Result<Row> {
        let room = Room::start(Plan {
            nodes: usize::try_from(peers)?,
            rate: Some(self.rate),
            dir: &self.common.dir,
        })
        .await?;
        let blob = room.put(1, self.size << 20)?;
        let url = room.origin.url(&blob.path());
        let mut alone = Vec::new();
        for _ in 0..ALONE {
            let node = room.nodes.first().context("a crowd has nodes")?;
            alone.push(fetch(&place(node), &url, To::Nowhere).await?.total);
        }
        let bound = bound(Times::of(alone).p50(), blob.length.div_ceil(PIECE), peers);
        let mut runs = Vec::new();
        for number in 1..=self.repeats {
            runs.push(gathered(&room, &blob).await?);
            eprintln!("{peers} peers: crowd {number} of {}", self.repeats);
            room.forget_everywhere(&blob).await?;
        }
        let direct = match self.direct {
            true => Some(all_at_once(&room, &url, blob.length).await?.last),
            false => None,
        };
        Ok(Row {
            peers,
            bound,
            runs,
            direct,
            peak: Usage::of(room.peers())?.peak,
        })
    }

    fn table(&self, rows: &[Row]) -> Result<String> {
        let bytes = (self.size << 20) as f64;
        let mut text = format!(
            "A content of {} MiB, {} crowds of each number, links of {} each way, the median crowd (the worst in brackets):\n\n\
             | nodes | bound | last node | last / bound | p50 / bound | origin bytes / content | straight from the origin | CPU-s per GB delivered | most memory of a peer |\n\
             |---|---|---|---|---|---|---|---|---|\n",
            self.size, self.repeats, self.rate
        );
        for row in rows {
            let bound = row.bound.as_secs_f64();
            let worst = |of: fn(&Run) -> Duration| row.runs.iter().map(of).max().unwrap_or_default().as_secs_f64();
            let median = |of: fn(&Run) -> Duration| Times::of(row.runs.iter().map(of).collect()).p50().as_secs_f64();
            let last = median(|run| run.last);
            let origin = row.runs.iter().map(|run| run.origin).max().unwrap_or_default() as f64 / bytes;
            let cpu = median(|run| run.cpu) / (bytes * f64::from(row.peers) / 1e9);
            let direct = row.direct.map_or("not measured".to_owned(), |time| {
                format!(
                    "{:.1} s, {:.1} times as long",
                    time.as_secs_f64(),
                    time.as_secs_f64() / last
                )
            });
            writeln!(
                text,
                "| {} | {bound:.1} s | {last:.1} s | {:.2} ({:.2}) | {:.2} | {origin:.3} | {direct} | {cpu:.2} | {} MiB |",
                row.peers,
                last / bound,
                worst(|run| run.last) / bound,
                median(|run| run.p50) / bound,
                row.peak >> 20,
            )?;
        }
        Ok(text)
    }
}

/// How long the last of `peers` takes at least, if one takes this long `alone` for so many pieces.
fn bound(alone: Duration, pieces: u64, peers: u32) -> Duration {
    let rounds = pieces + u64::from(peers.ilog2());
    alone.mul_f64(rounds as f64 / pieces as f64)
}

/// All nodes fetch the content through their peers.
async fn gathered(room: &Room, blob: &Blob) -> Result<Run> {
    let (origin, cpu) = (room.left_origin(blob)?, Usage::of(room.peers())?.cpu);
    let run = all_at_once(room, &through(&blob.path()), blob.length).await?;
    Ok(Run {
        origin: room.left_origin(blob)? - origin,
        cpu: Usage::of(room.peers())?.cpu - cpu,
        ..run
    })
}

/// All nodes fetch the same URL. The time runs from before the first curl is started.
async fn all_at_once(room: &Room, url: &str, length: u64) -> Result<Run> {
    let start = Instant::now();
    let fetches = room.nodes.iter().map(|node| async move {
        let place = place(node);
        let fetched = fetch(&place, url, To::Nowhere).await?;
        ensure!(fetched.bytes == length, "{} bytes of {length}", fetched.bytes);
        Ok(start.elapsed())
    });
    let times = futures::future::try_join_all(fetches).await?;
    Ok(Run {
        last: times.iter().copied().max().unwrap_or_default(),
        p50: Times::of(times).p50(),
        origin: 0,
        cpu: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_sixteen_takes_four_rounds_more_than_one_node() {
        let alone = Duration::from_secs(64);
        assert_eq!(bound(alone, 64, 16), Duration::from_secs(68));
        assert_eq!(bound(alone, 64, 1), alone);
    }
}
