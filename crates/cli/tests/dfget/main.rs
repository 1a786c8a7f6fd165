//! `dfget` against a daemon that behaves in every way: what lands on the disk, what is said, what is never left behind.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

mod daemon;
mod directory;

use daemon::{Answers, Daemon, all, endless, piece, started};
use dragonfly_api::common::{Download, TrafficType};
use dragonfly_api::{ApiError, backend_error};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::Command;
use tonic::Status;

const URL: &str = "http://origin.example/dir/file.bin?X-Amz-Signature=s3cret";
const SHA256_OF_ABCDEF: &str = "sha256:bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

/// Six bytes in two pieces, the last one first, from two places.
fn abcdef(download: &Download) -> Answers {
    all(vec![
        started(6),
        piece(download, 3, b"def", TrafficType::RemotePeer),
        piece(download, 0, b"abc", TrafficType::BackToSource),
    ])
}

/// Does as dfdaemon with `output_path`.
fn deliver(download: &Download, content: &[u8]) {
    if let Some(path) = &download.output_path {
        std::fs::write(path, content).unwrap();
    }
}

fn dfget(dir: &TempDir, arguments: &[&str]) -> Command {
    dfget_of(URL, dir, arguments)
}

fn dfget_of(url: &str, dir: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfly"));
    command.env_clear().args(["dfget", url]).args(arguments);
    command.arg("--endpoint").arg(dir.path().join("dfdaemon.sock"));
    command.current_dir(out(dir)).stdin(Stdio::null());
    command
}

/// The directory of the outputs.
fn out(dir: &TempDir) -> std::path::PathBuf {
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    out
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("s3cret"), "a secret of the URL is told: {said}");
    said
}

/// Runs it, expects this exit code.
async fn run(mut command: Command, code: i32) -> Output {
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_in_any_order_become_the_file_and_the_summary_says_where_they_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    let output = run(dfget(&dir, &["--transfer-from-dfdaemon"]), 0).await;
    assert_eq!(std::fs::read(out(&dir).join("file.bin")).unwrap(), b"abcdef");
    assert_eq!(names(&out(&dir)), ["file.bin"]);
    let line = String::from_utf8_lossy(&output.stdout);
    assert!(
        line.starts_with("file.bin: 6 B in ") && line.ends_with(": origin 3 B, peers 3 B, local 0 B\n"),
        "{line}"
    );
    assert!(said(&output).is_empty());
    assert_eq!((daemon.calls(), daemon.last().output_path), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_the_same_user_delivers_the_file_itself() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| {
        deliver(&download, b"abcdef");
        abcdef(&download)
    });
    run(dfget(&dir, &["-O", "x", "--digest", SHA256_OF_ABCDEF]), 0).await;
    assert_eq!(std::fs::read(out(&dir).join("x")).unwrap(), b"abcdef");
    assert_eq!(names(&out(&dir)), ["x"]);
    let request = daemon.last();
    assert_eq!((daemon.calls(), request.need_piece_content), (1, false));
    assert!(Path::new(&request.output_path.unwrap()).is_absolute());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_sees_other_files_or_may_not_write_streams_instead() {
    for refuses in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(dir.path(), move |download| {
            if refuses && download.output_path.is_some() {
                return all(vec![Err(Status::permission_denied("not for you"))]);
            }
            abcdef(&download)
        });
        run(dfget(&dir, &["-O", "x"]), 0).await;
        assert_eq!(std::fs::read(out(&dir).join("x")).unwrap(), b"abcdef");
        assert_eq!((daemon.calls(), daemon.last().need_piece_content), (2, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_are_empty_or_of_unknown_length_work() {
    for (pieces, content) in [(vec![], ""), (vec!["abc", "d"], "abcd")] {
        let dir = tempfile::tempdir().unwrap();
        let _daemon = Daemon::start(dir.path(), move |download| {
            let mut answers = vec![started(0)];
            let mut offset = 0;
            for text in &pieces {
                answers.push(piece(&download, offset, text.as_bytes(), TrafficType::LocalPeer));
                offset += text.len() as u64;
            }
            deliver(&download, content.as_bytes());
            all(answers)
        });
        for arguments in [
            ["-O", "streamed", "--transfer-from-dfdaemon"].as_slice(),
            &["-O", "delivered"],
        ] {
            run(dfget(&dir, arguments), 0).await;
            assert_eq!(std::fs::read_to_string(out(&dir).join(arguments[1])).unwrap(), content);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_too_early_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(dir.path(), |download| {
        all(vec![started(6), piece(&download, 3, b"def", TrafficType::RemotePeer)])
    });
    let output = run(dfget(&dir, &["-O", "x"]), 1).await;
    assert!(said(&output).contains("3 of 6 bytes"), "{}", said(&output));
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_refuses_is_named_with_its_status() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(dir.path(), |_| {
        let error = ApiError {
            status: Some(403),
            message: "forbidden".to_owned(),
            headers: HashMap::new(),
        };
        all(vec![Err(backend_error(&error))])
    });
    let arguments = ["-O", "x", "--output", "json", "-H", "Authorization: Bearer s3cret"];
    let output = run(dfget(&dir, &arguments), 1).await;
    let expected = "the origin of http://origin.example/dir/file.bin answered 403; give the credentials that it wants \
                    with --header";
    assert_eq!(said(&output), format!("dfget: error: {expected}\n"));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"], expected);
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_can_not_be_reached_is_asked_once() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |_| {
        let error = ApiError {
            status: None,
            message: "connection refused".to_owned(),
            headers: HashMap::new(),
        };
        all(vec![Err(backend_error(&error))])
    });
    let output = run(dfget(&dir, &["-O", "x"]), 1).await;
    assert_eq!(
        said(&output),
        "dfget: error: http://origin.example/dir/file.bin: connection refused\n"
    );
    assert_eq!(daemon.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_says_what_the_line_says() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    let output = run(dfget(&dir, &["-O", "x", "--output", "json"]), 0).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["contentLength"], 6);
    assert_eq!(
        json["bytesFrom"],
        serde_json::json!({"origin": 3, "peers": 3, "local": 0})
    );
    assert_eq!(json["output"], "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_leaves_no_file_and_keeps_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(dir.path(), |download| {
        deliver(&download, b"abcdef");
        abcdef(&download)
    });
    for transfer in [["--no-progress"], ["--transfer-from-dfdaemon"]] {
        std::fs::write(out(&dir).join("x"), "old").unwrap();
        let mut command = dfget(&dir, &["-O", "x", "--overwrite", "--digest", "crc32:00000001"]);
        command.args(transfer);
        let output = run(command, 1).await;
        assert!(said(&output).contains("not crc32:1;"), "{}", said(&output));
        assert_eq!(std::fs::read_to_string(out(&dir).join("x")).unwrap(), "old");
        assert_eq!(names(&out(&dir)), ["x"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_file_is_refused_before_anything_is_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    std::fs::write(out(&dir).join("x"), "precious").unwrap();
    let output = run(dfget(&dir, &["-O", "x"]), 1).await;
    assert!(said(&output).contains("--overwrite"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(out(&dir).join("x")).unwrap(), "precious");
    assert_eq!(daemon.calls(), 0);
    run(dfget(&dir, &["-O", "x", "--overwrite"]), 0).await;
    assert_eq!(std::fs::read_to_string(out(&dir).join("x")).unwrap(), "abcdef");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_it_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dfget(&dir, &["-O", "x"]), 1).await;
    let said = said(&output);
    assert!(
        said.contains("dfdaemon.sock") && said.contains("dragonfly up"),
        "{said}"
    );
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_download_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (asked, mut waiting) = tokio::sync::mpsc::channel(1);
    let _daemon = Daemon::start(dir.path(), move |download| {
        asked.try_send(()).unwrap();
        endless(vec![started(6), piece(&download, 0, b"abc", TrafficType::BackToSource)])
    });
    let child = dfget(&dir, &["-O", "x"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    waiting.recv().await.unwrap();
    assert_eq!(names(&out(&dir)), [".x.dragonfly-part"]);
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_is_a_reason_to_run_the_command_again() {
    let dir = tempfile::tempdir().unwrap();
    let (asked, mut waiting) = tokio::sync::mpsc::channel(1);
    let daemon = Daemon::start(dir.path(), move |download| {
        asked.try_send(()).unwrap();
        endless(vec![started(6), piece(&download, 0, b"abc", TrafficType::BackToSource)])
    });
    let child = dfget(&dir, &["-O", "x"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    waiting.recv().await.unwrap();
    drop(daemon);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("run the same command again"),
        "{}",
        said(&output)
    );
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_takes_too_long_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(dir.path(), |_| endless(vec![started(6)]));
    let output = run(dfget(&dir, &["-O", "x", "--timeout", "100ms"]), 1).await;
    assert!(said(&output).contains("not finished after 100ms"), "{}", said(&output));
    assert!(names(&out(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_become_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), |download| abcdef(&download));
    let arguments = [
        "-O",
        "x",
        "-H",
        "X-A: 1",
        "--tag",
        "t",
        "--application",
        "app",
        "--piece-length",
        "8MiB",
        "--priority",
        "3",
        "--filtered-query-param",
        "k",
        "--disable-back-to-source",
        "--content-for-calculating-task-id",
        "c",
    ];
    run(dfget(&dir, &arguments), 0).await;
    let request = daemon.last();
    assert_eq!(request.url, URL);
    assert_eq!(
        request.request_header,
        HashMap::from([("X-A".to_owned(), "1".to_owned())])
    );
    assert_eq!(
        (request.tag.as_deref(), request.application.as_deref()),
        (Some("t"), Some("app"))
    );
    assert_eq!((request.piece_length, request.priority), (Some(8 << 20), 3));
    assert_eq!(request.filtered_query_params, ["k"]);
    assert_eq!(request.content_for_calculating_task_id.as_deref(), Some("c"));
    assert!(request.disable_back_to_source);
    assert_eq!(request.timeout.unwrap().seconds, 7200);
}
