//! Writing and reading pieces.

use crate::support::*;
use bytes::Bytes;
use dragonfly_model::{PeerId, PieceNumber, PieceSpan, TrafficType};
use dragonfly_storage::{BeginError, Error, Fault, TaskState};
use std::sync::Arc;

#[tokio::test]
async fn a_content_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage
        .pin_or_create(&id(1), new_task(PIECE, Some(3 * PIECE + 1)))
        .unwrap();
    for number in [3, 0, 2, 1] {
        let record = put(&pin, 1, number).await;
        assert_eq!(record.span, span(&pin, number));
        assert_eq!(pin.piece(PieceNumber(number)), Some(record));
    }
    pin.finish().await.unwrap();
    assert!(matches!(pin.record().state, TaskState::Finished { .. }));
    assert_eq!(read_all(&pin).await, content(1, 0, 3 * PIECE + 1));
    assert_eq!(storage.usage().content_bytes, 3 * PIECE + 1);
}

#[tokio::test]
async fn an_empty_content_is_finished_without_a_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(0))).unwrap();
    pin.finish().await.unwrap();
    assert!(pin.read(0, 10).await.unwrap().is_empty());
    storage.close().await.unwrap();
    drop((pin, storage));
    let (storage, _) = open(dir.path()).await;
    assert!(storage.pin(&id(1)).unwrap().record().is_finished());
}

#[tokio::test]
async fn a_task_that_lacks_a_piece_is_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(3 * PIECE))).unwrap();
    put(&pin, 1, 0).await;
    put(&pin, 1, 2).await;
    assert!(matches!(pin.finish().await, Err(Error::Incomplete { missing: 1 })));
    assert_eq!(pin.record().state, TaskState::Partial);
}

#[tokio::test]
async fn bytes_that_fail_their_checksum_are_no_piece_and_their_senders_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    let mut writer = begin(&pin, 0);
    writer.write(content(1, 0, PIECE)).await.unwrap();
    let error = writer.commit(Some(7)).await.unwrap_err();
    assert!(matches!(error, Error::Crc { expected: 7, .. }));
    assert_eq!(error.fault(), Fault::Sender);
    assert!(pin.pieces().is_empty());
    until(&pin, |pin| pin.arriving(PieceNumber(0)).is_none()).await;

    let right = crc32fast::hash(&content(1, 0, PIECE));
    let mut writer = begin(&pin, 0);
    writer.write(content(1, 0, PIECE)).await.unwrap();
    assert_eq!(writer.commit(Some(right)).await.unwrap().crc32, right);
}

#[tokio::test]
async fn a_piece_of_another_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    let mut writer = begin(&pin, 0);
    writer.write(content(1, 0, PIECE - 1)).await.unwrap();
    assert!(matches!(
        writer.commit(None).await,
        Err(Error::Length { expected: PIECE, found, .. }) if found == PIECE - 1
    ));
    let mut writer = begin(&pin, 1);
    let error = writer.write(content(1, 0, PIECE + 1)).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Sender);
    drop(writer);
    assert!(pin.pieces().is_empty());
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    let mut writer = begin(&pin, 0);
    writer.write(content(9, 0, PIECE / 2)).await.unwrap();
    until(&pin, |pin| {
        pin.arriving(PieceNumber(0)).is_some_and(|a| a.written == PIECE / 2)
    })
    .await;
    assert_eq!(pin.read(0, 10_000).await.unwrap(), content(9, 0, PIECE / 2));
    let refused = pin.begin_piece(span(&pin, 0), TrafficType::RemotePeer, None);
    assert!(matches!(refused, Err(BeginError::Arriving)));
    drop(writer);
    until(&pin, |pin| pin.arriving(PieceNumber(0)).is_none()).await;
    assert!(matches!(pin.read(0, 10).await, Err(Error::NotPresent { offset: 0 })));
    // The next writer's bytes count, and are told apart from the first one's.
    let record = put(&pin, 1, 0).await;
    assert_eq!(record.attempt, 2);
    assert_eq!(read_all(&pin).await, content(1, 0, PIECE));
}

#[tokio::test]
async fn arriving_bytes_can_be_read_before_the_piece_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(3 * PIECE))).unwrap();
    put(&pin, 1, 0).await;
    let mut writer = begin(&pin, 1);
    for at in (0..PIECE).step_by(100) {
        writer.write(content(1, PIECE + at, 100)).await.unwrap();
        until(&pin, |pin| pin.arriving(PieceNumber(1)).unwrap().written == at + 100).await;
        // The piece before and what has arrived are one run.
        let run = pin.read(PIECE - 50, 10_000).await.unwrap();
        assert_eq!(run, content(1, PIECE - 50, 50 + at + 100));
    }
    assert_eq!(writer.written(), PIECE);
    writer.commit(None).await.unwrap();
    assert!(matches!(pin.read(2 * PIECE, 1).await, Err(Error::NotPresent { .. })));
    assert!(pin.read(3 * PIECE, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn different_pieces_are_written_at_the_same_time() {
    const LARGE: u64 = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage
        .pin_or_create(&id(1), new_task(LARGE, Some(16 * LARGE - 5)))
        .unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..16 {
        let pin = pin.clone();
        writers.spawn(async move {
            let mut writer = begin(&pin, number);
            let span = writer.span();
            let whole = content(1, span.offset, span.length);
            let mut at = 0;
            // Uneven chunks, more than the write buffer holds in all.
            while at < whole.len() {
                let end = whole.len().min(at + 1 + (at * 7 + number as usize * 131) % 30_000);
                writer.write(whole.slice(at..end)).await.unwrap();
                at = end;
            }
            writer.commit(Some(crc32fast::hash(&whole))).await.unwrap();
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    pin.finish().await.unwrap();
    assert_eq!(
        std::fs::read(content_path(&dir, 1)).unwrap(),
        content(1, 0, 16 * LARGE - 5)
    );
}

fn content_path(dir: &tempfile::TempDir, number: u32) -> std::path::PathBuf {
    dir.path().join("storage/content/000").join(id(number).as_str())
}

#[tokio::test]
async fn a_piece_has_one_writer_and_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(4 * PIECE))).unwrap();
    let tried = Arc::new(tokio::sync::Barrier::new(8));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (pin, tried) = (pin.clone(), tried.clone());
        writers.spawn(async move {
            let begun = pin.begin_piece(span(&pin, 0), TrafficType::BackToSource, None);
            tried.wait().await;
            let Ok(mut writer) = begun else {
                return 0;
            };
            writer.write(content(1, 0, PIECE)).await.unwrap();
            writer.commit(None).await.unwrap();
            1
        });
    }
    let mut written = 0;
    while let Some(done) = writers.join_next().await {
        written += done.unwrap();
    }
    assert_eq!(written, 1);
    let again = pin.begin_piece(span(&pin, 0), TrafficType::BackToSource, None);
    assert!(matches!(again, Err(BeginError::Present)));
}

#[tokio::test]
async fn pieces_outside_of_the_layout_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage
        .pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE + 10)))
        .unwrap();
    let good = span(&pin, 2);
    let wrong = [
        PieceSpan { length: PIECE, ..good },
        PieceSpan { offset: 0, ..good },
        PieceSpan {
            number: PieceNumber(3),
            offset: 3 * PIECE,
            length: 1,
        },
        PieceSpan {
            number: PieceNumber(u32::MAX),
            ..good
        },
    ];
    for span in wrong {
        let begun = pin.begin_piece(span, TrafficType::BackToSource, None);
        assert!(matches!(begun, Err(BeginError::OutOfLayout)), "{span:?}");
    }
    let endless = storage.pin_or_create(&id(2), new_task(u64::MAX, None)).unwrap();
    let begun = endless.begin_piece(span(&endless, 0), TrafficType::BackToSource, None);
    assert!(matches!(begun, Err(BeginError::OutOfLayout)));
    // A stranger's length makes nobody hold gigabytes of bitmap.
    let huge = storage.pin_or_create(&id(3), new_task(1, Some(u64::from(u32::MAX))));
    assert!(matches!(huge, Err(Error::Layout { .. })));
    let none = storage.pin_or_create(&id(3), new_task(0, None));
    assert!(matches!(none, Err(Error::Layout { .. })));
}

#[tokio::test]
async fn a_content_of_unknown_length_ends_with_its_last_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, None)).unwrap();
    put(&pin, 1, 0).await;
    put(&pin, 1, 1).await;
    assert!(matches!(pin.finish().await, Err(Error::LengthUnknown)));
    let mut writer = begin(&pin, 2);
    writer.write(content(1, 2 * PIECE, 10)).await.unwrap();
    let last = writer.commit_as_last().await.unwrap().unwrap();
    assert_eq!(last.span.length, 10);
    assert_eq!(pin.content_length(), Some(2 * PIECE + 10));
    pin.finish().await.unwrap();
    assert_eq!(read_all(&pin).await, content(1, 0, 2 * PIECE + 10));
}

#[tokio::test]
async fn a_content_of_unknown_length_may_end_between_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, None)).unwrap();
    put(&pin, 1, 0).await;
    assert_eq!(begin(&pin, 1).commit_as_last().await.unwrap(), None);
    assert_eq!(pin.content_length(), Some(PIECE));
    pin.finish().await.unwrap();
}

#[tokio::test]
async fn a_length_that_contradicts_what_is_known_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, None)).unwrap();
    put(&pin, 1, 1).await;
    for length in [0, PIECE, 2 * PIECE - 1] {
        let set = pin.set_content_length(length);
        assert!(matches!(set, Err(Error::LengthConflict { .. })), "{length}");
    }
    pin.set_content_length(2 * PIECE + 1).unwrap();
    pin.set_content_length(2 * PIECE + 1).unwrap();
    assert!(matches!(
        pin.set_content_length(2 * PIECE),
        Err(Error::LengthConflict { .. })
    ));
}

#[tokio::test]
async fn the_last_piece_may_learn_its_length_while_it_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, None)).unwrap();
    let mut writer = begin(&pin, 0);
    writer.write(content(1, 0, 600)).await.unwrap();
    pin.set_content_length(600).unwrap();
    writer.commit(None).await.unwrap();
    pin.finish().await.unwrap();
    assert_eq!(read_all(&pin).await, content(1, 0, 600));
}

#[tokio::test]
async fn who_sent_a_piece_is_remembered_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let parent: PeerId = "10.0.0.1-node-x".parse().unwrap();
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    pin.set_response_headers(vec![("etag".to_owned(), "\"1\"".to_owned())])
        .unwrap();
    let mut writer = pin
        .begin_piece(span(&pin, 0), TrafficType::RemotePeer, Some(parent.clone()))
        .unwrap();
    writer.write(Bytes::new()).await.unwrap();
    writer.write(content(1, 0, PIECE)).await.unwrap();
    let written = writer.commit(None).await.unwrap();
    pin.finish().await.unwrap();
    let record = pin.record();
    storage.close().await.unwrap();
    drop((pin, storage));

    let (storage, recovery) = open(dir.path()).await;
    assert!(recovery.clean);
    let pin = storage.pin(&id(1)).unwrap();
    let piece = pin.piece(PieceNumber(0)).unwrap();
    assert_eq!((piece.crc32, piece.attempt), (written.crc32, 0));
    assert_eq!((piece.traffic, piece.parent), (TrafficType::RemotePeer, Some(parent)));
    let kept = pin.record();
    assert_eq!(kept.response_headers, record.response_headers);
    assert_eq!((&kept.url, kept.content_length), (&record.url, Some(PIECE)));
    assert!(kept.is_finished());
}
