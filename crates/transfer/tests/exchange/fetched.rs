//! The client, with our server and with parents that misbehave.

use crate::support::*;
use dragonfly_model::{PieceNumber, TaskId};
use dragonfly_storage::BeginError;
use dragonfly_transfer::client::Fault;
use dragonfly_transfer::vortex::{Content, Family, Refusal, RefusalCode, Request};
use dragonfly_transfer::{ClientConfig, FetchError, Piece, PieceClient};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn body_of(mut piece: Piece) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(bytes) = piece.body.next().await {
        body.extend_from_slice(&bytes?);
    }
    Ok(body)
}

fn client() -> PieceClient {
    PieceClient::new(ClientConfig::default())
}

fn impatient() -> PieceClient {
    PieceClient::new(ClientConfig {
        stall_timeout: Duration::from_millis(100),
        ..ClientConfig::default()
    })
}

#[tokio::test]
async fn a_content_travels_from_storage_to_storage() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (storage(&dir).await, storage(&other).await);
    let length = PIECE * 3 + 17;
    keep(&from, &id("a"), length, &[0, 1, 2, 3]).await;
    let served = serve(from).await;
    for (letter, reuse, connections) in [("a", false, 4), ("a", true, 1)] {
        let (client, before) = (client(), served.door.asked.load(Ordering::SeqCst));
        let pin = pinned(&to, &id(letter), length, &[]).await;
        for number in 0..4 {
            let mut piece = client.fetch(served.addr, wish(&id("a"), number), reuse).await.unwrap();
            let mut writer = pin
                .begin_piece(piece.span, dragonfly_model::TrafficType::RemotePeer, None)
                .unwrap();
            while let Some(bytes) = piece.body.next().await {
                writer.write(bytes.unwrap()).await.unwrap();
            }
            assert_eq!(piece.body.remaining(), 0);
            writer.commit(piece.crc32).await.unwrap();
        }
        pin.finish().await.unwrap();
        let read = pin.read(0, length as usize).await.unwrap();
        assert_eq!(read, content(length));
        assert_eq!(served.door.asked.load(Ordering::SeqCst) - before, connections);
        to.remove(&id(letter)).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_piece_is_told_apart_and_keeps_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE * 2, &[0]).await;
    let served = serve(storage).await;
    let client = client();
    for number in [1, 1, 0] {
        let fetched = client.fetch(served.addr, wish(&id("a"), number), true).await;
        match fetched {
            Ok(piece) => assert_eq!(body_of(piece).await.unwrap(), content(PIECE)),
            Err(error) => assert!(matches!(error, FetchError::NotFound), "{error:?}"),
        }
    }
    assert_eq!(served.door.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_parent_gives_each_of_the_pieces_that_would_do_before_it_gives_one_twice() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE * 4, &[0, 1, 3]).await;
    let served = serve(storage).await;
    let any = Request {
        others: [1, 2, 3].map(PieceNumber).into(),
        ..wish(&id("a"), 0)
    };
    let mut given = Vec::new();
    for _ in 0..6 {
        let piece = client().fetch(served.addr, any.clone(), true).await.unwrap();
        given.push(piece.span.number.0);
        body_of(piece).await.unwrap();
    }
    assert_eq!(
        given,
        [0, 1, 3, 0, 1, 3],
        "piece 2 is not there; the one that is wanted most comes first"
    );
    // A peer of another make is asked for that one alone.
    let piece = client().fetch(served.addr, any, false).await.unwrap();
    assert_eq!(piece.span.number, PieceNumber(0));
}

#[tokio::test]
async fn a_connection_that_died_while_it_waited_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    keep(&storage, &id("a"), PIECE, &[0]).await;
    let served = serve(storage.clone()).await;
    let client = client();
    let piece = client.fetch(served.addr, wish(&id("a"), 0), true).await.unwrap();
    body_of(piece).await.unwrap();
    // The parent restarts on the same port: what waits here is dead.
    served.cancel.cancel();
    served.running.end().await;
    let listener = TcpListener::bind(served.addr).await.unwrap();
    let answering = Aside::run(answer_once(listener, content_packet(0, PIECE, content(PIECE).to_vec())));
    let piece = client.fetch(served.addr, wish(&id("a"), 0), true).await.unwrap();
    assert_eq!(body_of(piece).await.unwrap(), content(PIECE));
    answering.end().await;
}

#[tokio::test]
async fn a_long_task_id_is_asked_only_of_a_parent_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    let long = TaskId::parse(&"e".repeat(128)).unwrap();
    keep(&storage, &long, 5, &[0]).await;
    let served = serve(storage).await;
    let refused = client().fetch(served.addr, wish(&long, 0), false).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, FetchError::LongTaskId));
    assert_eq!(error.fault(), Fault::Us);
    let piece = client().fetch(served.addr, wish(&long, 0), true).await.unwrap();
    assert_eq!(body_of(piece).await.unwrap(), content(5));
}

/// A parent that reads one request and answers with these bytes, then closes.
async fn answer_once(listener: TcpListener, answer: Vec<u8>) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 74];
    stream.read_exact(&mut request).await.unwrap();
    stream.write_all(&answer).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

fn content_packet(number: u32, length: u64, body: Vec<u8>) -> Vec<u8> {
    let content = Content {
        span: dragonfly_model::PieceSpan {
            number: PieceNumber(number),
            offset: u64::from(number) * PIECE,
            length,
        },
        crc32: None,
        parent: String::new(),
        traffic: 1,
        cost_secs: 0,
        created_at_secs: 0,
    };
    let mut packet = content.encode(1, Family::Standard);
    packet.extend(body);
    packet
}

async fn fetch_from(answer: Vec<u8>) -> Result<Vec<u8>, FetchError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let parent = Aside::run(answer_once(listener, answer));
    let fetched = match client().fetch(addr, wish(&id("a"), 3), false).await {
        Ok(piece) => body_of(piece).await,
        Err(error) => Err(error),
    };
    drop(parent.end().await);
    fetched
}

#[tokio::test]
async fn a_parent_that_dies_in_the_middle_of_a_piece_is_noticed() {
    let error = fetch_from(content_packet(3, 1000, vec![7; 400])).await.unwrap_err();
    assert!(matches!(error, FetchError::Truncated { missing: 600 }), "{error:?}");
    assert_eq!(error.fault(), Fault::Parent);
    let error = fetch_from(content_packet(3, 1000, vec![])[..20].to_vec())
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Truncated { .. }), "{error:?}");
    let error = fetch_from(Vec::new()).await.unwrap_err();
    assert!(matches!(error, FetchError::Truncated { .. }), "{error:?}");
}

#[tokio::test]
async fn bytes_behind_a_piece_are_not_part_of_it() {
    assert_eq!(fetch_from(content_packet(3, 4, vec![7; 9])).await.unwrap(), [7; 4]);
    assert_eq!(fetch_from(content_packet(3, 0, vec![7; 9])).await.unwrap(), []);
}

#[tokio::test]
async fn damaged_and_wrong_answers_are_the_parents_fault() {
    let error = fetch_from(content_packet(4, 1, vec![7])).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongPiece { .. }), "{error:?}");
    let oversized = vec![1, 1, 0xff, 0xff, 0xff, 0xff];
    for bytes in [
        oversized,
        request(&id("a"), 0),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        let error = fetch_from(bytes).await.unwrap_err();
        assert!(matches!(error, FetchError::Malformed(_)), "{error:?}");
        assert_eq!(error.fault(), Fault::Parent);
    }
    let refusal = Refusal {
        code: RefusalCode::Internal,
        message: "x".repeat(4000),
    };
    let error = fetch_from(refusal.encode(0)).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Refused { code: RefusalCode::Internal, message } if message.len() == 200),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_parent_that_stalls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // It accepts and says nothing.
    let fetched = impatient().fetch(addr, wish(&id("a"), 0), false).await;
    assert!(matches!(fetched, Err(FetchError::Slow)));
    drop(listener);

    // It stops in the middle.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stalling = Aside::run(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&content_packet(0, 1000, vec![7; 10])).await.unwrap();
        stream
    });
    let fetched = match impatient().fetch(addr, wish(&id("a"), 0), false).await {
        Ok(piece) => body_of(piece).await,
        Err(error) => Err(error),
    };
    assert!(matches!(fetched, Err(FetchError::Slow)));
    drop(stalling.end().await);
}

#[tokio::test]
async fn nobody_there_is_the_parents_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let error = client().fetch(addr, wish(&id("a"), 0), true).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }));
    assert_eq!(error.fault(), Fault::Parent);
}

#[tokio::test]
async fn a_span_that_the_layout_does_not_have_is_refused_by_the_storage() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage(&dir).await;
    let pin = pinned(&storage, &id("a"), PIECE * 4, &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let parent = Aside::run(answer_once(listener, content_packet(3, PIECE + 1, vec![])));
    let piece = client().fetch(addr, wish(&id("a"), 3), false).await.unwrap();
    let begun = pin.begin_piece(piece.span, dragonfly_model::TrafficType::RemotePeer, None);
    assert!(matches!(begun, Err(BeginError::OutOfLayout)));
    drop(parent.end().await);
}
