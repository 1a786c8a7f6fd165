//! Directories: which files are fetched, where they land, and what is said of those that do not.

use crate::daemon::{Daemon, all, piece, started};
use crate::{abcdef, dfget, dfget_of, out, run, said};
use dragonfly_api::common::TrafficType;
use dragonfly_api::{ApiError, backend_error};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::Status;

const DIRECTORY: &str = "s3://bucket/dir/";
const FILES: [&str; 4] = [
    "s3://bucket/dir/a.bin",
    "s3://bucket/dir/b%20b.txt",
    "s3://bucket/dir/sub/",
    "s3://bucket/dir/sub/deep/c.bin",
];

fn holds(dir: &Path, name: &str) -> bool {
    std::fs::read(dir.join(name)).is_ok_and(|content| content == b"abcdef")
}

fn answered(status: u16) -> Status {
    backend_error(&ApiError {
        status: Some(status),
        message: "no".to_owned(),
        headers: HashMap::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_below_a_directory_lands_below_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    daemon.holds(&FILES);
    let output = run(
        dfget_of("s3://bucket/dir", &dir, &["-r", "-O", "to", "--transfer-from-dfdaemon"]),
        0,
    )
    .await;
    let to = out(&dir).join("to");
    for name in ["a.bin", "b b.txt", "sub/deep/c.bin"] {
        assert!(holds(&to, name), "{name}");
    }
    assert_eq!(daemon.calls(), 3);
    assert_eq!(daemon.listed().url, DIRECTORY);
    let line = String::from_utf8_lossy(&output.stdout);
    assert!(
        line.starts_with("to: 3 files, 18 B in ") && line.ends_with(": origin 9 B, peers 9 B, local 0 B\n"),
        "{line}"
    );
    assert!(said(&output).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_choose_among_the_files_and_json_tells_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    daemon.holds(&FILES);
    let arguments = ["-O", "to", "-I", "*.bin", "--exclude-files", "a.*", "--format", "json"];
    let output = run(dfget_of(DIRECTORY, &dir, &arguments), 0).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["arrived"], &report["failed"]), (&1.into(), &0.into()));
    assert_eq!(report["files"][0]["path"], "sub/deep/c.bin");
    assert_eq!(report["files"][0]["bytesFrom"]["peers"], 3);
    assert!(holds(&out(&dir).join("to"), "sub/deep/c.bin"));
    assert!(!out(&dir).join("to/a.bin").exists());
    let few = run(dfget_of(DIRECTORY, &dir, &["-O", "few", "--max-files", "2"]), 1).await;
    assert!(said(&few).contains("--max-files 3"), "{}", said(&few));
    assert!(!out(&dir).join("few").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_stops_no_other_and_what_passes_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let tries = AtomicUsize::new(0);
    let daemon = Daemon::start(dir.path(), move |download| {
        if download.url.ends_with("/a.bin") {
            return all(vec![Err(answered(403))]);
        }
        if download.url.ends_with(".txt") && tries.fetch_add(1, Ordering::SeqCst) < 2 {
            let half = piece(&download, 0, b"abc", TrafficType::RemotePeer);
            return all(vec![started(6), half, Err(answered(503))]);
        }
        abcdef(&download)
    });
    daemon.holds(&FILES);
    let arguments = ["-O", "to", "--transfer-from-dfdaemon"];
    let output = run(dfget_of(DIRECTORY, &dir, &arguments), 1).await;
    let to = out(&dir).join("to");
    assert!(holds(&to, "b b.txt") && holds(&to, "sub/deep/c.bin"));
    assert!(!to.join("a.bin").exists());
    let told = said(&output);
    assert!(
        told.contains("1 of 3 files failed") && told.contains("a.bin: ") && told.contains("403"),
        "{told}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("to: 2 files, "));
    // Once for what will not pass, three times for what did, once for the rest.
    assert_eq!(daemon.calls(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_leads_out_of_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    for hostile in [
        "s3://bucket/dir/%2e%2e/x",
        "s3://bucket/dir/..%2F..%2Fx",
        "s3://bucket/other/x",
    ] {
        daemon.holds(&["s3://bucket/dir/good", hostile]);
        let output = run(dfget_of(DIRECTORY, &dir, &["-O", "to"]), 1).await;
        assert!(said(&output).contains("no file below it"), "{}", said(&output));
    }
    assert_eq!((daemon.calls(), std::fs::read_dir(out(&dir)).unwrap().count()), (0, 0));
    // Nor does a link that somebody has left there.
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::create_dir(out(&dir).join("to")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, out(&dir).join("to/sub")).unwrap();
    daemon.holds(&FILES);
    let output = run(dfget_of(DIRECTORY, &dir, &["-O", "to"]), 1).await;
    assert!(
        said(&output).contains("sub/deep/c.bin: can't make the directory"),
        "{}",
        said(&output)
    );
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_needs_a_place_and_has_no_digest() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    daemon.holds(&FILES);
    let output = run(dfget_of(DIRECTORY, &dir, &[]), 1).await;
    assert!(said(&output).contains("-O DIR"), "{}", said(&output));
    let output = run(dfget_of(DIRECTORY, &dir, &["-O", "to", "--digest", "crc32:1"]), 1).await;
    assert!(said(&output).contains("name one content"), "{}", said(&output));
    assert_eq!(daemon.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_to_the_daemon_for_the_origin_that_they_open_and_are_never_told() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |_| all(vec![Err(answered(403))]));
    let credential = dir.path().join("account.json");
    std::fs::write(&credential, "{\"type\": \"s3cret\"}").unwrap();
    let with_keys = |mut command: tokio::process::Command| {
        command
            .args([
                "--storage-endpoint",
                "http://store:9000",
                "--storage-access-key-id",
                "id",
            ])
            .args(["--hf-token", "s3cret"])
            .arg("--storage-credential-path")
            .arg(&credential)
            .env("DFGET_STORAGE_ACCESS_KEY_SECRET", "s3cret");
        command
    };
    run(with_keys(dfget_of("s3://bucket/key", &dir, &[])), 1).await;
    let request = daemon.last();
    let store = request.object_storage.unwrap();
    assert_eq!(store.endpoint.as_deref(), Some("http://store:9000"));
    assert_eq!(store.access_key_secret.as_deref(), Some("s3cret"));
    // The text of the file, which the daemon could not read, perhaps.
    assert_eq!(store.credential_path.as_deref(), Some("{\"type\": \"s3cret\"}"));
    assert_eq!(request.hugging_face, None);

    run(with_keys(dfget_of("hf://owner/model/config.json", &dir, &[])), 1).await;
    let request = daemon.last();
    let hub = request.hugging_face.unwrap();
    assert_eq!((hub.token.as_deref(), hub.revision.as_str()), (Some("s3cret"), "main"));
    assert_eq!(request.object_storage, None);

    run(with_keys(dfget(&dir, &[])), 1).await;
    let request = daemon.last();
    assert_eq!((request.object_storage, request.hugging_face), (None, None));
    let help = run(with_keys(dfget(&dir, &["--help"])), 0).await;
    assert!(!String::from_utf8_lossy(&help.stdout).contains("s3cret"));
}
