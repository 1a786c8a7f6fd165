//! How much of a content is there, stretch by stretch: small, however many pieces the content has.

use crate::PieceNumber;
use std::fmt;
use std::str::FromStr;

/// How many pieces are held of each of equal stretches of a content. Up to [`Coverage::MAX_STRETCHES`] pieces each is a
/// stretch of its own, so that it says exactly which there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    total: u32,
    held: Vec<u32>,
}

/// Why a text or numbers are no coverage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    /// There is not a number for each stretch.
    #[error("{0} stretches are told of, but {1} pieces have {2}")]
    Stretches(usize, u32, u32),
    /// A stretch holds more pieces than it has.
    #[error("stretch {0} holds {1} pieces, but has {2}")]
    Held(u32, u32, u32),
    /// What should be a number is none.
    #[error("{0:?} is no number of pieces")]
    Number(String),
}

impl Coverage {
    /// Stretches of one content.
    pub const MAX_STRETCHES: u32 = 256;

    /// Of a content of so many pieces these are held, each named once; numbers beyond the content's end are not its pieces.
    pub fn of(total: u32, pieces: impl Iterator<Item = PieceNumber>) -> Self {
        let stretches = Self::stretches(total);
        let mut held = vec![0; stretches as usize];
        for PieceNumber(number) in pieces.filter(|piece| piece.0 < total) {
            let at = ((u64::from(number) + 1) * u64::from(stretches) - 1) / u64::from(total);
            held[usize::try_from(at).expect("there are at most MAX_STRETCHES")] += 1;
        }
        Self { total, held }
    }

    /// All is held.
    pub fn whole(total: u32) -> Self {
        let held = (0..Self::stretches(total)).map(|at| Self::size(total, at)).collect();
        Self { total, held }
    }

    /// As somebody tells it.
    pub fn told(total: u32, held: Vec<u32>) -> Result<Self, CoverageError> {
        let stretches = Self::stretches(total);
        if held.len() != stretches as usize {
            return Err(CoverageError::Stretches(held.len(), total, stretches));
        }
        for (at, held) in (0..stretches).zip(&held) {
            let size = Self::size(total, at);
            if *held > size {
                return Err(CoverageError::Held(at, *held, size));
            }
        }
        Ok(Self { total, held })
    }

    /// What [`Coverage::to_string`] has written of a content of so many pieces.
    pub fn parse(total: u32, text: &str) -> Result<Self, CoverageError> {
        // One too many is enough to refuse it.
        let most = Self::MAX_STRETCHES as usize + 1;
        let number =
            |text: &str| u32::from_str(text).map_err(|_| CoverageError::Number(text.chars().take(20).collect()));
        let numbers = text.split(',').filter(|_| !text.is_empty()).take(most);
        Self::told(total, numbers.map(number).collect::<Result<_, _>>()?)
    }

    /// Pieces of the whole content.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Pieces that are held.
    pub fn held(&self) -> u32 {
        self.held.iter().sum()
    }

    /// Pieces that are held, of each stretch.
    pub fn stretches_held(&self) -> &[u32] {
        &self.held
    }

    fn stretches(total: u32) -> u32 {
        total.min(Self::MAX_STRETCHES)
    }

    /// Pieces of a stretch.
    fn size(total: u32, at: u32) -> u32 {
        let stretches = u64::from(Self::stretches(total));
        let begin = |at: u64| at * u64::from(total) / stretches;
        let size = begin(u64::from(at) + 1) - begin(u64::from(at));
        u32::try_from(size).expect("a stretch is a part of so many")
    }
}

/// Without the number of pieces, which whoever reads it knows.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, held) in self.held.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{held}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = PieceNumber> {
        range.map(PieceNumber)
    }

    #[test]
    fn of_few_pieces_each_is_told() {
        let some = Coverage::of(5, [0, 3, 9].into_iter().map(PieceNumber));
        assert_eq!(
            (some.total(), some.held(), some.to_string()),
            (5, 2, "1,0,0,1,0".to_owned())
        );
        assert_eq!(Coverage::parse(5, "1,0,0,1,0"), Ok(some));
    }

    #[test]
    fn all_pieces_are_the_whole_however_many_there_are() {
        for total in [0, 1, 2, 255, 256, 257, 511, 1000, 4097] {
            let whole = Coverage::whole(total);
            assert_eq!(Coverage::of(total, numbers(0..total)), whole, "{total}");
            assert_eq!(whole.held(), total);
            assert!(whole.stretches_held().len() <= 256);
            assert_eq!(Coverage::parse(total, &whole.to_string()), Ok(whole));
        }
    }

    #[test]
    fn many_pieces_fill_their_stretches_in_order() {
        let half = Coverage::of(1024, numbers(0..512));
        assert_eq!(half.stretches_held().len(), 256);
        assert!(half.stretches_held()[..128].iter().all(|held| *held == 4));
        assert!(half.stretches_held()[128..].iter().all(|held| *held == 0));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        assert_eq!(Coverage::told(3, vec![1, 1]), Err(CoverageError::Stretches(2, 3, 3)));
        assert_eq!(Coverage::told(2, vec![1, 2]), Err(CoverageError::Held(1, 2, 1)));
        assert_eq!(Coverage::parse(1, "x"), Err(CoverageError::Number("x".to_owned())));
        assert_eq!(Coverage::parse(0, ""), Ok(Coverage::whole(0)));
        let long = vec!["0"; 100_000].join(",");
        assert_eq!(
            Coverage::parse(9000, &long),
            Err(CoverageError::Stretches(257, 9000, 256))
        );
    }
}
