//! A manager that is killed takes no job along.

use super::jobs::{A, Scheduler};
use super::{as_root, manager_with, said};
use dragonfly_api::ext::{TargetState, work};
use dragonfly_testkit::process::free_port;
use std::net::Ipv4Addr;

#[tokio::test]
async fn jobs_survive_a_killed_manager_the_one_in_work_and_the_one_that_waits_with_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let grpc = free_port(Ipv4Addr::LOCALHOST.into()).unwrap();
    let (mut manager, url) = manager_with(dir.path(), grpc).await;
    // Nobody attends for the second cluster before the kill.
    assert!(as_root(&url, &["cluster", "create", "b"]).status.success());
    let mut scheduler = Scheduler::attend(grpc, 1).await;
    let first = as_root(&url, &["preheat", "file", A, "--no-wait", "--cluster", "1"]);
    assert_eq!(String::from_utf8_lossy(&first.stdout), "1\n", "{}", said(&first));
    let in_work = scheduler.work().await;
    let second = [
        "preheat",
        "file",
        A,
        "--no-wait",
        "--cluster",
        "2",
        "-H",
        "X-Token: hunter2",
    ];
    let second = as_root(&url, &second);
    assert_eq!(String::from_utf8_lossy(&second.stdout), "2\n", "{}", said(&second));
    manager.kill().await.unwrap();

    let (_manager, url) = manager_with(dir.path(), grpc).await;
    let state = |id: &str| said(&as_root(&url, &["job", "show", id]));
    assert!(state("1").contains("STARTED"), "{}", state("1"));
    assert!(state("2").contains("PENDING"), "{}", state("2"));
    let (mut scheduler, mut other) = tokio::join!(Scheduler::attend(grpc, 1), Scheduler::attend(grpc, 2));
    let waiting = other.work().await;
    let Some(work::Task::PreheatFiles(files)) = &waiting.task else {
        panic!("{waiting:?}");
    };
    assert_eq!(files.files[0].header["X-Token"], "hunter2");
    for (scheduler, work) in [(&mut scheduler, &in_work), (&mut other, &waiting)] {
        scheduler.end(work, TargetState::Done).await;
        scheduler.acknowledged(work).await;
    }
    for id in ["1", "2"] {
        assert!(state(id).contains("SUCCESS"), "{}", state(id));
        assert!(!state(id).contains("hunter2"), "{}", state(id));
    }
}
