//! The metadata store: task and piece records in fjall.
//!
//! fjall hands every insert and every batch to the kernel before it returns (`manual_journal_persist` is off), so a
//! killed process loses no record that was acknowledged. A power failure may lose the newest records; with them the
//! pieces are forgotten, and the check at the next start drops those whose bytes were lost instead.

use crate::format::{self, DecodeError, PieceEntry};
use crate::{Error, TaskRecord};
use dragonfly_model::{PeerId, PieceNumber, TaskId};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, UserKey};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

const CLEAN: &[u8] = b"clean";
/// Bytes of a keyspace's memtable. Records are small and all of them are held in memory by `Task` anyway.
const MEMTABLE: u64 = 8 << 20;
const BLOCK_CACHE: u64 = 4 << 20;
const JOURNALS: u64 = 128 << 20;

/// Everything that was on record when the storage was opened.
pub(crate) struct Loaded {
    pub(crate) tasks: Vec<(TaskRecord, Vec<(PieceNumber, PieceEntry)>)>,
    /// Task records that could not be read and are removed.
    pub(crate) dropped_tasks: usize,
    /// Piece records that could not be read or were of no task, and are removed.
    pub(crate) dropped_pieces: usize,
    /// Whether the last owner closed the storage.
    pub(crate) clean: bool,
}

pub(crate) struct Metadata {
    db: Database,
    tasks: Keyspace,
    pieces: Keyspace,
    marks: Keyspace,
}

impl Metadata {
    pub(crate) fn open(path: &Path) -> Result<Self, fjall::Error> {
        let db = Database::builder(path)
            .cache_size(BLOCK_CACHE)
            .max_journaling_size(JOURNALS)
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let metadata = Self {
            tasks: db.keyspace("tasks", options)?,
            pieces: db.keyspace("pieces", options)?,
            marks: db.keyspace("marks", options)?,
            db,
        };
        // fjall syncs what is in a keyspace's directory, and not that the directory is there.
        File::open(path.join("keyspaces"))?.sync_all()?;
        Ok(metadata)
    }

    /// Reads everything, and takes the clean mark away on the disk before anything may change.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        let broken = |source| Error::metadata("reading the records", source);
        let clean = self.marks.contains_key(CLEAN).map_err(broken)?;
        if clean {
            let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
            batch.remove(&self.marks, CLEAN);
            batch.commit().map_err(|source| Error::metadata("opening", source))?;
        }
        let (mut damaged_tasks, mut damaged_pieces) = (Vec::new(), Vec::new());
        let mut pieces = self.load_pieces(&mut damaged_pieces)?;
        let mut tasks = Vec::new();
        for item in self.tasks.iter() {
            let (key, value) = item.into_inner().map_err(broken)?;
            let decoded = match format::parse_task_key(&key) {
                Some(id) => format::decode_task(id, &value),
                None => Err(DecodeError::Damaged),
            };
            match decoded {
                Ok(record) => {
                    let pieces = pieces.remove(&record.id).unwrap_or_default();
                    tasks.push((record, pieces));
                }
                Err(DecodeError::Version(error)) => return Err(error),
                Err(DecodeError::Damaged) => damaged_tasks.push(key),
            }
        }
        // What is left are pieces of no task.
        for (id, numbers) in pieces {
            damaged_pieces.extend(numbers.iter().map(|(n, _)| UserKey::from(format::piece_key(&id, *n))));
        }
        let (dropped_tasks, dropped_pieces) = (damaged_tasks.len(), damaged_pieces.len());
        let mut batch = self.db.batch();
        damaged_tasks.into_iter().for_each(|key| batch.remove(&self.tasks, key));
        damaged_pieces
            .into_iter()
            .for_each(|key| batch.remove(&self.pieces, key));
        commit("removing damaged records", batch)?;
        Ok(Loaded {
            tasks,
            dropped_tasks,
            dropped_pieces,
            clean,
        })
    }

    fn load_pieces(
        &self,
        damaged: &mut Vec<UserKey>,
    ) -> Result<HashMap<TaskId, Vec<(PieceNumber, PieceEntry)>>, Error> {
        let mut pieces: HashMap<TaskId, Vec<_>> = HashMap::new();
        // Thousands of pieces come from a few parents: one text of each is enough.
        let mut parents: HashSet<PeerId> = HashSet::new();
        for item in self.pieces.iter() {
            let (key, value) = item
                .into_inner()
                .map_err(|source| Error::metadata("reading the records", source))?;
            match (format::parse_piece_key(&key), format::decode_piece(&value)) {
                (_, Err(DecodeError::Version(error))) => return Err(error),
                (Some((id, number)), Ok(mut piece)) => {
                    piece.parent = piece.parent.map(|parent| match parents.get(&parent) {
                        Some(known) => known.clone(),
                        None => {
                            parents.insert(parent.clone());
                            parent
                        }
                    });
                    pieces.entry(id).or_default().push((number, piece));
                }
                _ => damaged.push(key),
            }
        }
        Ok(pieces)
    }

    pub(crate) fn put_task(&self, record: &TaskRecord) -> Result<(), Error> {
        self.tasks
            .insert(record.id.as_str(), format::encode_task(record))
            .map_err(|source| Error::metadata("recording a task", source))
    }

    /// Records a piece, and with it the task's record if that changed with the piece.
    pub(crate) fn put_piece(
        &self,
        id: &TaskId,
        number: PieceNumber,
        piece: &PieceEntry,
        task: Option<&TaskRecord>,
    ) -> Result<(), Error> {
        let mut batch = self.db.batch();
        batch.insert(&self.pieces, format::piece_key(id, number), format::encode_piece(piece));
        if let Some(record) = task {
            batch.insert(&self.tasks, id.as_str(), format::encode_task(record));
        }
        commit("recording a piece", batch)
    }

    pub(crate) fn remove_pieces(&self, id: &TaskId, numbers: &[PieceNumber]) -> Result<(), Error> {
        let mut batch = self.db.batch();
        for number in numbers {
            batch.remove(&self.pieces, format::piece_key(id, *number));
        }
        commit("removing pieces", batch)
    }

    /// Forgets every piece of a task, and replaces the task's record or removes it too.
    pub(crate) fn clear_task(&self, id: &TaskId, replacement: Option<&TaskRecord>) -> Result<(), Error> {
        let mut batch = self.db.batch();
        for item in self.pieces.prefix(format::piece_prefix(id)) {
            let key = item
                .key()
                .map_err(|source| Error::metadata("removing a task", source))?;
            batch.remove(&self.pieces, key);
        }
        match replacement {
            Some(record) => batch.insert(&self.tasks, id.as_str(), format::encode_task(record)),
            None => batch.remove(&self.tasks, id.as_str()),
        }
        commit("removing a task", batch)
    }

    /// Puts all records on the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.db
            .persist(PersistMode::SyncData)
            .map_err(|source| Error::metadata("syncing", source))
    }

    /// Puts all records on the disk, then the mark that they and their bytes are there.
    pub(crate) fn mark_clean(&self) -> Result<(), Error> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.marks, CLEAN, b"1");
        commit("closing", batch)
    }
}

fn commit(doing: &'static str, batch: fjall::OwnedWriteBatch) -> Result<(), Error> {
    batch.commit().map_err(|source| Error::metadata(doing, source))
}
