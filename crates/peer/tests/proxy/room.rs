//! A disk that is too small: what can be made to fit is kept, what can't is passed on.

use super::client::{get, same, send};
use super::origin::{File, Origin, blob_path, content};
use super::peer::{PATIENCE, TestPeer};
use bytes::Bytes;
use dragonfly_service::config::ByteSize;
use http::StatusCode;

const MIB: usize = 1 << 20;
const FINISHED: &str = "x-dragonfly-task-download-finished";

/// A peer whose tasks may take ten MiB, and an origin of blobs.
struct Small {
    origin: Origin,
    peer: TestPeer,
}

impl Small {
    async fn start() -> Self {
        Self {
            origin: Origin::start().await,
            peer: TestPeer::start(|raw| raw.gc.policy.disk_threshold = ByteSize(10 << 20)).await,
        }
    }

    fn put(&self, blob: &Bytes) -> String {
        let path = blob_path("lab/image", blob);
        let file = File {
            bytes: blob.clone(),
            ..File::default()
        };
        self.origin.put(&path, file);
        path
    }

    /// Pulls a blob whole; whether this host had it.
    async fn pull(&self, path: &str, blob: &Bytes) -> bool {
        let registry = self.origin.url();
        let answer = send(self.peer.proxy(), get(path, &[("x-dragonfly-registry", &registry)])).await;
        assert_eq!(answer.status, StatusCode::OK);
        let was_here = answer.header(FINISHED) == Some("true");
        same(answer, blob);
        was_here
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_least_recently_goes_when_room_is_needed_at_once() {
    let small = Small::start().await;
    let blobs = [1, 2, 3].map(|seed| content(4 * MIB, seed));
    let paths = blobs.each_ref().map(|blob| small.put(blob));
    let pull = async |number: usize| small.pull(&paths[number], &blobs[number]).await;
    assert!(!pull(0).await && !pull(1).await);
    // Who pulls sees the end before it is finished here, and what is not finished does not go.
    let finished = async { while !pull(1).await {} };
    tokio::time::timeout(PATIENCE, finished).await.unwrap();
    // The first is used again, so the second is the older one.
    assert!(pull(0).await);
    assert!(!pull(2).await);
    assert!(pull(0).await);
    assert!(!pull(1).await);
    small.peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_fit_is_passed_on_from_its_origin_and_nothing_goes_for_it() {
    let small = Small::start().await;
    let (kept, large) = (content(4 * MIB, 1), content(11 * MIB, 2));
    let (kept_path, large_path) = (small.put(&kept), small.put(&large));
    assert!(!small.pull(&kept_path, &kept).await);
    for _ in 0..2 {
        assert!(!small.pull(&large_path, &large).await);
    }
    assert_eq!(small.origin.given(&large_path), 2 * large.len());
    small.pull(&kept_path, &kept).await;
    assert_eq!(small.origin.given(&kept_path), kept.len());
    small.peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_origin_must_not_be_asked_want_of_room_is_said() {
    let origin = Origin::start().await;
    let blob = content(11 * MIB, 1);
    let path = blob_path("lab/image", &blob);
    let file = File {
        bytes: blob.clone(),
        ..File::default()
    };
    origin.put(&path, file);
    let peer = TestPeer::start(|raw| {
        raw.gc.policy.disk_threshold = ByteSize(10 << 20);
        raw.proxy.disable_back_to_source = true;
    })
    .await;
    let registry = origin.url();
    let answer = send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &registry)])).await;
    assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(answer.header("x-dragonfly-error-type"), Some("dfdaemon"));
    let said = String::from_utf8(answer.body.unwrap().into()).unwrap();
    assert!(
        said.contains("no room on this host's disk: 11534336 bytes are needed"),
        "{said}"
    );
    assert_eq!(origin.given(&path), 0);
    peer.stop().await;
}
