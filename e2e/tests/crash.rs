//! The process is killed in the middle of its work.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs::File;
use std::time::Duration;

use dragonfly_e2e::{dfget, succeeded};
use dragonfly_testkit::content::{Content, sha256_of};
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::process::Process;
use dragonfly_testkit::up::{Options, Up};

const MIB: u64 = 1 << 20;
const WITHIN: Duration = Duration::from_secs(60);

/// What may be torn: the pieces that were on their way, with what the kernel held for each.
const TORN: u64 = 8 * 8 * MIB;

#[tokio::test]
async fn after_kill_9_the_same_command_resumes_and_only_what_was_torn_is_fetched_again() {
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 320 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let reached = 200 * MIB;
    origin.hold_at("/file", reached).unwrap();
    let mut up = Up::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");

    let mut command = up.dfget(0);
    command.arg(&url).arg("--output").arg(&file);
    let mut interrupted = Process::start("dfget", command, dir.path()).unwrap();
    origin.wait_served("/file", reached, WITHIN).await.unwrap();
    up.kill().await.unwrap();
    assert!(!interrupted.exited(WITHIN).await.unwrap().success());
    assert!(!file.exists(), "a half is never under the final name");

    origin.release("/file").unwrap();
    up.start_again().await.unwrap();
    succeeded(&dfget(up.dfget(0), &url, &file, &[]).await.unwrap()).unwrap();

    assert_eq!(
        sha256_of(File::open(&file).unwrap()).unwrap(),
        (content.sha256(), content.length())
    );
    let served = origin.served("/file").unwrap().bytes;
    assert!(
        served >= content.length() && served <= content.length() + TORN,
        "the origin served {served} bytes"
    );
}

#[tokio::test]
async fn after_kill_9_what_was_complete_is_served_without_the_origin() {
    let origin = Origin::start().unwrap();
    let content = Content::new(2, 30 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let mut up = Up::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    succeeded(&dfget(up.dfget(0), &url, &dir.path().join("before"), &[]).await.unwrap()).unwrap();

    up.kill().await.unwrap();
    up.start_again().await.unwrap();
    drop(origin);
    let file = dir.path().join("after");
    succeeded(&dfget(up.dfget(0), &url, &file, &[]).await.unwrap()).unwrap();
    assert_eq!(
        sha256_of(File::open(&file).unwrap()).unwrap(),
        (content.sha256(), content.length())
    );
}
