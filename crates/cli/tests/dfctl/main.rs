//! `dfctl` and a manager, both as the binary that users run.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

mod clusters;
mod jobs;
mod judgement;
mod kills;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use dragonfly_testkit::process::{Process, Ready, free_port};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
const PASSWORD: &str = "correct horse";

/// A manager with its first cluster. The process ends with the handle.
async fn manager(dir: &Path) -> (Process, String) {
    manager_with(dir, 0).await
}

/// The same with this gRPC port.
async fn manager_with(dir: &Path, grpc: u16) -> (Process, String) {
    let ip = Ipv4Addr::LOCALHOST;
    let address = SocketAddr::from((ip, free_port(ip.into()).unwrap()));
    let config = dir.join("manager.yaml");
    let text = format!(
        "server:\n  dataDir: {}\n  grpc: {{listenIP: 127.0.0.1, port: {{start: {grpc}}}}}\n  rest: {{addr: '{address}'}}\n",
        dir.join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["manager", "--console", "--config"])
        .arg(&config)
        .env("DRAGONFLY_INITIAL_ROOT_PASSWORD", PASSWORD);
    let mut process = Process::start("manager", command, dir).unwrap();
    let ready = Ready::Port(address);
    process.ready(&ready, Duration::from_secs(60)).await.unwrap();
    (process, format!("http://{address}"))
}

/// `dfctl` without what this machine's environment says.
fn dfctl(manager: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("DFCTL_MANAGER", manager)
        .arg("dfctl")
        .args(arguments);
    command
}

/// What the first user is told.
fn as_root(manager: &str, arguments: &[&str]) -> Output {
    let mut command = dfctl(manager, arguments);
    command.env("DFCTL_USER", "root").env("DFCTL_PASSWORD", PASSWORD);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn a_user_asks_why_a_host_is_in_a_cluster_and_for_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let as_root = |arguments: &[&str]| as_root(&url, arguments);
    let list = as_root(&["cluster", "ls"]);
    assert!(
        list.status.success() && said(&list).contains("cluster-1"),
        "{}",
        said(&list)
    );
    let table = as_root(&["cluster", "match", "--hostname", "a"]);
    let text = said(&table);
    assert!(
        text.starts_with("cluster 1 (cluster-1): no cluster's scopes match"),
        "{text}"
    );
    assert!(text.contains("it has no active scheduler"), "{text}");
    let json = as_root(&["cluster", "match", "--ip", "10.0.0.9", "--output", "json"]);
    let found: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&found["cluster_id"], &found["reason"]), (&1.into(), &"default".into()));
    let refused = as_root(&["cluster", "match", "--ip", "nonsense"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("\"nonsense\", which is no address"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn who_calls_is_said_by_the_environment_a_file_or_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let nobody = dfctl(&url, &["cluster", "ls"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("who calls?"), "{}", said(&nobody));
    let file = dir.path().join("dfctl.yaml");
    std::fs::write(&file, format!("manager: {url}\nuser: root\npassword: {PASSWORD}\n")).unwrap();
    let mut from_file = Command::new(BINARY);
    from_file
        .env_clear()
        .args(["dfctl", "cluster", "ls", "--config"])
        .arg(&file);
    let listed = from_file.output().unwrap();
    assert!(listed.status.success(), "{}", said(&listed));
    let mut wrong = dfctl(&url, &["cluster", "ls"]);
    wrong.env("DFCTL_TOKEN", "no token of ours");
    let refused = wrong.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("sign in first"), "{}", said(&refused));
}

#[tokio::test]
async fn a_token_that_a_user_made_lists_clusters_until_it_is_removed_and_the_log_says_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let as_root = |arguments: &[&str]| as_root(&url, arguments);
    let made = as_root(&["token", "create", "ci", "--scope", "clusters:read"]);
    assert!(made.status.success(), "{}", said(&made));
    let file = dir.path().join("ci.token");
    std::fs::write(&file, &made.stdout).unwrap();
    let by_token = |arguments: &[&str]| {
        let mut command = dfctl(&url, arguments);
        command.arg("--token-file").arg(&file).output().unwrap()
    };
    let clusters = by_token(&["cluster", "ls"]);
    assert!(said(&clusters).contains("cluster-1"), "{}", said(&clusters));
    let beyond = by_token(&["scheduler", "ls"]);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(
        said(&beyond).contains("no right to read schedulers"),
        "{}",
        said(&beyond)
    );
    let listed = said(&as_root(&["token", "ls"]));
    assert!(listed.contains("ci") && listed.contains("clusters:read"), "{listed}");
    assert!(!listed.contains("dfp_"), "{listed}");
    assert!(as_root(&["token", "rm", "1"]).status.success());
    assert!(said(&by_token(&["cluster", "ls"])).contains("sign in first"));
    assert!(said(&as_root(&["scheduler", "ls"])).starts_with("ID"));
    let audit = as_root(&["audit", "ls", "--object", "personal-access-tokens", "--output", "json"]);
    let records: Value = serde_json::from_slice(&audit.stdout).unwrap();
    let deeds: Vec<_> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["operation"].as_str().unwrap())
        .collect();
    assert_eq!(deeds, ["DELETE", "POST"]);
    let table = said(&as_root(&["audit", "ls", "--actor", "root"]));
    assert!(table.contains("/api/v1/personal-access-tokens/1"), "{table}");
}
