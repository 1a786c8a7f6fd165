//! `dfctl preheat`, `job` and `peer`, with a scheduler that does what a test tells it.

use super::{as_root, manager_with, said};
use dragonfly_api::common::{Host, PersistentCachePeer, PersistentCacheTask};
use dragonfly_api::ext::manager_client::ManagerClient as ExtClient;
use dragonfly_api::ext::{
    AttendRequest, AttendResponse, Hello, HostsReport, Keeping, KeptTask, KeptTasksReport, Target, TargetState, Work,
    WorkOutcome, WorkReport, attend_request, attend_response, work,
};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{SourceType, UpdateSchedulerRequest};
use dragonfly_testkit::process::{Process, free_port};
use futures::SinkExt;
use futures::channel::mpsc;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;
use tonic::Streaming;

pub(super) const A: &str = "https://origin.example/a";

pub(super) struct Scheduler {
    said: mpsc::Sender<AttendRequest>,
    heard: Streaming<AttendResponse>,
}

impl Scheduler {
    pub(super) async fn attend(grpc: u16, cluster: u64) -> Self {
        let url = format!("http://127.0.0.1:{grpc}");
        let register = UpdateSchedulerRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: "s".into(),
            ip: "10.0.0.1".into(),
            port: 8002,
            scheduler_cluster_id: cluster,
            ..UpdateSchedulerRequest::default()
        };
        let mut manager = ManagerClient::connect(url.clone()).await.unwrap();
        manager.update_scheduler(register).await.unwrap();
        let (said, receiver) = mpsc::channel(16);
        let mut client = ExtClient::connect(url).await.unwrap();
        let heard = client.attend(receiver).await.unwrap().into_inner();
        let mut scheduler = Self { said, heard };
        let hello = Hello {
            hostname: "s".into(),
            ip: "10.0.0.1".into(),
            scheduler_cluster_id: cluster,
        };
        scheduler.say(attend_request::Message::Hello(hello)).await;
        scheduler
    }

    async fn say(&mut self, message: attend_request::Message) {
        self.said.send(AttendRequest { message: Some(message) }).await.unwrap();
    }

    pub(super) async fn work(&mut self) -> Work {
        loop {
            let message = self.heard.message().await.unwrap().unwrap().message;
            if let Some(attend_response::Message::Work(work)) = message {
                return work;
            }
        }
    }

    pub(super) async fn acknowledged(&mut self, work: &Work) {
        loop {
            let message = self.heard.message().await.unwrap().unwrap().message;
            if let Some(attend_response::Message::Cancelled(cancelled)) = message
                && cancelled.id == work.id
            {
                return;
            }
        }
    }

    pub(super) async fn end(&mut self, work: &Work, state: TargetState) {
        let report = WorkReport {
            id: work.id,
            lease: work.lease,
            targets: vec![Target {
                url: A.into(),
                hostname: "gpu-7".into(),
                ip: "10.0.0.7".into(),
                state: state.into(),
                finished_length: 2048,
                content_length: Some(2048),
                description: if state == TargetState::Failed {
                    "no space left".into()
                } else {
                    String::new()
                },
                ..Target::default()
            }],
            outcome: Some(WorkOutcome {
                succeeded: state == TargetState::Done,
                description: "1 of 1 failed".into(),
                image: None,
            }),
        };
        self.say(attend_request::Message::Work(report)).await;
    }
}

async fn manager_and_scheduler(dir: &Path) -> (Process, String, Scheduler) {
    let grpc = free_port(Ipv4Addr::LOCALHOST.into()).unwrap();
    let (process, url) = manager_with(dir, grpc).await;
    (process, url, Scheduler::attend(grpc, 1).await)
}

/// Runs it beside the test.
async fn beside(url: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = super::dfctl(url, arguments);
    command.env("DFCTL_USER", "root").env("DFCTL_PASSWORD", super::PASSWORD);
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes())
        .await
        .unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn a_preheat_is_followed_to_its_end_and_what_failed_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url, mut scheduler) = manager_and_scheduler(dir.path()).await;
    let arguments = ["preheat", "file", A, "--scope", "all-peers", "-H", "X-Token: hunter2"];
    let (output, ()) = tokio::join!(beside(&url, &arguments, ""), async {
        let work = scheduler.work().await;
        let Some(work::Task::PreheatFiles(files)) = &work.task else {
            panic!("{work:?}");
        };
        assert_eq!(
            (files.files[0].scope.as_str(), files.files[0].header["X-Token"].as_str()),
            ("all_peers", "hunter2")
        );
        scheduler.end(&work, TargetState::Failed).await;
    });
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "job 1 failed",
        "cluster 1: 1 of 1 failed",
        "gpu-7 (10.0.0.7): https://origin.example/a: no space left",
        "dfctl job retry 1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let table = said(&as_root(&url, &["job", "ls", "--failed"]));
    assert!(
        table.contains("preheat") && table.contains("FAILURE") && table.contains(A),
        "{table}"
    );
    let shown = said(&as_root(&url, &["job", "show", "1", "--targets"]));
    assert!(
        shown.contains("gpu-7") && shown.contains("no space left") && !shown.contains("hunter2"),
        "{shown}"
    );
    let refused = as_root(&url, &["job", "retry", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("give its headers again"), "{}", said(&refused));
    let arguments = ["job", "retry", "1", "-H", "X-Token: swordfish"];
    let (output, ()) = tokio::join!(beside(&url, &arguments, ""), async {
        let work = scheduler.work().await;
        scheduler.end(&work, TargetState::Done).await;
    });
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("job 1: 1 targets in 1 clusters have it"),
        "{}",
        said(&output)
    );
}

#[tokio::test]
async fn an_image_is_preheated_with_a_password_from_stdin_and_answered_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url, mut scheduler) = manager_and_scheduler(dir.path()).await;
    let arguments = [
        "preheat",
        "image",
        "harbor.example/p/a:1",
        "--username",
        "ada",
        "--password-stdin",
        "--cluster",
        "1",
        "--output",
        "json",
        "--timeout",
        "90s",
        "--platform",
        "linux/arm64",
    ];
    let (output, ()) = tokio::join!(beside(&url, &arguments, "hunter2\n"), async {
        let work = scheduler.work().await;
        let Some(work::Task::PreheatImage(image)) = &work.task else {
            panic!("{work:?}");
        };
        assert_eq!(image.url, "https://harbor.example/v2/p/a/manifests/1");
        assert_eq!(
            (image.username.as_deref(), image.password.as_deref()),
            (Some("ada"), Some("hunter2"))
        );
        assert_eq!(image.platform.as_deref(), Some("linux/arm64"));
        scheduler.end(&work, TargetState::Done).await;
    });
    assert!(output.status.success(), "{}", said(&output));
    let job: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&job["state"], &job["args"]["username"]),
        (&"SUCCESS".into(), &"ada".into())
    );
    assert!(!said(&output).contains("hunter2"));
}

#[tokio::test]
async fn what_a_cluster_keeps_is_listed_shown_and_removed_by_a_job() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url, mut scheduler) = manager_and_scheduler(dir.path()).await;
    let id = "ab".repeat(32);
    let host = Host {
        hostname: "gpu-7".into(),
        ..Host::default()
    };
    let task = KeptTask {
        keeping: Keeping::PersistentCache.into(),
        task: Some(PersistentCacheTask {
            id: id.clone(),
            persistent_replica_count: 2,
            current_persistent_replica_count: 1,
            content_length: 9 << 20,
            state: "Succeeded".into(),
            ..PersistentCacheTask::default()
        }),
        peers: vec![PersistentCachePeer {
            persistent: true,
            host: Some(host),
            ..PersistentCachePeer::default()
        }],
    };
    let report = KeptTasksReport {
        whole_begins: true,
        whole_ends: true,
        tasks: vec![task],
        gone: Vec::new(),
    };
    scheduler.say(attend_request::Message::KeptTasks(report)).await;
    let made = as_root(&url, &["preheat", "file", A, "--no-wait"]);
    assert!(made.status.success(), "{}", said(&made));
    let work = scheduler.work().await;
    // What is said later is answered later: then the task is recorded.
    scheduler.end(&work, TargetState::Done).await;
    scheduler.acknowledged(&work).await;
    let list = said(&as_root(&url, &["kept", "ls"]));
    assert!(
        list.contains(&id) && list.contains("1/2") && list.contains("9.0 MiB"),
        "{list}"
    );
    let stored = as_root(&url, &["kept", "ls", "--stored", "--output", "json"]);
    assert_eq!(String::from_utf8_lossy(&stored.stdout).trim(), "[]");
    let shown = said(&as_root(&url, &["kept", "show", &id]));
    assert!(shown.contains("gpu-7") && shown.contains("keeps"), "{shown}");
    let removed = as_root(&url, &["kept", "rm", &id, "--no-wait"]);
    assert_eq!(String::from_utf8_lossy(&removed.stdout), "2\n");
    let absent = as_root(&url, &["kept", "rm", &"cd".repeat(32)]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(said(&absent).contains("persistent cache task"), "{}", said(&absent));
}

#[tokio::test]
async fn a_job_that_is_not_waited_for_is_cancelled_and_peers_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url, mut scheduler) = manager_and_scheduler(dir.path()).await;
    let made = as_root(&url, &["preheat", "file", A, "--no-wait"]);
    assert_eq!(String::from_utf8_lossy(&made.stdout), "1\n");
    scheduler.work().await;
    let cancelled = as_root(&url, &["job", "cancel", "1"]);
    assert!(cancelled.status.success(), "{}", said(&cancelled));
    let shown = said(&as_root(&url, &["job", "show", "1"]));
    assert!(shown.contains("cancelled by root"), "{shown}");
    let waited = as_root(&url, &["job", "show", "1", "--wait"]);
    assert_eq!(waited.status.code(), Some(1));
    let host = Host {
        id: "10.0.0.7-gpu-7".into(),
        hostname: "gpu-7".into(),
        ip: "10.0.0.7".into(),
        port: 4000,
        ..Host::default()
    };
    let report = HostsReport {
        whole_begins: true,
        whole_ends: true,
        hosts: vec![host],
        gone: Vec::new(),
    };
    as_root(&url, &["preheat", "file", A, "--no-wait"]);
    let work = scheduler.work().await;
    scheduler.say(attend_request::Message::Hosts(report)).await;
    // What is said later is answered later: then the hosts are recorded.
    scheduler.end(&work, TargetState::Done).await;
    scheduler.acknowledged(&work).await;
    let peers = said(&as_root(&url, &["peer", "ls"]));
    assert!(peers.contains("gpu-7") && peers.contains("10.0.0.7:4000"), "{peers}");
    let json = as_root(&url, &["peer", "ls", "--hostname", "gpu-7", "--output", "json"]);
    let peers: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(peers[0]["scheduler_cluster"]["name"], "cluster-1");
    assert!(as_root(&url, &["peer", "rm", "1"]).status.success());
}
