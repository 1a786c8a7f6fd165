//! `dfctl` against one scheduler, where no manager is asked.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs::File;
use std::process::{Command, Output};

use dragonfly_e2e::{dfget, succeeded};
use dragonfly_testkit::content::{Content, sha256_of};
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::up::{Options, Up, binary};
use serde_json::Value;

fn preheat(up: &Up, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().unwrap());
    command
        .env_clear()
        .args(["dfctl", "preheat", "file", "--scheduler", &up.cluster().scheduler.grpc])
        .args(arguments);
    command.output().unwrap()
}

#[tokio::test]
async fn a_scheduler_preheats_without_a_manager_and_tells_to_the_end_who_has_it() {
    let origin = Origin::start().unwrap();
    let options = Options::with_peers(2).with_config("security: {egress: {allow: [127.0.0.0/8]}}\n");
    let up = Up::start(options).await.unwrap();
    let content = Content::new(60, 9 << 20);
    let url = origin.put("/model", Resource::file(content));
    let output = preheat(&up, &[&url, "--scope", "all-peers", "--output", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let targets: Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = targets.as_array().unwrap();
    assert_eq!(targets.len(), 2, "{targets:?}");
    for target in targets {
        assert_eq!(
            (&target["state"], &target["finished_length"]),
            (&"done".into(), &(9 << 20).into())
        );
    }
    assert_eq!(origin.served("/model").unwrap().bytes, content.length());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model");
    succeeded(&dfget(up.dfget(1), &url, &file, &[]).await.unwrap()).unwrap();
    assert_eq!(sha256_of(File::open(&file).unwrap()).unwrap().0, content.sha256());

    let absent = format!("{url}-that-is-not-there");
    let output = preheat(&up, &[&url, &absent, "--scope", "all-peers"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("2 of 4 targets failed") && told.contains(&absent),
        "{told}"
    );
    assert!(told.contains("404"), "{told}");
}
