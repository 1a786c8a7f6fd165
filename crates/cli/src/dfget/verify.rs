//! Whether what was written is what was asked for.

use dragonfly_model::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha512};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Why the content is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is another content.
    #[error("the content is {found}, not {wanted}; the file was not kept")]
    Mismatch {
        /// What was asked for.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// It can't be read.
    #[error("can't read {} to verify it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Reads the whole file and compares. Blocks.
pub(crate) fn verify(path: &Path, wanted: &Digest) -> Result<(), Error> {
    let hex = hex_of(path, wanted.algorithm()).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let found = Digest::new(wanted.algorithm(), &hex).expect("a hasher gives as many digits as its digest has");
    if found == *wanted {
        Ok(())
    } else {
        Err(Error::Mismatch {
            wanted: wanted.clone(),
            found,
        })
    }
}

fn hex_of(path: &Path, algorithm: Algorithm) -> io::Result<String> {
    let file = File::open(path)?;
    match algorithm {
        Algorithm::Sha256 => {
            let mut hasher = Sha256::new();
            read(file, |bytes| hasher.update(bytes))?;
            Ok(hex::encode(hasher.finalize()))
        }
        Algorithm::Sha512 => {
            let mut hasher = Sha512::new();
            read(file, |bytes| hasher.update(bytes))?;
            Ok(hex::encode(hasher.finalize()))
        }
        Algorithm::Crc32 => {
            let mut hasher = crc32fast::Hasher::new();
            read(file, |bytes| hasher.update(bytes))?;
            Ok(format!("{:08x}", hasher.finalize()))
        }
    }
}

fn read(mut file: File, mut update: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_knows_its_own_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        for good in [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
             454d4423643ce80e2a9ac94fa54ca49f",
            "crc32:352441c2",
        ] {
            verify(file.path(), &good.parse().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_mismatch_says_what_came() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let wanted: Digest = "crc32:352441c2".parse().unwrap();
        let shown = verify(file.path(), &wanted).unwrap_err().to_string();
        assert_eq!(
            shown,
            "the content is crc32:0, not crc32:891568578; the file was not kept"
        );
    }
}
