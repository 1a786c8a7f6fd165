//! Content digests as users and registries write them: `algorithm:lower-case-hex`.

use std::fmt;
use std::str::FromStr;

/// The digest algorithms that a user may name. Only the SHA-2 ones can name an OCI blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-32 (IEEE), written as a decimal number or as eight hex digits. Detects accidents, proves nothing.
    Crc32,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "crc32",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Length of the encoded value, in hex digits.
    pub fn hex_len(self) -> usize {
        match self {
            Algorithm::Crc32 => 8,
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }

    /// Whether finding another content with the same digest is infeasible, so that the digest may name content.
    pub fn is_cryptographic(self) -> bool {
        !matches!(self, Algorithm::Crc32)
    }
}

/// A digest whose algorithm is known and whose value has exactly the right length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon.
    #[error("digest {0:?} has no algorithm; write it as sha256:<64 hex digits>")]
    NoAlgorithm(String),
    /// The algorithm is not one of ours.
    #[error("digest algorithm {0:?} is not supported; use sha256, sha512 or crc32")]
    UnknownAlgorithm(String),
    /// The value is not lower-case hex of the algorithm's length.
    #[error("a {algorithm} digest needs {expected} lower-case hex digits, not {value:?}")]
    Value {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// How many digits it needs.
        expected: usize,
        /// What was given instead.
        value: String,
    },
}

impl Digest {
    /// A digest from its algorithm and lower-case hex value.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        if hex.len() != algorithm.hex_len() || !is_lower_hex(hex) {
            return Err(DigestError::Value {
                algorithm: algorithm.name(),
                expected: algorithm.hex_len(),
                value: hex.to_owned(),
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.into(),
        })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value in lower-case hex, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Accepts `algorithm:hex`; a `crc32` value may also be decimal, as upstream's peers print it. Eight digits without
    /// a leading zero can be both, and are decimal; a zero in front, which no printed number has, makes them hex.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| DigestError::NoAlgorithm(text.to_owned()))?;
        match name {
            "sha256" => Self::new(Algorithm::Sha256, value),
            "sha512" => Self::new(Algorithm::Sha512, value),
            "crc32" => match decimal(value) {
                Some(number) => Self::new(Algorithm::Crc32, &format!("{number:08x}")),
                None => Self::new(Algorithm::Crc32, value),
            },
            other => Err(DigestError::UnknownAlgorithm(other.to_owned())),
        }
    }
}

/// A number as it is printed: digits only, and no zero in front.
fn decimal(text: &str) -> Option<u32> {
    let is_printed = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_printed.then(|| text.parse().ok())?
}

impl fmt::Display for Digest {
    /// A text that is read as this very digest: the hex of a `crc32` that has no letters would be read as a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.algorithm.name();
        match (self.algorithm, u32::from_str_radix(&self.hex, 16)) {
            (Algorithm::Crc32, Ok(number)) => write!(f, "{name}:{number}"),
            _ => write!(f, "{name}:{}", self.hex),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_lengths_are_digests() {
        let good = format!("sha256:{}", "a".repeat(64));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        assert!(format!("sha256:{}", "a".repeat(63)).parse::<Digest>().is_err());
        assert!(format!("sha256:{}", "A".repeat(64)).parse::<Digest>().is_err());
        assert!(format!("sha512:{}", "a".repeat(64)).parse::<Digest>().is_err());
        assert!("md5:d41d8cd98f00b204e9800998ecf8427e".parse::<Digest>().is_err());
        assert!("nothing".parse::<Digest>().is_err());
    }

    #[test]
    fn crc32_may_be_hex_or_decimal() {
        assert_eq!("crc32:0000002a".parse::<Digest>().unwrap().hex(), "0000002a");
        assert_eq!("crc32:42".parse::<Digest>().unwrap().hex(), "0000002a");
        assert_eq!("crc32:12345678".parse::<Digest>().unwrap().hex(), "00bc614e");
        assert_eq!("crc32:02345678".parse::<Digest>().unwrap().hex(), "02345678");
        assert!("crc32:4294967296".parse::<Digest>().is_err());
    }

    #[test]
    fn a_printed_digest_is_read_as_itself() {
        for hex in ["12345678", "00000000", "0000002a", "ffffffff", "00bc614e"] {
            let digest = Digest::new(Algorithm::Crc32, hex).unwrap();
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
