//! Back to source: origins that serve no ranges, or announce no length.

use crate::origin::{Habits, Origin};
use crate::peer::{Download, PIECE, Peer, content, pieces_finished, read, sha256, task};
use dragonfly_model::PieceNumber;
use dragonfly_transfer::{Report, Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_without_ranges_is_asked_once_for_everything() {
    for announces_length in [true, false] {
        for length in [0, 1, PIECE, PIECE + 1, 12 * PIECE, 12 * PIECE + 7] {
            let content = content(length);
            let habits = Habits {
                ranges: false,
                announces_length,
                ..Habits::default()
            };
            let origin = Origin::start(&content, habits).await;
            let peer = Peer::start("child").await;
            let known = announces_length.then_some(length);
            let mut download = peer.download(task(known, Some(sha256(&content))), Wanted::All);
            download.control.back_to_source(origin.request()).await;
            let reports = download.end().await;
            assert!(
                matches!(reports.last(), Some(Report::Complete)),
                "{length} {announces_length}: {reports:?}"
            );
            assert_eq!(
                pieces_finished(&reports),
                (0..length.div_ceil(PIECE) as u32).collect::<Vec<_>>()
            );
            assert_eq!(download.pin.content_length(), Some(length));
            assert!(read(&download.pin).await == content, "{length} {announces_length}");
            assert_eq!(origin.served(), length);
            assert!(origin.asked().len() <= 1, "{:?}", origin.asked());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_present_is_kept_when_everything_is_sent_again() {
    let content = content(10 * PIECE);
    let origin = Origin::start(
        &content,
        Habits {
            ranges: false,
            ..Habits::default()
        },
    )
    .await;
    let peer = Peer::start("child").await;
    let pin = peer.hold(&content, [0, 3, 9]).await;
    let before = pin.piece(PieceNumber(3)).unwrap();
    let mut download = Download::of(pin, Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert_eq!(pieces_finished(&reports), [1, 2, 4, 5, 6, 7, 8]);
    assert_eq!(download.pin.piece(PieceNumber(3)).unwrap(), before);
    assert!(read(&download.pin).await == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_without_ranges_starts_again_and_keeps_its_pieces() {
    for announces_length in [true, false] {
        let content = content(10 * PIECE);
        let habits = Habits {
            ranges: false,
            announces_length,
            ..Habits::default()
        };
        let origin = Origin::start(&content, habits).await;
        origin.break_at(&[4 * PIECE + PIECE / 2]);
        let peer = Peer::start("child").await;
        let known = announces_length.then_some(content.len() as u64);
        let mut download = peer.download(task(known, Some(sha256(&content))), Wanted::All);
        download.control.back_to_source(origin.request()).await;
        let reports = download.end().await;
        assert!(
            matches!(reports.last(), Some(Report::Complete)),
            "{announces_length}: {reports:?}"
        );
        assert_eq!(pieces_finished(&reports), (0..10).collect::<Vec<_>>());
        assert!(read(&download.pin).await == content);
        assert_eq!(origin.asked().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_answer_that_breaks_is_resumed_by_range_if_the_origin_can() {
    let content = content(10 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    origin.break_at(&[4 * PIECE + PIECE / 2]);
    let peer = Peer::start("child").await;
    // Nobody knows the length, so everything is asked for at once.
    let mut download = peer.download(task(None, Some(sha256(&content))), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert_eq!(origin.asked(), [None, Some(4 * PIECE + PIECE / 2..10 * PIECE)]);
    assert_eq!(origin.served(), content.len() as u64);
    assert!(read(&download.pin).await == content);
}
