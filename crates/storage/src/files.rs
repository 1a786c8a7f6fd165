//! The content files: one per task, `content/<first three letters of the id>/<id>`.
//!
//! Everything is opened relative to the directory above it and never through a link, so nothing outside the storage
//! directory can be read or written by way of it.

use crate::Error;
use bytes::Bytes;
use dragonfly_model::{PieceSpan, TaskId};
use rustix::fs::{AtFlags, Dir, FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);
const CONTENT: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::RDWR);
/// `pwritev` takes no more buffers than this at once (`IOV_MAX`).
const MAX_SLICES: usize = 1024;

/// The directory that holds the content files.
pub(crate) struct ContentDir {
    path: PathBuf,
    root: OwnedFd,
}

impl ContentDir {
    /// Opens `path`, which is made (for its owner only) if it isn't there.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(Error::io("creating", &path, e)),
        }
        let root = rustix::fs::open(&path, DIRECTORY, Mode::empty()).map_err(|e| Error::io("opening", &path, e))?;
        rustix::fs::fchmod(&root, Mode::RWXU).map_err(|e| Error::io("closing to others", &path, e))?;
        Ok(Self { path, root })
    }

    /// Where a task's file lies; only for messages and for opening it elsewhere.
    pub(crate) fn path_of(&self, id: &TaskId) -> PathBuf {
        self.path.join(shard(id)).join(id.as_str())
    }

    /// Makes an empty file in place of whatever bears the task's name.
    pub(crate) fn create(&self, id: &TaskId) -> Result<File, Error> {
        let failed = |e| Error::io("creating", &self.path_of(id), e);
        match rustix::fs::mkdirat(&self.root, shard(id), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(failed(e)),
        }
        let dir = self.shard_dir(id).map_err(failed)?;
        match rustix::fs::unlinkat(&dir, id.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(failed(e)),
        }
        let flags = CONTENT | OFlags::CREATE | OFlags::EXCL;
        rustix::fs::openat(&dir, id.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(failed)
    }

    /// The task's file, if it is there.
    pub(crate) fn find(&self, id: &TaskId) -> Result<Option<File>, Error> {
        let opened = self
            .shard_dir(id)
            .and_then(|dir| rustix::fs::openat(&dir, id.as_str(), CONTENT, Mode::empty()));
        match opened {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(Error::io("opening", &self.path_of(id), e)),
        }
    }

    /// Takes the task's file out of its directory; its bytes stay until nobody has it open.
    pub(crate) fn unlink(&self, id: &TaskId) -> Result<(), Error> {
        let unlinked = self
            .shard_dir(id)
            .and_then(|dir| rustix::fs::unlinkat(&dir, id.as_str(), AtFlags::empty()));
        match unlinked {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Error::io("removing", &self.path_of(id), e)),
        }
    }

    /// Puts on the disk that the task's file is there.
    pub(crate) fn sync_entry(&self, id: &TaskId) -> Result<(), Error> {
        self.shard_dir(id)
            .and_then(rustix::fs::fsync)
            .and_then(|()| rustix::fs::fsync(&self.root))
            .map_err(|e| Error::io("syncing the directory of", &self.path_of(id), e))
    }

    /// Bytes that an unprivileged process could still write here.
    pub(crate) fn available(&self) -> Result<u64, Error> {
        let stat = rustix::fs::fstatvfs(&self.root).map_err(|e| Error::io("asking for the room of", &self.path, e))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Removes every file that is no content of a task in `known`; says how many those were.
    pub(crate) fn remove_orphans(&self, known: &HashSet<TaskId>) -> Result<usize, Error> {
        let mut removed = 0;
        for name in names(&self.root).map_err(|e| Error::io("reading", &self.path, e))? {
            let path = self.path.join(&name);
            let failed = |e| Error::io("removing orphans of", &path, e);
            let shard = match rustix::fs::openat(&self.root, &*name, DIRECTORY, Mode::empty()) {
                Ok(shard) => shard,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    rustix::fs::unlinkat(&self.root, &*name, AtFlags::empty()).map_err(failed)?;
                    removed += 1;
                    continue;
                }
                Err(e) => return Err(failed(e)),
            };
            for file in names(&shard).map_err(failed)? {
                let wanted = TaskId::parse(&file).is_ok_and(|id| self::shard(&id) == name && known.contains(&id));
                if wanted {
                    continue;
                }
                match rustix::fs::unlinkat(&shard, &*file, AtFlags::empty()) {
                    Ok(()) => removed += 1,
                    // A directory is nothing that storage made; it disturbs nothing.
                    Err(Errno::ISDIR | Errno::PERM) => {
                        tracing::warn!(path = %path.join(&file).display(), "not a content file, left alone")
                    }
                    Err(e) => return Err(failed(e)),
                }
            }
        }
        Ok(removed)
    }

    fn shard_dir(&self, id: &TaskId) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.root, shard(id), DIRECTORY, Mode::empty())
    }
}

fn shard(id: &TaskId) -> &str {
    &id.as_str()[..3]
}

fn names(dir: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if name != "." && name != ".." {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// Reserves the blocks of a piece, so that a full disk shows before the bytes come. A file system without the call
/// (`ENOTSUP`) finds out while it writes.
pub(crate) fn preallocate(file: &File, span: PieceSpan) -> Result<(), Errno> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, span.offset, span.length) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Writes all of `chunks`, one behind the other from `offset`.
pub(crate) fn write_all_at(file: &File, chunks: &[Bytes], mut offset: u64) -> Result<(), Errno> {
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let batch = rest.len().min(MAX_SLICES);
        match rustix::io::pwritev(file, &rest[..batch], offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                offset += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The CRC-32 of a piece's bytes as they are in the file; `None` if the file is shorter.
pub(crate) fn crc32_of(file: &File, span: PieceSpan) -> Result<Option<u32>, Errno> {
    let mut buffer = vec![0; 1 << 20];
    let mut hasher = crc32fast::Hasher::new();
    let (mut at, end) = (span.offset, span.offset + span.length);
    while at < end {
        let want = usize::try_from(end - at).map_or(buffer.len(), |n| n.min(buffer.len()));
        match rustix::io::pread(file, &mut buffer[..want], at) {
            Ok(0) => return Ok(None),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                at += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Some(hasher.finalize()))
}

/// Makes a directory for its owner only, and takes an existing one as it is if it is a real one.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::io("creating", path, e))
}

/// Puts on the disk what a directory holds.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::io("syncing", path, e))
}

/// Removes a directory with everything in it; one that isn't there is as good. A link is removed, not followed.
pub(crate) fn remove_dir(path: &Path) -> Result<(), Error> {
    let kind = match rustix::fs::lstat(path) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(Error::io("removing", path, e)),
    };
    let removed = if kind == FileType::Directory {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    removed.map_err(|e| Error::io("removing", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::PieceNumber;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn id(letter: &str) -> TaskId {
        TaskId::parse(&letter.repeat(64)).unwrap()
    }

    #[test]
    fn directories_and_files_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("content")).unwrap();
        let content = ContentDir::open(dir.path().join("content")).unwrap();
        content.create(&id("a")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        let file = content.path_of(&id("a"));
        assert_eq!(mode(&dir.path().join("content")), 0o700);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join(id("a").as_str()), "precious").unwrap();
        let content = ContentDir::open(dir.path().join("content")).unwrap();
        symlink(&outside, dir.path().join("content/aaa")).unwrap();
        assert!(matches!(content.find(&id("a")), Err(Error::Foreign { .. })));
        assert!(matches!(content.create(&id("a")), Err(Error::Foreign { .. })));
        assert!(matches!(content.unlink(&id("a")), Err(Error::Foreign { .. })));

        std::fs::create_dir(dir.path().join("content/bbb")).unwrap();
        symlink(outside.join(id("a").as_str()), content.path_of(&id("b"))).unwrap();
        assert!(matches!(content.find(&id("b")), Err(Error::Foreign { .. })));
        // Making the file anew replaces the link, not what it points to.
        content.create(&id("b")).unwrap();

        assert_eq!(content.remove_orphans(&HashSet::new()).unwrap(), 2);
        assert_eq!(
            std::fs::read_to_string(outside.join(id("a").as_str())).unwrap(),
            "precious"
        );

        let linked = dir.path().join("linked");
        symlink(&outside, &linked).unwrap();
        assert!(matches!(ContentDir::open(linked), Err(Error::Foreign { .. })));
    }

    #[test]
    fn orphans_go_and_known_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let content = ContentDir::open(dir.path().join("content")).unwrap();
        content.create(&id("a")).unwrap();
        content.create(&id("b")).unwrap();
        std::fs::write(dir.path().join("content/stray"), "x").unwrap();
        // A known task's name in another shard is an orphan too.
        std::fs::write(dir.path().join("content/bbb").join(id("a").as_str()), "x").unwrap();
        let known = HashSet::from([id("a")]);
        assert_eq!(content.remove_orphans(&known).unwrap(), 3);
        assert!(content.find(&id("a")).unwrap().is_some());
        assert!(content.find(&id("b")).unwrap().is_none());
    }

    #[test]
    fn many_small_chunks_land_in_order() {
        let file = tempfile::tempfile().unwrap();
        let chunks: Vec<Bytes> = (0..3000u32)
            .map(|n| Bytes::copy_from_slice(&n.to_le_bytes()[..(n % 4) as usize]))
            .collect();
        write_all_at(&file, &chunks, 5).unwrap();
        let whole: Vec<u8> = chunks.iter().flatten().copied().collect();
        let span = PieceSpan {
            number: PieceNumber(0),
            offset: 5,
            length: whole.len() as u64,
        };
        assert_eq!(crc32_of(&file, span).unwrap(), Some(crc32fast::hash(&whole)));
        let beyond = PieceSpan {
            length: span.length + 1,
            ..span
        };
        assert_eq!(crc32_of(&file, beyond).unwrap(), None);
    }
}
