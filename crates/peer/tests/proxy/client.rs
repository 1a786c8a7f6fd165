//! A client that shows what really came: status, headers, and whether the body ended cleanly.

use super::peer::PATIENCE;
use bytes::Bytes;
use dragonfly_service::Workers;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// An answer. `body` is an error if the connection broke before the body's end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, hyper::Error>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of an answer that must have ended cleanly.
    pub(crate) fn bytes(self) -> Bytes {
        self.body.expect("the body ended cleanly")
    }
}

/// Fails if an answer did not end cleanly with exactly these bytes; never prints megabytes.
#[track_caller]
pub(crate) fn same(answer: Answer, expected: &[u8]) {
    let status = answer.status;
    let bytes = answer.bytes();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let lengths = (bytes.len(), expected.len());
    assert!(
        bytes == expected,
        "{status} with other bytes; lengths {lengths:?}, begins {text:?}"
    );
}

/// A GET of `target` (a path or a URL) with headers.
pub(crate) fn get(target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::get(target).header("host", "proxy");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(proxy: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(proxy).await.unwrap();
    send_over(stream, request).await
}

/// Whether the answer was cut off: in its body, or so early that not even its head arrived.
pub(crate) async fn is_cut_off(proxy: SocketAddr, request: Request<Full<Bytes>>) -> bool {
    let stream = TcpStream::connect(proxy).await.unwrap();
    exchange(stream, request)
        .await
        .map_or_else(|_| true, |answer| answer.body.is_err())
}

/// Sends one request over a connection that stands already.
pub(crate) async fn send_over<S>(stream: S, request: Request<Full<Bytes>>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    exchange(stream, request).await.expect("there is an answer")
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let asking = async move { Ok(collect(sender.send_request(request).await?).await) };
        let (answer, _) = tokio::join!(asking, connection);
        answer
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("the answer hangs")
}

/// Sends one request by HTTP/2 without TLS.
pub(crate) async fn send_h2c(proxy: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(proxy).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let workers = Workers::new(CancellationToken::new());
    workers.spawn("h2 client", async move {
        connection.await.ok();
    });
    let answer = collect(sender.send_request(request).await.unwrap()).await;
    drop(sender);
    workers.drain(PATIENCE).await.unwrap();
    answer
}

async fn collect(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.map(http_body_util::Collected::to_bytes),
    }
}

/// Sends bytes as they are and returns everything that comes back until the proxy hangs up.
pub(crate) async fn send_raw(proxy: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset after the answer is as good as an end.
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the proxy keeps the connection")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Opens a tunnel to `authority`; the proxy's answer, and the stream if that was 200.
pub(crate) async fn tunnel(proxy: SocketAddr, authority: &str) -> (StatusCode, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the proxy answers"));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, stream)
}
