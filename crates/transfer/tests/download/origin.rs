//! An HTTP origin with habits, that counts every byte it gives away and remembers every range it was asked for.

use bytes::Bytes;
use dragonfly_source::{Caller, Request};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, RANGE};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

const CHUNK: usize = 16 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How an origin behaves.
#[derive(Clone)]
pub(crate) struct Habits {
    pub(crate) ranges: bool,
    pub(crate) announces_length: bool,
    pub(crate) status: Option<u16>,
    pub(crate) etag: Option<&'static str>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            ranges: true,
            announces_length: true,
            status: None,
            etag: Some("\"v1\""),
        }
    }
}

struct Shelf {
    content: Mutex<Bytes>,
    habits: Mutex<Habits>,
    served: AtomicU64,
    asked: Mutex<Vec<Option<Range<u64>>>>,
    /// Bytes that may be given in all before the flow stops.
    bound: watch::Sender<u64>,
    /// Bytes after which the connection that gives them breaks, once.
    breaks_at: Mutex<Vec<u64>>,
}

pub(crate) struct Origin {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    _serving: JoinSet<()>,
}

impl Origin {
    pub(crate) async fn start(content: &[u8], habits: Habits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shelf = Arc::new(Shelf {
            content: Mutex::new(Bytes::copy_from_slice(content)),
            habits: Mutex::new(habits),
            served: AtomicU64::new(0),
            asked: Mutex::default(),
            bound: watch::Sender::new(u64::MAX),
            breaks_at: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, shelf.clone()));
        Self {
            address,
            shelf,
            _serving: serving,
        }
    }

    pub(crate) fn request(&self) -> Request {
        let url = Url::parse(&format!("http://{}/content", self.address)).unwrap();
        Request::new(url, Caller::Local)
    }

    /// Bytes of content given away.
    pub(crate) fn served(&self) -> u64 {
        self.shelf.served.load(Ordering::SeqCst)
    }

    /// The ranges asked for, `None` for everything.
    pub(crate) fn asked(&self) -> Vec<Option<Range<u64>>> {
        self.shelf.asked.lock().unwrap().clone()
    }

    /// Lets so many bytes flow in all, and no more.
    pub(crate) fn hold_at(&self, bytes: u64) {
        self.shelf.bound.send_replace(bytes);
    }

    /// Breaks the connection that gives the byte with this count, once for each number.
    pub(crate) fn break_at(&self, counts: &[u64]) {
        *self.shelf.breaks_at.lock().unwrap() = counts.to_vec();
    }

    /// Has another content from now on.
    pub(crate) fn change(&self, content: &[u8], habits: Habits) {
        *self.shelf.content.lock().unwrap() = Bytes::copy_from_slice(content);
        *self.shelf.habits.lock().unwrap() = habits;
    }
}

async fn accept(listener: TcpListener, shelf: Arc<Shelf>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shelf = shelf.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&shelf, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Clients that hang up and connections that break are part of the tests.
            drop(connection.await);
        });
    }
}

fn answer(shelf: &Arc<Shelf>, request: &hyper::Request<Incoming>) -> Response<Body> {
    let habits = shelf.habits.lock().unwrap().clone();
    let content = shelf.content.lock().unwrap().clone();
    let total = content.len() as u64;
    let asked = request
        .headers()
        .get(RANGE)
        .map(|value| parse_range(value.to_str().unwrap(), total));
    shelf.asked.lock().unwrap().push(asked.clone());
    let refused = |status| {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Response::builder().status(status).body(body).unwrap()
    };
    if let Some(status) = habits.status {
        return refused(StatusCode::from_u16(status).unwrap());
    }
    let expected = request.headers().get(IF_MATCH).map(|value| value.to_str().unwrap());
    if expected.is_some() && expected != habits.etag {
        return refused(StatusCode::PRECONDITION_FAILED);
    }
    let range = asked.filter(|_| habits.ranges);
    let part = range.clone().unwrap_or(0..total);
    let (start, end) = (usize::try_from(part.start).unwrap(), usize::try_from(part.end).unwrap());
    let stream = give(shelf.clone(), content.slice(start..end));
    let mut response = Response::builder();
    if let Some(etag) = habits.etag {
        response = response.header(ETAG, etag);
    }
    if habits.ranges {
        response = response.header(ACCEPT_RANGES, "bytes");
    }
    if let Some(range) = range {
        let said = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        response = response.status(206).header(CONTENT_RANGE, said);
    }
    if habits.announces_length {
        response = response.header(CONTENT_LENGTH, part.end - part.start);
    }
    response.body(StreamBody::new(stream).boxed_unsync()).unwrap()
}

fn parse_range(text: &str, total: u64) -> Range<u64> {
    let (first, last) = text.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    first.parse().unwrap()..last.parse::<u64>().unwrap().min(total - 1) + 1
}

/// The bytes in chunks: counted, held at the bound, broken where that was asked for.
fn give(shelf: Arc<Shelf>, bytes: Bytes) -> BoxStream<'static, io::Result<Frame<Bytes>>> {
    let bound = shelf.bound.subscribe();
    futures::stream::unfold((shelf, bound, bytes), |(shelf, mut bound, mut bytes)| async move {
        if bytes.is_empty() {
            return None;
        }
        bound
            .wait_for(|bound| shelf.served.load(Ordering::SeqCst) < *bound)
            .await
            .unwrap();
        let served = shelf.served.load(Ordering::SeqCst);
        let due = shelf
            .breaks_at
            .lock()
            .unwrap()
            .iter()
            .position(|count| *count <= served);
        if let Some(due) = due {
            shelf.breaks_at.lock().unwrap().remove(due);
            // What was given before is sent while this waits.
            tokio::task::yield_now().await;
            return Some((Err(io::Error::other("broken")), (shelf, bound, Bytes::new())));
        }
        let chunk = bytes.split_to(CHUNK.min(bytes.len()));
        shelf.served.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        Some((Ok(Frame::data(chunk)), (shelf, bound, bytes)))
    })
    .boxed()
}
