//! Parents that nobody asked for: only who says so is told of them.

use crate::sim::peer::{SimPeer, download};
use crate::sim::{Lab, raw, soon};
use crate::trace::trace;
use dragonfly_api::scheduler::DownloadPeerFinishedRequest;
use dragonfly_api::scheduler::announce_peer_request::Request;
use std::time::Duration;

/// Waits until the scheduler knows of a piece of this peer.
async fn has_a_piece(lab: &Lab, peer: &str) {
    soon("word of a piece", async {
        loop {
            let told = trace(lab, &crate::sim::peer::task(), Some(peer)).await.unwrap();
            if told.peers[0].pieces > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_listens_is_told_of_others_that_have_what_it_lacks_and_nobody_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b", "c", "deaf"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    a.at_origin().await;
    let mut b = SimPeer::listening(&lab.client, "b", download("")).await;
    assert_eq!(b.parent_ids().await, ["a"]);
    let mut deaf = SimPeer::register(&lab.client, "deaf", download("")).await;
    assert_eq!(deaf.parent_ids().await, ["a"]);
    let mut c = SimPeer::register(&lab.client, "c", download("")).await;
    assert_eq!(c.parent_ids().await, ["a"]);
    c.started().await;
    c.piece(1, Some("a")).await;
    has_a_piece(&lab, "c").await;

    // Both have got something of their parent, and could have more of c.
    b.piece(0, Some("a")).await;
    assert_eq!(b.parent_ids().await, ["c"]);
    deaf.piece(0, Some("a")).await;
    deaf.send(Request::DownloadPeerFinishedRequest(DownloadPeerFinishedRequest {}))
        .await;
    assert!(deaf.next().await.unwrap().is_none());
    lab.stop().await.unwrap();
}
