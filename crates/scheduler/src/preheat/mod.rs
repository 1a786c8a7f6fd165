//! Preheating and what is asked about tasks of a whole cluster: the scheduler as its cluster's hand.
//!
//! An [`Order`] says what is wanted where, whoever gave it: a caller of the scheduler, or the manager (`attend`). It becomes
//! a [`Plan`] (contents and hosts) once the registry has said what an image is made of. Carrying it out means a
//! `DownloadTask` on each host for each content, to its end; how far each is stands on a [`Board`], which the caller may
//! watch. Where a host's bytes come from is the scheduling's business as ever: each of these downloads registers as any
//! other, so the origin is asked once.
//!
//! Invariants: one host's failure ends nothing but its own; what could not be done is named with its reason; a plan that is
//! carried out again costs little where it was carried out before; and a plan that is dropped leaves no download behind on
//! peers of ours.

mod board;
mod content;
mod directory;
mod error;
mod fetch;
mod order;
mod query;
mod run;
mod select;

pub(crate) use board::{Board, Tally};
pub(crate) use error::Error;
pub(crate) use order::{Asker, Order};
pub(crate) use query::Query;

use crate::hosts::Hosts;
use crate::metrics::Counts;
use crate::reach::Reach;
use content::Content;
use dragonfly_source::Sources;
use dragonfly_source::oci::{Image, Registry};
use order::{ImageOrder, What};
use select::{Scope, Selected};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Orders of callers at a time; further ones are refused.
const MAX_ORDERS: usize = 64;
/// Calls to hosts at a time, over all orders; further ones wait for a place. Those that a seed peer is asked by have places
/// of their own, for these here wait for them.
const MAX_CALLS: usize = 4096;
/// Contents times hosts of one order.
const MAX_TARGETS: usize = 200_000;
/// How often a registry is asked that fails in passing, and the pause between.
const RESOLVE_TRIES: u32 = 3;
const RESOLVE_PAUSE: Duration = Duration::from_secs(1);

/// Carries out orders. Clones share limits and connections.
#[derive(Debug, Clone)]
pub(crate) struct Preheat {
    hosts: Hosts,
    reach: Reach,
    sources: Sources,
    counts: Counts,
    orders: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

/// An order of which it is known what it means.
#[derive(Debug)]
pub(crate) struct Plan {
    contents: Vec<Content>,
    selected: Selected,
    contents_at_once: usize,
    hosts_at_once: usize,
    timeout: Duration,
    /// Where the contents' `Authorization` comes from.
    registry: Option<Registry>,
}

impl Preheat {
    pub(crate) fn new(hosts: Hosts, reach: Reach, sources: Sources, counts: Counts) -> Self {
        Self {
            hosts,
            reach,
            sources,
            counts,
            orders: Arc::new(Semaphore::new(MAX_ORDERS)),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        }
    }

    /// A place for the order of a caller, who is refused while there is none.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.orders
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::Busy(MAX_ORDERS))
    }

    /// Finds out what an order means: which contents on which hosts.
    pub(crate) async fn plan(&self, order: Order) -> Result<Plan, Error> {
        // Before a registry is asked for nothing.
        let selected = order.selection.of(&self.hosts)?;
        let (contents, registry) = match order.what {
            What::Files(files) => (self.listed(files, &selected).await?, None),
            What::Image(image) => {
                let registry = image.registry(self.sources.clone());
                let resolved = resolve(&registry, &image).await?;
                let contents = content::of_image(&image, &registry, &resolved);
                (contents, Some(registry))
            }
        };
        let selected = order.selection.of(&self.hosts)?;
        let hosts = match order.selection.scope {
            Scope::SingleSeedPeer => 1,
            Scope::AllSeedPeers | Scope::AllPeers => selected.hosts.len(),
        };
        if contents.len().saturating_mul(hosts) > MAX_TARGETS {
            return Err(Error::TooMany {
                contents: contents.len(),
                hosts,
                limit: MAX_TARGETS,
            });
        }
        Ok(Plan {
            contents,
            selected,
            contents_at_once: order.contents_at_once,
            hosts_at_once: order.hosts_at_once,
            timeout: order.timeout,
            registry,
        })
    }
}

/// What an image is made of. A registry that fails in passing is asked again.
async fn resolve(registry: &Registry, order: &ImageOrder) -> Result<Image, Error> {
    let mut tries = 1;
    loop {
        match registry.resolve(&order.platform).await {
            Err(error) if error.is_transient() && tries < RESOLVE_TRIES => {
                tracing::debug!(%error, tries, "a registry failed in passing");
                tries += 1;
                tokio::time::sleep(RESOLVE_PAUSE).await;
            }
            resolved => return Ok(resolved?),
        }
    }
}
