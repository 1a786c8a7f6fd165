//! The digest of a whole content, computed while its pieces land.
//!
//! Hashing goes in order from the first byte and so trails the lowest missing piece; what is read again comes from the
//! page cache. It runs on a blocking thread, a step at a time: each step takes what is present without a gap.

use dragonfly_model::{Algorithm, Digest, PieceNumber};
use dragonfly_storage::Pin;
use sha2::{Digest as _, Sha256, Sha512};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that are read and hashed at a time.
const BLOCK: usize = 256 * 1024;

/// How a content compares with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not all of it was hashed yet.
    Pending,
    /// It is what the digest names, or no digest is known.
    Holds,
    /// It has this digest instead.
    Differs(Digest),
}

/// Follows one content.
pub(crate) struct Verifier {
    expected: Option<Digest>,
    hashed: Option<Hashed>,
    step: Option<JoinHandle<io::Result<Hashed>>>,
    stop: Arc<AtomicBool>,
}

/// The state of the hash after some bytes from the start.
struct Hashed {
    hasher: Hasher,
    bytes: u64,
}

impl Verifier {
    /// Follows the content of `expected`; with `None` there is nothing to do.
    pub(crate) fn new(expected: Option<Digest>) -> Self {
        let hashed = expected.as_ref().map(|digest| Hashed {
            hasher: Hasher::new(digest.algorithm()),
            bytes: 0,
        });
        Self {
            expected,
            hashed,
            step: None,
            stop: Arc::default(),
        }
    }

    /// Starts to hash what is present beyond what was hashed, unless that is going on already.
    pub(crate) fn advance(&mut self, task: &Pin) {
        let Some(hashed) = self
            .hashed
            .take_if(|hashed| present_to(task, hashed.bytes) > hashed.bytes)
        else {
            return;
        };
        let (task, stop) = (task.clone(), self.stop.clone());
        self.step = Some(spawn_blocking(move || hashed.follow(&task, &stop)));
    }

    /// Waits for the step that is going on; for ever if there is none. May be dropped while it waits.
    pub(crate) async fn stepped(&mut self) -> io::Result<()> {
        let Some(step) = &mut self.step else {
            return std::future::pending().await;
        };
        let result = step.await;
        self.step = None;
        match result {
            Ok(hashed) => self.hashed = Some(hashed?),
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is shutting down, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        }
        Ok(())
    }

    /// The verdict on a content of `length` bytes.
    pub(crate) fn verdict(&self, length: u64) -> Verdict {
        match (&self.expected, &self.hashed) {
            (None, _) => Verdict::Holds,
            (Some(expected), Some(hashed)) if hashed.bytes == length => match hashed.hasher.digest() {
                found if found == *expected => Verdict::Holds,
                found => Verdict::Differs(found),
            },
            (Some(_), _) => Verdict::Pending,
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Hashed {
    /// Hashes until a piece is missing.
    fn follow(mut self, task: &Pin, stop: &AtomicBool) -> io::Result<Self> {
        let file = task.content_file();
        let mut block = vec![0; BLOCK];
        loop {
            let end = present_to(task, self.bytes);
            if end == self.bytes {
                return Ok(self);
            }
            while self.bytes < end && !stop.load(Ordering::Relaxed) {
                let length = usize::try_from(end - self.bytes).map_or(BLOCK, |left| left.min(BLOCK));
                file.read_exact_at(&mut block[..length], self.bytes)?;
                self.hasher.update(&block[..length]);
                self.bytes += length as u64;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(self);
            }
        }
    }
}

/// The end of the piece that begins at `offset`, if it is present, else `offset`. Hashing goes piece by piece.
fn present_to(task: &Pin, offset: u64) -> u64 {
    let number = u32::try_from(offset / task.piece_length()).ok().map(PieceNumber);
    let piece = number.and_then(|number| task.piece(number));
    piece.map_or(offset, |piece| piece.span.offset + piece.span.length)
}

enum Hasher {
    Crc32(crc32fast::Hasher),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Hasher::Crc32(crc32fast::Hasher::new()),
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc32(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn digest(&self) -> Digest {
        let (algorithm, hex) = match self {
            Hasher::Crc32(hasher) => (Algorithm::Crc32, format!("{:08x}", hasher.clone().finalize())),
            Hasher::Sha256(hasher) => (Algorithm::Sha256, hex::encode(hasher.clone().finalize())),
            Hasher::Sha512(hasher) => (Algorithm::Sha512, hex::encode(hasher.clone().finalize())),
        };
        Digest::new(algorithm, &hex).expect("a digest has the length of its algorithm")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_as_users_write_them() {
        let of = |algorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"12345");
            hasher.update(b"6789");
            hasher.digest().to_string()
        };
        assert_eq!(of(Algorithm::Crc32), "crc32:3421780262");
        assert_eq!(
            of(Algorithm::Sha256),
            "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert!(of(Algorithm::Sha512).starts_with("sha512:d9e6762dd1c8eaf6d61b3c6192fc408d"));
    }

    #[tokio::test]
    async fn nothing_is_held_against_a_content_without_a_digest() {
        assert_eq!(Verifier::new(None).verdict(10), Verdict::Holds);
        let digest = "crc32:00000000".parse().unwrap();
        // The empty content, hashed at once.
        assert_eq!(Verifier::new(Some(digest)).verdict(0), Verdict::Holds);
    }
}
