//! Contents that no digest names, several ranges in one answer, and heads.

use super::client::{get, same, send};
use super::origin::{File, Origin, blob_path, content};
use super::peer::TestPeer;
use bytes::Bytes;
use http::{Method, StatusCode};

const P2P: (&str, &str) = ("x-dragonfly-use-p2p", "true");

fn version(bytes: &Bytes, etag: &'static str) -> File {
    File {
        bytes: bytes.clone(),
        etag: Some(etag),
        ..File::default()
    }
}

/// Has every answer of the origin be asked for again at once.
fn impatient(raw: &mut dragonfly_peer::config::Raw) {
    raw.proxy.revalidate_after = std::time::Duration::ZERO;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_changed_at_its_origin_is_fetched_anew() {
    let origin = Origin::start().await;
    let (old, new) = (content(5 << 20, 1), content(6 << 20, 2));
    let same_length = content(6 << 20, 3);
    let url = format!("{}/file", origin.url());
    origin.put("/file", version(&old, "\"v1\""));
    let peer = TestPeer::start(impatient).await;
    for _ in 0..2 {
        same(send(peer.proxy(), get(&url, &[P2P])).await, &old);
    }
    assert_eq!(origin.given("/file"), old.len());
    origin.put("/file", version(&new, "\"v2\""));
    same(send(peer.proxy(), get(&url, &[P2P])).await, &new);
    origin.put("/file", version(&same_length, "\"v3\""));
    let range = [P2P, ("range", "bytes=100-199")];
    same(
        send(peer.proxy(), get(&url, &range)).await,
        &same_length.slice(100..200),
    );
    // While it is down nobody can say that it is another one.
    origin.stop().await;
    same(
        send(peer.proxy(), get(&url, &range)).await,
        &same_length.slice(100..200),
    );
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_not_asked_again_while_its_word_holds() {
    let origin = Origin::start().await;
    let bytes = content(5 << 20, 1);
    let url = format!("{}/file", origin.url());
    origin.put("/file", version(&bytes, "\"v1\""));
    let peer = TestPeer::start(|raw| raw.proxy.revalidate_after = super::peer::PATIENCE).await;
    same(send(peer.proxy(), get(&url, &[P2P])).await, &bytes);
    let asked = origin.seen().len();
    for _ in 0..3 {
        same(send(peer.proxy(), get(&url, &[P2P])).await, &bytes);
    }
    assert_eq!(origin.seen().len(), asked);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_ranges_are_answered_in_parts_and_only_their_pieces_fetched() {
    let origin = Origin::start().await;
    let blob = content(40 << 20, 1);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, version(&blob, "\"v1\""));
    let peer = TestPeer::start(|_| {}).await;
    let last = blob.len() - (5 << 20);
    let ranges = format!("bytes=10-19,{last}-{}", last + 99);
    let headers = [("x-dragonfly-registry", &*origin.url()), ("range", &*ranges)];
    let answer = send(peer.proxy(), get(&path, &headers)).await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
    let media_type = answer.header("content-type").unwrap().to_owned();
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    let body = answer.bytes();
    assert_eq!(body.len(), length);
    let mut expected = Vec::new();
    for (from, to) in [(10, 20), (last, last + 100)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n",
            to - 1,
            blob.len()
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&blob[from..to]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(body == expected, "{:?}", String::from_utf8_lossy(&body[..100]));
    assert!(origin.given(&path) <= 12 << 20, "{} bytes", origin.given(&path));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_blob_is_known_while_the_registry_is_down() {
    let origin = Origin::start().await;
    let blob = content(1 << 20, 1);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, version(&blob, "\"v1\""));
    let registry = origin.url();
    let peer = TestPeer::start(|_| {}).await;
    let head = || {
        let mut request = get(&path, &[("x-dragonfly-registry", &registry)]);
        *request.method_mut() = Method::HEAD;
        send(peer.proxy(), request)
    };
    same(
        send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)])).await,
        &blob,
    );
    origin.stop().await;
    let answer = head().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-length"), Some(&*blob.len().to_string()));
    assert_eq!(answer.header("docker-content-digest"), path.rsplit('/').next());
    assert!(answer.bytes().is_empty());
    peer.stop().await;
}
