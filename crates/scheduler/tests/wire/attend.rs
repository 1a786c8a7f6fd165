//! Works of a manager's jobs, and what the manager is told of hosts.

use crate::manager::with_manager;
use crate::sim::manager::FakeManager;
use crate::sim::seed::Seed;
use crate::sim::{Lab, host};
use dragonfly_api::common::Download;
use dragonfly_api::ext::work::Task;
use dragonfly_api::ext::{PreheatFiles, TargetState, TaskQuery, task_query};
use dragonfly_api::manager::SchedulerCluster;
use dragonfly_api::scheduler::{DeleteHostRequest, PreheatFileRequest, PreheatImageRequest, StatImageRequest};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::registry::{Login, Registry, Transport};
use std::net::SocketAddr;

async fn manager_at(addr: SocketAddr) -> FakeManager {
    FakeManager::start(addr, SchedulerCluster::default(), Vec::new()).await
}

fn files(urls: &[&str]) -> Task {
    let file = |url: &&str| PreheatFileRequest {
        url: (*url).to_owned(),
        scope: "all_peers".to_owned(),
        ..Default::default()
    };
    Task::PreheatFiles(PreheatFiles {
        files: urls.iter().map(file).collect(),
    })
}

/// An address on which nobody listens.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn the_manager_is_told_all_hosts_and_then_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    let mut attention = manager.attended().await;
    let hello = attention.hello().await;
    assert_eq!(
        (hello.hostname.as_str(), hello.scheduler_cluster_id),
        ("scheduler-1", 3)
    );
    assert_eq!(hello.ip, "127.0.0.1");
    let whole = attention.hosts().await;
    assert!(whole.whole_begins && whole.whole_ends && whole.hosts.is_empty());
    lab.announce_all(&["a", "seed1"]).await;
    let mut names = Vec::new();
    while names.len() < 2 {
        let news = attention.hosts().await;
        assert!(!news.whole_begins && !news.whole_ends);
        names.extend(news.hosts.into_iter().map(|host| host.hostname));
    }
    names.sort();
    assert_eq!(names, ["a", "seed1"]);
    let left = DeleteHostRequest {
        host_id: "a".to_owned(),
    };
    lab.client.clone().delete_host(left).await.unwrap();
    assert_eq!(attention.hosts().await.gone, ["a"]);

    let addr = manager.addr;
    manager.crash().await;
    let mut manager = manager_at(addr).await;
    let mut attention = manager.attended().await;
    attention.hello().await;
    let whole = attention.hosts().await;
    assert!(whole.whole_begins && whole.whole_ends);
    assert_eq!(whole.hosts[0].hostname, "seed1");
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn an_unreachable_peer_is_named_and_the_others_have_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    let mut a = Seed::start(&lab, "a").await;
    lab.announce(host("gone", closed_port())).await;
    let mut attention = manager.attended().await;
    attention.hand_out(7, 1, files(&["http://origin.test/one"])).await;
    let call = a.called().await;
    call.began(40, 10);
    // How far it is, before it has ended.
    loop {
        let report = attention.report().await;
        let running = report.targets.iter().find(|target| target.hostname == "a");
        if let Some(target) = running.filter(|target| target.finished_length == 10) {
            assert_eq!(
                (target.state(), target.content_length),
                (TargetState::Running, Some(40))
            );
            break;
        }
    }
    call.done(None);
    let reported = attention.outcome(7, 1).await;
    assert!(!reported.outcome.succeeded);
    assert!(
        reported.outcome.description.contains("gone"),
        "{}",
        reported.outcome.description
    );
    let gone = &reported.targets["gone"];
    assert_eq!(gone.state(), TargetState::Failed);
    assert!(gone.description.contains("can't be reached"), "{}", gone.description);
    assert_eq!(gone.task_id.len(), 64);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_work_goes_on_while_the_manager_is_away_and_its_end_is_told_until_it_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let addr = manager.addr;
    let lab = Lab::start(with_manager(&dir, addr)).await;
    let mut a = Seed::start(&lab, "a").await;
    let attention = manager.attended().await;
    attention
        .hand_out(7, 1, files(&["http://origin.test/one", "http://origin.test/two"]))
        .await;
    let (one, two) = (a.called().await, a.called().await);
    one.done(None);
    manager.crash().await;
    two.done(None);
    for lease in [1, 2] {
        let mut manager = manager_at(addr).await;
        let mut attention = manager.attended().await;
        if lease == 2 {
            // The manager had given it up; it is the same work all the same.
            attention.hand_out(7, 2, files(&["http://origin.test/one"])).await;
        }
        let reported = attention.outcome(7, lease).await;
        assert!(reported.outcome.succeeded, "{:?}", reported.outcome);
        if lease == 2 {
            attention.need_no_more(7, 2).await;
            // A work of that number is a new one now.
            attention.hand_out(7, 3, files(&["http://origin.test/one"])).await;
            a.called().await.done(None);
            assert!(attention.outcome(7, 3).await.outcome.succeeded);
        }
        manager.crash().await;
    }
    assert!(a.is_idle());
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_work_that_nobody_needs_any_more_leaves_no_download_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    let mut a = Seed::start(&lab, "a").await;
    let attention = manager.attended().await;
    attention.hand_out(7, 4, files(&["http://origin.test/one"])).await;
    let call = a.called().await;
    // Of an older lease: not meant.
    attention.need_no_more(7, 3).await;
    attention.need_no_more(7, 4).await;
    call.given_up().await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn an_image_is_preheated_for_the_manager_and_told_of() {
    let made = Image::tiny(43).unwrap();
    let registry = Registry::start(Login::Open, Transport::Plain).await.unwrap();
    registry.push(&made, "team/app", "v1").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let mut raw = with_manager(&dir, manager.addr);
    let image = |raw_url: &str| {
        Task::PreheatImage(PreheatImageRequest {
            url: raw_url.to_owned(),
            enable_task_id_based_blob_digest: true,
            ..Default::default()
        })
    };
    let url = format!("{}/team/app:v1", registry.url());
    // Who is asked by the manager does not ask its own loopback, unless told to.
    let lab = Lab::start(raw.clone()).await;
    let _seed = Seed::start(&lab, "seed1").await;
    let mut attention = manager.attended().await;
    attention.hand_out(1, 1, image(&url)).await;
    let reported = attention.outcome(1, 1).await;
    assert!(
        reported.outcome.description.contains("security.egress.allow"),
        "{:?}",
        reported.outcome
    );
    lab.stop().await.unwrap();

    raw.security.egress.allow = vec!["127.0.0.0/8".to_owned()];
    let lab = Lab::start(raw).await;
    let mut seed = Seed::start(&lab, "seed1").await;
    let mut attention = manager.attended().await;
    attention.hand_out(1, 2, image(&url)).await;
    for _ in 0..2 {
        seed.called().await.done(None);
    }
    let reported = attention.outcome(1, 2).await;
    assert!(reported.outcome.succeeded, "{:?}", reported.outcome);
    let hex = made.largest().digest.strip_prefix("sha256:").unwrap();
    seed.holds(hex, true);
    let stat = Task::StatImage(StatImageRequest {
        url,
        enable_task_id_based_blob_digest: true,
        ..Default::default()
    });
    attention.hand_out(2, 1, stat).await;
    let told = attention.outcome(2, 1).await.outcome.image.unwrap();
    assert_eq!(told.image.unwrap().layers.len(), 2);
    assert_eq!(told.peers[0].hostname, "seed1");
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_task_is_found_on_and_removed_from_every_host() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = manager_at(([127, 0, 0, 1], 0).into()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    let (a, b) = (Seed::start(&lab, "a").await, Seed::start(&lab, "seed1").await);
    let _c = Seed::start(&lab, "c").await;
    let id = "d".repeat(64);
    a.holds(&id, true);
    b.holds(&id, false);
    let query = || TaskQuery {
        task: Some(task_query::Task::TaskId(id.clone())),
        concurrent_peer_count: Some(2),
    };
    let mut attention = manager.attended().await;
    attention.hand_out(1, 1, Task::GetTask(query())).await;
    let got = attention.outcome(1, 1).await;
    assert!(got.outcome.succeeded, "{:?}", got.outcome);
    assert_eq!(got.targets.len(), 2);
    assert_eq!(got.targets["a"].state(), TargetState::Done);
    let pieces = |of: &str| got.targets[of].pieces.clone().map(|pieces| (pieces.total, pieces.held));
    assert_eq!(
        (pieces("a"), got.targets["a"].finished_length),
        (Some((3, vec![1, 1, 1])), 12)
    );
    // A part of a content is an answer, too.
    assert_eq!(got.targets["seed1"].state(), TargetState::Done);
    assert_eq!(
        (pieces("seed1"), got.targets["seed1"].finished_length),
        (Some((3, vec![0, 1, 0])), 5)
    );

    attention.hand_out(2, 1, Task::DeleteTask(query())).await;
    let deleted = attention.outcome(2, 1).await;
    assert!(deleted.outcome.succeeded);
    assert_eq!(deleted.targets.len(), 2);
    assert!(a.holdings.lock().unwrap().is_empty() && b.holdings.lock().unwrap().is_empty());

    // By what the id is made of; and who can't be asked is named.
    lab.announce(host("gone", closed_port())).await;
    let by_url = TaskQuery {
        task: Some(task_query::Task::Download(Download {
            url: "http://origin.test/x".to_owned(),
            ..Default::default()
        })),
        ..query()
    };
    attention.hand_out(3, 1, Task::GetTask(by_url)).await;
    let got = attention.outcome(3, 1).await;
    assert!(!got.outcome.succeeded);
    assert_eq!(got.targets.keys().collect::<Vec<_>>(), ["gone"]);
    attention.hand_out(4, 1, Task::GetTask(TaskQuery::default())).await;
    let nothing = attention.outcome(4, 1).await;
    assert!(nothing.outcome.description.contains("task"), "{:?}", nothing.outcome);
    lab.stop().await.unwrap();
}
