//! What has arrived, and from where.

use dragonfly_api::common::{Piece, TrafficType};
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes by where dfdaemon had them from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// The origin.
    pub(crate) origin: u64,
    /// Other peers.
    pub(crate) peers: u64,
    /// dfdaemon's own cache.
    pub(crate) local: u64,
}

/// The pieces that have arrived, in whatever order they came.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    /// Length by offset.
    spans: BTreeMap<u64, u64>,
    traffic: Traffic,
    all_local: bool,
}

impl Landed {
    /// dfdaemon had the whole content before it was asked. Its pieces still say where it once had them from.
    pub(crate) fn all_local(&mut self, all_local: bool) {
        self.all_local = all_local;
    }

    /// Notes a piece; says whether it is new.
    pub(crate) fn note(&mut self, piece: &Piece) -> bool {
        if self.spans.insert(piece.offset, piece.length).is_some() {
            return false;
        }
        let traffic = if self.all_local {
            TrafficType::LocalPeer
        } else {
            piece.traffic_type()
        };
        let counter = match traffic {
            TrafficType::BackToSource => &mut self.traffic.origin,
            TrafficType::RemotePeer => &mut self.traffic.peers,
            TrafficType::LocalPeer => &mut self.traffic.local,
        };
        *counter = counter.saturating_add(piece.length);
        true
    }

    /// The length of the content if its pieces lie one behind the other from byte 0 without a gap.
    pub(crate) fn length(&self) -> Option<u64> {
        self.spans.iter().try_fold(
            0u64,
            |end, (offset, length)| {
                if *offset == end { end.checked_add(*length) } else { None }
            },
        )
    }

    /// Where the bytes came from.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, length: u64, traffic: TrafficType) -> Piece {
        Piece {
            offset,
            length,
            traffic_type: Some(traffic as i32),
            ..Piece::default()
        }
    }

    #[test]
    fn pieces_in_any_order_make_a_content_and_a_gap_does_not() {
        let mut landed = Landed::default();
        assert_eq!(landed.length(), Some(0));
        assert!(landed.note(&piece(4, 3, TrafficType::RemotePeer)));
        assert_eq!(landed.length(), None);
        assert!(landed.note(&piece(0, 4, TrafficType::BackToSource)));
        assert_eq!(landed.length(), Some(7));
    }

    #[test]
    fn a_content_that_was_there_before_is_local_wherever_it_once_came_from() {
        let mut landed = Landed::default();
        landed.all_local(true);
        landed.note(&piece(0, 4, TrafficType::BackToSource));
        assert_eq!((landed.traffic().origin, landed.traffic().local), (0, 4));
    }

    #[test]
    fn a_piece_told_twice_counts_once() {
        let mut landed = Landed::default();
        assert!(landed.note(&piece(0, 4, TrafficType::LocalPeer)));
        assert!(!landed.note(&piece(0, 4, TrafficType::LocalPeer)));
        let traffic = Traffic {
            local: 4,
            ..Traffic::default()
        };
        assert_eq!(landed.traffic(), traffic);
    }
}
