//! Blobs through the registry mirror: once from the origin, exact, and only to those who may read them.

use super::client::{get, same, send};
use super::origin::{CHALLENGE, File, Habit, OWNER, Origin, STRANGER, blob_path, content};
use super::peer::TestPeer;
use http::StatusCode;

const MIB: usize = 1 << 20;

fn file(bytes: &bytes::Bytes) -> File {
    File {
        bytes: bytes.clone(),
        ..File::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_leaves_the_origin_once_for_two_callers() {
    let origin = Origin::start().await;
    let blob = content(9 * MIB + 7, 1);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, file(&blob));
    let peer = TestPeer::start(|_| {}).await;
    let registry = origin.url();
    let ask = || send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)]));
    let (one, two) = tokio::join!(ask(), ask());
    for answer in [one, two] {
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-length"), Some(&*blob.len().to_string()));
        assert_eq!(answer.header("docker-content-digest"), path.rsplit('/').next());
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("etag"), Some("\"lab-1\""));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("x-dragonfly-server-ip"), Some("127.0.0.1"));
        same(answer, &blob);
    }
    assert_eq!(origin.given(&path), blob.len());

    let cached = ask().await;
    assert_eq!(cached.header("x-dragonfly-task-download-finished"), Some("true"));
    same(cached, &blob);
    assert_eq!(origin.given(&path), blob.len());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_blob_and_one_of_a_byte_are_answered() {
    let origin = Origin::start().await;
    let peer = TestPeer::start(|_| {}).await;
    for blob in [content(0, 1), content(1, 1)] {
        let path = blob_path("lab/image", &blob);
        origin.put(&path, file(&blob));
        let answer = send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &origin.url())])).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-length"), Some(&*blob.len().to_string()));
        same(answer, &blob);
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_private_blob_is_not_a_byte_to_others_than_its_readers() {
    let origin = Origin::start().await;
    let blob = content(5 * MIB, 2);
    let path = blob_path("lab/private", &blob);
    let private = File {
        is_private: true,
        ..file(&blob)
    };
    origin.put(&path, private);
    // The guest may read this repository, and asks for the private blob in it.
    origin.put(&blob_path("lab/public", &content(9, 9)), file(&content(9, 9)));
    let peer = TestPeer::start(|_| {}).await;
    let registry = ("x-dragonfly-registry", &*origin.url());
    let ask = async |target: &str, authorization: Option<&str>| {
        let mut headers = vec![registry];
        headers.extend(authorization.map(|value| ("authorization", value)));
        send(peer.proxy(), get(target, &headers)).await
    };

    assert_eq!(ask(&path, None).await.status, StatusCode::UNAUTHORIZED);
    same(ask(&path, Some(OWNER)).await, &blob);
    for authorization in [None, Some(STRANGER)] {
        let refused = ask(&path, authorization).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.header("www-authenticate"), Some(CHALLENGE));
        assert_eq!(refused.header("x-dragonfly-error-type"), Some("backend"));
        assert!(refused.bytes().len() < 200);
    }
    let public = blob_path("lab/public", &content(9, 9));
    assert_eq!(ask(&public, None).await.status, StatusCode::OK);
    let elsewhere = path.replace("lab/private", "lab/public");
    assert_eq!(ask(&elsewhere, None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(origin.given(&path), blob.len());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_registry_gets_no_blob_of_another_one_and_gives_none() {
    let (honest, hostile) = (Origin::start().await, Origin::start().await);
    let blob = content(5 * MIB, 3);
    let path = blob_path("lab/private", &blob);
    let private = File {
        is_private: true,
        ..file(&blob)
    };
    honest.put(&path, private);
    hostile.answer_anything(content(5 * MIB, 4));
    let addr = honest.url();
    let peer = TestPeer::start(|raw| raw.proxy.registry_mirror.addr = addr).await;
    let owner = send(peer.proxy(), get(&path, &[("authorization", OWNER)])).await;
    same(owner, &blob);

    // It says 200 to everybody, so that the cache might take its word for the blob.
    let ns = format!("{path}?ns={}", hostile.address);
    let stolen = send(peer.proxy(), get(&ns, &[])).await;
    assert!(stolen.body.is_err(), "bytes of the wrong digest ended cleanly");
    let again = send(peer.proxy(), get(&path, &[("authorization", OWNER)])).await;
    same(again, &blob);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_answered_exactly() {
    let origin = Origin::start().await;
    let blob = content(9 * MIB, 5);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, file(&blob));
    let peer = TestPeer::start(|_| {}).await;
    let registry = origin.url();
    let ask = async |range: &str| {
        let headers = [("x-dragonfly-registry", &*registry), ("range", range)];
        send(peer.proxy(), get(&path, &headers)).await
    };
    // Before anything is cached, across a border of pieces; then from the end; then with everything cached.
    for round in 0..2 {
        let middle = ask("bytes=4194300-4194310").await;
        assert_eq!(middle.status, StatusCode::PARTIAL_CONTENT, "round {round}");
        let announced = format!("bytes 4194300-4194310/{}", blob.len());
        assert_eq!(middle.header("content-range"), Some(&*announced));
        same(middle, &blob.slice(4_194_300..4_194_311));
        let last = ask("bytes=-5").await;
        same(last, &blob.slice(blob.len() - 5..));
        let whole = ask("bytes=0-").await;
        assert_eq!(whole.status, StatusCode::PARTIAL_CONTENT);
        same(whole, &blob);
    }
    let several = ask("bytes=0-,5-").await;
    assert_eq!(several.status, StatusCode::OK);
    same(several, &blob);
    let behind = ask(&format!("bytes={}-", blob.len())).await;
    assert_eq!(behind.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        behind.header("content-range"),
        Some(&*format!("bytes */{}", blob.len()))
    );
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_blob_is_answered_304_without_a_byte() {
    let origin = Origin::start().await;
    let blob = content(MIB, 6);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, file(&blob));
    let peer = TestPeer::start(|_| {}).await;
    let headers = [("x-dragonfly-registry", &*origin.url()), ("if-none-match", "\"lab-1\"")];
    let answer = send(peer.proxy(), get(&path, &headers)).await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert_eq!(origin.given(&path), 0);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_breaks_off_is_reset_and_never_ended_short() {
    let origin = Origin::start().await;
    let blob = content(6 * MIB, 7);
    let path = blob_path("lab/image", &blob);
    let broken = File {
        habit: Habit::BreaksOff(MIB),
        ..file(&blob)
    };
    origin.put(&path, broken);
    let peer = TestPeer::start(|_| {}).await;
    let registry = origin.url();
    let ask = || send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)]));
    let answer = ask().await;
    assert!(
        answer.status != StatusCode::OK || answer.body.is_err(),
        "a short body ended cleanly"
    );
    origin.put(&path, file(&blob));
    same(ask().await, &blob);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_with_the_wrong_digest_is_reset_and_not_kept() {
    let origin = Origin::start().await;
    let blob = content(6 * MIB, 8);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, file(&content(6 * MIB, 9)));
    let peer = TestPeer::start(|_| {}).await;
    let registry = origin.url();
    let ask = || send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)]));
    let wrong = ask().await;
    assert!(
        wrong.status != StatusCode::OK || wrong.body.is_err(),
        "wrong bytes ended cleanly"
    );
    origin.put(&path, file(&blob));
    let right = ask().await;
    assert_eq!(right.header("x-dragonfly-task-download-finished"), None);
    same(right, &blob);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_unknown_length_is_exact_or_reset() {
    let origin = Origin::start().await;
    let blob = content(5 * MIB + 3, 10);
    let path = blob_path("lab/image", &blob);
    let peer = TestPeer::start(|_| {}).await;
    let registry = origin.url();
    let ask = || send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)]));
    let broken = File {
        habit: Habit::ChunkedBreaksOff(4 * MIB + 1),
        ..file(&blob)
    };
    origin.put(&path, broken);
    let answer = ask().await;
    let is_short = answer.status == StatusCode::OK && answer.body.is_ok();
    assert!(!is_short, "a short body ended cleanly");
    let chunked = File {
        habit: Habit::Chunked,
        ..file(&blob)
    };
    origin.put(&path, chunked);
    same(ask().await, &blob);
    same(ask().await, &blob);
    peer.stop().await;
}
