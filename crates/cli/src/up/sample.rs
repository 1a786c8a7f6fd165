//! A file for the first download: made up byte by byte, the same on every host, so that trying needs no network.

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use dragonfly_model::{ByteRange, RangeError, RangeHeader};
use dragonfly_service::net;
use dragonfly_service::web::{self, Limits};
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Bytes of the sample.
const LENGTH: u64 = 64 << 20;
/// Bytes that are made up at once.
const CHUNK: u64 = 256 << 10;
/// Changes with the bytes.
const TAG: &str = "\"sample-1\"";
/// What `sha256sum` says about the whole sample.
pub(super) const DIGEST: &str = "sha256:06c76628fe78ebe654e07d83077dfd0fdbba6f86f9004ed3203dd532cbe60e08";

/// An HTTP server for the sample, on a free port.
#[derive(Debug)]
pub(super) struct Sample {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Sample {
    pub(super) fn bind(ip: IpAddr) -> Result<Self, net::Error> {
        let wanted = SocketAddr::new(ip, 0);
        let listener = net::bind_tcp(wanted, "sample file")?;
        let addr = listener.local_addr().unwrap_or(wanted);
        Ok(Self { listener, addr })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/sample-64MiB.bin", self.addr)
    }

    pub(super) async fn serve(self, cancel: CancellationToken) {
        let router = Router::new().route("/sample-64MiB.bin", get(answer));
        web::serve(self.listener, router, Limits::default(), cancel).await;
    }
}

async fn answer(method: Method, headers: HeaderMap) -> Response {
    let (status, range) = match wanted(&headers) {
        Ok(None) => (StatusCode::OK, ByteRange::whole(LENGTH)),
        Ok(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Err(_) => {
            return (
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(CONTENT_RANGE, format!("bytes */{LENGTH}"))],
            )
                .into_response();
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        body(range)
    };
    let mut response = (
        status,
        [
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (CONTENT_LENGTH, range.length.to_string()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (ETAG, TAG.to_owned()),
        ],
        body,
    )
        .into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let value = format!("bytes {}-{}/{LENGTH}", range.start, range.end() - 1);
        let value = value.parse().expect("digits and a dash are a header value");
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

/// The range asked for. Several at once, and headers that make no sense, may be answered with everything.
fn wanted(headers: &HeaderMap) -> Result<Option<ByteRange>, RangeError> {
    let Some(value) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    match RangeHeader::parse(value).and_then(|header| header.resolve(LENGTH)) {
        Ok(ranges) => Ok(<[ByteRange; 1]>::try_from(ranges).ok().map(|[range]| range)),
        Err(RangeError::Malformed(_)) => Ok(None),
        Err(unsatisfiable) => Err(unsatisfiable),
    }
}

fn body(range: ByteRange) -> Body {
    let chunks = (range.start..range.end()).step_by(usize::try_from(CHUNK).expect("a chunk fits in memory"));
    let chunks =
        chunks.map(move |start| Ok::<_, std::convert::Infallible>(bytes(start, CHUNK.min(range.end() - start))));
    Body::from_stream(futures::stream::iter(chunks))
}

/// The bytes from `start`: each eight of them are a hash (splitmix64) of where they lie.
fn bytes(start: u64, length: u64) -> Bytes {
    let words = start / 8..(start + length).div_ceil(8);
    let all: Vec<u8> = words.flat_map(|word| hash(word).to_le_bytes()).collect();
    let skip = usize::try_from(start % 8).expect("less than 8");
    let length = usize::try_from(length).expect("a chunk fits in memory");
    Bytes::from(all).slice(skip..skip + length)
}

fn hash(word: u64) -> u64 {
    let mut z = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use sha2::{Digest as _, Sha256};

    async fn get(method: Method, range: Option<&str>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(RANGE, range.parse().unwrap());
        }
        let response = answer(method, headers).await;
        let (parts, body) = response.into_parts();
        (
            parts.status,
            parts.headers,
            body.collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    #[tokio::test]
    async fn the_sample_is_what_its_digest_says() {
        let (status, headers, body) = get(Method::GET, None).await;
        assert_eq!((status, body.len() as u64), (StatusCode::OK, LENGTH));
        assert_eq!(headers[CONTENT_LENGTH], LENGTH.to_string());
        assert_eq!(format!("sha256:{}", hex::encode(Sha256::digest(&body))), DIGEST);
    }

    #[tokio::test]
    async fn ranges_are_parts_of_the_whole() {
        let (_, _, whole) = get(Method::GET, None).await;
        for (header, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=5-300000", 5, 300_001),
            ("bytes=-3", LENGTH - 3, LENGTH),
        ] {
            let (status, headers, body) = get(Method::GET, Some(header)).await;
            assert_eq!(status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(headers[CONTENT_RANGE], format!("bytes {from}-{}/{LENGTH}", to - 1));
            assert!(body == whole[from as usize..to as usize], "{header}");
        }
    }

    #[tokio::test]
    async fn a_range_behind_the_end_is_refused_and_head_has_no_body() {
        let (status, headers, _) = get(Method::GET, Some("bytes=99999999999-")).await;
        assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(headers[CONTENT_RANGE], format!("bytes */{LENGTH}"));
        let (status, headers, body) = get(Method::HEAD, None).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
        assert_eq!(headers[CONTENT_LENGTH], LENGTH.to_string());
    }
}
