//! `dfctl scheduler trace`, with a real scheduler and a peer that a test plays.

use super::{BINARY, dfctl, said};
use dragonfly_api::common::{Download, Host};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_api::scheduler::{AnnounceHostRequest, AnnouncePeerRequest, AnnouncePeerResponse, RegisterPeerRequest};
use dragonfly_testkit::process::{Process, Ready, free_port};
use futures::channel::mpsc;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tonic::Streaming;
use tonic::transport::Channel;

const NOBODY: &str = "http://127.0.0.1:1";

async fn scheduler(dir: &Path) -> (Process, String) {
    let ip = Ipv4Addr::LOCALHOST;
    let address = SocketAddr::from((ip, free_port(ip.into()).unwrap()));
    let config = dir.join("scheduler.yaml");
    let text = format!(
        "server:\n  listenIP: 127.0.0.1\n  port: {}\n  dataDir: {}\n",
        address.port(),
        dir.join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["scheduler", "--console", "--config"]).arg(&config);
    let mut process = Process::start("scheduler", command, dir).unwrap();
    process
        .ready(&Ready::Port(address), Duration::from_secs(60))
        .await
        .unwrap();
    (process, address.to_string())
}

/// The conversation of a peer; it is open as long as both halves are held.
type Talk = (mpsc::Sender<AnnouncePeerRequest>, Streaming<AnnouncePeerResponse>);

/// A host announces itself and asks for the task; returns when it is answered.
async fn ask(client: &mut SchedulerClient<Channel>, name: &str, task: &str) -> Talk {
    let host = Host {
        id: name.to_owned(),
        hostname: name.to_owned(),
        ip: "10.0.0.1".to_owned(),
        port: 4000,
        download_port: 4000,
        ..Host::default()
    };
    let announced = AnnounceHostRequest {
        host: Some(host),
        interval: None,
    };
    client.announce_host(announced).await.unwrap();
    let (mut words, queue) = mpsc::channel(4);
    let download = Download {
        url: "http://origin.test/blob".to_owned(),
        actual_content_length: Some(1),
        actual_piece_count: Some(1),
        ..Download::default()
    };
    let register = AnnouncePeerRequest {
        host_id: name.to_owned(),
        task_id: task.to_owned(),
        peer_id: name.to_owned(),
        request: Some(Request::RegisterPeerRequest(RegisterPeerRequest {
            download: Some(download),
        })),
    };
    words.try_send(register).unwrap();
    let mut answers = client.announce_peer(queue).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    (words, answers)
}

#[tokio::test]
async fn a_scheduler_tells_how_it_judges_to_people_and_to_programs() {
    let dir = tempfile::tempdir().unwrap();
    let (_scheduler, address) = scheduler(dir.path()).await;
    let task = "a".repeat(64);
    let trace = |task: &str, more: &[&str]| {
        let arguments = ["scheduler", "trace", task, "--scheduler", &address];
        dfctl(NOBODY, &[&arguments, more].concat()).output().unwrap()
    };
    let unknown = trace(&task, &[]);
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        unknown.status.code() == Some(1) && error.contains("no task aaaa"),
        "{error}"
    );

    let mut client = SchedulerClient::connect(format!("http://{address}")).await.unwrap();
    let _a = ask(&mut client, "host-a", &task).await;
    let text = said(&trace(&task, &[]));
    assert!(text.starts_with("1 peers, 0 have it, 0 wait; 1 pieces"), "{text}");
    assert!(text.contains("host-a"), "{text}");
    let json = trace(&task, &["--peer", "host-a", "--output", "json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["peers"][0]["state"], "BackToSource", "{told}");
    assert_eq!(told["weighed"], Value::Array(Vec::new()), "{told}");
}
