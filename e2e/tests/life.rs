//! Starting, failing to start, and stopping.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use dragonfly_e2e::{dfget, succeeded};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::process::{self, Process, own_loopback};
use dragonfly_testkit::up::{Options, Up, binary};

const WITHIN: Duration = Duration::from_secs(30);
const PROXY_PORT: u16 = 4001;

/// The start failed with one line that names what was in the way.
fn assert_refused(output: &Output, culprit: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(errors.len(), 1, "one line: {said}");
    assert!(errors[0].contains(culprit), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

fn up(data: &Path, ip: std::net::Ipv4Addr) -> Command {
    let mut command = Command::new(binary().unwrap());
    command
        .arg("up")
        .arg("--ip")
        .arg(ip.to_string())
        .arg("--data-dir")
        .arg(data);
    command.arg("--ready-file").arg(data.with_extension("ready"));
    command
}

#[tokio::test]
async fn a_taken_port_is_named_and_once_it_is_free_the_same_command_works() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ip = own_loopback();
    let holder = TcpListener::bind((ip, PROXY_PORT)).unwrap();
    let output = process::output(up(&data, ip), WITHIN).await.unwrap();
    assert_refused(&output, "4001");
    assert!(!data.with_extension("ready").exists());

    drop(holder);
    let mut running = Process::start("up", up(&data, ip), dir.path()).unwrap();
    running
        .ready(&process::Ready::File(data.with_extension("ready")), WITHIN)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    for (path, mode) in [(dir.path(), 0o755), (closed.as_path(), 0o555)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = up(&closed.join("data"), own_loopback());
    if nix::unistd::geteuid().is_root() {
        // Root may write anywhere, so somebody else tries it, with a binary that they can reach.
        let reachable = dir.path().join("dragonfly");
        std::fs::copy(binary().unwrap(), &reachable).unwrap();
        let mut as_nobody = Command::new("setpriv");
        as_nobody
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(reachable)
            .args(command.get_args());
        command = as_nobody;
    }
    let output = process::output(command, WITHIN).await.unwrap();
    assert_refused(&output, closed.to_str().unwrap());
}

#[tokio::test]
async fn a_second_one_on_the_same_data_is_refused_and_the_first_goes_on() {
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 100_000);
    let url = origin.put("/file", Resource::file(content));
    let mut first = Up::start(Options::default()).await.unwrap();

    let output = process::output(first.twin(), WITHIN).await.unwrap();
    assert_refused(&output, first.data_dir().to_str().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    succeeded(&dfget(first.dfget(0), &url, &file, &[]).await.unwrap()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), content.bytes(0, 100_000));
    assert_eq!(first.stop().await.unwrap().code(), Some(0));
    first.start_again().await.unwrap();
}

#[tokio::test]
async fn a_configuration_with_an_unknown_key_is_refused_with_the_nearest_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("dfdaemon.yaml");
    std::fs::write(
        &config,
        "proxy:\n  registryMiror:\n    addr: https://registry.example\n",
    )
    .unwrap();
    let mut command = up(&dir.path().join("data"), own_loopback());
    command.arg("--dfdaemon-config").arg(&config);
    let output = process::output(command, WITHIN).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("registryMiror") && said.contains("registryMirror"),
        "{said}"
    );
}

#[tokio::test]
async fn sigterm_ends_it_with_0_in_time_though_a_download_is_on_its_way() {
    let origin = Origin::start().unwrap();
    let content = Content::new(2, 64 << 20);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 16 << 20).unwrap();
    let mut up = Up::start(Options::with_peers(2)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = up.dfget(1);
    command.arg(&url).arg("--output").arg(dir.path().join("file"));
    let mut download = Process::start("dfget", command, dir.path()).unwrap();
    origin.wait_served("/file", 16 << 20, WITHIN).await.unwrap();

    assert_eq!(up.stop().await.unwrap().code(), Some(0));
    assert!(!download.exited(WITHIN).await.unwrap().success());
}
