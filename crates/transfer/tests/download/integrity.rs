//! Contents that are not what they should be.

use crate::origin::{Habits, Origin};
use crate::peer::{Download, PIECE, Peer, content, read, sha256, task, task_id};
use dragonfly_transfer::{Error, Report, Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_with_another_digest_is_quarantined() {
    for length in [0, 1, 10 * PIECE] {
        let content = content(length);
        let origin = Origin::start(&content, Habits::default()).await;
        let peer = Peer::start("child").await;
        let mut download = peer.download(task(Some(length), Some(sha256(b"something else"))), Wanted::All);
        download.control.back_to_source(origin.request()).await;
        let reports = download.end().await;
        assert!(
            !reports.iter().any(|report| matches!(report, Report::Verified)),
            "{reports:?}"
        );
        let Some(Report::Failed(Error::DigestMismatch { found, parents, .. })) = reports.last() else {
            panic!("{reports:?}")
        };
        assert_eq!((found, &parents[..]), (&sha256(&content), &[][..]));
        assert!(download.pin.record().is_quarantined());
        assert!(download.pin.read(0, 10).await.is_err());
        assert!(peer.storage.pin(&task_id()).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parents_of_a_wrong_content_are_named() {
    let content = content(4 * PIECE);
    let (parent, child) = (Peer::start("parent").await, Peer::start("child").await);
    let _pin = parent.hold(&content, 0..4).await;
    let mut download = child.download(task(Some(4 * PIECE), Some(sha256(b"something else"))), Wanted::All);
    download.control.parent_has(parent.pieces(0..4)).await;
    let reports = download.end().await;
    let Some(Report::Failed(Error::DigestMismatch { parents, .. })) = reports.last() else {
        panic!("{reports:?}")
    };
    assert_eq!(parents.as_slice(), std::slice::from_ref(&parent.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_are_never_mixed() {
    let (old, new) = (content(20 * PIECE), vec![7; 20 * PIECE as usize]);
    let origin = Origin::start(&old, Habits::default()).await;
    origin.hold_at(8 * PIECE);
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(20 * PIECE), None), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    download
        .until(|report| matches!(report, Report::PieceFinished(..)))
        .await;
    let pin = download.cancel().await;
    origin.change(
        &new,
        Habits {
            etag: Some("\"v2\""),
            ..Habits::default()
        },
    );
    origin.hold_at(u64::MAX);

    let mut again = Download::of(pin, Wanted::All);
    again.control.back_to_source(origin.request()).await;
    let reports = again.end().await;
    assert!(
        matches!(reports.last(), Some(Report::Failed(Error::Changed))),
        "{reports:?}"
    );
    assert!(again.pin.record().is_quarantined());

    let mut afresh = peer.download(task(Some(20 * PIECE), None), Wanted::All);
    afresh.control.back_to_source(origin.request()).await;
    let reports = afresh.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert!(read(&afresh.pin).await == new);
}

/// The stream breaks, and when it goes on the origin has another version of the same length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_changes_in_mid_download_is_never_mixed_in() {
    let (old, new) = (content(20 * PIECE), vec![7; 20 * PIECE as usize]);
    for (etags, digest) in [
        ([Some("\"v1\""), Some("\"v2\"")], None),
        // Without a validator only the digest can tell.
        ([None, None], Some(sha256(&old))),
    ] {
        let [before, after] = etags.map(|etag| Habits {
            etag,
            ..Habits::default()
        });
        let origin = Origin::start(&old, before).await;
        origin.hold_at(8 * PIECE);
        let peer = Peer::start("child").await;
        let mut download = peer.download(task(Some(20 * PIECE), digest.clone()), Wanted::All);
        download.control.back_to_source(origin.request()).await;
        download
            .until(|report| matches!(report, Report::PieceFinished(..)))
            .await;
        origin.change(&new, after);
        origin.break_at(&[8 * PIECE]);
        origin.hold_at(u64::MAX);

        let reports = download.end().await;
        match reports.last() {
            Some(Report::Failed(Error::Changed)) if digest.is_none() => {}
            Some(Report::Failed(Error::DigestMismatch { .. })) if digest.is_some() => {}
            _ => panic!("{reports:?}"),
        }
        assert!(download.pin.record().is_quarantined());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_changed_before_the_first_piece_is_taken_as_it_is_now() {
    let content = content(20 * PIECE);
    let origin = Origin::start(
        &content,
        Habits {
            etag: Some("\"v2\""),
            ..Habits::default()
        },
    )
    .await;
    let peer = Peer::start("child").await;
    let mut new = task(Some(20 * PIECE), None);
    new.response_headers = vec![("etag".to_owned(), "\"v1\"".to_owned())];
    let mut download = peer.download(new, Wanted::All);
    download.control.back_to_source(origin.request()).await;
    let reports = download.end().await;
    assert!(matches!(reports.last(), Some(Report::Complete)), "{reports:?}");
    assert!(read(&download.pin).await == content);
    assert!(
        download
            .pin
            .record()
            .response_headers
            .contains(&("etag".to_owned(), "\"v2\"".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_of_another_length_has_another_content() {
    for ranges in [true, false] {
        let content = content(9 * PIECE);
        let origin = Origin::start(
            &content,
            Habits {
                ranges,
                ..Habits::default()
            },
        )
        .await;
        let peer = Peer::start("child").await;
        let mut download = peer.download(task(Some(10 * PIECE), None), Wanted::All);
        download.control.back_to_source(origin.request()).await;
        let reports = download.end().await;
        assert!(
            matches!(reports.last(), Some(Report::Failed(Error::Changed))),
            "{reports:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_task_asks_nobody() {
    let content = content(3 * PIECE);
    let peer = Peer::start("child").await;
    let pin = peer.hold(&content, 0..3).await;
    pin.finish().await.unwrap();
    let mut download = Download::of(pin, Wanted::All);
    assert!(matches!(download.report().await, Report::Complete));
    download.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_task_ends_its_download() {
    let content = content(20 * PIECE);
    let origin = Origin::start(&content, Habits::default()).await;
    origin.hold_at(8 * PIECE);
    let peer = Peer::start("child").await;
    let mut download = peer.download(task(Some(20 * PIECE), None), Wanted::All);
    download.control.back_to_source(origin.request()).await;
    download
        .until(|report| matches!(report, Report::PieceFinished(..)))
        .await;
    assert!(peer.storage.remove(&task_id()).await.unwrap());
    origin.hold_at(u64::MAX);
    let reports = download.end().await;
    assert!(
        matches!(reports.last(), Some(Report::Failed(Error::Storage(_)))),
        "{reports:?}"
    );
}
