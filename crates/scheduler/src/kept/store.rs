//! Kept tasks on disk, in fjall. A change is in the journal before it is acknowledged, so a killed process loses none.

use super::ledger::{Keeping, Key, Task};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::fmt;
use std::path::{Path, PathBuf};

/// First byte of a record: the layout of what follows.
const VERSION: u8 = 1;
const MEMTABLE: u64 = 4 << 20;
const CACHE: u64 = 1 << 20;
const JOURNALS: u64 = 64 << 20;

/// Why kept tasks can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store can't be opened or read. The disk's fault.
    #[error("can't read the kept tasks in {}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: fjall::Error,
    },
    /// A newer version has written there. Run that.
    #[error("the kept tasks in {} were written by a newer version", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("can't write kept tasks")]
    Write(#[source] fjall::Error),
}

/// The records.
pub(super) struct Store {
    path: PathBuf,
    db: Database,
    tasks: Keyspace,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let opened = || {
            let db = Database::builder(path)
                .cache_size(CACHE)
                .max_journaling_size(JOURNALS)
                .worker_threads(1)
                .open()?;
            let tasks = db.keyspace("tasks", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE))?;
            Ok((db, tasks))
        };
        let (db, tasks) = opened().map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            db,
            tasks,
        })
    }

    /// All of them. A damaged one is left out: its content is on its hosts, which drop it when its time is over.
    pub(super) fn load(&self) -> Result<Vec<(Key, Task)>, Error> {
        let mut tasks = Vec::new();
        for item in self.tasks.iter() {
            let read = item.into_inner();
            let (key, value) = read.map_err(|source| Error::Read {
                path: self.path.clone(),
                source,
            })?;
            match value.split_first() {
                Some((&VERSION, record)) => match (parse(&key), postcard::from_bytes(record)) {
                    (Some(key), Ok(task)) => tasks.push((key, task)),
                    _ => tracing::warn!(path = %self.path.display(), "the record of a kept task is damaged"),
                },
                Some((version, _)) if *version > VERSION => {
                    return Err(Error::Newer {
                        path: self.path.clone(),
                    });
                }
                _ => tracing::warn!(path = %self.path.display(), "the record of a kept task is damaged"),
            }
        }
        Ok(tasks)
    }

    pub(super) fn put(&self, key: &Key, task: &Task) -> Result<(), Error> {
        let record = postcard::to_extend(task, vec![VERSION]);
        let record = record.expect("a record of texts and numbers can be written to memory");
        self.tasks.insert(text(key), record).map_err(Error::Write)?;
        self.db.persist(PersistMode::SyncData).map_err(Error::Write)
    }

    pub(super) fn remove(&self, key: &Key) -> Result<(), Error> {
        self.tasks.remove(text(key)).map_err(Error::Write)
    }
}

/// The letter of the policy, then the task's id.
fn text(key: &Key) -> String {
    let letter = match key.keeping {
        Keeping::Persistent => 'p',
        Keeping::PersistentCache => 'c',
    };
    format!("{letter}{}", key.id)
}

fn parse(text: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(text).ok()?;
    let keeping = match text.as_bytes().first()? {
        b'p' => Keeping::Persistent,
        b'c' => Keeping::PersistentCache,
        _ => return None,
    };
    let id = text[1..].parse().ok()?;
    Some(Key { keeping, id })
}
