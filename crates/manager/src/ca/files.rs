//! Files that are written once, and keys that nobody else reads.

use super::Error;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bytes of a file that may be a certificate or key.
const MAX_BYTES: u64 = 1 << 20;

/// Refuses if any of these is there.
pub(super) fn refuse_existing<'a>(paths: impl IntoIterator<Item = &'a std::path::PathBuf>) -> Result<(), Error> {
    match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(Error::Exists(path.clone())),
        None => Ok(()),
    }
}

/// Refuses a key that others can read.
pub(super) fn refuse_exposed(key: &Path) -> Result<(), Error> {
    let metadata = key.metadata().map_err(|source| unreadable(key, source))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::Exposed(key.to_owned()));
    }
    Ok(())
}

/// Makes a directory that only its owner can read, if it is not there.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| unwritable(dir, source))
}

/// Writes a file that must not exist.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => unwritable(path, source),
    })
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let metadata = path.metadata().map_err(|source| unreadable(path, source))?;
    if metadata.len() > MAX_BYTES {
        return Err(Error::Damaged {
            path: path.to_owned(),
            problem: format!("has more than {MAX_BYTES} bytes"),
        });
    }
    std::fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source,
    }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
