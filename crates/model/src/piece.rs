//! How a content is cut into pieces.

use crate::ByteRange;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// A piece's place in its task, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PieceNumber(pub u32);

/// Where one piece lies in the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PieceSpan {
    /// Which piece.
    pub number: PieceNumber,
    /// Bytes before the piece.
    pub offset: u64,
    /// Bytes of the piece; only the last may be shorter than the piece length.
    pub length: u64,
}

/// The cut of one content: equal pieces, the last one short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PieceLayout {
    piece_length: u64,
    content_length: u64,
}

impl PieceLayout {
    /// Smallest piece length that a peer uses or accepts, in bytes.
    pub const MIN_PIECE_LENGTH: u64 = 4 * MIB;
    /// Largest piece length that a peer chooses by itself, in bytes.
    pub const MAX_PIECE_LENGTH: u64 = 64 * MIB;
    /// How many pieces a content is cut into at most, while the piece length is below its maximum.
    const TARGET_PIECES: u64 = 500;

    /// A cut with a given piece length. `None` if the piece length is 0 or there would be more than `u32::MAX` pieces.
    pub fn new(piece_length: u64, content_length: u64) -> Option<Self> {
        if piece_length == 0 || content_length.div_ceil(piece_length) > u64::from(u32::MAX) {
            return None;
        }
        Some(Self {
            piece_length,
            content_length,
        })
    }

    /// The cut that every peer chooses for a content of this length: `next_power_of_two(length / 500)`, held between
    /// 4 MiB and 64 MiB (the formula of Dragonfly 2.5).
    pub fn for_content(content_length: u64) -> Self {
        let piece_length = (content_length / Self::TARGET_PIECES)
            .checked_next_power_of_two()
            .unwrap_or(Self::MAX_PIECE_LENGTH)
            .clamp(Self::MIN_PIECE_LENGTH, Self::MAX_PIECE_LENGTH);
        Self {
            piece_length,
            content_length,
        }
    }

    /// Bytes of every piece but the last.
    pub fn piece_length(&self) -> u64 {
        self.piece_length
    }

    /// Bytes of the whole content.
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// How many pieces there are; 0 for an empty content.
    pub fn count(&self) -> u32 {
        u32::try_from(self.content_length.div_ceil(self.piece_length)).unwrap_or(u32::MAX)
    }

    /// Where a piece lies, if there is such a piece.
    pub fn span(&self, number: PieceNumber) -> Option<PieceSpan> {
        let offset = u64::from(number.0).checked_mul(self.piece_length)?;
        if offset >= self.content_length {
            return None;
        }
        Some(PieceSpan {
            number,
            offset,
            length: self.piece_length.min(self.content_length - offset),
        })
    }

    /// All pieces in order.
    pub fn spans(&self) -> impl Iterator<Item = PieceSpan> + use<> {
        let layout = *self;
        (0..layout.count()).filter_map(move |n| layout.span(PieceNumber(n)))
    }

    /// The piece that holds the byte at `offset`, if the content reaches that far.
    pub fn piece_at(&self, offset: u64) -> Option<PieceSpan> {
        self.span(PieceNumber(u32::try_from(offset / self.piece_length).ok()?))
    }

    /// Every piece that shares a byte with `range`, in order.
    pub fn covering(&self, range: ByteRange) -> impl Iterator<Item = PieceSpan> + use<> {
        let layout = *self;
        let first = range.start / layout.piece_length;
        let last = range.end().min(layout.content_length).div_ceil(layout.piece_length);
        let last = if range.length == 0 || range.start >= layout.content_length {
            first
        } else {
            last
        };
        (first..last).filter_map(move |n| layout.span(PieceNumber(u32::try_from(n).ok()?)))
    }

    /// How a scheduler classifies a content of this cut.
    pub fn size_scope(&self) -> SizeScope {
        match (self.content_length, self.count()) {
            (0, _) => SizeScope::Empty,
            (1..=128, _) => SizeScope::Tiny,
            (_, 1) => SizeScope::Small,
            _ => SizeScope::Normal,
        }
    }
}

/// A task's size class, as the scheduler protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeScope {
    /// No byte at all.
    Empty,
    /// At most 128 bytes.
    Tiny,
    /// One piece.
    Small,
    /// More than one piece.
    Normal,
}

/// Where a piece's bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrafficType {
    /// The origin.
    BackToSource,
    /// Another peer.
    RemotePeer,
    /// This host's own storage.
    LocalPeer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_keeps_pieces_between_4_and_64_mib() {
        assert_eq!(PieceLayout::for_content(1).piece_length(), 4 * MIB);
        assert_eq!(PieceLayout::for_content(2000 * MIB).piece_length(), 4 * MIB);
        assert_eq!(PieceLayout::for_content(4 * 1024 * MIB).piece_length(), 16 * MIB);
        assert_eq!(PieceLayout::for_content(u64::MAX).piece_length(), 64 * MIB);
    }

    #[test]
    fn pieces_tile_the_content() {
        for length in [0, 1, 4 * MIB, 4 * MIB + 1, 40 * MIB - 1] {
            let layout = PieceLayout::for_content(length);
            let mut at = 0;
            for span in layout.spans() {
                assert_eq!(span.offset, at);
                assert!(span.length > 0);
                at += span.length;
            }
            assert_eq!(at, length);
            assert_eq!(layout.span(PieceNumber(layout.count())), None);
        }
    }

    #[test]
    fn a_range_is_covered_by_the_pieces_it_touches() {
        let layout = PieceLayout::new(10, 35).unwrap();
        let numbers = |start, length| -> Vec<u32> {
            layout
                .covering(ByteRange { start, length })
                .map(|span| span.number.0)
                .collect()
        };
        assert_eq!(numbers(0, 35), [0, 1, 2, 3]);
        assert_eq!(numbers(9, 2), [0, 1]);
        assert_eq!(numbers(10, 10), [1]);
        assert_eq!(numbers(30, 500), [3]);
        assert_eq!(numbers(12, 0), Vec::<u32>::new());
        assert_eq!(numbers(35, 1), Vec::<u32>::new());
    }
}
