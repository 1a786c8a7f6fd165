//! A scripted origin: a real HTTP server whose every answer the test writes, and which remembers what it was asked.

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

pub(crate) struct Origin {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl Origin {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(None, Arc::new(script)).await
    }

    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::with(Some(acceptor), Arc::new(script)).await
    }

    async fn with(tls: Option<TlsAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, tls, script, seen.clone()));
        Self {
            address,
            scheme,
            seen,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.address)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, script, seen) = (tls.clone(), script.clone(), seen.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, script, seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, script, seen).await;
                    }
                }
            }
        });
    }
    drop::<TcpListener>(listener);
}

async fn serve<S>(stream: S, script: Script, seen: Arc<Mutex<Vec<Seen>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let question = Seen {
            method: request.method().clone(),
            path: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        let answer = script(&question);
        seen.lock().unwrap().push(question);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that hangs up is part of several tests.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// An answer with these headers and this body.
pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Answer {
    with_headers(
        status,
        headers,
        Full::new(body.into()).map_err(|never| match never {}).boxed_unsync(),
    )
}

/// An answer whose body arrives in chunks and has no announced length, unless `headers` announce one.
pub(crate) fn streamed(status: u16, headers: &[(&'static str, &str)], chunks: Vec<&'static [u8]>) -> Answer {
    let frames = chunks
        .into_iter()
        .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))));
    let stream = futures::stream::iter(frames.collect::<Vec<_>>());
    with_headers(status, headers, StreamBody::new(stream).boxed_unsync())
}

/// An answer that stops after its first bytes without ending.
pub(crate) fn stuck(status: u16, headers: &[(&'static str, &str)], first: &'static [u8]) -> Answer {
    continued(status, headers, first, futures::stream::pending())
}

/// An answer whose connection breaks after its first bytes.
pub(crate) fn cut(status: u16, headers: &[(&'static str, &str)], first: &'static [u8]) -> Answer {
    let breaking = futures::stream::once(async {
        // What came before is sent while this waits.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut"))
    });
    continued(status, headers, first, breaking)
}

fn continued<S>(status: u16, headers: &[(&'static str, &str)], first: &'static [u8], rest: S) -> Answer
where
    S: futures::Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static,
{
    let start = futures::stream::once(async move { Ok(Frame::data(Bytes::from_static(first))) });
    with_headers(status, headers, StreamBody::new(start.chain(rest)).boxed_unsync())
}

fn with_headers(status: u16, headers: &[(&'static str, &str)], body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response
            .headers_mut()
            .append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    response
}
