//! Byte ranges, and the `Range` header that asks for them (RFC 9110, section 14).

use serde::{Deserialize, Serialize};

/// A run of bytes: `length` bytes from `start`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub length: u64,
}

impl ByteRange {
    /// The whole of a content.
    pub fn whole(content_length: u64) -> Self {
        Self {
            start: 0,
            length: content_length,
        }
    }

    /// The byte after the last; saturates instead of overflowing.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// Why a `Range` header can't be answered with bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It does not follow the grammar; RFC 9110 lets a server ignore such a header and send everything.
    #[error("{0:?} is not a Range of bytes")]
    Malformed(String),
    /// No byte of the content is asked for: answer 416 with `Content-Range: bytes */<length>`.
    #[error("the range lies behind the {content_length} bytes of the content")]
    Unsatisfiable {
        /// Bytes of the whole content.
        content_length: u64,
    },
}

/// A parsed `Range: bytes=…` header. Its ranges become bytes only together with the length of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeHeader(Vec<Spec>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

impl RangeHeader {
    /// More ranges than this in one header are refused, since each costs a part of the answer.
    pub const MAX_RANGES: usize = 16;

    /// Parses the header's value.
    pub fn parse(value: &str) -> Result<Self, RangeError> {
        let malformed = || RangeError::Malformed(value.chars().take(64).collect());
        let (unit, set) = value.split_once('=').ok_or_else(malformed)?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Err(malformed());
        }
        let specs: Option<Vec<Spec>> = set.split(',').map(|text| Spec::parse(text.trim())).collect();
        match specs {
            Some(specs) if (1..=Self::MAX_RANGES).contains(&specs.len()) => Ok(Self(specs)),
            _ => Err(malformed()),
        }
    }

    /// The ranges that lie in a content of this length, in the order asked for.
    pub fn resolve(&self, content_length: u64) -> Result<Vec<ByteRange>, RangeError> {
        let ranges: Vec<ByteRange> = self.0.iter().filter_map(|spec| spec.resolve(content_length)).collect();
        if ranges.is_empty() {
            Err(RangeError::Unsatisfiable { content_length })
        } else {
            Ok(ranges)
        }
    }
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        // `str::parse` would accept a leading '+', which the grammar does not.
        let number = |digits: &str| -> Option<u64> {
            if digits.bytes().all(|b| b.is_ascii_digit()) {
                digits.parse().ok()
            } else {
                None
            }
        };
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Spec::Last(number(last)?)),
            (first, "") => Some(Spec::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::FromTo(first, last))
            }
        }
    }

    fn resolve(self, content_length: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Spec::FromTo(first, last) => (first, last.saturating_add(1).min(content_length)),
            Spec::From(first) => (first, content_length),
            Spec::Last(count) => (content_length.saturating_sub(count), content_length),
        };
        (start < end).then(|| ByteRange {
            start,
            length: end - start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(value: &str, content_length: u64) -> Result<Vec<(u64, u64)>, RangeError> {
        let ranges = RangeHeader::parse(value)?.resolve(content_length)?;
        Ok(ranges.into_iter().map(|r| (r.start, r.length)).collect())
    }

    #[test]
    fn the_examples_of_rfc_9110() {
        assert_eq!(resolved("bytes=0-499", 10_000), Ok(vec![(0, 500)]));
        assert_eq!(resolved("bytes=-500", 10_000), Ok(vec![(9_500, 500)]));
        assert_eq!(resolved("bytes=9500-", 10_000), Ok(vec![(9_500, 500)]));
        assert_eq!(resolved("bytes=0-0,-1", 10_000), Ok(vec![(0, 1), (9_999, 1)]));
        assert_eq!(resolved("bytes=0-999999", 10), Ok(vec![(0, 10)]));
        assert_eq!(resolved("bytes=-999", 10), Ok(vec![(0, 10)]));
    }

    #[test]
    fn what_lies_behind_the_end_is_unsatisfiable() {
        let unsatisfiable = Err(RangeError::Unsatisfiable { content_length: 10 });
        assert_eq!(resolved("bytes=10-", 10), unsatisfiable);
        assert_eq!(resolved("bytes=-0", 10), unsatisfiable);
        assert_eq!(resolved("bytes=5-6,20-30", 10), Ok(vec![(5, 2)]));
    }

    #[test]
    fn what_breaks_the_grammar_is_malformed() {
        for value in [
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=5-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=1",
        ] {
            assert!(matches!(resolved(value, 10), Err(RangeError::Malformed(_))), "{value}");
        }
        let many = format!("bytes={}", vec!["0-0"; 17].join(","));
        assert!(matches!(resolved(&many, 10), Err(RangeError::Malformed(_))));
    }
}
