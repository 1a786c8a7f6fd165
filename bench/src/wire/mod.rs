//! Real bytes between real programs: a whole cluster whose hosts are network namespaces, an origin that is nginx, and callers
//! that are curl. What it costs to go through a peer is said beside what the same bytes cost straight from nginx over the
//! same link in the same run.
//!
//! These benches need root and Debian's packages, which they install, and the product's release binary: `cargo xtask bench`
//! builds it.

mod crowd;
mod fetch;
mod hit;
mod room;
mod small;
mod start;
mod transport;
mod usage;

use anyhow::Result;
use std::future::Future;
use std::path::{Path, PathBuf};

pub(crate) use crowd::Crowd;
pub(crate) use hit::Hit;
pub(crate) use small::Small;
pub(crate) use start::Start;
pub(crate) use transport::Transport;

use crate::record::record;

/// Where contents and stores lie: memory, so that no disk is measured.
const MEMORY: &str = "/dev/shm";

/// What all of them are told.
#[derive(clap::Args)]
struct Common {
    /// Directory of everything that is stored meanwhile; in memory, unless disks are to be measured, too
    #[arg(long, default_value = MEMORY)]
    dir: PathBuf,
    /// File in which the result takes the place of the last one
    #[arg(long)]
    record: Option<PathBuf>,
}

impl Common {
    /// Runs a bench to its end, and prints and records what it found.
    fn run(&self, name: &str, found: impl Future<Output = Result<String>>) -> Result<()> {
        // One thread: programs end with the thread that started them.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let table = runtime.block_on(found)?;
        print!("{table}");
        self.record
            .as_deref()
            .map_or(Ok(()), |file: &Path| record(file, name, &table))
    }
}
