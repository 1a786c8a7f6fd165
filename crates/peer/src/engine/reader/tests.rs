use super::*;
use crate::engine::Content;
use crate::engine::content::Reads;
use crate::engine::running::{Entry, Lease, Outcome, Table};
use dragonfly_model::{Digest, PeerId, PieceLayout, Policy, TaskId};
use dragonfly_storage::{Config, NewTask, PieceWriter, Storage};
use futures::StreamExt;
use futures::future::poll_immediate;
use futures::stream::BoxStream;
use prometheus_client::metrics::counter::Counter;

const PIECE: u64 = 1 << 20;
const LENGTH: u64 = 2 * PIECE + 100;

/// A content that arrives as the test says.
struct Arriving {
    _dir: tempfile::TempDir,
    _storage: Storage,
    pin: Pin,
    lease: Arc<Lease>,
}

fn byte(offset: u64) -> u8 {
    (offset % 251) as u8
}

fn bytes(from: u64, length: u64) -> Bytes {
    (from..from + length).map(byte).collect::<Vec<u8>>().into()
}

impl Arriving {
    async fn new(content_length: Option<u64>, named: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            dir: dir.path().to_owned(),
            keep: true,
            write_buffer: 1 << 20,
        };
        let (storage, _) = Storage::open(config).await.unwrap();
        let id = TaskId::parse(&"a".repeat(64)).unwrap();
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let task = NewTask {
            url: "http://origin.example/x".to_owned(),
            tag: None,
            application: None,
            piece_length: PIECE,
            content_length,
            response_headers: Vec::new(),
            digest: named.then_some(digest),
            policy: Policy::Standard,
        };
        let pin = storage.pin_or_create(&id, task).unwrap();
        let url = url::Url::parse("http://origin.example/x").unwrap();
        let request = crate::engine::Request::new(id, url, dragonfly_source::Caller::Local);
        let table = Table::default();
        let entry = table.enter(&request, || PeerId::parse("p").unwrap());
        let Entry::Start(lease, _) = entry else {
            panic!("nobody else is here");
        };
        Self {
            _dir: dir,
            _storage: storage,
            pin,
            lease,
        }
    }

    fn read(&self, range: Option<ByteRange>) -> Reading {
        let content = Content::arriving(
            self.pin.clone(),
            self.lease.clone(),
            range,
            Reads {
                chunk: 1 << 16,
                delivered: Counter::default(),
            },
        );
        Reading {
            stream: content.read(range).boxed(),
            at: range.map_or(0, |range| range.start),
        }
    }

    fn begin(&self, number: u32, traffic: TrafficType) -> PieceWriter {
        let layout = PieceLayout::new(PIECE, self.pin.content_length().unwrap_or(u64::MAX >> 16)).unwrap();
        let span = layout.span(PieceNumber(number)).unwrap();
        self.pin.begin_piece(span, traffic, None).unwrap()
    }

    /// A whole piece, written and checked.
    async fn land(&self, number: u32, traffic: TrafficType) {
        let mut writer = self.begin(number, traffic);
        let span = writer.span();
        writer.write(bytes(span.offset, span.length)).await.unwrap();
        writer.commit(None).await.unwrap();
    }

    /// Waits until so many bytes of a piece can be read.
    async fn written(&self, number: u32, count: u64) {
        let mut changes = self.pin.changes();
        while self.pin.arriving(PieceNumber(number)).is_none_or(|a| a.written < count) {
            changes.changed().await.unwrap();
        }
    }
}

struct Reading {
    stream: BoxStream<'static, Result<Bytes, ReadError>>,
    at: u64,
}

impl Reading {
    /// Reads until nothing more comes without help; where that is, or how it ended.
    async fn advance(&mut self) -> Result<u64, Option<ReadError>> {
        for _ in 0..200 {
            match poll_immediate(self.stream.next()).await {
                // A read may be on another thread, which a moment later has it.
                None => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                Some(Some(Ok(bytes))) => {
                    assert_eq!(bytes, self::bytes(self.at, bytes.len() as u64));
                    self.at += bytes.len() as u64;
                }
                Some(Some(Err(error))) => return Err(Some(error)),
                Some(None) => return Err(None),
            }
        }
        Ok(self.at)
    }
}

#[tokio::test]
async fn an_origins_bytes_leave_as_they_arrive_but_for_the_tail() {
    let arriving = Arriving::new(Some(LENGTH), false).await;
    let mut reading = arriving.read(None);
    let mut writer = arriving.begin(0, TrafficType::BackToSource);
    writer.write(bytes(0, 1000)).await.unwrap();
    arriving.written(0, 1000).await;
    assert_eq!(reading.advance().await.unwrap(), 1000);
    writer.write(bytes(1000, PIECE - 1000)).await.unwrap();
    arriving.written(0, PIECE).await;
    assert_eq!(reading.advance().await.unwrap(), PIECE);
    arriving.land(1, TrafficType::BackToSource).await;
    // The first piece has not been vouched for yet.
    assert_eq!(reading.advance().await.unwrap(), PIECE);
    writer.commit(None).await.unwrap();
    assert_eq!(reading.advance().await.unwrap(), 2 * PIECE);
    let mut last = arriving.begin(2, TrafficType::BackToSource);
    last.write(bytes(2 * PIECE, 100)).await.unwrap();
    arriving.written(2, 100).await;
    assert_eq!(reading.advance().await.unwrap(), 2 * PIECE);
    last.commit(None).await.unwrap();
    assert!(matches!(reading.advance().await, Err(None)));
    assert_eq!(reading.at, LENGTH);
}

#[tokio::test]
async fn a_parents_bytes_leave_after_their_pieces_check() {
    let arriving = Arriving::new(Some(LENGTH), false).await;
    let mut reading = arriving.read(None);
    let mut writer = arriving.begin(0, TrafficType::RemotePeer);
    writer.write(bytes(0, PIECE)).await.unwrap();
    arriving.written(0, PIECE).await;
    assert_eq!(reading.advance().await.unwrap(), 0);
    writer.commit(None).await.unwrap();
    assert_eq!(reading.advance().await.unwrap(), PIECE);
}

#[tokio::test]
async fn the_tail_of_a_named_content_waits_for_its_digest() {
    let arriving = Arriving::new(Some(LENGTH), true).await;
    let mut reading = arriving.read(None);
    for number in 0..3 {
        arriving.land(number, TrafficType::RemotePeer).await;
    }
    assert_eq!(reading.advance().await.unwrap(), LENGTH - TAIL);
    let mut inner = arriving.read(Some(ByteRange { start: 5, length: 500 }));
    assert!(matches!(inner.advance().await, Err(None)));
    arriving.lease.shared.set_verified();
    assert!(matches!(reading.advance().await, Err(None)));
    assert_eq!(reading.at, LENGTH);
}

#[tokio::test]
async fn a_content_that_turns_out_wrong_has_no_end() {
    let arriving = Arriving::new(Some(LENGTH), true).await;
    let mut reading = arriving.read(None);
    for number in 0..3 {
        arriving.land(number, TrafficType::RemotePeer).await;
    }
    assert_eq!(reading.advance().await.unwrap(), LENGTH - TAIL);
    arriving.pin.quarantine("its digest differs").await.unwrap();
    arriving
        .lease
        .shared
        .set_outcome(Outcome::Failed(Error::DigestMismatch));
    let ended = reading.advance().await.unwrap_err().unwrap();
    assert!(matches!(ended, ReadError::Download(Error::DigestMismatch)), "{ended}");
}

#[tokio::test]
async fn a_response_goes_on_if_the_piece_is_fetched_anew_with_the_same_bytes() {
    let arriving = Arriving::new(Some(LENGTH), true).await;
    let mut reading = arriving.read(None);
    let mut writer = arriving.begin(0, TrafficType::RemotePeer);
    writer.write(bytes(0, 5000)).await.unwrap();
    arriving.written(0, 5000).await;
    assert_eq!(reading.advance().await.unwrap(), 5000);
    drop(writer);
    arriving.land(0, TrafficType::RemotePeer).await;
    assert_eq!(reading.advance().await.unwrap(), PIECE);
}

#[tokio::test]
async fn a_response_breaks_off_if_the_piece_is_fetched_anew_with_other_bytes() {
    let arriving = Arriving::new(Some(LENGTH), true).await;
    let mut reading = arriving.read(None);
    let mut writer = arriving.begin(0, TrafficType::RemotePeer);
    writer.write(bytes(0, 5000)).await.unwrap();
    arriving.written(0, 5000).await;
    assert_eq!(reading.advance().await.unwrap(), 5000);
    drop(writer);
    let mut writer = arriving.begin(0, TrafficType::RemotePeer);
    writer.write(bytes(1, PIECE)).await.unwrap();
    // Not a byte of the second attempt leaves before it is compared.
    assert_eq!(reading.advance().await.unwrap(), 5000);
    writer.commit(None).await.unwrap();
    assert!(matches!(reading.advance().await, Err(Some(ReadError::Retracted))));
}

#[tokio::test]
async fn a_content_of_unknown_length_keeps_back_what_may_be_its_tail() {
    let arriving = Arriving::new(None, true).await;
    let mut reading = arriving.read(None);
    arriving.land(0, TrafficType::BackToSource).await;
    assert_eq!(reading.advance().await.unwrap(), PIECE - TAIL);
    let mut writer = arriving.begin(1, TrafficType::BackToSource);
    writer.write(bytes(PIECE, 100)).await.unwrap();
    arriving.written(1, 100).await;
    assert_eq!(reading.advance().await.unwrap(), PIECE + 100 - TAIL);
    writer.commit_as_last().await.unwrap();
    assert_eq!(reading.advance().await.unwrap(), PIECE + 100 - TAIL);
    arriving.lease.shared.set_verified();
    assert!(matches!(reading.advance().await, Err(None)));
    assert_eq!(reading.at, PIECE + 100);
}

#[tokio::test]
async fn a_range_behind_the_end_is_told_apart_from_an_empty_content() {
    let arriving = Arriving::new(Some(100), false).await;
    let mut behind = arriving.read(Some(ByteRange { start: 100, length: 1 }));
    let ended = behind.advance().await.unwrap_err().unwrap();
    assert!(matches!(ended, ReadError::Unsatisfiable { content_length: 100 }));
    let empty = Arriving::new(Some(0), false).await;
    assert!(matches!(empty.read(None).advance().await, Err(None)));
}
