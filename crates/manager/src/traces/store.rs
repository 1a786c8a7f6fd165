//! Spans on disk, in fjall. What is kept is cut by time of arrival into segments, each a keyspace of its own with its spans
//! and what they are found by; room is made by clearing the oldest segment whole, which leaves nothing to be compacted. A
//! keyspace that was cleared is the next segment's: fjall's own list of keyspaces grows with each that is made or removed.
//!
//! A batch is with the operating system before it is acknowledged, so a killed process loses none. Keys of a segment:
//!
//! - `s`, trace, span: the span;
//! - `i`, [`Term`], class of duration, start (counted down, so that the newest come first), trace, span: the duration;
//! - `n`, service, name and kind of a span: nothing;
//! - `b`: when the segment was begun, in milliseconds since 1970. A keyspace without that is free.

use super::jaeger;
use super::span::{SpanId, Term, Told, TraceId};
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

const MEMTABLE: u64 = 8 << 20;
const CACHE: u64 = 16 << 20;
/// Bytes that what is written first may take beside the segments.
pub(super) const JOURNALS: u64 = 64 << 20;
/// How many segments there are when the store is full, and when the oldest is as old as it may become.
const SEGMENTS_BY_SIZE: u64 = 32;
const SEGMENTS_BY_AGE: u32 = 24;
const MAX_SEGMENTS: usize = 58;
/// Names of services and spans in one segment. A sender that makes up names gets no further ones listed.
const MAX_NAMES: usize = 4096;
/// The longest durations are one class.
pub(super) const CLASSES: u8 = 8;

const SPAN: u8 = b's';
const FOUND_BY: u8 = b'i';
const NAME: u8 = b'n';
const BEGUN: u8 = b'b';

/// Why traces can't be kept or read. The disk's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store can't be opened.
    #[error("can't open the traces in {}; a manager without that directory begins with none", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: fjall::Error,
    },
    /// The disk failed.
    #[error("can't write traces")]
    Write(#[source] fjall::Error),
    /// The disk failed.
    #[error("can't read traces")]
    Read(#[source] fjall::Error),
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of all segments.
    pub(super) bytes: u64,
    /// Time since a span came.
    pub(super) age: Duration,
}

/// The spans. One writes, any number read.
pub(super) struct Store {
    path: PathBuf,
    db: Database,
    limits: Limits,
    /// From the oldest to the one that is written; never empty.
    segments: RwLock<Vec<Segment>>,
    /// Held while something is written.
    writing: Mutex<Writing>,
}

/// What came from one time to another.
#[derive(Clone)]
pub(super) struct Segment {
    /// When it was begun, in milliseconds since 1970.
    begun: u64,
    keyspace: Keyspace,
    /// Bytes that came, uncompressed, if it was ended by this process.
    came: u64,
}

/// About the segment that is written, and where the next may be.
#[derive(Default)]
struct Writing {
    bytes: u64,
    names: HashSet<Vec<u8>>,
    free: Vec<Keyspace>,
}

/// A name that spans of a service have.
pub(super) type Name = (String, String, String);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// `now` is in milliseconds since 1970.
    pub(super) fn open(path: &Path, limits: Limits, now: u64) -> Result<Self, Error> {
        let opened = || {
            let db = Database::builder(path)
                .cache_size(CACHE)
                .max_journaling_size(JOURNALS)
                .worker_threads(1)
                .open()?;
            let (mut segments, mut writing) = (Vec::new(), Writing::default());
            for name in db.list_keyspace_names() {
                let keyspace = db.keyspace(&name, options)?;
                match Segment::of(keyspace.clone())? {
                    Some(segment) => segments.push(segment),
                    // A kill between the two steps of clearing leaves something.
                    None if keyspace.first_key_value().is_some() => writing.free.push(cleared(keyspace)?),
                    None => writing.free.push(keyspace),
                }
            }
            segments.sort_by_key(|segment| segment.begun);
            if segments.is_empty() {
                segments.push(Segment::begin(&db, &mut writing, now)?);
            }
            for ended in segments.split_last().map_or(&[][..], |(_, ended)| ended) {
                ended.keyspace.rotate_memtable()?;
            }
            Ok((db, segments, writing))
        };
        let (db, segments, writing) = opened().map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        let store = Self {
            path: path.to_owned(),
            db,
            limits,
            segments: RwLock::new(segments),
            writing: Mutex::new(writing),
        };
        store.tend(now)?;
        Ok(store)
    }

    /// Keeps spans. One that is told again takes the place of what was told before.
    pub(super) fn write(&self, told: &[Told], now: u64) -> Result<(), Error> {
        let mut writing = self.writing();
        let active = self.active();
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        let mut put = |key: Vec<u8>, value: Vec<u8>| {
            let bytes = (key.len() + value.len()) as u64;
            batch.insert(&active.keyspace, key, value);
            bytes
        };
        let mut bytes = 0;
        for told in told {
            bytes += put(span_key(told.trace, Some(told.id)), told.to_bytes());
            let duration = told.duration();
            for term in told.terms() {
                bytes += put(found_by(term, told), duration.to_be_bytes().to_vec());
            }
            let name = name_key(told);
            if writing.names.len() < MAX_NAMES && writing.names.insert(name.clone()) {
                bytes += put(name, Vec::new());
            }
        }
        batch.commit().map_err(Error::Write)?;
        writing.bytes += bytes;
        self.tended(&mut writing, now)
    }

    /// Forgets what is too old or too much; a segment at a time.
    pub(super) fn tend(&self, now: u64) -> Result<(), Error> {
        self.tended(&mut self.writing(), now)
    }

    fn tended(&self, writing: &mut Writing, now: u64) -> Result<(), Error> {
        let active = self.active();
        let full = writing.bytes.max(active.bytes()) >= self.limits.bytes / SEGMENTS_BY_SIZE;
        let lasts = millis(self.limits.age) / u64::from(SEGMENTS_BY_AGE);
        if full || now.saturating_sub(active.begun) >= lasts.max(1) {
            self.begin(&active, writing, now)?;
        }
        // What came last into the oldest came before the one after it was begun.
        while let Some(ended) = self.second_begun()
            && now.saturating_sub(ended) > millis(self.limits.age)
        {
            self.drop_oldest(writing)?;
        }
        // The files of what is cleared go when the next segment is begun.
        let most = self.limits.bytes - self.limits.bytes / SEGMENTS_BY_SIZE;
        while self.bytes(writing) > most && self.drop_oldest(writing)? {}
        Ok(())
    }

    /// Begins the next segment, later than the one before even if the clock was set back.
    fn begin(&self, active: &Segment, writing: &mut Writing, now: u64) -> Result<(), Error> {
        if self.segments().len() >= MAX_SEGMENTS {
            self.drop_oldest(writing)?;
        }
        let next = Segment::begin(&self.db, writing, now.max(active.begun + 1)).map_err(Error::Write)?;
        active.keyspace.rotate_memtable().map_err(Error::Write)?;
        let mut segments = self.segments_mut();
        if let Some(ended) = segments.last_mut() {
            ended.came = writing.bytes;
        }
        segments.push(next);
        writing.bytes = 0;
        writing.names.clear();
        Ok(())
    }

    /// Nothing is dropped, and false returned, if there is only the one that is written.
    fn drop_oldest(&self, writing: &mut Writing) -> Result<bool, Error> {
        let mut segments = self.segments_mut();
        if segments.len() == 1 {
            return Ok(false);
        }
        let oldest = segments.remove(0);
        drop(segments);
        // A search that is under way goes on with what there was.
        writing.free.push(cleared(oldest.keyspace).map_err(Error::Write)?);
        Ok(true)
    }

    /// Bytes of all segments.
    fn bytes(&self, writing: &Writing) -> u64 {
        let segments = self.segments();
        let (active, closed) = segments.split_last().expect("there is always one");
        let closed: u64 = closed.iter().map(Segment::bytes).sum();
        closed + active.bytes().max(writing.bytes)
    }

    /// Bytes of all segments, as far as they are written out.
    pub(super) fn written_bytes(&self) -> u64 {
        self.segments().iter().map(Segment::bytes).sum()
    }

    /// The spans of a trace, at most so many bytes of them, and whether there are more.
    pub(super) fn trace(&self, trace: TraceId, most: usize) -> Result<(Vec<Told>, bool), Error> {
        let mut bytes = 0;
        let mut told: Vec<Told> = Vec::new();
        let mut known = HashSet::new();
        // A span that was told again stands in a newer segment.
        for segment in self.segments().iter().rev() {
            for item in segment.keyspace.prefix(span_key(trace, None)) {
                let value = item.value().map_err(Error::Read)?;
                bytes += value.len();
                if bytes > most {
                    return Ok((told, true));
                }
                let read = Told::from_bytes(&value);
                told.extend(read.filter(|told| known.insert(told.id)));
            }
        }
        Ok((told, false))
    }

    /// All names in all segments.
    pub(super) fn names(&self) -> Result<BTreeSet<Name>, Error> {
        let mut names = BTreeSet::new();
        for segment in self.segments() {
            for item in segment.keyspace.prefix([NAME]) {
                let key = item.key().map_err(Error::Read)?;
                names.extend(serde_json::from_slice::<Name>(&key[1..]).ok());
            }
        }
        Ok(names)
    }

    /// The segments, oldest first, as they are now.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.clone()
    }

    fn segments_mut(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Segment>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> Segment {
        self.segments().pop().expect("there is always one")
    }

    fn second_begun(&self) -> Option<u64> {
        self.segments().get(1).map(|segment| segment.begun)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that an index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Counted down, so that the newest is the least.
    countdown: u64,
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) duration: u64,
}

impl Segment {
    /// Nothing if the keyspace is free.
    fn of(keyspace: Keyspace) -> fjall::Result<Option<Self>> {
        let begun = keyspace.get([BEGUN])?;
        let begun = begun.and_then(|begun| Some(u64::from_be_bytes((&*begun).try_into().ok()?)));
        Ok(begun.map(|begun| Self {
            begun,
            keyspace,
            came: 0,
        }))
    }

    /// In the keyspace that was cleared last, since fjall keeps journals for those that were written and are not again.
    fn begin(db: &Database, writing: &mut Writing, now: u64) -> fjall::Result<Self> {
        let keyspace = match writing.free.pop() {
            Some(free) => free,
            None => db.keyspace(&format!("{:02}", db.keyspace_count()), options)?,
        };
        keyspace.insert([BEGUN], now.to_be_bytes())?;
        Ok(Self {
            begun: now,
            keyspace,
            came: 0,
        })
    }

    fn bytes(&self) -> u64 {
        let written = self.keyspace.disk_space();
        // What is still to be written out counts as what came.
        match self.keyspace.sealed_memtable_count() {
            0 => written,
            _ => written.max(self.came),
        }
    }

    /// The spans of a term and a class of duration that begin within `times` (microseconds since 1970), newest first.
    pub(super) fn found(
        &self,
        term: Term,
        class: u8,
        times: (u64, u64),
    ) -> impl Iterator<Item = Result<Found, Error>> + use<> {
        let (from, to) = times;
        let edge = |countdown: u64, fill: u8| {
            let mut key = prefix(term, class);
            key.extend(countdown.to_be_bytes());
            key.extend([fill; 24]);
            key
        };
        // A range that ends before it begins is one of fjall's panics.
        let range = (from <= to).then(|| edge(u64::MAX - to, 0)..=edge(u64::MAX - from, 0xff));
        let items = range.map(|range| self.keyspace.range(range));
        items.into_iter().flatten().filter_map(|item| {
            let item = item.into_inner().map_err(Error::Read);
            item.map(|(key, value)| parse(&key, &value)).transpose()
        })
    }

    pub(super) fn told(&self, found: Found) -> Result<Option<Told>, Error> {
        let value = self.keyspace.get(span_key(found.trace, Some(found.span)));
        let value = value.map_err(Error::Read)?;
        Ok(value.and_then(|value| Told::from_bytes(&value)))
    }
}

/// The keyspace with nothing in it. fjall's `clear` alone leaves the files behind until the next start; dropping their range
/// removes them, but says nothing to the journal.
fn cleared(keyspace: Keyspace) -> fjall::Result<Keyspace> {
    keyspace.tree.drop_range::<Vec<u8>, _>(..)?;
    keyspace.clear()?;
    Ok(keyspace)
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE)
}

fn span_key(trace: TraceId, span: Option<SpanId>) -> Vec<u8> {
    let mut key = vec![SPAN];
    key.extend(trace.0.to_be_bytes());
    key.extend(span.iter().flat_map(|span| span.0.to_be_bytes()));
    key
}

fn name_key(told: &Told) -> Vec<u8> {
    let mut key = vec![NAME];
    let name = (told.service(), told.name(), jaeger::kind(told));
    // Texts are JSON.
    key.extend(serde_json::to_vec(&name).unwrap_or_default());
    key
}

fn prefix(term: Term, class: u8) -> Vec<u8> {
    let mut key = vec![FOUND_BY];
    key.extend(term.0);
    key.push(class);
    key
}

fn found_by(term: Term, told: &Told) -> Vec<u8> {
    let mut key = prefix(term, class(told.duration()));
    key.extend((u64::MAX - told.start()).to_be_bytes());
    key.extend(told.trace.0.to_be_bytes());
    key.extend(told.id.0.to_be_bytes());
    key
}

fn parse(key: &[u8], value: &[u8]) -> Option<Found> {
    let (countdown, ids) = key.get(2 + Term::BYTES..)?.split_first_chunk()?;
    let (trace, span) = ids.split_first_chunk::<16>()?;
    Some(Found {
        countdown: u64::from_be_bytes(*countdown),
        trace: TraceId::of(trace)?,
        span: SpanId::of(span)?,
        duration: u64::from_be_bytes(value.try_into().ok()?),
    })
}

/// Durations by powers of ten: 0 is below a millisecond, 7 from a thousand seconds on. What is slow is found without
/// reading what is not.
pub(super) fn class(micros: u64) -> u8 {
    match micros.checked_ilog10() {
        Some(power @ 3..) => u8::try_from(power - 2).unwrap_or(CLASSES).min(CLASSES - 1),
        _ => 0,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
