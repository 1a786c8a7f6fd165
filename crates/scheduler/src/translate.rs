//! Messages of peers and hosts to events of the graph.

use crate::credentials::Numbering;
use dragonfly_api::common::{Download, Host, Piece, TrafficType};
use dragonfly_api::{Invalid, PeerIds, byte_range};
use dragonfly_model::{HostKind, Location, PeerId, PieceLayout, PieceNumber, Priority};
use dragonfly_scheduling::{Content, FinishedPiece, HostFacts, PeerKey, Registration, Wanted};
use dragonfly_source::EgressPolicy;
use std::time::Duration;

/// The peer that a message is about.
pub(crate) fn peer_key(ids: &PeerIds) -> PeerKey {
    PeerKey {
        task: ids.task.clone(),
        peer: ids.peer.clone(),
    }
}

/// A registration of a peer that only takes the parents it asks for. `priority` is the one that holds after the
/// manager's applications were asked.
pub(crate) fn registration(
    ids: &PeerIds,
    download: &Download,
    priority: Priority,
    credentials: &Numbering,
) -> Result<Registration, Invalid> {
    let layout = layout(download)?;
    let pieces = match download.actual_piece_count {
        Some(count) => Some(u32::try_from(count).map_err(|_| Invalid::Value {
            field: "download.actual_piece_count",
            value: count.to_string(),
        })?),
        None => layout.map(|layout| layout.count()),
    };
    Ok(Registration {
        peer: peer_key(ids),
        host: ids.host.clone(),
        content: Content {
            length: download.actual_content_length,
            pieces,
        },
        wanted: wanted(download, layout),
        priority,
        metadata_only: download.metadata_only,
        need_back_to_source: download.need_back_to_source,
        disable_back_to_source: download.disable_back_to_source,
        credentials: credentials.of(download),
        origin: credentials.origin(download),
        listens: false,
    })
}

/// How the content is cut, if its length is known.
fn layout(download: &Download) -> Result<Option<PieceLayout>, Invalid> {
    let Some(length) = download.actual_content_length else {
        return Ok(None);
    };
    match download.actual_piece_length {
        None => Ok(Some(PieceLayout::for_content(length))),
        Some(piece) => match PieceLayout::new(piece, length) {
            // An empty content has no pieces, whatever their length.
            None if length > 0 => Err(Invalid::Value {
                field: "download.actual_piece_length",
                value: piece.to_string(),
            }),
            layout => Ok(layout),
        },
    }
}

/// The pieces that a range touches. Without a layout the whole content is the safe answer.
fn wanted(download: &Download, layout: Option<PieceLayout>) -> Wanted {
    let (Some(range), Some(layout)) = (download.range, layout) else {
        return Wanted::All;
    };
    let mut touched = layout.covering(byte_range(range)).map(|span| span.number.0);
    match (touched.next(), layout.count()) {
        (Some(first), count) => {
            let end = touched.last().unwrap_or(first) + 1;
            if first == 0 && end == count {
                Wanted::All
            } else {
                Wanted::Pieces { first, end }
            }
        }
        (None, _) => Wanted::All,
    }
}

/// A piece that a peer has now, and whose bytes are counted as which traffic.
pub(crate) fn finished_piece(piece: &Piece) -> (FinishedPiece, TrafficType) {
    let traffic = piece.traffic_type();
    let parent = piece
        .parent_id
        .as_deref()
        .filter(|_| traffic == TrafficType::RemotePeer);
    let cost = piece.cost.and_then(|cost| Duration::try_from(cost).ok());
    let finished = FinishedPiece {
        number: PieceNumber(piece.number),
        length: piece.length,
        cost: cost.unwrap_or_default(),
        parent: parent.and_then(|parent| PeerId::parse(parent).ok()),
    };
    (finished, traffic)
}

/// What a host says of itself, after a check of what others will rely on.
pub(crate) fn host_facts(host: &Host, interval: Option<prost_types::Duration>) -> Result<HostFacts, Invalid> {
    let invalid = |field, value: String| Err(Invalid::Value { field, value });
    if !host.ip.parse().is_ok_and(EgressPolicy::may_be_a_host_of_ours) {
        return invalid("host.ip", host.ip.clone());
    }
    if !(1..=i32::from(u16::MAX)).contains(&host.port) {
        return invalid("host.port", host.port.to_string());
    }
    let network = host.network.as_ref();
    Ok(HostFacts {
        kind: HostKind::from_number(host.r#type),
        idc: network.and_then(|network| network.idc.clone()).unwrap_or_default(),
        location: Location::new(network.and_then(|network| network.location.clone()).unwrap_or_default()),
        shares: !host.disable_shared,
        interval: interval
            .and_then(|interval| Duration::try_from(interval).ok())
            .filter(|interval| !interval.is_zero()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::common::Range;

    fn registered(download: &Download) -> Result<Registration, Invalid> {
        let ids = PeerIds::parse("h", &"a".repeat(64), "p").unwrap();
        registration(&ids, download, Priority::Level0, &Numbering::default())
    }

    #[test]
    fn a_range_wants_the_pieces_it_touches() {
        let ranged = |start, length| {
            let download = Download {
                actual_content_length: Some(40),
                actual_piece_length: Some(10),
                range: Some(Range { start, length }),
                ..Default::default()
            };
            registered(&download).unwrap().wanted
        };
        assert_eq!(ranged(9, 2), Wanted::Pieces { first: 0, end: 2 });
        assert_eq!(ranged(30, 100), Wanted::Pieces { first: 3, end: 4 });
        assert_eq!(ranged(0, 40), Wanted::All);
        assert_eq!(ranged(90, 1), Wanted::All);
    }

    #[test]
    fn an_absent_length_is_unknown_and_not_empty() {
        let content = |download: Download| registered(&download).unwrap().content;
        assert_eq!(content(Download::default()), Content::default());
        let empty = Download {
            actual_content_length: Some(0),
            actual_piece_length: Some(0),
            ..Default::default()
        };
        assert_eq!(content(empty).length, Some(0));
        let absurd = Download {
            actual_content_length: Some(u64::MAX),
            actual_piece_length: Some(1),
            ..Default::default()
        };
        assert!(registered(&absurd).is_err());
    }

    /// CVE-2026-54637: the scheduler calls hosts at the address that they name, whoever they are.
    #[test]
    fn a_host_without_a_usable_address_is_refused() {
        let host = |ip: &str, port| Host {
            ip: ip.to_owned(),
            port,
            ..Default::default()
        };
        assert!(host_facts(&host("10.0.0.1", 4000), None).is_ok());
        assert!(host_facts(&host("10.0.0.1", 0), None).is_err());
        assert!(host_facts(&host("somewhere", 4000), None).is_err());
        assert!(host_facts(&host("169.254.7.7", 4000), None).is_ok());
        let nobody = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
        ];
        for ip in nobody
            .into_iter()
            .chain(["0.0.0.0", "::", "224.0.0.1", "255.255.255.255"])
        {
            assert!(host_facts(&host(ip, 80), None).is_err(), "{ip}");
        }
    }
}
