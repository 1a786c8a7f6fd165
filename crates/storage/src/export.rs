//! Delivering a finished content as a file.

use crate::{Error, Pin};
use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How a content becomes a file elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// Shares the blocks where the file system can do that, otherwise copies.
    Reflink,
    /// The same file under another name: whoever writes into it changes the cache. Fails across file systems.
    HardLink,
    /// Copies the bytes, inside the kernel where it can do that.
    Copy,
}

impl Pin {
    /// Delivers the finished content to `path`. The file appears whole or not at all: it is made beside it as
    /// `.<name>.dragonfly-part` and renamed. An existing file is replaced only if `replace` says so.
    pub async fn export(&self, path: &Path, how: Export, replace: bool) -> Result<(), Error> {
        let (pin, path) = (self.clone(), path.to_owned());
        crate::storage::blocking(&self.opened().shared.runtime, move || export(&pin, &path, how, replace)).await
    }
}

fn export(pin: &Pin, path: &Path, how: Export, replace: bool) -> Result<(), Error> {
    let record = pin.record();
    if !record.is_finished() {
        pin.opened().task.check_readable()?;
        let missing = pin.opened().task.complete().err();
        return Err(missing.unwrap_or(Error::Incomplete { missing: 0 }));
    }
    if !replace && path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let part = part_path(path)?;
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("removing", &part, e)),
        _ => {}
    }
    let file = pin.content_file();
    let length = record.content_length.unwrap_or(0);
    let delivered = match how {
        Export::HardLink => link(&file, &part),
        Export::Reflink => create(&part).and_then(|to| reflink(&file, &to).or_else(|_| copy(&file, &to, length))),
        Export::Copy => create(&part).and_then(|to| copy(&file, &to, length)),
    };
    let delivered = delivered
        .map_err(|e| Error::io("exporting to", path, e))
        .and_then(|()| rename(&part, path, replace));
    if delivered.is_err()
        && let Err(e) = std::fs::remove_file(&part)
        && e.kind() != ErrorKind::NotFound
    {
        tracing::warn!(path = %part.display(), error = &e as &dyn std::error::Error, "a partial file can't be removed");
    }
    delivered
}

fn part_path(path: &Path) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(Error::io("exporting to", path, Errno::ISDIR));
    };
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(".dragonfly-part");
    Ok(path.with_file_name(part))
}

fn create(part: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o666).open(part)
}

/// Links the file that is pinned, which need not be the one that bears the task's name now.
fn link(content: &File, part: &Path) -> std::io::Result<()> {
    let opened = format!("/proc/self/fd/{}", content.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, opened, CWD, part, AtFlags::SYMLINK_FOLLOW)?)
}

fn reflink(from: &File, to: &File) -> std::io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

fn copy(from: &File, to: &File, length: u64) -> std::io::Result<()> {
    let (mut at, mut end) = (0, 0);
    while at < length {
        let want = usize::try_from(length - at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut end), want) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            // The kernel can't between these two file systems.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_through_memory(from, to, at, length);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, to: &File, mut at: u64, length: u64) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 1 << 20];
    while at < length {
        let want = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..want], at)?;
        to.write_all_at(&buffer[..want], at)?;
        at += want as u64;
    }
    Ok(())
}

fn rename(part: &Path, path: &Path, replace: bool) -> Result<(), Error> {
    let renamed = if replace {
        rustix::fs::renameat(CWD, part, CWD, path)
    } else {
        match rustix::fs::renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
            // Some file systems can't tell; it was checked a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(CWD, part, CWD, path),
            other => other,
        }
    };
    match renamed {
        Ok(()) => {
            // Renaming one name of a file over another name of the same file does nothing; then the part remains.
            match std::fs::remove_file(part) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", part, e)),
                _ => Ok(()),
            }
        }
        Err(Errno::EXIST) => Err(Error::Exists { path: path.to_owned() }),
        Err(e) => Err(Error::io("exporting to", path, e)),
    }
}
