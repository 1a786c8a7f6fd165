//! How good a parent is for a child. Every quality lies between 0 and 1.

use crate::config::Config;
use crate::host::Host;
use crate::peer::{Peer, State};
use dragonfly_model::Location;

/// What a parent counts for whose speed nobody has measured: nearly as much as the best, so that it is tried.
const UNMEASURED: f64 = 0.7;

/// A parent with its score; see [`rate`].
pub(crate) struct Rated<'a, I> {
    pub(crate) item: I,
    pub(crate) peer: &'a Peer,
    pub(crate) host: &'a Host,
    pub(crate) score: f64,
}

/// Fills in the scores of `parents` for a child on `child_host`, in a content of `total` pieces.
pub(crate) fn rate<I>(parents: &mut [Rated<'_, I>], child_host: Option<&Host>, total: Option<u32>, config: &Config) {
    let best = parents.iter().filter_map(|p| p.host.goodput()).fold(0.0, f64::max);
    let weights = config.weights;
    for parent in parents.iter_mut() {
        let host = parent.host;
        let goodput = host.goodput().map_or(UNMEASURED, |speed| speed / best);
        let taken = host.uploads as f64 / host.slots(config.limits.slots).max(1) as f64;
        let crowded = parent.peer.children.len() as f64 / config.fan_out.max(1) as f64;
        let load = 1.0 - taken.max(crowded / 2.0).min(1.0);
        parent.score = weights.goodput * goodput
            + weights.load * load
            + weights.pieces * share_held(parent.peer, total)
            + weights.idc * same_idc(child_host, host)
            + weights.location * nearness(child_host, host)
            + weights.host_kind * f64::from(u8::from(!host.is_seed()));
    }
}

fn share_held(peer: &Peer, total: Option<u32>) -> f64 {
    match (peer.state, total) {
        (State::Holding, _) => 1.0,
        (_, Some(total)) if total > 0 => f64::from(peer.have.len().min(total)) / f64::from(total),
        _ => 0.0,
    }
}

fn same_idc(child: Option<&Host>, parent: &Host) -> f64 {
    let same = child.is_some_and(|child| !child.idc().is_empty() && child.idc() == parent.idc());
    f64::from(u8::from(same))
}

fn nearness(child: Option<&Host>, parent: &Host) -> f64 {
    let location = |host: &Host| host.facts().map(|facts| facts.location.clone()).unwrap_or_default();
    let shared = child.map_or(0, |child| location(child).shared_prefix(&location(parent)));
    shared as f64 / Location::MAX_ELEMENTS as f64
}
