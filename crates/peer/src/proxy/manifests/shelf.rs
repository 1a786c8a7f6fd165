//! Manifests and tags on disk: small files, whole or absent, the least recently used of which go first.

use bytes::Bytes;
use dragonfly_model::{Algorithm, Digest};
use dragonfly_service::fs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files of another version are not read.
const VERSION: u32 = 1;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 65_536,
            bytes: 256 << 20,
        }
    }
}

/// A manifest as a registry gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) etag: Option<String>,
    pub(super) bytes: Bytes,
}

/// Where a tag led when the registry was asked last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) length: u64,
    pub(super) etag: Option<String>,
    /// Seconds since the epoch.
    pub(super) checked_at: u64,
}

/// The first line of a manifest's file; the manifest itself follows.
#[derive(Serialize, Deserialize)]
struct Label {
    digest: String,
    media_type: String,
    etag: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    value: T,
}

/// The files. Clones share them.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    limits: Limits,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    files: HashMap<String, Entry>,
    bytes: u64,
    clock: u64,
}

struct Entry {
    bytes: u64,
    used: u64,
}

impl Shelf {
    /// Takes over what is in the directory.
    pub(super) fn open(dir: &Path, limits: Limits) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let (Ok(name), meta) = (entry.file_name().into_string(), entry.metadata()?) else {
                continue;
            };
            if is_kept(&name) {
                found.push((meta.modified()?, name, meta.len()));
            } else if name.strip_prefix('.').is_some_and(is_kept) {
                // Begun, and never ended.
                std::fs::remove_file(entry.path())?;
            }
        }
        found.sort();
        let mut index = Index::default();
        for (_, name, bytes) in found {
            index.put(&name, bytes);
        }
        let shelf = Self(Arc::new(Inner {
            dir: dir.to_owned(),
            limits,
            index: Mutex::new(index),
        }));
        shelf.0.make_room();
        Ok(shelf)
    }

    /// A manifest that is still what its digest names.
    pub(super) async fn manifest(&self, name: &str) -> Option<Manifest> {
        self.read(name, parse_manifest).await
    }

    pub(super) async fn keep_manifest(&self, name: String, manifest: &Manifest) {
        let label = Label {
            digest: manifest.digest.to_string(),
            media_type: manifest.media_type.clone(),
            etag: manifest.etag.clone(),
        };
        let mut bytes = text_of(label);
        bytes.push(b'\n');
        bytes.extend_from_slice(&manifest.bytes);
        self.write(name, bytes).await;
    }

    pub(super) async fn tag(&self, name: &str) -> Option<Tag> {
        self.read(name, value_of).await
    }

    pub(super) async fn keep_tag(&self, name: String, tag: Tag) {
        self.write(name, text_of(tag)).await;
    }

    async fn read<T: Send + 'static>(&self, name: &str, parse: fn(&[u8]) -> Option<T>) -> Option<T> {
        if !self.0.index().touch(name) {
            return None;
        }
        let (inner, name) = (self.0.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let parsed = std::fs::read(inner.dir.join(&name))
                .ok()
                .and_then(|bytes| parse(&bytes));
            if parsed.is_none() {
                tracing::warn!(
                    file = name,
                    "a kept manifest is damaged; the registry is asked for it again"
                );
                inner.remove(&name);
            }
            parsed
        });
        read.await.ok().flatten()
    }

    /// What can't be written is not kept; the registry has it still.
    async fn write(&self, name: String, bytes: Vec<u8>) {
        let inner = self.0.clone();
        let written = tokio::task::spawn_blocking(move || inner.write(&name, &bytes)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a manifest is not kept"),
            Err(error) => tracing::error!(%error, "keeping a manifest failed"),
        }
    }
}

impl Inner {
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), fs::Error> {
        fs::write_atomic(&self.dir.join(name), bytes, 0o600)?;
        self.index().put(name, bytes.len() as u64);
        self.make_room();
        Ok(())
    }

    fn make_room(&self) {
        let surplus = self.index().surplus(self.limits);
        for name in surplus {
            self.remove(&name);
        }
    }

    fn remove(&self, name: &str) {
        self.index().forget(name);
        // One that is gone already is as good as removed.
        std::fs::remove_file(self.dir.join(name)).ok();
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn put(&mut self, name: &str, bytes: u64) {
        self.forget(name);
        self.clock += 1;
        self.bytes += bytes;
        let used = self.clock;
        self.files.insert(name.to_owned(), Entry { bytes, used });
    }

    /// Whether there is such a file.
    fn touch(&mut self, name: &str) -> bool {
        self.clock += 1;
        let used = self.clock;
        self.files.get_mut(name).map(|entry| entry.used = used).is_some()
    }

    fn forget(&mut self, name: &str) {
        if let Some(entry) = self.files.remove(name) {
            self.bytes -= entry.bytes;
        }
    }

    /// Those that must go: down to seven eighths of what may be, so that the next one costs nothing.
    fn surplus(&self, limits: Limits) -> Vec<String> {
        if self.files.len() <= limits.files && self.bytes <= limits.bytes {
            return Vec::new();
        }
        let mut oldest: Vec<(u64, &String, u64)> = self
            .files
            .iter()
            .map(|(name, entry)| (entry.used, name, entry.bytes))
            .collect();
        oldest.sort_unstable();
        let (mut files, mut bytes) = (self.files.len(), self.bytes);
        let mut gone = Vec::new();
        for (_, name, size) in oldest {
            if files <= limits.files / 8 * 7 && bytes <= limits.bytes / 8 * 7 {
                break;
            }
            files -= 1;
            bytes -= size;
            gone.push(name.clone());
        }
        gone
    }
}

/// Whether a file is one of ours.
fn is_kept(name: &str) -> bool {
    name.starts_with("m-") || name.starts_with("t-")
}

fn text_of<T: Serialize>(value: T) -> Vec<u8> {
    let versioned = Versioned {
        version: VERSION,
        value,
    };
    serde_json::to_vec(&versioned).expect("texts and numbers have a JSON form")
}

fn value_of<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let versioned: Versioned<T> = serde_json::from_slice(bytes).ok()?;
    (versioned.version == VERSION).then_some(versioned.value)
}

fn parse_manifest(bytes: &[u8]) -> Option<Manifest> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let label: Label = value_of(&bytes[..end])?;
    let digest: Digest = label.digest.parse().ok()?;
    let bytes = Bytes::copy_from_slice(&bytes[end + 1..]);
    (digest_of(&bytes, digest.algorithm()) == digest).then_some(Manifest {
        digest,
        media_type: label.media_type,
        etag: label.etag,
        bytes,
    })
}

/// The digest of a manifest. What can't name content is not computed: SHA-256 takes its place.
pub(super) fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
    let (algorithm, hex) = match algorithm {
        Algorithm::Sha512 => (Algorithm::Sha512, hex::encode(Sha512::digest(bytes))),
        Algorithm::Sha256 | Algorithm::Crc32 => (Algorithm::Sha256, hex::encode(Sha256::digest(bytes))),
    };
    Digest::new(algorithm, &hex).expect("a hash has the length of its algorithm")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest {
            digest: digest_of(text.as_bytes(), Algorithm::Sha256),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            etag: Some("\"x\"".to_owned()),
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    fn tag(number: u64) -> Tag {
        Tag {
            digest: format!("sha256:{number:064x}"),
            media_type: "a/b".to_owned(),
            length: number,
            etag: None,
            checked_at: number,
        }
    }

    #[tokio::test]
    async fn what_is_kept_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path(), Limits::default()).unwrap();
        let text = "{\"a\":\n1}";
        shelf.keep_manifest("m-1".to_owned(), &manifest(text)).await;
        shelf.keep_tag("t-1".to_owned(), tag(7)).await;
        let shelf = Shelf::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(shelf.manifest("m-1").await, Some(manifest(text)));
        assert_eq!(shelf.tag("t-1").await, Some(tag(7)));
        assert_eq!(shelf.tag("t-2").await, None);
    }

    #[tokio::test]
    async fn a_damaged_manifest_is_not_given_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path(), Limits::default()).unwrap();
        shelf.keep_manifest("m-1".to_owned(), &manifest("good")).await;
        let path = dir.path().join("m-1");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(shelf.manifest("m-1").await, None);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_least_recently_used_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            files: 8,
            bytes: 1 << 20,
        };
        let shelf = Shelf::open(dir.path(), limits).unwrap();
        for number in 0..8 {
            shelf.keep_tag(format!("t-{number}"), tag(number)).await;
        }
        assert!(shelf.tag("t-0").await.is_some());
        shelf.keep_tag("t-8".to_owned(), tag(8)).await;
        assert!(shelf.tag("t-0").await.is_some());
        assert!(shelf.tag("t-8").await.is_some());
        assert!(shelf.tag("t-1").await.is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 7);
    }

    #[tokio::test]
    async fn bytes_are_limited_too() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { files: 8, bytes: 4096 };
        let shelf = Shelf::open(dir.path(), limits).unwrap();
        shelf
            .keep_manifest("m-1".to_owned(), &manifest(&"a".repeat(3000)))
            .await;
        shelf
            .keep_manifest("m-2".to_owned(), &manifest(&"b".repeat(3000)))
            .await;
        assert!(shelf.manifest("m-1").await.is_none());
        assert!(shelf.manifest("m-2").await.is_some());
    }
}
