//! Why a peer has its parents.

use crate::sim::peer::{PIECES, SimPeer, download, task};
use crate::sim::{Lab, raw};
use dragonfly_api::ext::scheduler_client::SchedulerClient;
use dragonfly_api::ext::{TraceRequest, TraceResponse};
use dragonfly_service::grpc::{self, Timeouts};
use tonic::{Code, Status};

/// How the scheduler judges a task's peers, or one of them.
pub(crate) async fn trace(lab: &Lab, task: &str, peer: Option<&str>) -> Result<TraceResponse, Status> {
    let channel = grpc::connect(&lab.addr.to_string(), None, Timeouts::default()).await;
    let request = TraceRequest {
        task_id: task.to_owned(),
        peer_id: peer.map(str::to_owned),
    };
    let told = SchedulerClient::new(channel.unwrap()).trace(request).await;
    told.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_scheduler_tells_who_was_weighed_as_a_parent_and_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b", "c"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    a.at_origin().await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    assert_eq!(b.parent_ids().await, ["a"]);

    let told = trace(&lab, &task(), None).await.unwrap();
    assert_eq!((told.peer_count, told.piece_count), (2, Some(PIECES)));
    let names: Vec<&str> = told.peers.iter().map(|peer| &*peer.peer_id).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        (told.peers[0].children, &told.peers[1].parent_ids[..]),
        (1, &["a".to_owned()][..])
    );
    assert!(told.weighed.is_empty());

    let told = trace(&lab, &task(), Some("b")).await.unwrap();
    let weighed: Vec<(&str, &str)> = told
        .weighed
        .iter()
        .map(|one| (&*one.peer.as_ref().unwrap().peer_id, &*one.verdict))
        .collect();
    assert_eq!(weighed, [("a", "parent")]);
    assert!(told.weighed[0].score > 0.0, "{told:?}");
    assert_eq!(told.waits_for, None);

    let told = trace(&lab, &task(), Some("a")).await.unwrap();
    assert_eq!(told.weighed[0].verdict, "descendant");
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn of_what_a_scheduler_does_not_know_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    for (task, peer, code) in [
        ("b".repeat(64), None, Code::NotFound),
        (task(), Some("stranger"), Code::NotFound),
        ("../task".to_owned(), None, Code::InvalidArgument),
    ] {
        assert_eq!(trace(&lab, &task, peer).await.unwrap_err().code(), code);
    }
    lab.stop().await.unwrap();
}
