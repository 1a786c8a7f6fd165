//! Origins: a registry with the habits of good and of broken ones, which remembers what it was asked and what it gave.

use bytes::Bytes;
use dragonfly_service::Workers;
use futures::{StreamExt, stream};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The one who may read what needs credentials, and another who may not.
pub(crate) const OWNER: &str = "Basic b3duZXI6cGFzcw==";
pub(crate) const STRANGER: &str = "Basic c3RyYW5nZXI6cGFzcw==";
pub(crate) const CHALLENGE: &str = "Basic realm=\"lab\"";

/// How a file is served.
#[derive(Clone, Default)]
pub(crate) enum Habit {
    #[default]
    Honest,
    /// Announces everything, but breaks off for ever in front of this byte of the content.
    BreaksOff(usize),
    /// Tells no length and knows no ranges.
    Chunked,
    /// As [`Habit::Chunked`], and breaks off in front of this byte.
    ChunkedBreaksOff(usize),
    /// Sends half of a GET, and the rest when it is told to.
    Pauses(Arc<Notify>),
    /// Answers this status and nothing else.
    Refuses(StatusCode),
}

#[derive(Clone, Default)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    pub(crate) is_private: bool,
    pub(crate) habit: Habit,
    /// Its entity tag; "lab-1" if absent.
    pub(crate) etag: Option<&'static str>,
    /// Its type; that of any bytes if absent.
    pub(crate) media_type: Option<&'static str>,
}

/// One request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Bytes of content handed out for it.
    pub(crate) given: usize,
}

#[derive(Default)]
struct State {
    files: HashMap<String, File>,
    seen: Vec<Seen>,
    /// Answered to every HEAD and GET without a file, if anything.
    anything: Option<Bytes>,
}

/// A running origin.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    is_tls: bool,
    state: Arc<Mutex<State>>,
    workers: Workers,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(crate) async fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::serve(Some(config)).await
    }

    async fn serve(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            is_tls: tls.is_some(),
            state: Arc::default(),
            workers: Workers::new(CancellationToken::new()),
        };
        let (workers, state) = (origin.workers.clone(), origin.state.clone());
        let cancel = workers.cancel_token();
        origin.workers.spawn("origin", async move {
            while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
                let serving = greet(accepted.unwrap().0, tls.clone(), state.clone());
                let cancel = cancel.clone();
                workers.spawn("origin connection", async move {
                    cancel.run_until_cancelled(serving).await;
                });
            }
        });
        origin
    }

    /// Hangs up on everybody; its port then refuses connections.
    pub(crate) async fn stop(&self) {
        self.workers.drain(super::peer::PATIENCE).await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn put(&self, path: &str, file: File) {
        self.state.lock().unwrap().files.insert(path.to_owned(), file);
    }

    /// Answers everything with 200 and these bytes from now on.
    pub(crate) fn answer_anything(&self, bytes: Bytes) {
        self.state.lock().unwrap().anything = Some(bytes);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Bytes of this path handed out.
    pub(crate) fn given(&self, path: &str) -> usize {
        let seen = self.seen();
        let of_path = seen.iter().filter(|seen| seen.target.split('?').next() == Some(path));
        of_path.map(|seen| seen.given).sum()
    }
}

/// A content of its own for each seed.
pub(crate) fn content(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The path of a blob in a repository.
pub(crate) fn blob_path(repository: &str, bytes: &[u8]) -> String {
    format!("/v2/{repository}/blobs/sha256:{}", hex::encode(Sha256::digest(bytes)))
}

async fn greet(stream: TcpStream, tls: Option<Arc<ServerConfig>>, state: Arc<Mutex<State>>) {
    let Some(config) = tls else {
        return connection(stream, state).await;
    };
    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
        connection(stream, state).await;
    }
}

async fn connection<S>(stream: S, state: Arc<Mutex<State>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    // A client that hangs up is what some tests are about.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let (response, given) = {
        let state = state.lock().unwrap();
        respond(&parts.method, parts.uri.path(), &parts.headers, &state)
    };
    state.lock().unwrap().seen.push(Seen {
        method: parts.method,
        target,
        headers: parts.headers,
        body,
        given,
    });
    response
}

fn respond(method: &Method, path: &str, headers: &HeaderMap, state: &State) -> (Response<Body>, usize) {
    let anything = state.anything.as_ref().map(|bytes| File {
        bytes: bytes.clone(),
        ..File::default()
    });
    if path == "/moved" {
        let mut response = status(StatusCode::FOUND);
        let to = HeaderValue::from_static("http://elsewhere.invalid/file");
        response.headers_mut().insert(header::LOCATION, to);
        return (response, 0);
    }
    let Some(file) = state.files.get(path).cloned().or(anything) else {
        return (status(StatusCode::NOT_FOUND), 0);
    };
    if file.is_private && headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != OWNER) {
        let mut response = status(StatusCode::UNAUTHORIZED);
        let challenge = HeaderValue::from_static(CHALLENGE);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return (response, 0);
    }
    let etag = file.etag.unwrap_or("\"lab-1\"");
    match file.habit {
        Habit::Refuses(with) => return (status(with), 0),
        _ if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == etag) => {
            return (status(StatusCode::NOT_MODIFIED), 0);
        }
        _ => {}
    }
    give(method, headers, &file)
}

fn give(method: &Method, headers: &HeaderMap, file: &File) -> (Response<Body>, usize) {
    if let Habit::Chunked | Habit::ChunkedBreaksOff(_) = file.habit {
        return give_chunked(method, file);
    }
    let total = file.bytes.len();
    let asked = headers.get(header::RANGE).map(|range| range.to_str().unwrap());
    let (start, end) = match asked.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((first, last)) => {
            let end = last.parse().map_or(total, |last: usize| last + 1);
            (first.parse().unwrap(), end.min(total))
        }
        None => (0, total),
    };
    if asked.is_some() && start >= total {
        let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
        let range = format!("bytes */{total}").parse().unwrap();
        response.headers_mut().insert(header::CONTENT_RANGE, range);
        return (response, 0);
    }
    let part = file.bytes.slice(start..end);
    let mut response = Response::new(());
    let head = response.headers_mut();
    head.insert(header::CONTENT_LENGTH, part.len().into());
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let media_type = file.media_type.unwrap_or("application/octet-stream");
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    head.insert(header::ETAG, HeaderValue::from_static(file.etag.unwrap_or("\"lab-1\"")));
    head.insert(header::SET_COOKIE, HeaderValue::from_static("session=of-one-caller"));
    if asked.is_some() {
        let range = format!("bytes {start}-{}/{total}", end.saturating_sub(1));
        head.insert(header::CONTENT_RANGE, range.parse().unwrap());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if method == Method::HEAD {
        return (response.map(|()| full(Bytes::new())), 0);
    }
    match &file.habit {
        Habit::Honest | Habit::Chunked | Habit::ChunkedBreaksOff(_) | Habit::Refuses(_) => {
            let given = part.len();
            (response.map(|()| full(part)), given)
        }
        Habit::BreaksOff(at) => {
            let sent = part.slice(..at.saturating_sub(start).min(part.len()));
            let given = sent.len();
            (response.map(|()| broken_off(sent)), given)
        }
        Habit::Pauses(go_on) => {
            let given = part.len();
            (response.map(|()| paused(part, go_on.clone())), given)
        }
    }
}

fn give_chunked(method: &Method, file: &File) -> (Response<Body>, usize) {
    let body = match file.habit {
        _ if method == Method::HEAD => chunked(Bytes::new()),
        Habit::ChunkedBreaksOff(at) => broken_off(file.bytes.slice(..at)),
        _ => chunked(file.bytes.clone()),
    };
    (Response::new(body), file.bytes.len())
}

fn chunked(bytes: Bytes) -> Body {
    StreamBody::new(stream::once(async move { Ok(Frame::data(bytes)) })).boxed_unsync()
}

fn broken_off(sent: Bytes) -> Body {
    let sent = stream::once(async move { Ok(Frame::data(sent)) });
    let broken = stream::once(async {
        // What was sent before must leave first: only then has an answer begun that can break off.
        tokio::task::yield_now().await;
        Err(io::Error::other("broken off"))
    });
    StreamBody::new(sent.chain(broken)).boxed_unsync()
}

fn paused(part: Bytes, go_on: Arc<Notify>) -> Body {
    let (first, rest) = (part.slice(..part.len() / 2), part.slice(part.len() / 2..));
    let first = stream::once(async move { Ok(Frame::data(first)) });
    let rest = stream::once(async move {
        go_on.notified().await;
        Ok(Frame::data(rest))
    });
    StreamBody::new(first.chain(rest)).boxed_unsync()
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(b"no\n")));
    *response.status_mut() = status;
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
