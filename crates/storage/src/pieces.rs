//! A set of piece numbers as a bitmap.

use dragonfly_model::{ByteRange, PieceLayout, PieceNumber, PieceSpan};

/// Which pieces are present: a snapshot, cheap to copy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PieceSet {
    words: Vec<u64>,
    len: u32,
}

impl PieceSet {
    /// Whether the piece is in the set.
    pub fn contains(&self, number: PieceNumber) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// How many pieces are in the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceNumber> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(PieceNumber(at as u32 * 64 + bit))
            })
        })
    }

    /// The pieces that touch `range` (or of the whole content) and are not in the set, in order.
    pub fn missing_in(&self, layout: PieceLayout, range: Option<ByteRange>) -> impl Iterator<Item = PieceSpan> + '_ {
        let range = range.unwrap_or(ByteRange::whole(layout.content_length()));
        layout.covering(range).filter(|span| !self.contains(span.number))
    }

    /// Adds a piece; `false` if it was there.
    pub(crate) fn insert(&mut self, number: PieceNumber) -> bool {
        let (word, bit) = place(number);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u32::from(fresh);
        fresh
    }
}

fn place(number: PieceNumber) -> (usize, u64) {
    (number.0 as usize / 64, 1 << (number.0 % 64))
}

impl FromIterator<PieceNumber> for PieceSet {
    fn from_iter<I: IntoIterator<Item = PieceNumber>>(numbers: I) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl std::fmt::Debug for PieceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|n| n.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_piece_set_is_a_set(numbers in proptest::collection::vec(0u32..300, 0..80)) {
            let set: PieceSet = numbers.iter().copied().map(PieceNumber).collect();
            let model: BTreeSet<u32> = numbers.into_iter().collect();
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(set.iter().map(|n| n.0).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for number in 0..400 {
                prop_assert_eq!(set.contains(PieceNumber(number)), model.contains(&number));
            }
        }
    }

    #[test]
    fn the_missing_pieces_of_a_range_are_those_it_touches() {
        let layout = PieceLayout::new(10, 45).unwrap();
        let set: PieceSet = [1, 3].into_iter().map(PieceNumber).collect();
        let missing = |range| -> Vec<u32> { set.missing_in(layout, range).map(|span| span.number.0).collect() };
        assert_eq!(missing(None), [0, 2, 4]);
        assert_eq!(missing(Some(ByteRange { start: 9, length: 12 })), [0, 2]);
        assert_eq!(missing(Some(ByteRange { start: 10, length: 10 })), Vec::<u32>::new());
    }
}
