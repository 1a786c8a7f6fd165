//! A journal that a power cut tore: the store refuses it as a whole, though all that was synced lies before the tear.
//!
//! What the disk keeps of writes that were not synced is up to the disk: a later one may be there and an earlier one
//! not. The store takes a record that is cut short for the end, and one with wrong bytes in it for damage. Its longest
//! beginning that the store takes holds everything that was synced; the rest was never promised.

use crate::{Error, files};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Cuts the newest journal of the store in `metadata` behind the last record that `opens` takes, which is asked about
/// copies. `false` if no beginning will do: then the damage is elsewhere.
pub(crate) fn cut_journal(metadata: &Path, opens: impl Fn(&Path) -> bool) -> Result<bool, Error> {
    let failed = |e| Error::io("salvaging", metadata, e);
    let Some(journal) = newest_journal(metadata).map_err(failed)? else {
        return Ok(false);
    };
    let mut bytes = fs::read(&journal).map_err(failed)?;
    // Zeros that were reserved for records to come.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);

    let trial = metadata.with_extension("trial");
    let takes = |length: usize| -> Result<bool, Error> {
        files::remove_dir(&trial)?;
        copy(metadata, &trial, &journal).map_err(failed)?;
        let name = journal.file_name().unwrap_or_default();
        fs::write(trial.join(name), &bytes[..length]).map_err(failed)?;
        Ok(opens(&trial))
    };
    let (mut sound, mut torn) = (0, end);
    let salvaged = takes(sound)?;
    while salvaged && torn - sound > 1 {
        let middle = sound + (torn - sound) / 2;
        if takes(middle)? {
            sound = middle;
        } else {
            torn = middle;
        }
    }
    files::remove_dir(&trial)?;
    if salvaged {
        let file = File::options().write(true).open(&journal).map_err(failed)?;
        file.set_len(sound as u64)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
    }
    Ok(salvaged)
}

/// The journal with the highest number is the one that is written to; the others were synced when they were full.
fn newest_journal(metadata: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(metadata)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if path.extension().is_some_and(|extension| extension == "jnl") && number.is_some() {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

fn copy(from: &Path, to: &Path, but: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &target, but)?;
        } else if path != but {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
