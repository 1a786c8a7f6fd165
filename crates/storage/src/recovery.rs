//! Opening: takes the directory, repairs what a crash left, and loads what is kept.

use crate::files::{self, ContentDir};
use crate::format::PieceEntry;
use crate::metadata::{Loaded, Metadata};
use crate::storage::{Shared, check_layout};
use crate::task::{Task, span_of};
use crate::{Config, Error, TaskRecord, TaskState, salvage};
use dragonfly_model::PieceNumber;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// Format of the directory as a whole; a record has a version of its own beside it.
const FORMAT: u32 = 1;
/// How long an owner of the directory is waited for, and how often it is looked for.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What opening found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Tasks that are kept.
    pub tasks: usize,
    /// Pieces that were read again and compared with their checksum.
    pub pieces_checked: usize,
    /// Pieces that are forgotten because their bytes are not what they should be.
    pub pieces_dropped: usize,
    /// Tasks that are forgotten because their file or their record is gone or damaged.
    pub tasks_dropped: usize,
    /// Files that belonged to no task and were removed.
    pub files_removed: usize,
    /// Whether the last run closed the storage.
    pub clean: bool,
    /// What became of the metadata.
    pub metadata: Soundness,
}

/// In which state the metadata was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Soundness {
    /// As it was left.
    #[default]
    Sound,
    /// A power failure tore records that were not on the disk yet: they are forgotten, and every piece was checked.
    Torn,
    /// Damaged as a whole: everything is forgotten, and the damaged store lies in `metadata.damaged`.
    Lost,
}

pub(crate) fn open(config: Config, runtime: tokio::runtime::Handle) -> Result<(Shared, Recovery), Error> {
    files::make_dir(&config.dir)?;
    let lock = lock_dir(&config.dir)?;
    prepare(&config)?;
    let content = ContentDir::open(config.dir.join("content"))?;
    let (metadata, loaded, soundness) = open_metadata(&config.dir)?;
    write_format(&config.dir)?;

    let mut recovery = Recovery {
        clean: loaded.clean,
        tasks_dropped: loaded.dropped_tasks,
        pieces_dropped: loaded.dropped_pieces,
        metadata: soundness,
        ..Recovery::default()
    };
    let known: HashSet<_> = loaded
        .tasks
        .iter()
        .filter(|(record, _)| !record.is_quarantined())
        .map(|(record, _)| record.id.clone())
        .collect();
    recovery.files_removed = content.remove_orphans(&known)?;

    let shared = Shared::new(&config, lock, metadata, content, runtime);
    for (record, pieces) in loaded.tasks {
        let check = Check {
            shared: &shared,
            trusted: soundness != Soundness::Torn,
            clean: loaded.clean,
            recovery: &mut recovery,
        };
        if let Some(task) = check.task(record, pieces)? {
            shared.add(task);
            recovery.tasks += 1;
        }
    }
    Ok((shared, recovery))
}

/// Takes the directory for this process alone. An owner that is just going, such as a writer that was dropped while
/// its last bytes went to the disk, is waited for a moment.
fn lock_dir(dir: &Path) -> Result<File, Error> {
    let path = dir.join("storage.lock");
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| Error::io("opening", &path, e))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(File::from(file)),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(Error::InUse { dir: dir.to_owned() }),
            Err(e) => return Err(Error::io("locking", &path, e)),
        }
    }
}

/// Removes what is not wanted or not ours, and refuses what is of another version of ours.
fn prepare(config: &Config) -> Result<(), Error> {
    let path = config.dir.join("format");
    let metadata = config.dir.join("metadata");
    let content = config.dir.join("content");
    let found = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("reading", &path, e)),
    };
    match found {
        _ if !config.keep => {}
        Some(format) if format == FORMAT.to_string() => return Ok(()),
        Some(found) => {
            return Err(Error::Version {
                what: "the storage directory",
                found,
                known: FORMAT,
            });
        }
        // Never completely made, or another program's cache.
        None if content.exists() || metadata.exists() => {
            tracing::warn!(dir = %config.dir.display(), "the storage directory is of no known format, beginning afresh");
        }
        None => {}
    }
    // Without this file nothing of the rest counts, so it goes first.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("removing", &path, e)),
        _ => {}
    }
    // On the disk, too.
    files::sync_dir(&config.dir)?;
    files::remove_dir(&metadata)?;
    files::remove_dir(&content)
}

fn write_format(dir: &Path) -> Result<(), Error> {
    let (path, new) = (dir.join("format"), dir.join("format.new"));
    if path.exists() {
        return Ok(());
    }
    // What the file vouches for is there before it is.
    files::sync_dir(dir)?;
    let written = std::fs::write(&new, format!("{FORMAT}\n"))
        .and_then(|()| File::open(&new)?.sync_all())
        .and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|e| Error::io("writing", &path, e))?;
    files::sync_dir(dir)?;
    for above in dir.ancestors().skip(1) {
        // A directory that may not be read was not made here.
        if !above.as_os_str().is_empty() && File::open(above).is_ok() {
            files::sync_dir(above)?;
        }
    }
    Ok(())
}

/// Opens and loads the metadata. A store that is damaged as a whole is set aside: a cache that forgets is better than a
/// peer that doesn't start.
fn open_metadata(dir: &Path) -> Result<(Metadata, Loaded, Soundness), Error> {
    let path = dir.join("metadata");
    files::make_dir(&path)?;
    let error = match load(&path) {
        Ok((metadata, loaded)) => return Ok((metadata, loaded, Soundness::Sound)),
        Err(error) => error,
    };
    if !matches!(&error, Error::Metadata { source, .. } if is_damage(source)) {
        return Err(error);
    }
    let error = &error as &dyn std::error::Error;
    // Without room for copies, say, beginning afresh is still better than not to start.
    let salvaged = salvage::cut_journal(&path, |copy| load(copy).is_ok()).unwrap_or_else(|failure| {
        tracing::warn!(
            error = &failure as &dyn std::error::Error,
            "torn records can't be cut off"
        );
        false
    });
    if salvaged {
        tracing::warn!(
            error,
            "the newest records were torn and are forgotten, everything is checked"
        );
        let (metadata, loaded) = load(&path)?;
        return Ok((metadata, loaded, Soundness::Torn));
    }
    tracing::error!(
        error,
        "the metadata is damaged; it is set aside and the cache begins afresh"
    );
    let aside = dir.join("metadata.damaged");
    files::remove_dir(&aside)?;
    std::fs::rename(&path, &aside).map_err(|e| Error::io("setting aside", &path, e))?;
    files::make_dir(&path)?;
    files::sync_dir(dir)?;
    let (metadata, loaded) = load(&path)?;
    Ok((metadata, loaded, Soundness::Lost))
}

fn load(path: &Path) -> Result<(Metadata, Loaded), Error> {
    let metadata = Metadata::open(path).map_err(|source| Error::metadata("opening", source))?;
    let loaded = metadata.load()?;
    Ok((metadata, loaded))
}

/// Whether the store's files contradict themselves, other than a disk that fails or a store of another version.
fn is_damage(error: &fjall::Error) -> bool {
    use fjall::Error as E;
    match error {
        E::JournalRecovery(_) | E::Decompress(_) | E::InvalidTrailer | E::InvalidTag(_) | E::Unrecoverable => true,
        E::Storage(inner) => !matches!(inner, fjall::LsmError::Io(_) | fjall::LsmError::InvalidVersion(_)),
        _ => false,
    }
}

struct Check<'a> {
    shared: &'a Shared,
    /// Whether what is finished on record is so.
    trusted: bool,
    clean: bool,
    recovery: &'a mut Recovery,
}

impl Check<'_> {
    /// The task as far as it can be trusted; `None` if it is forgotten.
    fn task(self, mut record: TaskRecord, mut pieces: Vec<(PieceNumber, PieceEntry)>) -> Result<Option<Task>, Error> {
        if record.is_quarantined() {
            return Ok(Some(Task::new(record, Vec::new())));
        }
        let layout = check_layout(record.piece_length, record.content_length);
        let (Ok(()), Some(file)) = (layout, self.shared.content.find(&record.id)?) else {
            tracing::warn!(task.id = %record.id, "the content file or a usable record is missing, forgetting the task");
            self.shared.metadata.clear_task(&record.id, None)?;
            self.shared.content.unlink(&record.id)?;
            self.recovery.tasks_dropped += 1;
            return Ok(None);
        };
        pieces.retain(|(number, _)| span_of(&record, *number).is_some());
        let path = self.shared.content.path_of(&record.id);
        let size = file.metadata().map_err(|e| Error::io("reading", &path, e))?.len();
        let pieces_wanted = record.layout().map_or(0, |layout| layout.count() as usize);
        let whole = record.content_length == Some(size) && pieces.len() == pieces_wanted;
        if record.is_finished() && whole && self.trusted {
            return Ok(Some(Task::new(record, pieces)));
        }
        if self.clean && !record.is_finished() {
            return Ok(Some(Task::new(record, pieces)));
        }
        let mut kept = Vec::with_capacity(pieces.len());
        let mut dropped = Vec::new();
        for (number, piece) in pieces {
            self.recovery.pieces_checked += 1;
            let found = match span_of(&record, number) {
                Some(span) => files::crc32_of(&file, span).map_err(|e| Error::io("checking", &path, e))?,
                None => None,
            };
            if found == Some(piece.crc32) {
                kept.push((number, piece));
            } else {
                dropped.push(number);
            }
        }
        self.recovery.pieces_dropped += dropped.len();
        if record.is_finished() && !(whole && dropped.is_empty()) {
            tracing::warn!(task.id = %record.id, "a finished content has lost bytes and is unfinished again");
            record.state = TaskState::Partial;
            self.shared.metadata.put_task(&record)?;
        }
        if !dropped.is_empty() {
            tracing::warn!(task.id = %record.id, pieces = dropped.len(), "pieces were torn, forgetting them");
            self.shared.metadata.remove_pieces(&record.id, &dropped)?;
        }
        Ok(Some(Task::new(record, kept)))
    }
}
