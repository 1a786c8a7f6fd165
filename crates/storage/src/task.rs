//! What is known of one task, in memory. It is changed only after the records on the disk were.

use crate::format::{PieceEntry, millis, time};
use crate::pin::Opened;
use crate::storage::check_layout;
use crate::{Arriving, BeginError, Error, PieceRecord, PieceSet, TaskRecord, TaskState};
use dragonfly_model::{PieceLayout, PieceNumber, PieceSpan, TaskId, TrafficType};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;
use tokio::sync::watch;

/// Locks what can't be left half changed, so that a panic elsewhere doesn't matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Task {
    id: TaskId,
    state: Mutex<State>,
    /// The open file, while anybody has the task pinned.
    pub(crate) opened: Mutex<Weak<Opened>>,
    used_at: AtomicU64,
    used: AtomicBool,
    changes: watch::Sender<u64>,
}

struct State {
    record: TaskRecord,
    present: PieceSet,
    pieces: BTreeMap<PieceNumber, PieceEntry>,
    arriving: HashMap<PieceNumber, Arriving>,
    /// How often each piece was given to others since the start. Not kept on the disk.
    given: HashMap<PieceNumber, u32>,
    attempts: u64,
    bytes: u64,
    gone: bool,
}

impl Task {
    pub(crate) fn new(record: TaskRecord, pieces: Vec<(PieceNumber, PieceEntry)>) -> Self {
        let mut state = State {
            present: PieceSet::default(),
            pieces: BTreeMap::new(),
            arriving: HashMap::new(),
            given: HashMap::new(),
            attempts: 0,
            bytes: 0,
            gone: false,
            record,
        };
        let (id, used_at) = (state.record.id.clone(), millis(state.record.used_at));
        for (number, piece) in pieces {
            state.insert(number, piece);
        }
        Self {
            id,
            state: Mutex::new(state),
            opened: Mutex::default(),
            used_at: AtomicU64::new(used_at),
            used: AtomicBool::new(false),
            changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn id(&self) -> &TaskId {
        &self.id
    }

    pub(crate) fn record(&self) -> TaskRecord {
        let mut record = lock(&self.state).record.clone();
        record.used_at = time(self.used_at.load(Ordering::Relaxed));
        record
    }

    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.state).bytes
    }

    pub(crate) fn piece_length(&self) -> u64 {
        lock(&self.state).record.piece_length
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        lock(&self.state).record.content_length
    }

    pub(crate) fn pieces(&self) -> PieceSet {
        lock(&self.state).present.clone()
    }

    pub(crate) fn piece(&self, number: PieceNumber) -> Option<PieceRecord> {
        lock(&self.state).piece(number)
    }

    pub(crate) fn give(&self, any_of: &[PieceNumber]) -> Option<PieceRecord> {
        let mut state = lock(&self.state);
        let present = any_of.iter().filter(|number| state.present.contains(**number));
        let number = *present.min_by_key(|number| state.given.get(number).copied().unwrap_or(0))?;
        let given = state.given.entry(number).or_default();
        *given = given.saturating_add(1);
        state.piece(number)
    }

    /// Where a piece lies, as far as that is known now.
    pub(crate) fn span(&self, number: PieceNumber) -> Option<PieceSpan> {
        lock(&self.state).span(number)
    }

    pub(crate) fn arriving(&self, number: PieceNumber) -> Option<Arriving> {
        lock(&self.state).arriving.get(&number).copied()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        lock(&self.state).record.is_quarantined()
    }

    /// Whether the task may still be changed; say so under its stripe, or it may end right after.
    pub(crate) fn check_alive(&self) -> Result<(), Error> {
        lock(&self.state).check_alive()
    }

    /// Whether its bytes may be read: also after its removal, never after its quarantine.
    pub(crate) fn check_readable(&self) -> Result<(), Error> {
        lock(&self.state).check_not_quarantined()
    }

    pub(crate) fn touch(&self) {
        self.used_at.store(millis(SystemTime::now()), Ordering::Relaxed);
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether the task was used since this was asked last.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_gone(&self) {
        lock(&self.state).gone = true;
        self.announce();
    }

    /// What the record becomes if the content has this length.
    pub(crate) fn with_length(&self, length: u64) -> Result<TaskRecord, Error> {
        let state = lock(&self.state);
        let mut record = state.record.clone();
        if record.content_length.is_some_and(|known| known != length) {
            return Err(Error::LengthConflict { given: length });
        }
        check_layout(record.piece_length, Some(length))?;
        record.content_length = Some(length);
        let layout = record.layout().ok_or(Error::LengthConflict { given: length })?;
        let fits = |number: &PieceNumber| layout.span(*number) == state.span(*number);
        if !state.pieces.keys().all(fits) {
            return Err(Error::LengthConflict { given: length });
        }
        Ok(record)
    }

    pub(crate) fn set_record(&self, mut record: TaskRecord) {
        let mut state = lock(&self.state);
        record.used_at = state.record.used_at;
        state.record = record;
        drop(state);
        self.announce();
    }

    /// Ends the task's content: nothing is present, nothing may be written or read.
    pub(crate) fn set_quarantined(&self, record: TaskRecord) {
        let mut state = lock(&self.state);
        state.record = record;
        state.pieces.clear();
        state.present = PieceSet::default();
        state.bytes = 0;
        drop(state);
        self.announce();
    }

    pub(crate) fn begin(&self, span: PieceSpan, traffic: TrafficType) -> Result<u64, BeginError> {
        let mut state = lock(&self.state);
        state.check_alive().map_err(|_| BeginError::Gone)?;
        if state.span(span.number) != Some(span) {
            return Err(BeginError::OutOfLayout);
        }
        if state.present.contains(span.number) {
            return Err(BeginError::Present);
        }
        if state.arriving.contains_key(&span.number) {
            return Err(BeginError::Arriving);
        }
        state.attempts += 1;
        let attempt = state.attempts;
        state.arriving.insert(
            span.number,
            Arriving {
                written: 0,
                traffic,
                attempt,
            },
        );
        drop(state);
        self.announce();
        Ok(attempt)
    }

    pub(crate) fn progress(&self, number: PieceNumber, written: u64) {
        if let Some(arriving) = lock(&self.state).arriving.get_mut(&number) {
            arriving.written = written;
        }
        self.announce();
    }

    /// The piece was not finished: it was never here.
    pub(crate) fn abandon(&self, number: PieceNumber) {
        if lock(&self.state).arriving.remove(&number).is_some() {
            self.announce();
        }
    }

    /// The piece is on record, and so is `record` if it is given.
    pub(crate) fn arrived(&self, number: PieceNumber, piece: PieceEntry, record: Option<TaskRecord>) {
        let mut state = lock(&self.state);
        if let Some(record) = record {
            state.record = record;
        }
        state.arriving.remove(&number);
        state.insert(number, piece);
        drop(state);
        self.announce();
    }

    /// How many bytes from `offset` on can be read; 0 at the end of the content.
    pub(crate) fn readable(&self, offset: u64) -> Result<u64, Error> {
        let state = lock(&self.state);
        state.check_not_quarantined()?;
        if state.record.content_length.is_some_and(|length| offset >= length) {
            return Ok(0);
        }
        let mut end = offset;
        let absent = Error::NotPresent { offset };
        let Ok(mut number) = u32::try_from(offset / state.record.piece_length).map(PieceNumber) else {
            return Err(absent);
        };
        while state.present.contains(number)
            && let Some(span) = state.span(number)
        {
            end = span.offset + span.length;
            number = PieceNumber(number.0 + 1);
        }
        if let (Some(arriving), Some(span)) = (state.arriving.get(&number), state.span(number)) {
            end = end.max(span.offset + arriving.written);
        }
        if end > offset { Ok(end - offset) } else { Err(absent) }
    }

    /// How the content is cut, if its length is known and all of its pieces are present.
    pub(crate) fn complete(&self) -> Result<PieceLayout, Error> {
        let state = lock(&self.state);
        let layout = state.record.layout().ok_or(Error::LengthUnknown)?;
        match layout.count() - state.present.len() {
            0 => Ok(layout),
            missing => Err(Error::Incomplete {
                missing: missing.into(),
            }),
        }
    }

    fn announce(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

impl State {
    /// Where a piece lies: by the layout, or by the piece length alone while the content length is unknown.
    fn span(&self, number: PieceNumber) -> Option<PieceSpan> {
        span_of(&self.record, number)
    }

    fn piece(&self, number: PieceNumber) -> Option<PieceRecord> {
        let entry = self.pieces.get(&number)?;
        Some(PieceRecord {
            span: self.span(number)?,
            crc32: entry.crc32,
            traffic: entry.traffic,
            parent: entry.parent.clone(),
            attempt: entry.attempt,
        })
    }

    fn insert(&mut self, number: PieceNumber, piece: PieceEntry) {
        if self.present.insert(number) {
            self.bytes += self.span(number).map_or(0, |span| span.length);
        }
        self.pieces.insert(number, piece);
    }

    fn check_alive(&self) -> Result<(), Error> {
        self.check_not_quarantined()?;
        if self.gone { Err(Error::Gone) } else { Ok(()) }
    }

    fn check_not_quarantined(&self) -> Result<(), Error> {
        match &self.record.state {
            TaskState::Quarantined { reason, .. } => Err(Error::Quarantined { reason: reason.clone() }),
            TaskState::Partial | TaskState::Finished { .. } => Ok(()),
        }
    }
}

/// Where a piece lies in a content, as far as that is known.
pub(crate) fn span_of(record: &TaskRecord, number: PieceNumber) -> Option<PieceSpan> {
    if number.0 >= crate::storage::MAX_PIECES {
        return None;
    }
    match record.content_length {
        Some(_) => record.layout()?.span(number),
        None => {
            let offset = u64::from(number.0).checked_mul(record.piece_length)?;
            // The system's offsets are signed.
            i64::try_from(offset.checked_add(record.piece_length)?).ok()?;
            Some(PieceSpan {
                number,
                offset,
                length: record.piece_length,
            })
        }
    }
}
