//! Bytes for tests: any length, any offset, the same on every run, and never held in memory.

use std::io::Read;

use sha2::{Digest as _, Sha256};

/// How much is produced at a time where a whole content is walked through.
const CHUNK: usize = 256 * 1024;

/// A content that is known by its seed and its length alone. It looks random, so it does not compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    seed: u64,
    length: u64,
}

impl Content {
    /// The content of `length` bytes that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64, length: u64) -> Self {
        Self { seed, length }
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` with the bytes from `offset` on and returns how many there were before the end.
    pub fn fill(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = self.length.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let word = self.word(at / 8).to_le_bytes();
            let from = (at % 8) as usize;
            let count = (8 - from).min(wanted - done);
            buffer[done..done + count].copy_from_slice(&word[from..from + count]);
            done += count;
        }
        wanted
    }

    /// The bytes from `offset` on, at most `length` of them.
    #[must_use]
    pub fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut buffer = vec![0; length];
        let got = self.fill(offset, &mut buffer);
        buffer.truncate(got);
        buffer
    }

    /// SHA-256 of the whole content in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut offset = 0;
        loop {
            let got = self.fill(offset, &mut buffer);
            if got == 0 {
                return hex::encode(hash.finalize());
            }
            hash.update(&buffer[..got]);
            offset += got as u64;
        }
    }

    /// Reads the content from its first byte to its last.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            content: *self,
            offset: 0,
        }
    }

    /// The word at `index`: a counter under a mixing function, so every offset is as near as the first.
    fn word(&self, index: u64) -> u64 {
        let mut x = self
            .seed
            .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// Reads a [`Content`] in order.
#[derive(Debug)]
pub struct Reader {
    content: Content,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.content.fill(self.offset, buffer);
        self.offset += got as u64;
        Ok(got)
    }
}

/// SHA-256 of everything that `reader` gives, in lower-case hex, and its length in bytes.
///
/// # Errors
/// When reading fails.
pub fn sha256_of(mut reader: impl Read) -> std::io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let got = reader.read(&mut buffer)?;
        if got == 0 {
            return Ok((hex::encode(hash.finalize()), length));
        }
        hash.update(&buffer[..got]);
        length += got as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_shows_the_same_bytes_as_the_whole() {
        let content = Content::new(7, 1000);
        let whole = content.bytes(0, 4096);
        assert_eq!(whole.len(), 1000);
        for (offset, length) in [(0, 1), (3, 9), (8, 8), (991, 100), (1000, 5)] {
            let window = content.bytes(offset, length);
            let end = whole.len().min(offset as usize + length);
            assert_eq!(window, whole[offset as usize..end]);
        }
        assert_ne!(whole, Content::new(8, 1000).bytes(0, 4096));
    }

    #[test]
    fn the_digest_is_that_of_the_bytes_read_in_order() {
        for length in [0, 1, CHUNK as u64, 3 * CHUNK as u64 + 5] {
            let content = Content::new(1, length);
            assert_eq!(sha256_of(content.reader()).unwrap(), (content.sha256(), length));
        }
    }
}
