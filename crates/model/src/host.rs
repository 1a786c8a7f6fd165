//! What a host is and where it stands.

use serde::{Deserialize, Serialize};

/// What a dfdaemon is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum HostKind {
    /// Serves its own node and shares what it has.
    #[default]
    Normal,
    /// Fetches from the origin first.
    Seed,
}

impl HostKind {
    /// From `Host.type` on the wire: 0 is normal, everything else a seed peer.
    pub fn from_number(number: u32) -> Self {
        if number == 0 { HostKind::Normal } else { HostKind::Seed }
    }

    /// `Host.type` on the wire.
    pub fn number(self) -> u32 {
        match self {
            HostKind::Normal => 0,
            HostKind::Seed => 1,
        }
    }

    /// Whether this is a seed peer.
    pub fn is_seed(self) -> bool {
        self == HostKind::Seed
    }
}

/// A place as operators write it: `area|country|province|city`, from wide to narrow, at most five elements.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(String);

impl Location {
    /// How many elements count.
    pub const MAX_ELEMENTS: usize = 5;

    /// A location from its text; empty text is "nowhere known".
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The elements from wide to narrow.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.0
            .split('|')
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .take(Self::MAX_ELEMENTS)
    }

    /// How many leading elements two places share, without regard to case.
    pub fn shared_prefix(&self, other: &Location) -> usize {
        self.elements()
            .zip(other.elements())
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_share_leading_elements() {
        let a = Location::new("asia|cn|zj|hz");
        assert_eq!(a.shared_prefix(&Location::new("Asia|CN|sh")), 2);
        assert_eq!(a.shared_prefix(&a), 4);
        assert_eq!(a.shared_prefix(&Location::new("")), 0);
        assert_eq!(a.shared_prefix(&Location::new("eu|cn|zj|hz")), 0);
    }
}
