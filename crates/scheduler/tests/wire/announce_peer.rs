//! Conversations over real connections.

use crate::sim::peer::{LENGTH, PIECES, SimPeer, download, task};
use crate::sim::seed::Seed;
use crate::sim::{Lab, host, raw, soon};
use dragonfly_api::common::{Download, Priority, SchedulingPolicy};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_api::scheduler::*;
use dragonfly_api::{ApiError, backend_error};
use tonic::Code;

async fn lab(dir: &tempfile::TempDir) -> Lab {
    Lab::start(raw(dir.path())).await
}

#[tokio::test]
async fn two_children_wait_for_one_seed_peer_and_fetch_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut seed = Seed::start(&lab, "seed1").await;
    let mut a = SimPeer::register(&lab.client, "a", download("Bearer a")).await;
    let call = seed.called().await;
    let mut b = SimPeer::register(&lab.client, "b", download("Bearer b")).await;

    let mut root = SimPeer::register(&lab.client, "seed1", call.download.clone()).await;
    root.back_to_source().await;
    assert!(a.is_waiting() && b.is_waiting() && seed.is_idle());
    root.at_origin().await;
    for child in [&mut a, &mut b] {
        let parents = child.parents().await;
        assert_eq!(parents.len(), 1);
        let host = parents[0].host.as_ref().unwrap();
        assert_eq!((host.ip.as_str(), host.port), ("127.0.0.1", seed.host.port));
        assert_eq!(host.network.as_ref().unwrap().max_tx_bandwidth, 8_000_000_000);
        child.started().await;
    }
    for number in 0..PIECES {
        root.piece(number, None).await;
        a.piece(number, Some("seed1")).await;
        b.piece(number, Some("seed1")).await;
    }
    root.finish(true).await;
    call.done(Some("seed1"));
    a.finish(false).await;
    b.finish(false).await;

    let request = StatTaskRequest {
        host_id: "a".to_owned(),
        task_id: task(),
    };
    let known = lab.client.clone().stat_task(request).await.unwrap().into_inner();
    assert_eq!((known.state.as_str(), known.peer_count), ("Succeeded", 3));
    assert_eq!((known.content_length, known.piece_count), (LENGTH, PIECES));
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn credentials_go_to_the_seed_peer_that_fetches_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut seed = Seed::start(&lab, "seed1").await;
    let asked = Download {
        output_path: Some("/etc/passwd".to_owned()),
        url: "http://user:s3cret@origin.test/blob?X-Amz-Signature=s3cret".to_owned(),
        ..download("Bearer s3cret")
    };
    let a = SimPeer::register(&lab.client, "a", asked).await;
    let call = seed.called().await;
    assert_eq!(call.download.request_header["authorization"], "Bearer s3cret");
    assert_eq!(call.download.remote_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(call.download.scheduling_policy(), SchedulingPolicy::Always);
    assert!(call.download.need_back_to_source && call.download.output_path.is_none());
    call.done(Some("seed1-x"));

    let mut b = SimPeer::register(&lab.client, "b", download("Bearer b")).await;
    let parents = b.parents().await;
    let mut client = lab.client.clone();
    let known = client.stat_task(StatTaskRequest {
        host_id: "b".to_owned(),
        task_id: task(),
    });
    let known = known.await.unwrap().into_inner();
    assert_eq!(known.url, "http://origin.test/blob");
    let peer = client.stat_peer(StatPeerRequest {
        host_id: "a".to_owned(),
        task_id: task(),
        peer_id: "a".to_owned(),
    });
    let peer = peer.await.unwrap().into_inner();
    let shown = format!("{parents:?}{known:?}{peer:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("Bearer"), "{shown}");
    drop(a);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn without_seed_peers_one_child_goes_to_the_origin_and_the_other_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b", "c"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    a.at_origin().await;
    assert_eq!(b.parent_ids().await, ["a"]);
    a.finish(true).await;
    b.started().await;
    b.finish(false).await;
    let mut c = SimPeer::register(&lab.client, "c", download("")).await;
    let mut parents = c.parent_ids().await;
    parents.sort();
    assert_eq!(parents, ["a", "b"]);
    c.finish(false).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_seed_peer_that_fails_is_followed_by_the_next_and_the_children_see_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a"]).await;
    // One that refuses connections, and one that works.
    lab.announce(host("seed-dead", 1)).await;
    let mut seed = Seed::start(&lab, "seed-live").await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    let call = seed.called().await;
    call.done(None);
    assert_eq!(a.parent_ids().await, ["seed-live"]);
    a.finish(false).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn credentials_that_the_origin_refuses_are_followed_by_those_of_the_next_child() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut seed = Seed::start(&lab, "seed1").await;
    let mut a = SimPeer::register(&lab.client, "a", download("Bearer bad")).await;
    let first = seed.called().await;
    let mut b = SimPeer::register(&lab.client, "b", download("Bearer good")).await;
    // The call for b comes only when it is registered.
    let request = StatPeerRequest {
        host_id: "b".to_owned(),
        task_id: task(),
        peer_id: "b".to_owned(),
    };
    soon("the registration of b", async {
        while lab.client.clone().stat_peer(request.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    first.failed(backend_error(&ApiError {
        status: Some(401),
        message: "who are you".to_owned(),
        headers: Default::default(),
    }));
    let second = seed.called().await;
    assert_eq!(second.download.request_header["authorization"], "Bearer good");
    second.done(Some("seed1-x"));
    assert_eq!(a.parent_ids().await, ["seed1-x"]);
    assert_eq!(b.parent_ids().await, ["seed1-x"]);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_child_that_reschedules_gets_another_parent_than_the_one_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b", "c"]).await;
    SimPeer::fetch_from_origin(&lab.client, "a", download("")).await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    let parents = b.parents().await;
    assert_eq!(parents[0].id, "a");
    b.started().await;
    b.piece(0, Some("a")).await;
    let c = SimPeer::register(&lab.client, "c", download("")).await;
    c.finish(false).await;
    b.piece_failed(1, "a").await;
    b.reschedule(parents).await;
    assert_eq!(b.parent_ids().await, ["c"]);
    b.finish(false).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_stream_ends_the_peer_at_once_and_the_next_child_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    drop(a);
    b.back_to_source().await;
    b.at_origin().await;
    b.fail(true).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_peer_that_registers_again_takes_over_from_its_old_stream() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut old = SimPeer::register(&lab.client, "a", download("")).await;
    old.back_to_source().await;
    let mut new = SimPeer::register(&lab.client, "a", download("")).await;
    assert_eq!(old.next().await.unwrap_err().code(), Code::Aborted);
    new.back_to_source().await;
    drop(old);
    new.at_origin().await;
    // The end of the old stream did not take the peer with it.
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    assert_eq!(b.parent_ids().await, ["a"]);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn special_registrations_are_answered_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b", "c"]).await;
    let empty = Download {
        actual_content_length: Some(0),
        actual_piece_count: Some(0),
        ..download("")
    };
    let mut a = SimPeer::register(&lab.client, "a", empty).await;
    assert!(matches!(a.next().await, Ok(Some(Response::EmptyTaskResponse(_)))));
    a.started().await;
    a.finish(false).await;
    let held = Download {
        metadata_only: true,
        ..download("")
    };
    let mut b = SimPeer::register(&lab.client, "b", held).await;
    assert!(matches!(b.next().await, Ok(Some(Response::MetadataOnlyResponse(_)))));
    b.started().await;
    b.finish(false).await;
    let forbidden = Download {
        priority: Priority::Level1.into(),
        ..download("")
    };
    let mut c = SimPeer::register(&lab.client, "c", forbidden).await;
    assert_eq!(c.next().await.unwrap_err().code(), Code::PermissionDenied);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_peer_of_an_unknown_host_is_served_and_becomes_a_parent_when_it_announces_itself() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    SimPeer::fetch_from_origin(&lab.client, "stranger", download("")).await;
    let shy = Download {
        disable_back_to_source: true,
        ..download("")
    };
    let mut b = SimPeer::register(&lab.client, "b", shy).await;
    lab.announce_all(&["stranger"]).await;
    assert_eq!(b.parent_ids().await, ["stranger"]);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_breaks_the_rules_ends_with_an_error_of_its_caller() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a"]).await;
    let first = SimPeer::register(&lab.client, "a/../b", download("")).await;
    let nonsense = Download {
        actual_piece_length: Some(0),
        ..download("")
    };
    let second = SimPeer::register(&lab.client, "a", nonsense).await;
    let third = SimPeer::register(&lab.client, "a", download("")).await;
    third
        .send(Request::RegisterPeerRequest(RegisterPeerRequest { download: None }))
        .await;
    for (mut peer, answers) in [(first, 0), (second, 0), (third, 1)] {
        for _ in 0..answers {
            peer.back_to_source().await;
        }
        assert_eq!(
            peer.next().await.unwrap_err().code(),
            Code::InvalidArgument,
            "{}",
            peer.name
        );
    }
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn messages_are_read_while_a_child_waits_for_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a", "b"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    // Far more than the outgoing queue and the windows between hold.
    for number in 0..20_000 {
        b.piece(number % PIECES, Some("nobody")).await;
    }
    a.at_origin().await;
    assert!(b.is_waiting(), "it reported that it has everything");
    b.finish(false).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_ends_open_streams_with_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(&dir).await;
    lab.announce_all(&["a"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    a.back_to_source().await;
    lab.stop().await.unwrap();
    assert_eq!(a.next().await.unwrap_err().code(), Code::Unavailable);
}
