//! Which pieces a peer has, and which it wants.

use dragonfly_model::PieceNumber;

/// Reports of pieces from this number on are not remembered: 64 TiB in pieces of 64 MiB. A number comes from the network
/// and must not decide how much memory is taken.
const MAX_PIECES: u32 = 1 << 20;

/// The pieces that a peer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The whole content.
    All,
    /// The pieces from `first` up to, not including, `end`.
    Pieces {
        /// The first piece.
        first: u32,
        /// The piece after the last.
        end: u32,
    },
}

impl Wanted {
    /// From the first piece up to, not including, the last, in a content of so many pieces.
    fn bounds(self, total: Option<u32>) -> (u32, u32) {
        let total = total.unwrap_or(u32::MAX);
        match self {
            Wanted::All => (0, total),
            Wanted::Pieces { first, end } => (first, end.min(total)),
        }
    }

    fn contains(self, number: u32) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Pieces { first, end } => (first..end).contains(&number),
        }
    }

    /// Whether a piece is wanted by both.
    pub(crate) fn overlaps(self, other: Wanted) -> bool {
        let (a, b) = (self.bounds(None), other.bounds(None));
        a.0.max(b.0) < a.1.min(b.1)
    }
}

/// A set of pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PieceSet {
    /// The first 64 pieces: most contents have no more.
    first: u64,
    more: Vec<u64>,
    len: u32,
}

impl PieceSet {
    /// Adds a piece; `true` if it was not there.
    pub(crate) fn insert(&mut self, number: PieceNumber) -> bool {
        if number.0 >= MAX_PIECES {
            return false;
        }
        let (index, bit) = ((number.0 / 64) as usize, 1u64 << (number.0 % 64));
        if self.more.len() < index {
            self.more.resize(index, 0);
        }
        let word = match index {
            0 => &mut self.first,
            index => &mut self.more[index - 1],
        };
        let new = *word & bit == 0;
        *word |= bit;
        self.len += u32::from(new);
        new
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        self.word((number / 64) as usize) & (1 << (number % 64)) != 0
    }

    fn word(&self, index: usize) -> u64 {
        match index {
            0 => self.first,
            index => self.more.get(index - 1).copied().unwrap_or(0),
        }
    }

    /// Keeps how many there are, and forgets which.
    pub(crate) fn only_count(&mut self) {
        *self = Self {
            len: self.len,
            ..Self::default()
        };
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces that the other set has not.
    fn beyond<'a>(&'a self, other: &'a PieceSet) -> impl Iterator<Item = u32> + 'a {
        (0..=self.more.len()).flat_map(|index| {
            let mut left = self.word(index) & !other.word(index);
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(index as u32 * 64 + bit)
            })
        })
    }
}

/// What a child still needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lack<'a> {
    pub(crate) wanted: Wanted,
    pub(crate) have: &'a PieceSet,
    /// Pieces of the content, if known.
    pub(crate) total: Option<u32>,
}

/// What a parent has, and what it will have when it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stock<'a> {
    pub(crate) have: &'a PieceSet,
    /// Everything in here is there already (a holder).
    pub(crate) complete: Option<Wanted>,
    /// Everything in here comes (a peer that fetches).
    pub(crate) coming: Option<Wanted>,
}

impl Lack<'_> {
    fn is_wanted(&self, number: u32) -> bool {
        let (first, end) = self.wanted.bounds(self.total);
        (first..end).contains(&number)
    }

    /// Whether a piece within `of` is lacking.
    fn any_within(&self, of: Wanted) -> bool {
        let (a, b) = (self.wanted.bounds(self.total), of.bounds(self.total));
        let (first, end) = (a.0.max(b.0), a.1.min(b.1));
        // A run that is longer than the set can't be filled by it; else at most `have.len() + 1` steps.
        first < end && ((end - first) > self.have.len() || (first..end).any(|n| !self.have.contains(n)))
    }

    /// Whether the parent has, at this moment, a piece that is lacking.
    pub(crate) fn met_now_by(&self, stock: Stock<'_>) -> bool {
        let more = || stock.have.beyond(self.have).any(|n| self.is_wanted(n));
        stock.complete.is_some_and(|all| self.any_within(all)) || more()
    }

    /// Whether the parent has or will have a piece that is lacking.
    pub(crate) fn met_by(&self, stock: Stock<'_>) -> bool {
        stock.coming.is_some_and(|all| self.any_within(all)) || self.met_now_by(stock)
    }

    /// Whether the parents together have or will have every piece that is lacking.
    pub(crate) fn covered_by(&self, stocks: &[Stock<'_>]) -> bool {
        let promised = |stock: &Stock<'_>, n| {
            stock.complete.is_some_and(|all| all.contains(n)) || stock.coming.is_some_and(|all| all.contains(n))
        };
        let whole = |stock: &Stock<'_>| stock.complete == Some(Wanted::All) || stock.coming == Some(Wanted::All);
        if stocks.iter().any(whole) {
            return true;
        }
        let (first, end) = self.wanted.bounds(self.total);
        if end > MAX_PIECES {
            return false; // the count is unknown, so only a whole copy is known to cover it
        }
        (first..end)
            .filter(|&n| !self.have.contains(n))
            .all(|n| stocks.iter().any(|s| promised(s, n) || s.have.contains(n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> PieceSet {
        let mut set = PieceSet::default();
        for &n in numbers {
            assert!(set.insert(PieceNumber(n)));
        }
        set
    }

    #[test]
    fn a_set_counts_each_piece_once_and_forgets_absurd_numbers() {
        let mut pieces = set(&[0, 63, 64, 200]);
        assert!(!pieces.insert(PieceNumber(64)));
        assert!(!pieces.insert(PieceNumber(u32::MAX)));
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces.beyond(&set(&[])).collect::<Vec<_>>(), [0, 63, 64, 200]);
        assert_eq!(pieces.beyond(&set(&[63, 200, 300])).collect::<Vec<_>>(), [0, 64]);
        assert!(pieces.contains(200) && !pieces.contains(201) && !pieces.contains(u32::MAX));
        pieces.only_count();
        assert!(pieces.len() == 4 && !pieces.is_empty() && !pieces.contains(0));
    }

    #[test]
    fn a_parent_is_useful_only_for_what_is_lacking() {
        let (child, parent, none) = (set(&[0, 1]), set(&[0, 1, 2]), set(&[]));
        let lack = |wanted, have, total| Lack { wanted, have, total };
        let stock = |have, complete, coming| Stock { have, complete, coming };
        let all = Wanted::All;
        assert!(lack(all, &child, Some(3)).met_now_by(stock(&parent, None, None)));
        assert!(!lack(all, &child, Some(2)).met_by(stock(&parent, None, Some(all))));
        assert!(!lack(all, &parent, Some(3)).met_by(stock(&child, None, None)));
        assert!(lack(all, &none, None).met_by(stock(&none, None, Some(all))));
        assert!(!lack(all, &none, None).met_now_by(stock(&none, None, Some(all))));
        let tail = Wanted::Pieces { first: 5, end: 7 };
        assert!(!lack(Wanted::Pieces { first: 0, end: 5 }, &none, Some(9)).met_by(stock(&none, Some(tail), None)));
        assert!(lack(Wanted::Pieces { first: 6, end: 9 }, &none, Some(9)).met_now_by(stock(&none, Some(tail), None)));
    }

    #[test]
    fn parents_cover_a_child_together() {
        let (none, ends) = (set(&[]), set(&[0, 3]));
        let lack = Lack {
            wanted: Wanted::All,
            have: &none,
            total: Some(4),
        };
        let middle = Stock {
            have: &none,
            complete: None,
            coming: Some(Wanted::Pieces { first: 1, end: 3 }),
        };
        let rest = Stock {
            have: &ends,
            complete: None,
            coming: None,
        };
        assert!(lack.covered_by(&[middle, rest]));
        assert!(!lack.covered_by(&[middle]));
        let unknown = Lack { total: None, ..lack };
        assert!(!unknown.covered_by(&[middle, rest]));
        let holder = Stock {
            have: &none,
            complete: Some(Wanted::All),
            coming: None,
        };
        assert!(unknown.covered_by(&[holder]));
    }
}
