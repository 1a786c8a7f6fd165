//! What is still answered while the registry is down, and to whom.

use super::client::{Answer, get, send};
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
    assert_eq!(ask(&peer, &registry, &path, None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&peer, &registry, &path, Some(OWNER)).await.bytes(), blob);
    origin.stop().await;

    for round in ["before", "after"] {
        // What is remembered survives a restart.
        let peer = if round == "after" {
            let dir = peer.stop().await;
            TestPeer::start_in(dir, |_| {}).await
        } else {
            assert_eq!(ask(&peer, &registry, &path, Some(OWNER)).await.bytes(), blob, "{round}");
            continue;
        };
        let owner = ask(&peer, &registry, &path, Some(OWNER)).await;
        assert_eq!(owner.status, StatusCode::OK, "{round}");
        assert_eq!(owner.bytes(), blob);
        let nobody = ask(&peer, &registry, &path, None).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        assert_eq!(nobody.header("www-authenticate"), Some(CHALLENGE));
        let stranger = ask(&peer, &registry, &path, Some(STRANGER)).await;
        assert_eq!(stranger.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(stranger.header("x-dragonfly-error-type"), Some("backend"));
        let range = [
            ("x-dragonfly-registry", &*registry),
            ("authorization", OWNER),
            ("range", "bytes=1-3"),
        ];
        assert_eq!(send(peer.proxy(), get(&path, &range)).await.bytes(), blob.slice(1..4));
        peer.stop().await;
        break;
    }
}
