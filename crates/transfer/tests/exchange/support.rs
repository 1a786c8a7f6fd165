//! A storage with contents, a server before it, and sockets that speak to it as they like.

use bytes::Bytes;
use dragonfly_model::{PieceLayout, PieceNumber, PieceSpan, Policy, TaskId, TrafficType};
use dragonfly_storage::{Config, NewTask, Pin, Storage};
use dragonfly_transfer::vortex::{Content, Family, HEADER_LEN, Header, Refusal, Request, Tag};
use dragonfly_transfer::{Admission, PieceServer, RateLimit, ServerConfig, ServerStats};
use futures::future::BoxFuture;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const PIECE: u64 = 3_000_000;

/// For what must happen at once; only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn id(letter: &str) -> TaskId {
    TaskId::parse(&letter.repeat(64)).unwrap()
}

pub(crate) fn content(length: u64) -> Bytes {
    (0..length)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8)
        .collect()
}

pub(crate) async fn storage(dir: &tempfile::TempDir) -> Storage {
    let config = Config {
        dir: dir.path().to_owned(),
        keep: true,
        write_buffer: 1 << 20,
    };
    Storage::open(config).await.unwrap().0
}

/// A future that runs beside the test, and ends with it.
pub(crate) struct Aside<T>(JoinSet<T>);

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn run(future: impl Future<Output = T> + Send + 'static) -> Self {
        let mut set = JoinSet::new();
        set.spawn(future);
        Self(set)
    }

    pub(crate) async fn end(mut self) -> T {
        self.0.join_next().await.unwrap().unwrap()
    }
}

/// Keeps the given pieces of a content of so many bytes.
pub(crate) async fn keep(storage: &Storage, id: &TaskId, length: u64, pieces: &[u32]) {
    drop(pinned(storage, id, length, pieces).await);
}

/// Keeps the given pieces of a content of so many bytes, and holds it.
pub(crate) async fn pinned(storage: &Storage, id: &TaskId, length: u64, pieces: &[u32]) -> Pin {
    pinned_in(storage, id, PieceLayout::new(PIECE, length).unwrap(), pieces).await
}

pub(crate) async fn pinned_in(storage: &Storage, id: &TaskId, layout: PieceLayout, pieces: &[u32]) -> Pin {
    let task = NewTask {
        url: "http://origin.example/content".to_owned(),
        tag: None,
        application: None,
        piece_length: layout.piece_length(),
        content_length: Some(layout.content_length()),
        response_headers: Vec::new(),
        digest: None,
        policy: Policy::Standard,
    };
    let pin = storage.pin_or_create(id, task).unwrap();
    let whole = content(layout.content_length());
    for number in pieces {
        let span = layout.span(PieceNumber(*number)).unwrap();
        let mut writer = pin.begin_piece(span, TrafficType::BackToSource, None).unwrap();
        writer.write(slice(&whole, span)).await.unwrap();
        writer.commit(None).await.unwrap();
    }
    pin
}

pub(crate) fn slice(whole: &Bytes, span: PieceSpan) -> Bytes {
    whole.slice(span.offset as usize..(span.offset + span.length) as usize)
}

/// Admits everyone while it is open.
pub(crate) struct Door {
    pub(crate) open: AtomicBool,
    pub(crate) asked: AtomicU64,
}

impl Admission for Door {
    fn admit(&self, _ip: IpAddr) -> BoxFuture<'_, bool> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.open.load(Ordering::SeqCst) })
    }
}

pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) door: Arc<Door>,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) cancel: CancellationToken,
    pub(crate) running: Aside<()>,
}

pub(crate) async fn serve(storage: Storage) -> Served {
    serve_with(storage, |_| {}).await
}

pub(crate) async fn serve_with(storage: Storage, change: impl FnOnce(&mut ServerConfig)) -> Served {
    let door = Arc::new(Door {
        open: AtomicBool::new(true),
        asked: AtomicU64::new(0),
    });
    let mut config = ServerConfig {
        upload_limit: RateLimit::unlimited(),
        max_connections: 64,
        idle_timeout: Duration::from_secs(60),
        admission: door.clone(),
    };
    change(&mut config);
    let server = PieceServer::new(storage, config);
    let stats = server.stats();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let running = Aside::run(server.run(listener, cancel.clone()));
    Served {
        addr,
        door,
        stats,
        cancel,
        running,
    }
}

/// A request for one piece and no other.
pub(crate) fn wish(id: &TaskId, number: u32) -> Request {
    Request {
        task_id: id.clone(),
        number: PieceNumber(number),
        others: Vec::new(),
    }
}

/// A request as upstream's peers send it.
pub(crate) fn request(id: &TaskId, number: u32) -> Vec<u8> {
    wish(id, number).encode(77, Family::Standard)
}

pub(crate) fn keep_open() -> [u8; HEADER_LEN] {
    let header = Header {
        id: 0,
        tag: Tag::KeepOpen,
        length: 0,
    };
    header.encode()
}

/// Sends bytes and reads until the other end closes.
pub(crate) async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server closes")
        .unwrap();
    answer
}

pub(crate) enum Answer {
    Content(Content, Vec<u8>),
    Refusal(Refusal),
}

/// Takes one answer off the front of what was read.
pub(crate) fn parse(bytes: &mut &[u8]) -> Answer {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().expect("a header");
    let header = Header::decode(*header).unwrap();
    let (value, rest) = rest.split_at(header.length as usize);
    *bytes = rest;
    match header.tag {
        Tag::Content(_) => {
            let content = Content::decode(value).unwrap();
            let (body, rest) = bytes.split_at(content.span.length as usize);
            *bytes = rest;
            Answer::Content(content, body.to_vec())
        }
        Tag::Error => Answer::Refusal(Refusal::decode(value).unwrap()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refusal(mut answer: &[u8]) -> Refusal {
    match parse(&mut answer) {
        Answer::Refusal(refusal) => refusal,
        Answer::Content(content, _) => panic!("served {content:?}"),
    }
}
