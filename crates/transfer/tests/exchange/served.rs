//! The server, spoken to by hand.

use crate::support::*;
use dragonfly_model::{PieceLayout, PieceNumber};
use dragonfly_transfer::RateLimit;
use dragonfly_transfer::vortex::RefusalCode;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_client_that_sends_one_request_and_reads_to_the_end_gets_the_piece() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    let length = PIECE * 2 + 5;
    // The task is not finished: piece 1 is missing.
    let pin = pinned(&storage, &id("a"), length, &[0, 2]).await;
    let served = serve(storage).await;
    let whole = content(length);
    for number in [0, 2] {
        let answer = exchange(served.addr, &request(&id("a"), number)).await;
        assert_eq!(answer[0], 77, "the answer repeats the request's id");
        let mut rest = &answer[..];
        let Answer::Content(content, body) = parse(&mut rest) else {
            panic!("refused");
        };
        assert!(rest.is_empty(), "{} bytes behind the piece", rest.len());
        let piece = pin.piece(PieceNumber(number)).unwrap();
        assert_eq!(content.span, piece.span);
        assert_eq!(content.crc32, Some(crc32fast::hash(&body)));
        assert_eq!(body, slice(&whole, piece.span));
    }
    assert_eq!(served.stats.pieces.load(Ordering::SeqCst), 2);
    assert_eq!(served.stats.bytes.load(Ordering::SeqCst), PIECE + 5);
}

#[tokio::test]
async fn what_is_not_here_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE * 2, &[0]).await;
    let removed = pinned(&storage, &id("b"), PIECE, &[0]).await;
    let wrong = pinned(&storage, &id("c"), PIECE, &[0]).await;
    storage.remove(removed.id()).await.unwrap();
    wrong.quarantine("wrong").await.unwrap();
    let served = serve(storage).await;
    for (task, number) in [("a", 1), ("a", 2), ("a", u32::MAX), ("b", 0), ("c", 0), ("d", 0)] {
        let answer = exchange(served.addr, &request(&id(task), number)).await;
        assert_eq!(refusal(&answer).code, RefusalCode::NotFound, "{task} {number}");
    }
    assert_eq!(served.stats.not_found.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_connection_that_is_kept_open_carries_many_requests() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    let length = PIECE * 3;
    keep(&storage, &id("a"), length, &[0, 1]).await;
    let served = serve(storage).await;
    let mut ask = keep_open().to_vec();
    for number in [1, 2, 0] {
        ask.extend(request(&id("a"), number));
    }
    ask.extend([0, 254, 0, 0, 0, 0]);
    let answer = exchange(served.addr, &ask).await;
    let mut rest = &answer[..];
    let mut got = Vec::new();
    while !rest.is_empty() {
        got.push(match parse(&mut rest) {
            Answer::Content(content, body) => {
                assert_eq!(content.crc32, Some(crc32fast::hash(&body)));
                i64::from(content.span.number.0)
            }
            Answer::Refusal(_) => -1,
        });
    }
    assert_eq!(got, [1, -1, 0]);
    assert_eq!(served.door.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn wrong_lengths_and_tags_are_answered_and_cost_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE, &[0]).await;
    let served = serve(storage).await;
    let mut other_id = request(&id("a"), 0);
    other_id[6..10].copy_from_slice(b"../.");
    let wrong: [&[u8]; 6] = [
        &[1, 0, 0xff, 0xff, 0xff, 0xff],
        &[1, 0, 0, 0, 0, 67],
        &[1, 9, 0, 0, 0, 0],
        &[1, 1, 0, 0, 0, 4],
        &[1, 255, 0, 0, 0, 1],
        &other_id,
    ];
    for bytes in wrong {
        let answer = exchange(served.addr, bytes).await;
        assert_eq!(refusal(&answer).code, RefusalCode::InvalidArgument, "{bytes:?}");
    }
    // The server is as good as before.
    let answer = exchange(served.addr, &request(&id("a"), 0)).await;
    assert!(matches!(parse(&mut &answer[..]), Answer::Content(..)));
    served.cancel.cancel();
    served.running.end().await;
    assert_eq!(served.stats.failed.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_request_that_stops_half_way_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    let served = serve_with(storage, |config| {
        config.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(&request(&id("a"), 0)[..30]).await.unwrap();
    // The rest never comes.
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    served.cancel.cancel();
    served.running.end().await;
    assert_eq!(served.stats.failed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let dir = tempfile::tempdir().unwrap();
    let served = serve_with(storage(&dir).await, |config| {
        config.idle_timeout = Duration::from_millis(50);
    })
    .await;
    assert!(exchange(served.addr, &[]).await.is_empty());
    assert!(exchange(served.addr, &keep_open()).await.is_empty());
    assert_eq!(served.stats.failed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_dropped_and_its_pin_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    // One piece, of more than the sockets' buffers hold.
    let layout = PieceLayout::new(PIECE * 8, PIECE * 8).unwrap();
    drop(pinned_in(&storage, &id("a"), layout, &[0]).await);
    let served = serve_with(storage, |config| config.idle_timeout = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(&request(&id("a"), 0)).await.unwrap();
    // Cancelled, the server waits for the pieces in flight: this one ends by its timeout.
    stream.readable().await.unwrap();
    served.cancel.cancel();
    tokio::time::timeout(PATIENCE, served.running.end()).await.unwrap();
    assert_eq!(served.stats.failed.load(Ordering::SeqCst), 1);
    assert_eq!(served.stats.pieces.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn strangers_and_those_beyond_the_limit_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE, &[0]).await;
    let served = serve_with(storage, |config| config.max_connections = 1).await;
    served.door.open.store(false, Ordering::SeqCst);
    // Nothing is asked before the answer is read: a reset could overtake it otherwise.
    let answer = exchange(served.addr, &[]).await;
    assert_eq!(refusal(&answer).code, RefusalCode::Internal);
    assert_eq!(served.stats.refused_address.load(Ordering::SeqCst), 1);

    served.door.open.store(true, Ordering::SeqCst);
    let mut first = TcpStream::connect(served.addr).await.unwrap();
    first.write_all(&keep_open()).await.unwrap();
    first.write_all(&request(&id("f"), 0)).await.unwrap();
    first.readable().await.unwrap();
    let answer = exchange(served.addr, &[]).await;
    assert!(refusal(&answer).message.contains("too many"));
    assert_eq!(served.stats.refused_busy.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stopping_server_finishes_the_piece_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE, &[0]).await;
    let served = serve_with(storage, |config| {
        config.upload_limit = RateLimit::new(Some(20 * PIECE));
    })
    .await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(&keep_open()).await.unwrap();
    stream.write_all(&request(&id("a"), 0)).await.unwrap();
    stream.readable().await.unwrap();
    served.cancel.cancel();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let Answer::Content(_, body) = parse(&mut &answer[..]) else {
        panic!("refused");
    };
    assert_eq!(body, content(PIECE));
    served.running.end().await;
    assert!(TcpStream::connect(served.addr).await.is_err());
}
