//! Which piece is fetched from whom next: decided here, acted on by the driver. Pure: no clock, no socket, no chance
//! but a given seed.
//!
//! What always holds: a wanted piece is fetched by one at a time, and again only after that one failed; a parent that
//! failed a piece is not asked for it again; while a parent has a piece that is missing, something is under way.
//!
//! Pieces are taken rarest first and, among equally rare ones, in an order of this peer's own: peers that start together
//! then fetch different pieces and have something to give each other. A parent that chooses is named the next rare ones,
//! too, and gives the one that it has given least often: only it knows, so that it gives every piece once before it gives
//! one twice. The first and every [`IN_ORDER`]th piece is the lowest missing one, for whoever reads the content as it
//! arrives. More often would bring all peers of a crowd the same pieces.
//!
//! A parent is asked for no more pieces at once than fill its way here. Those beyond would only wait at the parent, while
//! rarer ones may come up, and keep it from giving anybody a whole piece soon.

use crate::vortex::MAX_OTHERS;
use dragonfly_model::{ByteRange, PeerId, PieceLayout, PieceNumber};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::time::Duration;

/// A parent that failed this often without a success between is not asked any more.
const MAX_FAILURES: u32 = 3;
/// How many available pieces are compared for the next one, at most.
const WINDOW: usize = 256;
/// More separate ranges than this are not told apart: the whole content is wanted then.
const MAX_RANGES: usize = 64;
/// Of so many pieces one is the lowest missing.
const IN_ORDER: u32 = 16;
/// What a parent sends in this time is asked for in advance: more than a round trip in a cluster takes, and what a parent
/// needs to find the next piece. Twice as long costs a crowd of sixteen a tenth of its time.
const AHEAD: Duration = Duration::from_millis(50);
/// How much the latest piece counts for a parent's speed.
const LATEST: f64 = 0.3;
/// A parent that needs so much longer than another is left: what it has sent of the piece is lost.
const LAGGING: f64 = 3.0;
/// The same when nothing is left to begin: the other has nothing better to do then, and all wait for the last piece.
const LAGGING_LAST: f64 = 1.5;
/// A piece that comes within this time is waited for, whoever may be faster.
const SOON: Duration = Duration::from_millis(200);

/// Which bytes of a content are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Every piece that shares a byte with this range.
    Range(ByteRange),
}

/// What a parent is to be asked for. Whoever asks tells the plan what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Whom to ask.
    pub peer: PeerId,
    /// The piece that is wanted most.
    pub number: PieceNumber,
    /// Pieces that would do as well, if the parent chooses among them: see [`Plan::chose`].
    pub others: Vec<PieceNumber>,
}

/// How far a piece is that a parent sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since it was asked for.
    pub elapsed: Duration,
    /// Bytes that are here.
    pub received: u64,
}

/// Who is at work on a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Worker {
    Parent(PeerId),
    /// A parent may choose to give it.
    Choice(PeerId),
    Origin,
    /// Somebody outside this plan.
    Elsewhere,
}

/// What is known of one parent.
#[derive(Debug, Default)]
struct Parent {
    has: BTreeSet<u32>,
    /// Whether it chooses among the pieces that it is asked for.
    chooses: bool,
    in_flight: u32,
    failures: u32,
    /// Bytes per second over all its pieces under way, once measured.
    speed: Option<f64>,
}

impl Parent {
    fn is_live(&self) -> bool {
        self.failures < MAX_FAILURES
    }

    /// Whether one piece more may be under way. One that was never measured is asked for one at a time.
    fn has_room(&self, piece_length: u64) -> bool {
        let ahead = self.speed.unwrap_or(0.0) * AHEAD.as_secs_f64();
        f64::from(self.in_flight) < (ahead / piece_length.max(1) as f64).max(1.0)
    }
}

/// The state of one download.
#[derive(Debug)]
pub struct Plan {
    piece_length: u64,
    layout: Option<PieceLayout>,
    all: bool,
    ranges: Vec<ByteRange>,
    present: BTreeSet<u32>,
    busy: BTreeMap<u32, Worker>,
    /// Wanted, absent, and nobody at work. Before the layout is known, only pieces that a parent has.
    open: BTreeSet<u32>,
    /// Pieces that can't be placed before the length is known.
    deferred: BTreeSet<u32>,
    parents: BTreeMap<PeerId, Parent>,
    blamed: HashSet<(PeerId, u32)>,
    seed: u64,
    /// Fetches since one of the lowest missing piece was due.
    turn: u32,
}

impl Plan {
    /// A plan that wants nothing yet. `seed` gives this peer an order of its own.
    pub fn new(piece_length: u64, seed: u64) -> Self {
        Self {
            piece_length,
            layout: None,
            all: false,
            ranges: Vec::new(),
            present: BTreeSet::new(),
            busy: BTreeMap::new(),
            open: BTreeSet::new(),
            deferred: BTreeSet::new(),
            parents: BTreeMap::new(),
            blamed: HashSet::new(),
            seed,
            turn: 0,
        }
    }

    /// Wants more than before.
    pub fn want(&mut self, wanted: Wanted) {
        match wanted {
            Wanted::All => self.all = true,
            Wanted::Range(range) => self.ranges.push(range),
        }
        if self.ranges.len() > MAX_RANGES {
            self.all = true;
        }
        self.reopen();
    }

    /// Whether the length of the content is known.
    pub fn knows_layout(&self) -> bool {
        self.layout.is_some()
    }

    /// The length of the content is known.
    pub fn set_layout(&mut self, layout: PieceLayout) {
        if self.layout.replace(layout) == Some(layout) {
            return;
        }
        self.deferred.clear();
        self.reopen();
    }

    /// A piece is here, whoever brought it. `false` if that was known.
    pub fn present(&mut self, number: PieceNumber) -> bool {
        self.end_work(number.0);
        self.open.remove(&number.0);
        self.present.insert(number.0)
    }

    /// A parent has these pieces too.
    pub fn parent_has(&mut self, peer: &PeerId, numbers: &[PieceNumber]) {
        let parent = self.parents.entry(peer.clone()).or_default();
        parent.has.extend(numbers.iter().map(|number| number.0));
        if self.layout.is_none() {
            self.reopen();
        }
    }

    /// A parent that is known to have pieces chooses among those that it is asked for.
    pub fn parent_chooses(&mut self, peer: &PeerId) {
        if let Some(parent) = self.parents.get_mut(peer) {
            parent.chooses = true;
        }
    }

    /// A parent is not to be asked any more. What it failed is remembered in case it comes back.
    pub fn parent_gone(&mut self, peer: &PeerId) {
        self.parents.remove(peer);
    }

    /// What to ask for next and of whom; it is under way from now on. What the parent says goes to [`Self::chose`].
    #[allow(
        clippy::should_implement_trait,
        reason = "what comes next changes with every word that is heard"
    )]
    pub fn next(&mut self) -> Option<Ask> {
        let lowest = if self.turn == 0 { self.lowest() } else { None };
        let number = lowest.or_else(|| self.rarest())?;
        let peer = self.best_parent(number)?;
        self.turn = (self.turn + 1) % IN_ORDER;
        self.assign(number, &peer);
        let others = match lowest {
            Some(_) => Vec::new(),
            None => self.alternatives(&peer),
        };
        for other in &others {
            self.open.remove(&other.0);
            self.busy.insert(other.0, Worker::Choice(peer.clone()));
        }
        let number = PieceNumber(number);
        Some(Ask { peer, number, others })
    }

    /// A parent gives `given`, one of the pieces that it was asked for. The others are to be had again.
    pub fn chose(&mut self, ask: &Ask, given: PieceNumber) {
        self.end_work(ask.number.0);
        for other in &ask.others {
            if self.busy.get(&other.0) == Some(&Worker::Choice(ask.peer.clone())) {
                self.busy.remove(&other.0);
            }
        }
        for number in ask.others.iter().chain([&ask.number]) {
            self.reopen_one(number.0);
        }
        if self.open.contains(&given.0) {
            self.assign(given.0, &ask.peer);
        }
    }

    /// A parent is at work on a piece from now on.
    fn assign(&mut self, number: u32, peer: &PeerId) {
        self.open.remove(&number);
        self.busy.insert(number, Worker::Parent(peer.clone()));
        if let Some(parent) = self.parents.get_mut(peer) {
            parent.in_flight += 1;
        }
    }

    /// A parent has delivered a piece of `length` bytes in `elapsed`. `false` if the piece was here already.
    pub fn delivered(&mut self, number: PieceNumber, peer: &PeerId, length: u64, elapsed: Duration) -> bool {
        if let Some(parent) = self.parents.get_mut(peer) {
            // Pieces under way side by side share what the parent can give.
            let speed = length as f64 / elapsed.as_secs_f64().max(1e-6) * f64::from(parent.in_flight.max(1));
            parent.speed = Some(parent.speed.map_or(speed, |known| known + (speed - known) * LATEST));
            parent.failures = 0;
        }
        self.present(number)
    }

    /// A parent has failed a piece. `true` if it is not asked for anything any more.
    pub fn failed(&mut self, number: PieceNumber, peer: &PeerId) -> bool {
        self.left(number, peer);
        match self.parents.get_mut(peer) {
            Some(parent) => {
                parent.failures += 1;
                !parent.is_live()
            }
            None => false,
        }
    }

    /// The piece that takes longest of those that another parent, which is free and has nothing else to give, would have
    /// sent long before; and who sends it. If `None`, nobody is worth leaving.
    pub fn laggard(&self, progress: impl Fn(PieceNumber) -> Option<Progress>) -> Option<(PieceNumber, PeerId)> {
        let lagging = if self.open.is_empty() { LAGGING_LAST } else { LAGGING };
        let late = self.busy.iter().filter_map(|(number, worker)| {
            let Worker::Parent(peer) = worker else {
                return None;
            };
            let left = self.time_left(progress(PieceNumber(*number))?);
            let sooner = self.time_elsewhere(*number, peer)?;
            (left > SOON && left > sooner.mul_f64(lagging)).then_some((left, *number, peer))
        });
        let (_, number, peer) = late.max_by_key(|(left, number, _)| (*left, *number))?;
        Some((PieceNumber(number), peer.clone()))
    }

    /// A piece's parent was left because it took too long. It is not asked for this piece again.
    pub fn left(&mut self, number: PieceNumber, peer: &PeerId) {
        self.blamed.insert((peer.clone(), number.0));
        self.release(number);
    }

    /// How long a piece is still to take. What has not begun to come may take as long again.
    fn time_left(&self, progress: Progress) -> Duration {
        let missing = self.piece_length.saturating_sub(progress.received) as f64;
        match progress.received {
            0 => progress.elapsed,
            received => progress.elapsed.mul_f64(missing / received as f64),
        }
    }

    /// How long the fastest other parent that is free would take for a piece; one that was never measured is taken to be
    /// no slower than the slowest that was.
    fn time_elsewhere(&self, number: u32, but: &PeerId) -> Option<Duration> {
        let measured = self.parents.values().filter_map(|parent| parent.speed);
        let slowest = measured.min_by(f64::total_cmp)?;
        let others = self.eligible(number).filter(|(peer, _)| *peer != but);
        let time = |parent: &Parent| {
            let share = parent.speed.unwrap_or(slowest).max(1.0) / f64::from(parent.in_flight + 1);
            Duration::from_secs_f64((self.piece_length as f64 / share).min(1e6))
        };
        others.map(|(_, parent)| time(parent)).min()
    }

    /// Whoever was at work on a piece has given up through no fault of anybody: it is to be had again.
    pub fn release(&mut self, number: PieceNumber) {
        self.end_work(number.0);
        self.reopen_one(number.0);
    }

    /// A piece can't be placed before the length of the content is known.
    pub fn defer(&mut self, number: PieceNumber) {
        self.end_work(number.0);
        if self.layout.is_none() {
            self.deferred.insert(number.0);
        }
        self.reopen_one(number.0);
    }

    /// Somebody outside this plan is at work on a piece.
    pub fn elsewhere(&mut self, number: PieceNumber) {
        self.end_work(number.0);
        self.open.remove(&number.0);
        self.busy.insert(number.0, Worker::Elsewhere);
    }

    /// The pieces that somebody outside this plan is at work on.
    pub fn being_done_elsewhere(&self) -> Vec<PieceNumber> {
        let elsewhere = self.busy.iter().filter(|(_, worker)| **worker == Worker::Elsewhere);
        elsewhere.map(|(number, _)| PieceNumber(*number)).collect()
    }

    /// Gives the origin the first run of at most `max` open pieces, if the layout is known.
    pub fn claim_run(&mut self, max: u32) -> Option<Range<u32>> {
        self.layout?;
        let first = *self.open.first()?;
        let run = self.open.range(first..).zip(first..first.saturating_add(max));
        let count = run.take_while(|(open, expected)| **open == *expected).count();
        let end = first + u32::try_from(count).ok()?;
        for number in first..end {
            self.open.remove(&number);
            self.busy.insert(number, Worker::Origin);
        }
        Some(first..end)
    }

    /// Gives the origin everything that is open.
    pub fn claim_rest(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.busy
            .extend(open.into_iter().map(|number| (number, Worker::Origin)));
    }

    /// The pieces that the origin is at work on.
    pub fn claimed_by_origin(&self) -> Vec<PieceNumber> {
        let claimed = self.busy.iter().filter(|(_, worker)| **worker == Worker::Origin);
        claimed.map(|(number, _)| PieceNumber(*number)).collect()
    }

    /// How many pieces are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Whether every wanted piece is here.
    pub fn is_complete(&self) -> bool {
        self.layout.is_some() && self.open.is_empty() && self.busy.keys().all(|number| !self.is_wanted(*number))
    }

    /// Whether every piece of the content is here, wanted or not.
    pub fn is_whole(&self) -> bool {
        self.layout
            .is_some_and(|layout| self.present.len() == layout.count() as usize)
    }

    /// Whether nobody is at work.
    pub fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// Whether there is a parent that may still announce pieces.
    pub fn has_live_parent(&self) -> bool {
        self.parents.values().any(Parent::is_live)
    }

    fn is_wanted(&self, number: u32) -> bool {
        let start = u64::from(number).saturating_mul(self.piece_length);
        let end = start.saturating_add(self.piece_length);
        let touches = |range: &ByteRange| range.length > 0 && range.start < end && start < range.end();
        self.all || self.ranges.iter().any(touches)
    }

    fn end_work(&mut self, number: u32) {
        if let Some(Worker::Parent(peer)) = self.busy.remove(&number)
            && let Some(parent) = self.parents.get_mut(&peer)
        {
            parent.in_flight = parent.in_flight.saturating_sub(1);
        }
    }

    fn reopen(&mut self) {
        let numbers: Vec<u32> = match self.layout {
            Some(layout) if self.all => (0..layout.count()).collect(),
            Some(layout) => {
                let ranges = self.ranges.iter();
                ranges
                    .flat_map(|range| layout.covering(*range))
                    .map(|span| span.number.0)
                    .collect()
            }
            None => self
                .parents
                .values()
                .flat_map(|parent| parent.has.iter().copied())
                .collect(),
        };
        for number in numbers {
            self.reopen_one(number);
        }
        if let Some(layout) = self.layout {
            self.open.retain(|number| *number < layout.count());
        }
    }

    fn reopen_one(&mut self, number: u32) {
        let taken =
            self.present.contains(&number) || self.busy.contains_key(&number) || self.deferred.contains(&number);
        let exists = self.layout.is_none_or(|layout| number < layout.count());
        if !taken && exists && self.is_wanted(number) {
            self.open.insert(number);
        }
    }

    /// The lowest piece that a parent is free for, if nobody is at a lower one.
    fn lowest(&self) -> Option<u32> {
        let mut open = self.open.iter().copied();
        let lowest = open.find(|number| self.eligible(*number).next().is_some())?;
        self.busy
            .keys()
            .next()
            .is_none_or(|busy| lowest < *busy)
            .then_some(lowest)
    }

    /// The rarest of the first pieces that a parent is free for.
    fn rarest(&self) -> Option<u32> {
        let free: Vec<(&PeerId, &Parent)> = self.free().collect();
        if free.is_empty() {
            // Most words that are heard find every parent at work.
            return None;
        }
        let is_given = |number: &u32| free.iter().any(|(peer, parent)| self.gives(peer, parent, *number));
        let available = self.open.iter().copied().filter(is_given);
        available.take(WINDOW).min_by_key(|number| self.rarity(*number))
    }

    /// Pieces that a parent may give instead of a rare one: the next rare ones.
    fn alternatives(&self, peer: &PeerId) -> Vec<PieceNumber> {
        let Some(parent) = self.parents.get(peer).filter(|parent| parent.chooses) else {
            return Vec::new();
        };
        let open = self
            .open
            .iter()
            .copied()
            .filter(|number| self.gives(peer, parent, *number));
        let mut open: Vec<u32> = open.take(WINDOW).collect();
        open.sort_by_cached_key(|number| self.rarity(*number));
        open.truncate(MAX_OTHERS);
        open.into_iter().map(PieceNumber).collect()
    }

    /// Less is rarer: by how many parents have a piece, free or not, then by an order of this peer's own.
    fn rarity(&self, number: u32) -> (usize, u64) {
        let live = self.parents.values().filter(|parent| parent.is_live());
        let owners = live.filter(|parent| parent.has.contains(&number)).count();
        (owners, shuffled(self.seed, number))
    }

    /// Parents that may be asked for one piece more.
    fn free(&self) -> impl Iterator<Item = (&PeerId, &Parent)> {
        let parents = self.parents.iter();
        parents.filter(|(_, parent)| parent.is_live() && parent.has_room(self.piece_length))
    }

    fn eligible(&self, number: u32) -> impl Iterator<Item = (&PeerId, &Parent)> {
        self.free()
            .filter(move |(peer, parent)| self.gives(peer, parent, number))
    }

    /// Whether a parent has a piece, and did not fail it.
    fn gives(&self, peer: &PeerId, parent: &Parent, number: u32) -> bool {
        parent.has.contains(&number) && !self.is_blamed(peer, number)
    }

    /// Whether a parent is not asked for a piece any more.
    fn is_blamed(&self, peer: &PeerId, number: u32) -> bool {
        !self.blamed.is_empty() && self.blamed.contains(&(peer.clone(), number))
    }

    /// The parent that should be through soonest. One that was never measured is taken to be as fast as the fastest,
    /// so that it is tried.
    fn best_parent(&self, number: u32) -> Option<PeerId> {
        let fastest = self
            .parents
            .values()
            .filter_map(|parent| parent.speed)
            .fold(1.0, f64::max);
        let wait = |parent: &Parent| f64::from(parent.in_flight + 1) / parent.speed.unwrap_or(fastest).max(1.0);
        let best = self.eligible(number).min_by(|(a, x), (b, y)| {
            let shuffle = |peer: &PeerId| shuffled(self.seed ^ u64::from(number), fold(peer));
            wait(x).total_cmp(&wait(y)).then_with(|| shuffle(a).cmp(&shuffle(b)))
        });
        best.map(|(peer, _)| peer.clone())
    }
}

/// A number's place in an order that depends on the seed (the finaliser of SplitMix64).
fn shuffled(seed: u64, number: u32) -> u64 {
    let mut z = seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fold(peer: &PeerId) -> u32 {
    crc32fast::hash(peer.as_str().as_bytes())
}

#[cfg(test)]
mod tests;
