//! With a manager that is there, comes late, crashes and comes back.

use crate::sim::manager::{FakeManager, Told};
use crate::sim::peer::{SimPeer, download};
use crate::sim::{Lab, raw, soon};
use dragonfly_api::common::Download;
use dragonfly_api::manager::{Application, ApplicationPriority, SchedulerCluster};
use std::net::SocketAddr;
use std::time::Duration;
use tonic::Code;

pub(crate) fn with_manager(dir: &tempfile::TempDir, addr: SocketAddr) -> dragonfly_scheduler::config::Raw {
    let mut raw = raw(dir.path());
    raw.manager.addr = Some(addr.to_string());
    raw.manager.scheduler_cluster_id = 3;
    raw.manager.keep_alive.interval = Duration::from_secs(1);
    raw.host.idc = "west".to_owned();
    raw
}

/// An address on which nobody listens.
async fn free_addr() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn the_scheduler_serves_without_its_manager_and_is_listed_when_that_comes_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let addr = free_addr().await;
    let lab = Lab::start(with_manager(&dir, addr)).await;
    lab.announce_all(&["a"]).await;
    SimPeer::fetch_from_origin(&lab.client, "a", download("")).await;

    let mut manager = FakeManager::start(addr, SchedulerCluster::default(), Vec::new()).await;
    let listed = manager.listed().await;
    assert_eq!(
        (listed.hostname.as_str(), listed.scheduler_cluster_id),
        ("scheduler-1", 3)
    );
    assert_eq!(
        (listed.ip.as_str(), listed.port),
        ("127.0.0.1", i32::from(lab.addr.port()))
    );
    assert_eq!(
        (listed.idc.as_deref(), listed.location.as_deref()),
        (Some("west"), None)
    );
    assert_eq!(listed.features, ["schedule", "preheat"]);
    for _ in 0..2 {
        let Told::Alive(sign) = manager.told().await else {
            panic!("it is listed once");
        };
        assert_eq!((sign.hostname.as_str(), sign.cluster_id), ("scheduler-1", 3));
    }
    manager.crash().await;
    let mut manager = FakeManager::start(addr, SchedulerCluster::default(), Vec::new()).await;
    assert_eq!(manager.listed().await, listed);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn limits_and_priorities_come_from_the_manager() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = SchedulerCluster {
        config: r#"{"candidate_parent_limit": 1}"#.into(),
        ..Default::default()
    };
    let forbidden = Application {
        name: "games".to_owned(),
        priority: Some(ApplicationPriority {
            value: 1,
            urls: Vec::new(),
        }),
        ..Default::default()
    };
    let manager = FakeManager::start(([127, 0, 0, 1], 0).into(), cluster, vec![forbidden]).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    lab.announce_all(&["a", "b", "c", "g"]).await;
    let of_games = Download {
        application: Some("games".to_owned()),
        ..download("")
    };
    // The manager's word takes a moment to arrive.
    soon("the application's priority", async {
        loop {
            let mut peer = SimPeer::register(&lab.client, "g", of_games.clone()).await;
            match peer.next().await {
                Err(status) if status.code() == Code::PermissionDenied => break,
                _ => peer.fail(false).await,
            }
        }
    })
    .await;
    SimPeer::fetch_from_origin(&lab.client, "a", download("")).await;
    let b = SimPeer::register(&lab.client, "b", download("")).await;
    b.finish(false).await;
    let mut c = SimPeer::register(&lab.client, "c", download("")).await;
    assert_eq!(c.parents().await.len(), 1);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn what_changes_at_the_manager_is_in_force_at_once_though_it_is_polled_once_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let manager = FakeManager::start(([127, 0, 0, 1], 0).into(), SchedulerCluster::default(), Vec::new()).await;
    let mut raw = with_manager(&dir, manager.addr);
    raw.dyn_config.refresh_interval = Duration::from_secs(3600);
    let lab = Lab::start(raw).await;
    manager.watched().await;
    lab.announce_all(&["a", "b", "c", "d", "g"]).await;
    let of_games = Download {
        application: Some("games".to_owned()),
        ..download("")
    };
    SimPeer::fetch_from_origin(&lab.client, "a", of_games.clone()).await;
    manager.change(|book| {
        book.cluster.config = r#"{"candidate_parent_limit": 1}"#.into();
        book.applications = vec![Application {
            name: "games".to_owned(),
            priority: Some(ApplicationPriority {
                value: 1,
                urls: Vec::new(),
            }),
            ..Default::default()
        }];
    });
    soon("the refusal of an application's downloads", async {
        loop {
            let mut peer = SimPeer::register(&lab.client, "g", of_games.clone()).await;
            match peer.next().await {
                Err(status) if status.code() == Code::PermissionDenied => break,
                _ => peer.fail(false).await,
            }
        }
    })
    .await;
    for name in ["b", "c"] {
        let peer = SimPeer::register(&lab.client, name, download("")).await;
        peer.finish(false).await;
    }
    soon("the limit of parents", async {
        loop {
            let mut last = SimPeer::register(&lab.client, "d", download("")).await;
            if last.parents().await.len() == 1 {
                break;
            }
            last.fail(false).await;
        }
    })
    .await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_block_list_refuses_peers_what_it_names_and_seed_peers_what_theirs_names() {
    let dir = tempfile::tempdir().unwrap();
    let manager = FakeManager::start(([127, 0, 0, 1], 0).into(), SchedulerCluster::default(), Vec::new()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    manager.watched().await;
    lab.announce_all(&["a", "b", "seed-1"]).await;
    // As the console of Dragonfly 2.5 stores what it leaves out, and with one pattern that is none.
    manager.change(|book| {
        book.cluster.client_config =
            br#"{"block_list": {"task": {"download": {"urls": ["(", "/blob$"], "tags": null}}}}"#.to_vec();
        book.cluster.seed_client_config = br#"{"block_list": {"task": {"download": {"tags": ["red"]}}}}"#.to_vec();
    });
    let refused = async |name: &'static str, download: Download| {
        let mut peer = SimPeer::register(&lab.client, name, download).await;
        match peer.next().await {
            Err(status) if status.code() == Code::PermissionDenied => Some(status.message().to_owned()),
            _ => {
                peer.fail(false).await;
                None
            }
        }
    };
    let message = soon("the refusal", async {
        loop {
            if let Some(message) = refused("a", download("")).await {
                break message;
            }
        }
    })
    .await;
    assert!(message.contains("\"/blob$\""), "{message}");
    assert_eq!(refused("seed-1", download("")).await, None);
    let red = Download {
        url: "http://origin.test/other".to_owned(),
        tag: Some("red".to_owned()),
        ..download("")
    };
    assert!(refused("seed-1", red.clone()).await.unwrap().contains("tag \"red\""));
    assert_eq!(refused("b", red).await, None);
    manager.change(|book| book.cluster.client_config = b"{}".to_vec());
    soon("the end of the block", async {
        while refused("a", download("")).await.is_some() {}
    })
    .await;
    lab.stop().await.unwrap();
}
