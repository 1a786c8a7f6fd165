//! How long the manager's answers take: a real manager on SQLite, full of members, under load from both doors at once.
//!
//! Callers and manager share the machine's cores, and the same run measures `GET /healthy`, which does next to nothing: what a
//! list costs beyond that is the manager's own.

mod peers;
mod room;

use crate::load::{Load, Times};
use crate::record::record;
use anyhow::{Context, Result, ensure};
use room::Room;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What a list may take at the 99th percentile.
const GOAL: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Schedulers, spread evenly over ten clusters
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(i64::from(room::CLUSTERS)..))]
    schedulers: u32,
    /// Peers, which one scheduler of each cluster reports
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    peers: u32,
    /// Requests of each kind
    #[arg(long, default_value_t = 5000)]
    requests: u32,
    /// Callers at a time
    #[arg(long, default_value_t = 16)]
    callers: u32,
    /// File in which the result takes the place of the last one
    #[arg(long)]
    record: Option<PathBuf>,
}

/// One line of the result.
struct Row {
    what: String,
    times: Times,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(measured(arguments))?;
    let table = table(&rows, arguments)?;
    print!("{table}");
    if let Some(file) = &arguments.record {
        record(file, "manager", &table)?;
    }
    for row in &rows {
        ensure!(
            row.times.p99() < GOAL,
            "{}: p99 is {:?}, the goal is {GOAL:?}",
            row.what,
            row.times.p99()
        );
    }
    Ok(())
}

async fn measured(arguments: &Arguments) -> Result<Vec<Row>> {
    let room = Room::start().await?;
    eprintln!(
        "registering {} schedulers and {} peers",
        arguments.schedulers, arguments.peers
    );
    let held = room
        .fill(arguments.schedulers, arguments.peers, arguments.callers)
        .await?;
    let load = Load {
        requests: arguments.requests,
        callers: arguments.callers,
    };
    let schedulers = |n| room.page("schedulers", n % pages(arguments.schedulers) + 1);
    let peers = |n| room.page("peers", n % pages(arguments.peers) + 1);
    let mut rows = Vec::new();
    let mut add = |what: &str, times: Times| {
        rows.push(Row {
            what: what.to_owned(),
            times,
        });
    };
    // Once without counting, so that connections are open and caches as warm as they get.
    load.brief().run(|_| room.healthy()).await?;
    add("`GET /healthy`, the bound", load.run(|_| room.healthy()).await?);
    add("`GET /api/v1/schedulers`, page by page", load.run(schedulers).await?);
    add("`GET /api/v1/peers`, page by page", load.run(peers).await?);
    add("`ListSchedulers` of gRPC", load.run(|n| room.list_schedulers(n)).await?);
    let (rest, grpc) = tokio::join!(load.run(schedulers), load.run(|n| room.list_schedulers(n)));
    add("`GET /api/v1/schedulers`, both at once", rest?);
    add("`ListSchedulers`, both at once", grpc?);
    room.stop(held).await?;
    Ok(rows)
}

fn pages(entries: u32) -> u64 {
    u64::from(entries.div_ceil(room::PER_PAGE))
}

fn table(rows: &[Row], arguments: &Arguments) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let bound = &rows.first().context("nothing was measured")?.times;
    let mut text = format!(
        "{} schedulers and {} peers in ten clusters, {} callers at a time, {} requests of each kind, {cores} cores for callers and manager:\n\n\
         | what | p50 | p99 | p99 / bound |\n|---|---|---|---|\n",
        arguments.schedulers, arguments.peers, arguments.callers, arguments.requests
    );
    for row in rows {
        let (p50, p99) = (row.times.p50(), row.times.p99());
        writeln!(
            text,
            "| {} | {:.2} ms | {:.2} ms | {:.1} |",
            row.what,
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
            p99.as_secs_f64() / bound.p99().as_secs_f64()
        )?;
    }
    Ok(text)
}
