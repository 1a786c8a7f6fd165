//! A log file that is rolled by size: `x.log` is written, `x.log.1` is the one before, the oldest is removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// The writer. Each call of `write` is one line and is never torn over two files.
#[derive(Debug)]
pub(super) struct Rolling {
    path: PathBuf,
    file: File,
    written: u64,
    max_size: u64,
    max_files: usize,
}

impl Rolling {
    /// Continues the file at `path`. It is rolled before it would exceed `max_size` bytes; of all files `max_files`
    /// are kept.
    pub(super) fn open(path: PathBuf, max_size: u64, max_files: usize) -> io::Result<Self> {
        let file = append(&path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            written,
            max_size,
            max_files: max_files.max(1),
        })
    }

    fn roll(&mut self) -> io::Result<()> {
        let oldest = self.max_files - 1;
        if oldest == 0 {
            self.file.set_len(0)?;
        } else {
            for number in (1..oldest).rev() {
                rename_if_there(self.numbered(number), self.numbered(number + 1))?;
            }
            rename_if_there(self.path.clone(), self.numbered(1))?;
            self.file = append(&self.path)?;
        }
        self.written = 0;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for Rolling {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let would_be = self.written.saturating_add(line.len() as u64);
        if would_be > self.max_size && self.written > 0 {
            self.roll()?;
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn rename_if_there(from: PathBuf, to: PathBuf) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn contents(dir: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        files.sort();
        files
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn full_files_are_rolled_and_the_oldest_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Rolling::open(dir.path().join("x.log"), 4, 3).unwrap();
        for line in ["1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(
            contents(dir.path()),
            [
                pair("x.log", "7\n"),
                pair("x.log.1", "5\n6\n"),
                pair("x.log.2", "3\n4\n")
            ]
        );
    }

    #[test]
    fn a_restart_continues_the_file_and_counts_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        Rolling::open(path.clone(), 4, 2).unwrap().write_all(b"abc\n").unwrap();
        Rolling::open(path, 4, 2).unwrap().write_all(b"d\n").unwrap();
        assert_eq!(contents(dir.path()), [pair("x.log", "d\n"), pair("x.log.1", "abc\n")]);
    }

    #[test]
    fn a_single_file_is_emptied_instead() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Rolling::open(dir.path().join("x.log"), 4, 1).unwrap();
        for line in ["abc\n", "def\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(contents(dir.path()), [pair("x.log", "def\n")]);
    }
}
