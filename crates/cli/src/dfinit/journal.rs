//! What was changed on this host, so that it can be undone to the letter.
//!
//! Before a file is changed its original is put into the state directory and noted in `journal.json`; only then is the
//! file replaced, in one step. If one of several files can't be replaced, those that were are put back.

use super::plan::{Change, Runtime};
use dragonfly_service::fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of files that did not exist before; runtimes and other tools read them.
const NEW_FILE: u32 = 0o644;
const VERSION: u32 = 1;

/// Why a change can't be made or undone. The disk's fault, or the rights'.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or directory can't be used.
    #[error("can't use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] fs::Error),
    /// A run stopped half-way, and a file that it had changed can't be put back.
    #[error("can't put {} back; `dfinit --undo` knows its original", path.display())]
    HalfWay {
        /// The file that stays changed.
        path: PathBuf,
        /// Why the run stopped.
        #[source]
        source: Box<Error>,
    },
    /// The journal is not one that this program wrote.
    #[error("{} is damaged; the originals lie beside it", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
    },
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Entries {
    version: u32,
    files: Vec<Entry>,
    /// Directories that were made, outer ones first.
    directories: Vec<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    /// The name of the original in the state directory; `None` if there was no file.
    original: Option<String>,
    /// SHA-256 of what was written in its place.
    written: String,
    /// Who reads it at its start only.
    restarts: Option<Runtime>,
}

/// The journal of a host.
pub(crate) struct Journal {
    dir: PathBuf,
    entries: Entries,
}

/// What became of one file when everything was undone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is as it was before.
    Restored(PathBuf, Option<Runtime>),
    /// It did not exist before and does not now.
    Removed(PathBuf, Option<Runtime>),
    /// Somebody has changed it since, so it was left alone; its original is there.
    Changed(PathBuf, Option<PathBuf>),
}

impl Journal {
    /// Reads what was noted in the state directory; writes nothing.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("journal.json");
        let entries = match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Entries>(&bytes) {
                Ok(entries) if entries.version == VERSION => entries,
                _ => return Err(Error::Damaged { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries {
                version: VERSION,
                ..Entries::default()
            },
            Err(source) => return Err(Error::Io { path, source }),
        };
        Ok(Self {
            dir: dir.to_owned(),
            entries,
        })
    }

    /// Makes the changes: all of them or none.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        std::fs::create_dir_all(&self.dir).map_err(|source| failed(&self.dir, source))?;
        let before = self.entries.clone();
        for change in changes {
            self.note(change)?;
        }
        self.save()?;
        for (done, change) in changes.iter().enumerate() {
            if let Err(error) = replace(&change.path, change.after.as_bytes()) {
                let error = put_back(&changes[..done], error)?;
                for dir in self.entries.directories[before.directories.len()..].iter().rev() {
                    std::fs::remove_dir(dir).ok();
                }
                self.entries = before;
                self.save()?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Keeps the original, unless what is there now was written by an earlier run: then that run's original counts.
    fn note(&mut self, change: &Change) -> Result<(), Error> {
        self.note_directories(&change.path);
        let written = sum(change.after.as_bytes());
        let now = change.before.as_ref().map(|text| sum(text.as_bytes()));
        if let Some(known) = self.entries.files.iter_mut().find(|entry| entry.path == change.path)
            && now.as_ref() == Some(&known.written)
        {
            known.written = written;
            return Ok(());
        }
        let original = match &change.before {
            None => None,
            Some(text) => {
                let name = format!("{}.original", sum(change.path.as_os_str().as_encoded_bytes()));
                fs::write_atomic(&self.dir.join(&name), text.as_bytes(), 0o600)?;
                Some(name)
            }
        };
        self.entries.files.retain(|entry| entry.path != change.path);
        self.entries.files.push(Entry {
            path: change.path.clone(),
            original,
            written,
            restarts: change.restarts,
        });
        Ok(())
    }

    fn note_directories(&mut self, path: &Path) {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .map(Path::to_owned)
            .collect();
        for dir in missing.into_iter().rev() {
            if !self.entries.directories.contains(&dir) {
                self.entries.directories.push(dir);
            }
        }
    }

    /// Undoes everything that was ever changed and not undone. Files that others have changed since are left alone.
    pub(crate) fn undo(&mut self) -> Result<Vec<Undone>, Error> {
        let mut outcome = Vec::new();
        let mut left = Vec::new();
        let mut originals = Vec::new();
        for entry in std::mem::take(&mut self.entries.files) {
            let undone = self.undo_one(&entry)?;
            if matches!(undone, Undone::Changed(..)) {
                left.push(entry);
            } else {
                originals.extend(entry.original);
            }
            outcome.push(undone);
        }
        self.entries.files = left;
        // Those that somebody else uses by now are not empty, and stay.
        for dir in std::mem::take(&mut self.entries.directories).iter().rev() {
            std::fs::remove_dir(dir).ok();
        }
        if !outcome.is_empty() {
            self.save()?;
        }
        // Not before: an undoing that was cut off begins anew.
        for name in originals {
            remove(&self.dir.join(name))?;
        }
        Ok(outcome)
    }

    fn undo_one(&self, entry: &Entry) -> Result<Undone, Error> {
        let original = entry.original.as_ref().map(|name| self.dir.join(name));
        let read = |path: &Path| match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(path, source)),
        };
        let (now, before) = (
            read(&entry.path)?,
            original.as_deref().map(&read).transpose()?.flatten(),
        );
        if now == before {
            return Ok(match original {
                Some(_) => Undone::Restored(entry.path.clone(), entry.restarts),
                None => Undone::Removed(entry.path.clone(), entry.restarts),
            });
        }
        if now.is_none_or(|now| sum(&now) != entry.written) {
            return Ok(Undone::Changed(entry.path.clone(), original));
        }
        match before {
            Some(before) => {
                replace(&entry.path, &before)?;
                Ok(Undone::Restored(entry.path.clone(), entry.restarts))
            }
            None => {
                remove(&entry.path)?;
                Ok(Undone::Removed(entry.path.clone(), entry.restarts))
            }
        }
    }

    fn save(&self) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(&self.entries).expect("texts have a JSON form");
        Ok(fs::write_atomic(&self.dir.join("journal.json"), &bytes, 0o600)?)
    }
}

/// Puts back what a run changed that `error` stopped, and gives that error; if it can't, the journal stays as it is.
fn put_back(changes: &[Change], error: Error) -> Result<Error, Error> {
    for change in changes.iter().rev() {
        let restored = match &change.before {
            Some(text) => replace(&change.path, text.as_bytes()),
            None => remove(&change.path),
        };
        if restored.is_err() {
            return Err(Error::HalfWay {
                path: change.path.clone(),
                source: Box::new(error),
            });
        }
    }
    Ok(error)
}

/// Replaces a file in one step; a link leads on to where it led, and owner and mode stay.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    }
    let known = std::fs::metadata(&target).ok();
    let mode = known
        .as_ref()
        .map_or(NEW_FILE, |meta| meta.permissions().mode() & 0o7777);
    fs::write_atomic(&target, bytes, mode)?;
    let failed = |source| failed(&target, source);
    // The creation mask may have taken rights away.
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    if let Some(known) = known {
        std::os::unix::fs::chown(&target, Some(known.uid()), Some(known.gid())).map_err(failed)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &Path, before: Option<&str>, after: &str) -> Change {
        Change {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.to_owned(),
            restarts: None,
        }
    }

    #[test]
    fn what_two_runs_changed_is_undone_to_what_was_before_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (state, file, new) = (
            dir.path().join("state"),
            dir.path().join("a.toml"),
            dir.path().join("certs/x/b.toml"),
        );
        std::fs::write(&file, "one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut journal = Journal::open(&state).unwrap();
        journal
            .apply(&[change(&file, Some("one"), "two"), change(&new, None, "new")])
            .unwrap();
        let mut journal = Journal::open(&state).unwrap();
        journal.apply(&[change(&file, Some("two"), "three")]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "three");
        let undone = Journal::open(&state).unwrap().undo().unwrap();
        assert_eq!(undone.len(), 2);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!dir.path().join("certs").exists());
        assert!(Journal::open(&state).unwrap().undo().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_somebody_changed_since_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (state, file) = (dir.path().join("state"), dir.path().join("a.toml"));
        std::fs::write(&file, "one").unwrap();
        Journal::open(&state)
            .unwrap()
            .apply(&[change(&file, Some("one"), "two")])
            .unwrap();
        std::fs::write(&file, "theirs").unwrap();
        let undone = Journal::open(&state).unwrap().undo().unwrap();
        let [Undone::Changed(path, Some(original))] = &undone[..] else {
            panic!("{undone:?}");
        };
        assert_eq!(
            (path, std::fs::read_to_string(original).unwrap().as_str()),
            (&file, "one")
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
    }

    #[test]
    fn if_one_file_can_not_be_changed_none_is() {
        let dir = tempfile::tempdir().unwrap();
        let (state, file, blocked) = (
            dir.path().join("state"),
            dir.path().join("a.toml"),
            dir.path().join("file/b.toml"),
        );
        std::fs::write(&file, "one").unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let mut journal = Journal::open(&state).unwrap();
        let changes = [change(&file, Some("one"), "two"), change(&blocked, None, "new")];
        assert!(journal.apply(&changes).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        assert!(Journal::open(&state).unwrap().undo().unwrap().is_empty());
    }

    #[test]
    fn a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (state, real, link) = (
            dir.path().join("state"),
            dir.path().join("real"),
            dir.path().join("link"),
        );
        std::fs::write(&real, "one").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        Journal::open(&state)
            .unwrap()
            .apply(&[change(&link, Some("one"), "two")])
            .unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "two");
    }
}
