//! From a clone to a running cluster, as somebody new to the project does it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dragonfly_testkit::client;
use dragonfly_testkit::process::{self, Process, Ready, own_loopback};
use dragonfly_testkit::up::{Cluster, as_url};
use serde_json::{Value, json};

/// The release build is part of it, if nobody has made it before.
const BUILT_WITHIN: Duration = Duration::from_secs(900);
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn cargo_xtask_up_prints_urls_credentials_and_a_dfget_line_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready.json");
    let mut command = Command::new("cargo");
    command.args(["xtask", "up", "--ip"]).arg(own_loopback().to_string());
    command
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .arg("--ready-file")
        .arg(&ready);
    // Nothing of the build may want a protoc.
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("PROTOC", "/nonexistent/protoc");
    let mut up = Process::start("xtask-up", command, dir.path()).unwrap();
    up.ready(&Ready::File(ready.clone()), BUILT_WITHIN).await.unwrap();
    let cluster: Cluster = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let printed = up.stdout().unwrap();

    let rest = as_url(&cluster.manager.rest);
    assert!(printed.contains(&rest), "{printed}");
    let client = client::builder().unwrap().build().unwrap();
    assert_eq!(
        client.get(format!("{rest}/healthy")).send().await.unwrap().status(),
        200
    );

    let password = std::fs::read_to_string(&cluster.root.password_file).unwrap();
    let password = password.trim();
    assert!(
        printed.contains(password) && printed.contains(&cluster.root.name),
        "{printed}"
    );
    let sign_in = format!("{rest}/api/v1/users/signin");
    for (password, status) in [(password, 200), ("not-the-password", 401)] {
        let credentials: Value = json!({ "name": cluster.root.name, "password": password });
        let answer = client.post(&sign_in).json(&credentials).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }

    let line = printed
        .lines()
        .map(str::trim)
        .find(|line| line.contains("dfget ") && line.contains("http"))
        .unwrap();
    let mut pasted = Command::new("sh");
    pasted.args(["-c", line]).current_dir(dir.path());
    process::run(pasted, WITHIN).await.unwrap();
    let mut words = line
        .split_whitespace()
        .skip_while(|word| !matches!(*word, "-O" | "--output"));
    let file = dir.path().join(words.nth(1).unwrap());
    assert!(file.metadata().unwrap().len() > 0, "{line}");
    std::fs::remove_file(file).unwrap();

    assert_eq!(up.stop(Duration::from_secs(5)).await.unwrap().code(), Some(0));
}
