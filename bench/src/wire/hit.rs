//! One blob for one caller: from the caller's own peer, from another host's, from the origin. Each fetch stands beside one of
//! the same bytes straight from nginx over the same link, a moment before.

use super::Common;
use super::fetch::{Fetched, To, fetch};
use super::room::{Blob, Plan, Room, place, through};
use crate::load::Times;
use anyhow::Result;
use dragonfly_testkit::lab::{Program, Rate};
use dragonfly_testkit::nginx::Nginx;
use std::fmt::Write;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Hit {
    /// MiB of the blob
    #[arg(long, default_value_t = 64)]
    size: u64,
    /// Fetches of each kind
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// What the links of origin, seed peer and nodes carry each way
    #[arg(long, default_value = "1gbit")]
    rate: Rate,
    #[command(flatten)]
    common: Common,
}

/// Where the bytes are when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Caller,
    Parent,
    Origin,
}

/// Fetches of one kind, and those straight from nginx.
struct Row {
    at: At,
    direct: Vec<Fetched>,
    through: Vec<Fetched>,
}

impl Hit {
    pub(crate) fn run(&self) -> Result<()> {
        self.common.run("hit", self.found())
    }

    async fn found(&self) -> Result<String> {
        let room = Room::start(Plan {
            nodes: 2,
            rate: Some(self.rate),
            dir: &self.common.dir,
        })
        .await?;
        let blob = room.put(1, self.size << 20)?;
        let (parent, caller) = room.pair()?;
        let beside = room.nginx_on(caller).await?;
        let mut rows = Vec::new();
        for at in [At::Caller, At::Parent, At::Origin] {
            let mut row = Row {
                at,
                direct: Vec::new(),
                through: Vec::new(),
            };
            // The first is not counted: it opens connections and fills the page cache.
            for counted in std::iter::once(false).chain((0..self.repeats).map(|_| true)) {
                let pair = Pair {
                    room: &room,
                    blob: &blob,
                    parent,
                    caller,
                };
                let (direct, through) = pair.fetched(at, &beside).await?;
                if counted {
                    row.direct.push(direct);
                    row.through.push(through);
                }
            }
            rows.push(row);
        }
        self.table(&rows)
    }

    fn table(&self, rows: &[Row]) -> Result<String> {
        let mut text = format!(
            "A blob of {} MiB, {} fetches of each kind by curl, links of {} each way; the same bytes straight from nginx before each:\n\n\
             | who has the blob | nginx p50 | nginx p99 | through the peer p50 | p99 | p50 / nginx | p99 / nginx | first byte later by |\n\
             |---|---|---|---|---|---|---|---|\n",
            self.size, self.repeats, self.rate
        );
        for row in rows {
            let who = match row.at {
                At::Caller => "the caller's own peer (nginx on the same host)",
                At::Parent => "another node",
                At::Origin => "the origin alone",
            };
            let (direct, through) = (totals(&row.direct), totals(&row.through));
            let first = |fetched: &[Fetched]| Times::of(fetched.iter().map(|one| one.first).collect()).p50();
            let later = first(&row.through).as_secs_f64() - first(&row.direct).as_secs_f64();
            writeln!(
                text,
                "| {who} | {} | {} | {} | {} | {:.2} | {:.2} | {:.1} ms |",
                ms(direct.p50()),
                ms(direct.p99()),
                ms(through.p50()),
                ms(through.p99()),
                through.p50().as_secs_f64() / direct.p50().as_secs_f64(),
                through.p99().as_secs_f64() / direct.p99().as_secs_f64(),
                later * 1e3
            )?;
        }
        Ok(text)
    }
}

/// The hosts of one fetch.
struct Pair<'a> {
    room: &'a Room,
    blob: &'a Blob,
    parent: &'a Program,
    caller: &'a Program,
}

impl Pair<'_> {
    /// One fetch straight from nginx, and one through the caller's peer, while the blob is only where it shall be.
    async fn fetched(&self, at: At, beside: &Nginx) -> Result<(Fetched, Fetched)> {
        let path = self.blob.path();
        let from = if at == At::Caller { beside } else { &self.room.origin };
        let direct = fetch(&place(self.caller), &from.url(&path), To::Nowhere).await?;
        match at {
            // It has kept it since the pair that is not counted.
            At::Caller => {}
            At::Parent => {
                self.room.forget(self.blob, [self.caller]).await?;
                fetch(&place(self.parent), &through(&path), To::Nowhere).await?;
                self.room.forget(self.blob, [&self.room.seed]).await?;
            }
            At::Origin => self.room.forget_everywhere(self.blob).await?,
        }
        let through = fetch(&place(self.caller), &through(&path), To::Nowhere).await?;
        Ok((direct, through))
    }
}

fn totals(fetched: &[Fetched]) -> Times {
    Times::of(fetched.iter().map(|one| one.total).collect())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
