//! What is still answered while the registry is down, and to whom.

use super::client::{Answer, get, same, send};
use super::origin::{CHALLENGE, File, OWNER, Origin, STRANGER, blob_path, content};
use super::peer::TestPeer;
use http::StatusCode;

async fn ask(peer: &TestPeer, registry: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut headers = vec![("x-dragonfly-registry", registry)];
    headers.extend(authorization.map(|value| ("authorization", value)));
    send(peer.proxy(), get(path, &headers)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_caller_gets_the_blob_while_the_registry_is_down_and_others_do_not() {
    let origin = Origin::start().await;
    let blob = content((5 << 20) + 1, 1);
    let path = blob_path("lab/private", &blob);
    let private = File {
        bytes: blob.clone(),
        is_private: true,
        ..File::default()
    };
    origin.put(&path, private);
    let registry = origin.url();
    let peer = TestPeer::start(|_| {}).await;
    // The challenge is seen once, and the owner is let in once.
    assert_eq!(
        ask(&peer, &registry, &path, None).await.status,
        StatusCode::UNAUTHORIZED
    );
    same(ask(&peer, &registry, &path, Some(OWNER)).await, &blob);
    origin.stop().await;

    same(ask(&peer, &registry, &path, Some(OWNER)).await, &blob);
    // What is remembered survives a restart.
    let peer = TestPeer::start_in(peer.stop().await, |_| {}).await;
    let owner = ask(&peer, &registry, &path, Some(OWNER)).await;
    assert_eq!(owner.status, StatusCode::OK);
    same(owner, &blob);
    let range = [
        ("x-dragonfly-registry", &*registry),
        ("authorization", OWNER),
        ("range", "bytes=1-3"),
    ];
    same(send(peer.proxy(), get(&path, &range)).await, &blob.slice(1..4));

    let nobody = ask(&peer, &registry, &path, None).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.header("www-authenticate"), Some(CHALLENGE));
    let stranger = ask(&peer, &registry, &path, Some(STRANGER)).await;
    assert_eq!(stranger.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stranger.header("x-dragonfly-error-type"), Some("backend"));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_the_manifest_is_right_enough_for_the_repositorys_cached_blobs() {
    let origin = Origin::start().await;
    let blob = content(1 << 20, 2);
    let (path, manifest) = (blob_path("lab/image", &blob), "/v2/lab/image/manifests/latest");
    for (path, bytes) in [(&*path, blob.clone()), (manifest, content(500, 3))] {
        let file = File {
            bytes,
            is_private: false,
            ..File::default()
        };
        origin.put(path, file);
    }
    let registry = origin.url();
    let peer = TestPeer::start(|_| {}).await;
    same(ask(&peer, &registry, &path, None).await, &blob);
    // Another caller has only seen the manifest, which went straight to the registry.
    same(ask(&peer, &registry, manifest, Some(STRANGER)).await, &content(500, 3));
    origin.stop().await;
    same(ask(&peer, &registry, &path, Some(STRANGER)).await, &blob);
    assert_eq!(
        ask(&peer, &registry, &path, Some(OWNER)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // So is the manifest itself, for those who have read in the repository before.
    for known in [Some(STRANGER), None] {
        same(ask(&peer, &registry, manifest, known).await, &content(500, 3));
    }
    assert_eq!(
        ask(&peer, &registry, manifest, Some(OWNER)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_says_no_ends_what_is_remembered() {
    let origin = Origin::start().await;
    let blob = content(1 << 20, 4);
    let (path, manifest) = (blob_path("lab/image", &blob), "/v2/lab/image/manifests/latest");
    let open = File {
        bytes: blob.clone(),
        ..File::default()
    };
    let closed = File {
        is_private: true,
        ..open.clone()
    };
    origin.put(&path, open);
    let registry = origin.url();
    let peer = TestPeer::start(|_| {}).await;
    same(ask(&peer, &registry, &path, Some(STRANGER)).await, &blob);
    origin.put(&path, closed.clone());
    origin.put(manifest, closed);
    // The grant still stands, until the registry's no is seen anywhere in the repository.
    same(ask(&peer, &registry, &path, Some(STRANGER)).await, &blob);
    assert_eq!(
        ask(&peer, &registry, manifest, Some(STRANGER)).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        ask(&peer, &registry, &path, Some(STRANGER)).await.status,
        StatusCode::UNAUTHORIZED
    );
    origin.stop().await;
    assert_eq!(
        ask(&peer, &registry, &path, Some(STRANGER)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    peer.stop().await;
}
