//! Back to source: origins that serve ranges.

use crate::origin::{Habits, Origin};
use crate::peer::{Download, PIECE, Peer, content, pieces_finished, read, sha256, task};
use dragonfly_model::{ByteRange, PieceNumber, TrafficType};
use dragonfly_transfer::{Report, Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_gives_each_byte_once_in_few_requests() {
    let content = content(40 * PIECE + 1);
    let origin = Origin::start(&content, Habits::default()).await;
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(content.len() as u64), Some(sha256(&content))), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    download.ended().await;

    assert_eq!(pieces_finished(&reports), (0..41).collect::<Vec<_>>());
    assert!(
        matches!(reports[reports.len() - 2..], [Report::Verified, Report::Complete]),
        "{reports:?}"
    );
    assert_eq!(origin.served(), content.len() as u64);
    let mut ranges: Vec<_> = origin.asked().into_iter().map(Option::unwrap).collect();
    assert!(ranges.len() < 20, "{} requests for 41 pieces", ranges.len());
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
    assert!(read(&download.pin).await == content);
    assert!(download.pin.record().is_finished());
    assert_eq!(
        download.pin.piece(PieceNumber(7)).unwrap().traffic,
        TrafficType::BackToSource
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_of_every_size_arrive_whole() {
    for length in [0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
        for known in [true, false] {
            let content = content(length);
            let origin = Origin::start(&content, Habits::default()).await;
            let peer = Peer::start("child").await;
            let mut download = peer.download(task(known.then_some(length), Some(sha256(&content))), Wanted::All);
            download.control.back_to_source(origin.request()).await;
            let reports = download.end().await;
            assert!(
                matches!(reports.last(), Some(Report::Complete)),
                "{length} {known}: {reports:?}"
            );
            let told = reports
                .iter()
                .any(|r| matches!(r, Report::ContentLength(told) if *told == length));
            assert_eq!(told, !known, "{length}");
            assert_eq!(download.pin.content_length(), Some(length));
            assert!(read(&download.pin).await == content, "{length} {known}");
            assert_eq!(origin.served(), length);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_goes_on_where_it_broke() {
    let content = content(20 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    origin.break_at(&[PIECE + PIECE / 2, 7 * PIECE, 12 * PIECE]);
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(content.len() as u64), Some(sha256(&content))), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert_eq!(pieces_finished(&reports), (0..20).collect::<Vec<_>>());
    assert!(read(&download.pin).await == content);
    assert_eq!(origin.served(), content.len() as u64, "{:?}", origin.asked());
    // At least the first break was within a piece.
    assert!(
        origin
            .asked()
            .into_iter()
            .flatten()
            .any(|range| range.start % PIECE != 0)
    );
}

/// An origin that promises more than it has to give: an error that says so, and what came stays good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_always_ends_short_is_a_failure_and_not_a_content() {
    let content = content(20 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    origin.break_at(&[6 * PIECE; 1000]);
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(content.len() as u64), None), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let mut finished = Vec::new();
    let error = loop {
        match download.report().await {
            Report::SourceFailed(error) => break error,
            Report::PieceFinished(number, ..) => finished.push(number),
            Report::Complete | Report::Failed(_) => panic!("neither whole nor beyond help"),
            _ => {}
        }
    };
    assert!(error.is_transient(), "{error:?}");
    assert!(origin.asked().len() < 100, "{} requests", origin.asked().len());
    assert!(!finished.is_empty() && !download.pin.record().is_finished());

    origin.break_at(&[]);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert!(read(&download.pin).await == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_download_is_resumed_with_what_is_missing() {
    let content = content(30 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    origin.hold_at(10 * PIECE);
    let peer = Peer::start("child").await;
    let new = task(Some(content.len() as u64), Some(sha256(&content)));
    let mut download = peer.download(new, Wanted::All);
    download.control.back_to_source(origin.request()).await;
    for _ in 0..3 {
        download
            .until(|report| matches!(report, Report::PieceFinished(..)))
            .await;
    }
    let pin = download.cancel().await;

    let present = pin.pieces();
    let before = origin.asked().len();
    origin.hold_at(u64::MAX);
    let mut again = Download::of(pin, Wanted::All);
    again.control.back_to_source(origin.request()).await;
    let reports = again.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert!(read(&again.pin).await == content);
    assert!(present.len() >= 3);
    for number in present.iter() {
        let byte = u64::from(number.0) * PIECE;
        let mut asked = origin.asked().into_iter().skip(before).flatten();
        assert!(asked.all(|range| !range.contains(&byte)), "{number:?} was there");
        assert!(!pieces_finished(&reports).contains(&number.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_takes_its_pieces_and_can_be_widened() {
    let content = content(20 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    let peer = Peer::start("child").await;
    let range = ByteRange {
        start: 5 * PIECE + 10,
        length: 2 * PIECE,
    };
    let mut download = peer.download(
        task(Some(content.len() as u64), Some(sha256(&content))),
        Wanted::Range(range),
    );
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert_eq!(pieces_finished(&reports), [5, 6, 7]);
    assert_eq!(origin.served(), 3 * PIECE);
    assert!(!download.pin.record().is_finished());

    download.control.want(Wanted::All).await;
    let reports = download.end().await;
    assert!(
        matches!(reports[reports.len() - 2..], [Report::Verified, Report::Complete]),
        "{reports:?}"
    );
    assert_eq!(origin.served(), content.len() as u64);
    assert!(download.pin.record().is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_origin_is_reported_once_and_may_be_asked_again() {
    let content = content(10 * PIECE);
    let refusing = Habits {
        status: Some(404),
        ..Habits::default()
    };
    let origin = Origin::start(&content, refusing).await;
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(content.len() as u64), None), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let report = download.report().await;
    let Report::SourceFailed(error) = report else {
        panic!("{report:?}")
    };
    assert_eq!(error.status(), Some(404));

    origin.change(&content, Habits::default());
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert!(
        !reports.iter().any(|r| matches!(r, Report::SourceFailed(_))),
        "{reports:?}"
    );
    assert!(read(&download.pin).await == content);
}
