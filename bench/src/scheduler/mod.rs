//! How many downloads a scheduler judges, and what it remembers of hosts and peers: a real scheduler, to which peers that hold no
//! bytes talk as real ones do, each over a stream of its own.
//!
//! Peers and scheduler are one process and share the machine's cores. The same conversations with a server that says the same words
//! without judging are the bound, measured in the same run: what a conversation costs beyond that is the scheduler's own.

mod peer;
mod room;
mod wordless;

use crate::MEMORY;
use crate::load::{Load, Times};
use crate::record::record;
use anyhow::Result;
use peer::{Cycle, SimPeer};
use room::Room;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the bench aims at: conversations per second on two cores, bytes of an idle host and of a peer.
const GOALS: (f64, f64, f64) = (20_000.0, 2048.0, 1024.0);
/// How long what has ended may take to be forgotten before it is counted.
const CALM: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Hosts that announce themselves
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    hosts: u32,
    /// Contents that the peers want, each of which one peer has
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// Downloads, from registration to the end
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    downloads: u32,
    /// Downloads at a time
    #[arg(long, default_value_t = 64)]
    callers: u32,
    /// Connections that they share
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// File in which the result takes the place of the last one
    #[arg(long)]
    record: Option<PathBuf>,
}

/// How a number of conversations went.
struct Run {
    per_second: f64,
    /// From registration to the answer.
    answers: Times,
    /// From registration to the end of the stream.
    wholes: Times,
}

/// All that is measured.
struct Measured {
    bound: Run,
    judged: Run,
    bytes_per_host: f64,
    bytes_per_peer: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let table = runtime.block_on(measured(arguments))?.table(arguments)?;
    print!("{table}");
    match &arguments.record {
        Some(file) => record(file, "scheduler", &table),
        None => Ok(()),
    }
}

async fn measured(arguments: &Arguments) -> Result<Measured> {
    let bound = {
        let room = Room::wordless(arguments.connections).await?;
        let run = cycles(&room, arguments).await?;
        room.stop().await?;
        run
    };
    let room = Room::start(arguments.connections).await?;
    eprintln!("announcing {} hosts", arguments.hosts);
    let announcing = Load {
        requests: arguments.hosts,
        callers: arguments.callers,
    };
    // Connections and queues have their size before anything is counted.
    announcing.brief().run(|n| room.announce(n)).await?;
    let known = announcing.brief().requests;
    let before = settled().await;
    announcing.run(|n| room.announce(n)).await?;
    let bytes_per_host = growth(before, settled().await, arguments.hosts - known);
    let having = Load {
        requests: arguments.tasks,
        callers: arguments.callers,
    };
    having.run(|n| SimPeer::first(&room, n).fetch()).await?;
    let before = settled().await;
    let judged = cycles(&room, arguments).await?;
    let bytes_per_peer = growth(before, settled().await, arguments.downloads);
    room.stop().await?;
    Ok(Measured {
        bound,
        judged,
        bytes_per_host,
        bytes_per_peer,
    })
}

/// Bytes that are allocated when everything that has ended is forgotten.
async fn settled() -> usize {
    tokio::time::sleep(CALM).await;
    MEMORY.current_usage()
}

fn growth(before: usize, after: usize, count: u32) -> f64 {
    (after as f64 - before as f64) / f64::from(count.max(1))
}

async fn cycles(room: &Room, arguments: &Arguments) -> Result<Run> {
    let load = Load {
        requests: arguments.downloads,
        callers: arguments.callers,
    };
    let start = Instant::now();
    let cycles = load
        .all(|n| SimPeer::later(room, n, (arguments.hosts, arguments.tasks)).cycle())
        .await?;
    let per_second = f64::from(arguments.downloads) / start.elapsed().as_secs_f64();
    let times = |time: fn(&Cycle) -> Duration| Times::of(cycles.iter().map(time).collect());
    Ok(Run {
        per_second,
        answers: times(|cycle| cycle.answered),
        wholes: times(|cycle| cycle.ended),
    })
}

impl Measured {
    fn table(&self, arguments: &Arguments) -> Result<String> {
        let cores = std::thread::available_parallelism()?;
        let (rate, host, peer) = GOALS;
        let row = |what: &str, run: &Run| {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            format!(
                "| {what} | {:.0} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} |\n",
                run.per_second,
                ms(run.answers.p50()),
                ms(run.answers.p99()),
                ms(run.wholes.p99()),
                run.per_second / self.bound.per_second,
            )
        };
        Ok(format!(
            "{} downloads of one piece each, of {} contents on {} hosts, {} at a time over {} connections, {cores} cores for peers and scheduler:\n\n\
             | who answers | downloads/s | answer p50 | answer p99 | whole p99 | share of the bound |\n|---|---|---|---|---|---|\n{}{}\n\
             The scheduler remembers an idle host in {:.0} bytes (goal: {host:.0}) and a peer of a task in {:.0} (goal: {peer:.0}). \
             The goal for downloads is {rate:.0} a second.\n",
            arguments.downloads,
            arguments.tasks,
            arguments.hosts,
            arguments.callers,
            arguments.connections,
            row("a server that does not judge, the bound", &self.bound),
            row("the scheduler", &self.judged),
            self.bytes_per_host,
            self.bytes_per_peer,
        ))
    }
}
