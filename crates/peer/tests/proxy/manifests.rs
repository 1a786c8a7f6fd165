//! Images that were pulled once: their manifests, where their tags led, and the registry's ping, with the registry up,
//! ill and down.

use super::client::{Answer, get, same, send};
use super::origin::{CHALLENGE, File, Habit, OWNER, Origin, STRANGER, content};
use super::peer::TestPeer;
use bytes::Bytes;
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const TAG: &str = "/v2/lab/image/manifests/latest";

fn manifest(bytes: &Bytes, etag: &'static str) -> File {
    File {
        bytes: bytes.clone(),
        etag: Some(etag),
        media_type: Some(TYPE),
        ..File::default()
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn by_digest(bytes: &[u8]) -> String {
    format!("/v2/lab/image/manifests/{}", digest_of(bytes))
}

async fn ask(peer: &TestPeer, origin: &Origin, path: &str, headers: &[(&str, &str)]) -> Answer {
    let registry = origin.url();
    let mut all = vec![("x-dragonfly-registry", &*registry)];
    all.extend_from_slice(headers);
    send(peer.proxy(), get(path, &all)).await
}

async fn head(peer: &TestPeer, origin: &Origin, path: &str) -> Answer {
    let registry = origin.url();
    let mut request = get(path, &[("x-dragonfly-registry", &registry)]);
    *request.method_mut() = Method::HEAD;
    send(peer.proxy(), request).await
}

fn asked(origin: &Origin, path: &str) -> usize {
    origin.seen().iter().filter(|seen| seen.target == path).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_by_digest_is_asked_for_once_and_a_tag_each_time() {
    let origin = Origin::start().await;
    let bytes = content(700, 1);
    let named = by_digest(&bytes);
    origin.put(TAG, manifest(&bytes, "\"m1\""));
    origin.put(&named, manifest(&bytes, "\"m1\""));
    let peer = TestPeer::start(|_| {}).await;
    for round in 1..=3 {
        for path in [&*named, TAG] {
            let answer = ask(&peer, &origin, path, &[]).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(answer.header("content-type"), Some(TYPE));
            same(answer, &bytes);
        }
        assert_eq!((asked(&origin, &named), asked(&origin, TAG)), (1, round));
    }
    // The tag was only confirmed.
    assert_eq!(origin.given(TAG), bytes.len());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_was_moved_leads_where_the_registry_says_now() {
    let origin = Origin::start().await;
    let (old, new) = (content(700, 1), content(800, 2));
    origin.put(TAG, manifest(&old, "\"m1\""));
    let peer = TestPeer::start(|_| {}).await;
    same(ask(&peer, &origin, TAG, &[]).await, &old);
    origin.put(TAG, manifest(&new, "\"m2\""));
    same(ask(&peer, &origin, TAG, &[]).await, &new);
    origin.stop().await;
    same(ask(&peer, &origin, TAG, &[]).await, &new);
    // For who accepts other types the registry might have had another manifest.
    let other = ask(&peer, &origin, TAG, &[("accept", "some/other")]).await;
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_its_time_a_tag_is_believed_without_a_question() {
    let origin = Origin::start().await;
    let bytes = content(700, 1);
    origin.put(TAG, manifest(&bytes, "\"m1\""));
    let peer = TestPeer::start(|raw| raw.proxy.registry_mirror.tag_ttl = super::peer::PATIENCE).await;
    for _ in 0..3 {
        same(ask(&peer, &origin, TAG, &[]).await, &bytes);
    }
    assert_eq!(asked(&origin, TAG), 1);
    let known = head(&peer, &origin, TAG).await;
    assert_eq!(known.header("docker-content-digest"), Some(&*digest_of(&bytes)));
    assert_eq!(known.header("content-length"), Some("700"));
    assert!(known.bytes().is_empty());
    assert_eq!(asked(&origin, TAG), 1);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_pulled_once_can_be_pulled_while_the_registry_is_down_even_after_a_restart() {
    let origin = Origin::start().await;
    let bytes = content(700, 1);
    let named = by_digest(&bytes);
    origin.put("/v2/", manifest(&Bytes::from_static(b"{}"), "\"ping\""));
    origin.put(TAG, manifest(&bytes, "\"m1\""));
    origin.put(&named, manifest(&bytes, "\"m1\""));
    let peer = TestPeer::start(|_| {}).await;
    // As container runtimes ask: the ping, the head of the tag, the manifest by its digest.
    assert_eq!(ask(&peer, &origin, "/v2/", &[]).await.status, StatusCode::OK);
    assert_eq!(ask(&peer, &origin, TAG, &[]).await.status, StatusCode::OK);
    same(ask(&peer, &origin, &named, &[]).await, &bytes);
    origin.stop().await;

    let peer = TestPeer::start_in(peer.stop().await, |_| {}).await;
    let ping = ask(&peer, &origin, "/v2/", &[]).await;
    assert_eq!(ping.status, StatusCode::OK);
    assert_eq!(ping.header("docker-distribution-api-version"), Some("registry/2.0"));
    assert_eq!(
        head(&peer, &origin, TAG).await.header("docker-content-digest"),
        Some(&*digest_of(&bytes))
    );
    for path in [TAG, &named] {
        same(ask(&peer, &origin, path, &[]).await, &bytes);
    }
    let unknown = ask(&peer, &origin, TAG, &[("authorization", STRANGER)]).await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unknown.header("x-dragonfly-error-type"), Some("backend"));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_ill_or_has_had_enough_of_us_is_as_good_as_down() {
    let origin = Origin::start().await;
    let bytes = content(700, 1);
    origin.put(TAG, manifest(&bytes, "\"m1\""));
    let peer = TestPeer::start(|_| {}).await;
    same(ask(&peer, &origin, TAG, &[]).await, &bytes);
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let ill = File {
            habit: Habit::Refuses(status),
            ..manifest(&bytes, "\"m1\"")
        };
        origin.put(TAG, ill);
        same(ask(&peer, &origin, TAG, &[]).await, &bytes);
        // Who has no right to what is kept is told what the registry says.
        let other = ask(&peer, &origin, TAG, &[("authorization", STRANGER)]).await;
        assert_eq!(other.status, status);
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_is_kept_for_its_readers_and_its_challenge_for_everybody() {
    let origin = Origin::start().await;
    let bytes = content(700, 1);
    let private = |bytes: &Bytes| File {
        is_private: true,
        ..manifest(bytes, "\"m1\"")
    };
    origin.put("/v2/", private(&Bytes::from_static(b"{}")));
    origin.put(TAG, private(&bytes));
    let peer = TestPeer::start(|_| {}).await;
    let refused = ask(&peer, &origin, "/v2/", &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    same(ask(&peer, &origin, TAG, &[("authorization", OWNER)]).await, &bytes);
    origin.stop().await;

    let refused = ask(&peer, &origin, "/v2/", &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("www-authenticate"), Some(CHALLENGE));
    same(ask(&peer, &origin, TAG, &[("authorization", OWNER)]).await, &bytes);
    let stranger = ask(&peer, &origin, TAG, &[("authorization", STRANGER)]).await;
    assert_eq!(stranger.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(stranger.bytes().len() < 500);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_what_its_digest_names_is_not_passed_on() {
    let origin = Origin::start().await;
    let path = by_digest(b"something else");
    origin.put(&path, manifest(&content(700, 1), "\"m1\""));
    let peer = TestPeer::start(|_| {}).await;
    let refused = ask(&peer, &origin, &path, &[]).await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert_eq!(refused.header("x-dragonfly-error-type"), Some("backend"));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_a_manifest_passes_and_is_not_kept() {
    let origin = Origin::start().await;
    let bytes = content((4 << 20) + 1, 1);
    let chunked = File {
        habit: Habit::Chunked,
        ..manifest(&bytes, "\"m1\"")
    };
    let peer = TestPeer::start(|_| {}).await;
    for file in [manifest(&bytes, "\"m1\""), chunked] {
        origin.put(TAG, file);
        same(ask(&peer, &origin, TAG, &[]).await, &bytes);
    }
    origin.stop().await;
    let gone = ask(&peer, &origin, TAG, &[]).await;
    assert_eq!(gone.status, StatusCode::SERVICE_UNAVAILABLE);
    peer.stop().await;
}
