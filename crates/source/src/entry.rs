//! What a directory of an origin holds, and how names become URLs and back.

use crate::Error;
use crate::request::redacted;
use percent_encoding::percent_decode_str;
use url::Url;

/// More than this in one directory, with all that is below it, is not listed.
pub const MAX_ENTRIES: usize = 50_000;

/// One thing below a directory, at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is asked for by. That of a directory ends in a slash.
    pub url: Url,
    /// Its bytes, if the origin's list says; none for a directory.
    pub content_length: Option<u64>,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// The entries of one directory as they are found.
pub(crate) struct Entries {
    directory: Url,
    found: Vec<Entry>,
}

impl Entries {
    pub(crate) fn new(directory: &Url) -> Self {
        Self {
            directory: directory.clone(),
            found: Vec::new(),
        }
    }

    /// Takes note of the one at this path, which counts from the root of what the URL's host names.
    pub(crate) fn push(&mut self, path: &str, content_length: Option<u64>) -> Result<(), Error> {
        let url = at(&self.directory, path)?;
        if url.path() == self.directory.path() {
            return Ok(());
        }
        if self.found.len() == MAX_ENTRIES {
            return Err(Error::TooManyEntries {
                origin: redacted(&self.directory),
                limit: MAX_ENTRIES,
            });
        }
        let is_dir = path.ends_with('/');
        self.found.push(Entry {
            url,
            content_length: content_length.filter(|_| !is_dir),
            is_dir,
        });
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<Entry> {
        self.found
    }
}

/// The decoded path of a URL, without its first slash.
pub(crate) fn path_of(url: &Url) -> Result<String, Error> {
    let path = url.path().strip_prefix('/').unwrap_or(url.path());
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::Url {
        url: redacted(url),
        what: "its path is not in UTF-8",
    })
}

/// The URL of what has this path below the same host.
fn at(base: &Url, path: &str) -> Result<Url, Error> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    // The rest is encoded by what sets it.
    url.set_path(&format!("/{}", path.replace('%', "%25")));
    if path_of(&url).is_ok_and(|read| read == path) {
        return Ok(url);
    }
    let mut directory = base.clone();
    directory.set_query(None);
    Err(Error::Url {
        url: format!("{}: {path:?}", redacted(&directory)),
        what: "no URL can have this path",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_urls_and_back() {
        let base = Url::parse("s3://bucket/dir/?x=1").unwrap();
        for (name, url) in [
            ("dir/a.bin", "s3://bucket/dir/a.bin"),
            ("dir/a b+c.bin", "s3://bucket/dir/a%20b+c.bin"),
            ("dir/100%.bin", "s3://bucket/dir/100%25.bin"),
            ("dir/what?#.bin", "s3://bucket/dir/what%3F%23.bin"),
            ("dir/\u{fc}/", "s3://bucket/dir/%C3%BC/"),
        ] {
            let found = at(&base, name).unwrap();
            assert_eq!((found.as_str(), path_of(&found).unwrap().as_str()), (url, name));
        }
        for name in ["dir/../../etc/passwd", "dir/./a", ".."] {
            assert!(matches!(at(&base, name), Err(Error::Url { .. })), "{name}");
        }
    }

    #[test]
    fn a_directory_is_not_its_own_entry_and_one_that_is_too_large_is_refused() {
        let base = Url::parse("s3://bucket/dir/").unwrap();
        let mut entries = Entries::new(&base);
        entries.push("dir/", None).unwrap();
        entries.push("dir/sub/", Some(0)).unwrap();
        for number in 1..MAX_ENTRIES {
            entries.push(&format!("dir/sub/{number}"), Some(1)).unwrap();
        }
        assert!(matches!(
            entries.push("dir/one more", None),
            Err(Error::TooManyEntries { .. })
        ));
        let found = entries.finish();
        assert_eq!((found[0].is_dir, found[0].content_length), (true, None));
        assert_eq!((found[1].is_dir, found[1].content_length), (false, Some(1)));
    }
}
