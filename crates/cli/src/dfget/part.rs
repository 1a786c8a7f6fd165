//! The file while it is not yet whole: `.<name>.dragonfly-part` beside the output, gone or renamed at the end.
//!
//! One process at a time holds the part of an output, by a lock on the file. The output's own name appears only by
//! renaming what is complete and checked.

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the output's name that enter the part's; the rest of the 255 that file systems allow is for affixes.
const MAX_NAME: usize = 200;

/// Why the output can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The output is there already.
    #[error("{} exists; use --overwrite to replace it", .0.display())]
    Exists(PathBuf),
    /// The output is no file.
    #[error("{} is a directory; say the file's name with -O", .0.display())]
    Directory(PathBuf),
    /// The output is a device, a pipe or the like, which a rename would replace.
    #[error("{} is no regular file; choose another output", .0.display())]
    Special(PathBuf),
    /// The output's directory is not there.
    #[error("the directory {} does not exist; create it or choose another output", .0.display())]
    NoDirectory(PathBuf),
    /// Somebody else could change the file while it is written, and afterwards.
    #[error("{} belongs to another user; remove it or choose another directory", .0.display())]
    Foreign(PathBuf),
    /// Another process writes the same output.
    #[error("another dfget is writing {}; wait for it or choose another output", .0.display())]
    Busy(PathBuf),
    /// The disk or the file system.
    #[error("can't write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A part that this process holds. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Part {
    output: PathBuf,
    path: PathBuf,
    file: Arc<File>,
    /// Whether the content is what dfdaemon delivered, instead of what was written here.
    delivered: bool,
}

impl Part {
    /// Begins an output, which must not exist unless it may be replaced.
    pub(crate) fn begin(output: &Path, overwrite: bool) -> Result<Self, Error> {
        check(output, overwrite)?;
        let path = beside(output, "dragonfly-part");
        let file = hold(&path, output)?;
        Ok(Self {
            output: output.to_owned(),
            path,
            file: Arc::new(file),
            delivered: false,
        })
    }

    /// Writes bytes where they belong, off the runtime.
    pub(crate) async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> Result<(), Error> {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, offset)).await;
        written
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| self.failed(source))
    }

    /// Where dfdaemon may put the content, as an absolute path.
    pub(crate) fn delivery(&self) -> Result<PathBuf, Error> {
        let path = beside(&self.output, "dragonfly-delivery");
        std::path::absolute(&path).map_err(|source| Error::Io { path, source })
    }

    /// Takes what dfdaemon delivered as the content, if there is such a file and it is this long.
    pub(crate) fn take_delivery(&mut self, length: u64) -> Result<bool, Error> {
        let path = self.delivery()?;
        let found = std::fs::symlink_metadata(&path);
        self.delivered = found.is_ok_and(|found| found.is_file() && found.len() == length && is_ours(&found));
        if self.delivered {
            // As if this process had created it, under the user's own umask.
            let permissions = self
                .file
                .metadata()
                .map_err(|source| self.failed(source))?
                .permissions();
            std::fs::set_permissions(&path, permissions).map_err(|source| Error::Io { path, source })?;
        }
        Ok(self.delivered)
    }

    /// The file with the content, for those who read it again.
    pub(crate) fn content(&self) -> Result<PathBuf, Error> {
        if self.delivered {
            self.delivery()
        } else {
            Ok(self.path.clone())
        }
    }

    /// Gives the complete content its final name.
    pub(crate) fn finish(self, overwrite: bool) -> Result<(), Error> {
        let content = self.content()?;
        let renamed = if overwrite {
            std::fs::rename(&content, &self.output)
        } else {
            rename_new(&content, &self.output)
        };
        renamed.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => Error::Exists(self.output.clone()),
            _ => Error::Io {
                path: self.output.clone(),
                source,
            },
        })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What was renamed is not there any more; what can't be removed is overwritten by the next attempt.
        std::fs::remove_file(beside(&self.output, "dragonfly-delivery")).ok();
        if is_at(&self.file, &self.path) {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

fn check(output: &Path, overwrite: bool) -> Result<(), Error> {
    match std::fs::metadata(output) {
        Ok(found) if found.is_dir() => return Err(Error::Directory(output.to_owned())),
        Ok(found) if !found.is_file() => return Err(Error::Special(output.to_owned())),
        Ok(_) if !overwrite => return Err(Error::Exists(output.to_owned())),
        // Also a link that leads nowhere: renaming would replace it.
        Err(_) if !overwrite && std::fs::symlink_metadata(output).is_ok() => {
            return Err(Error::Exists(output.to_owned()));
        }
        _ => {}
    }
    let parent = parent(output);
    if parent.is_dir() {
        Ok(())
    } else {
        Err(Error::NoDirectory(parent.to_owned()))
    }
}

fn parent(output: &Path) -> &Path {
    match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(output: &Path, suffix: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    output.with_file_name(format!(".{}.{suffix}", &name[..end]))
}

/// Opens the part, takes its lock and empties it.
fn hold(path: &Path, output: &Path) -> Result<File, Error> {
    let failed = |source: io::Error| Error::Io {
        path: path.to_owned(),
        source,
    };
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // A link planted in a shared directory must not lead the writes elsewhere.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy(output.to_owned())),
            Err(errno) => return Err(failed(errno.into())),
        }
        // Between opening and locking, its holder may have renamed it to its output, which must not be emptied.
        if is_at(&file, path) {
            if !is_ours(&file.metadata().map_err(failed)?) {
                return Err(Error::Foreign(path.to_owned()));
            }
            file.set_len(0).map_err(failed)?;
            return Ok(file);
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn is_ours(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Renames without replacing what may have appeared meanwhile.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems can't; a link is refused just as well if the name is taken.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn the_final_name_appears_only_with_the_whole_content() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("x.bin");
        let part = Part::begin(&output, false).unwrap();
        part.write_at(3, b"def".to_vec()).await.unwrap();
        part.write_at(0, b"abc".to_vec()).await.unwrap();
        assert_eq!(names(dir.path()), [".x.bin.dragonfly-part"]);
        part.finish(false).unwrap();
        assert_eq!(std::fs::read(&output).unwrap(), b"abcdef");
        assert_eq!(names(dir.path()), ["x.bin"]);
    }

    #[tokio::test]
    async fn a_dropped_part_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let part = Part::begin(&dir.path().join("x"), false).unwrap();
        std::fs::write(part.delivery().unwrap(), "abc").unwrap();
        drop(part);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn an_existing_output_is_refused_at_the_start_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("x");
        let part = Part::begin(&output, false).unwrap();
        std::fs::write(&output, "precious").unwrap();
        assert!(matches!(part.finish(false), Err(Error::Exists(_))));
        assert!(matches!(Part::begin(&output, false), Err(Error::Exists(_))));
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "precious");
        Part::begin(&output, true).unwrap().finish(true).unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "");
    }

    #[test]
    fn two_processes_do_not_write_the_same_output() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("x");
        let first = Part::begin(&output, false).unwrap();
        assert!(matches!(Part::begin(&output, false), Err(Error::Busy(_))));
        drop(first);
        Part::begin(&output, false).unwrap();
    }

    #[test]
    fn a_part_that_a_killed_process_left_is_begun_afresh() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".x.dragonfly-part"), "wrong").unwrap();
        Part::begin(&dir.path().join("x"), false)
            .unwrap()
            .finish(false)
            .unwrap();
        assert_eq!(std::fs::read(dir.path().join("x")).unwrap(), b"");
    }

    #[test]
    fn a_delivery_counts_only_if_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("x");
        let mut part = Part::begin(&output, false).unwrap();
        assert!(!part.take_delivery(3).unwrap());
        std::fs::write(part.delivery().unwrap(), "ab").unwrap();
        assert!(!part.take_delivery(3).unwrap());
        std::fs::write(part.delivery().unwrap(), "abc").unwrap();
        assert!(part.take_delivery(3).unwrap());
        part.finish(false).unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "abc");
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn what_is_no_file_or_has_no_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Part::begin(dir.path(), true), Err(Error::Directory(_))));
        let output = dir.path().join("no/x");
        assert!(matches!(Part::begin(&output, true), Err(Error::NoDirectory(_))));
        assert!(matches!(
            Part::begin(Path::new("/dev/null"), true),
            Err(Error::Special(_))
        ));
    }

    #[test]
    fn a_link_in_the_place_of_the_part_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(".x.dragonfly-part")).unwrap();
        assert!(matches!(
            Part::begin(&dir.path().join("x"), true),
            Err(Error::Io { .. })
        ));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_part_of_another_user_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let planted = dir.path().join(".x.dragonfly-part");
        std::fs::write(&planted, "theirs").unwrap();
        std::os::unix::fs::chown(&planted, Some(65534), None).expect("this test needs root");
        assert!(matches!(
            Part::begin(&dir.path().join("x"), true),
            Err(Error::Foreign(_))
        ));
        assert_eq!(std::fs::read_to_string(&planted).unwrap(), "theirs");
    }

    #[test]
    fn a_name_as_long_as_file_systems_allow_has_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("ü".repeat(127));
        Part::begin(&output, false).unwrap().finish(false).unwrap();
        assert!(output.exists());
    }
}
