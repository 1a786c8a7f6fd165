//! Which files of a listed directory are wanted, and where each goes below the output. What a list says is not to be
//! trusted: no name in it leads out of the output.

use dragonfly_api::dfdaemon::Entry;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use url::Url;

/// Why a directory can't be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A pattern is none.
    #[error("{pattern:?} is no pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        #[source]
        source: globset::Error,
    },
    /// The list names what is not below the directory, or no file of this host could be called so.
    #[error("the list of {directory} names {url:?}, which is no file below it")]
    Outside {
        /// What was listed.
        directory: String,
        /// What the list says.
        url: String,
    },
    /// Too many.
    #[error(
        "{directory} has {files} files, more than {limit}; allow them with --max-files {files}, or choose with --include-files"
    )]
    TooMany {
        /// What was listed.
        directory: String,
        /// The files that are wanted.
        files: usize,
        /// How many may be.
        limit: usize,
    },
    /// Nothing to do.
    #[error("{directory} has no files{}", if *.chosen { " that the patterns choose" } else { "" })]
    Empty {
        /// What was listed.
        directory: String,
        /// Whether there were patterns.
        chosen: bool,
    },
    /// A directory can't be made.
    #[error("can't make the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Patterns: `*.bin` is for names at any depth, `a/*.bin` for paths, `a/` for all that is below.
pub(super) struct Choice {
    included: Option<GlobSet>,
    excluded: GlobSet,
}

impl Choice {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self, Error> {
        Ok(Self {
            included: match include {
                [] => None,
                patterns => Some(set(patterns)?),
            },
            excluded: set(exclude)?,
        })
    }

    fn is_some(&self) -> bool {
        self.included.is_some() || !self.excluded.is_empty()
    }

    fn takes(&self, path: &Path) -> bool {
        self.included.as_ref().is_none_or(|set| set.is_match(path)) && !self.excluded.is_match(path)
    }
}

fn set(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let plain = pattern.trim_start_matches('/');
        let text = match plain.strip_suffix('/') {
            Some(directory) => format!("{directory}/**"),
            None if plain.contains('/') => plain.to_owned(),
            None => format!("**/{plain}"),
        };
        let glob = GlobBuilder::new(&text).literal_separator(true).build();
        let glob = glob.map_err(|source| Error::Pattern {
            pattern: pattern.clone(),
            source,
        })?;
        set.add(glob);
    }
    set.build().map_err(|source| Error::Pattern {
        pattern: patterns.join(" "),
        source,
    })
}

/// One file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// What it is asked for by.
    pub(super) url: Url,
    /// Where it goes, below the output.
    pub(super) path: PathBuf,
    /// Its bytes, as far as the list knows.
    pub(super) length: u64,
}

/// The files that are wanted, by their paths.
pub(super) fn leaves(directory: &Url, entries: Vec<Entry>, choice: &Choice, limit: usize) -> Result<Vec<Leaf>, Error> {
    let mut wanted = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
        let Some((url, path)) = below(directory, &entry.url) else {
            return Err(Error::Outside {
                directory: directory.to_string(),
                url: entry.url,
            });
        };
        if choice.takes(&path) {
            let length = entry.content_length;
            wanted.insert(path.clone(), Leaf { url, path, length });
        }
    }
    match wanted.len() {
        0 => Err(Error::Empty {
            directory: directory.to_string(),
            chosen: choice.is_some(),
        }),
        files if files > limit => Err(Error::TooMany {
            directory: directory.to_string(),
            files,
            limit,
        }),
        _ => Ok(wanted.into_values().collect()),
    }
}

/// What is called so, if it is below the directory: nothing but plain names from there.
fn below(directory: &Url, text: &str) -> Option<(Url, PathBuf)> {
    let url = Url::parse(text).ok()?;
    let same_place = url.scheme() == directory.scheme() && url.authority() == directory.authority();
    let rest = url.path().strip_prefix(directory.path()).filter(|_| same_place)?;
    let rest = percent_decode_str(rest).decode_utf8().ok()?;
    let names: Vec<&str> = rest.split('/').collect();
    let is_name = |name: &&str| !name.is_empty() && *name != "." && *name != ".." && !name.contains('\0');
    if !names.iter().all(is_name) {
        return None;
    }
    let path: PathBuf = names.iter().collect();
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then_some((url, path))
}

/// Makes the directories on the way to a file, and goes through no link: it could lead anywhere.
pub(super) fn make_way(output: &Path, file: &Path) -> Result<(), Error> {
    let mut way = output.to_owned();
    for name in file.parent().into_iter().flat_map(Path::components) {
        way.push(name);
        make_one(&way)?;
    }
    Ok(())
}

/// Makes a directory, unless there is one.
pub(super) fn make_one(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: path.to_owned(),
        source,
    };
    match DirBuilder::new().create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map_err(failed),
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(failed(io::Error::other("something else has its name"))),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> Url {
        Url::parse("s3://bucket/dir/").unwrap()
    }

    fn entry(url: &str) -> Entry {
        Entry {
            url: url.to_owned(),
            content_length: 1,
            is_dir: url.ends_with('/'),
        }
    }

    fn chosen(urls: &[&str], include: &[&str], exclude: &[&str]) -> Result<Vec<String>, Error> {
        let texts = |patterns: &[&str]| -> Vec<String> { patterns.iter().map(ToString::to_string).collect() };
        let choice = Choice::new(&texts(include), &texts(exclude))?;
        let entries = urls.iter().map(|url| entry(url)).collect();
        let leaves = leaves(&dir(), entries, &choice, 5)?;
        Ok(leaves.into_iter().map(|leaf| leaf.path.display().to_string()).collect())
    }

    #[test]
    fn patterns_choose_by_name_by_path_and_by_directory() {
        let urls = [
            "s3://bucket/dir/a.bin",
            "s3://bucket/dir/a.txt",
            "s3://bucket/dir/sub/",
            "s3://bucket/dir/sub/b%20b.bin",
            "s3://bucket/dir/sub/deep/c.txt",
        ];
        let all = ["a.bin", "a.txt", "sub/b b.bin", "sub/deep/c.txt"];
        assert_eq!(chosen(&urls, &[], &[]).unwrap(), all);
        assert_eq!(chosen(&urls, &["*.bin"], &[]).unwrap(), ["a.bin", "sub/b b.bin"]);
        assert_eq!(chosen(&urls, &["sub/*.bin"], &[]).unwrap(), ["sub/b b.bin"]);
        assert_eq!(chosen(&urls, &["sub/"], &["*.bin"]).unwrap(), ["sub/deep/c.txt"]);
        assert_eq!(chosen(&urls, &[], &["sub/"]).unwrap(), ["a.bin", "a.txt"]);
        let none = chosen(&urls, &["*.gguf"], &[]).unwrap_err().to_string();
        assert!(none.contains("that the patterns choose"), "{none}");
        assert!(matches!(chosen(&urls, &["["], &[]), Err(Error::Pattern { .. })));
    }

    #[test]
    fn no_name_leads_out_of_the_output() {
        for hostile in [
            "s3://bucket/dir/%2e%2e/x",
            "s3://bucket/dir/..%2F..%2Fetc%2Fpasswd",
            "s3://bucket/dir/a%2F..%2Fb",
            "s3://bucket/dir//etc/passwd",
            "s3://bucket/dir/%2Fetc%2Fpasswd",
            "s3://bucket/dir/a%00b",
            "s3://bucket/other/x",
            "s3://other/dir/x",
            "file:///etc/passwd",
            "../x",
        ] {
            let refused = chosen(&[hostile], &[], &[]);
            assert!(matches!(refused, Err(Error::Outside { .. })), "{hostile}: {refused:?}");
        }
    }

    #[test]
    fn too_many_files_are_refused_with_their_number() {
        let urls: Vec<String> = (0..6).map(|number| format!("s3://bucket/dir/{number}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let error = chosen(&urls, &[], &[]).unwrap_err().to_string();
        assert!(
            error.contains("6 files, more than 5") && error.contains("--max-files 6"),
            "{error}"
        );
    }

    #[test]
    fn a_way_goes_through_no_link() {
        let root = tempfile::tempdir().unwrap();
        let (output, elsewhere) = (root.path().join("out"), root.path().join("elsewhere"));
        std::fs::create_dir(&output).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        make_way(&output, Path::new("a/b/file")).unwrap();
        make_way(&output, Path::new("a/b/other")).unwrap();
        assert!(output.join("a/b").is_dir());
        std::os::unix::fs::symlink(&elsewhere, output.join("link")).unwrap();
        for file in ["link/file", "link/deep/file"] {
            let refused = make_way(&output, Path::new(file));
            assert!(matches!(refused, Err(Error::Directory { .. })), "{file}");
        }
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
