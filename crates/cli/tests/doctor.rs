//! `dfctl doctor` on hosts that are well, and on hosts that are broken in ways that operators have met: it names the cause.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use axum::Router;
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{KeepAliveRequest, ListSchedulersRequest, SourceType, UpdateSchedulerRequest};
use dragonfly_testkit::origin::Origin;
use dragonfly_testkit::process::{self, Process, Ready, free_port, own_loopback};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
const WITHIN: Duration = Duration::from_secs(120);
const MANAGER_PORT: u16 = 65_003;

/// A cluster of one peer whose container runtime is led through its proxy, and the files of that host.
struct Host {
    dir: TempDir,
    ip: Ipv4Addr,
    cluster: Process,
}

impl Host {
    async fn well() -> Self {
        Self::with("{}").await
    }

    /// The peer has these settings, which the host's file does not have.
    async fn with(peer: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ip = own_loopback();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("peer.yaml"), peer).unwrap();
        let mut command = Command::new(BINARY);
        command
            .args(["up", "--ip", &ip.to_string(), "--peers", "1", "--data-dir"])
            .arg(at("data"))
            .arg("--dfdaemon-config")
            .arg(at("peer.yaml"))
            .arg("--ready-file")
            .arg(at("ready"));
        let mut cluster = Process::start("up", command, dir.path()).unwrap();
        cluster.ready(&Ready::File(at("ready")), WITHIN).await.unwrap();
        let host = Self { dir, ip, cluster };
        host.write("dfdaemon.json", &host.dfdaemon());
        host.write("dfinit.json", &host.dfinit());
        let mut dfinit = Command::new(BINARY);
        dfinit.arg("dfinit").arg("--config").arg(host.at("dfinit.json"));
        let led = dfinit.arg("--state-dir").arg(host.at("state")).output().unwrap();
        assert!(led.status.success(), "{}", String::from_utf8_lossy(&led.stderr));
        let joined = async { while !host.is_known().await {} };
        tokio::time::timeout(WITHIN, joined).await.unwrap();
        host
    }

    /// A cluster serves before every scheduler has heard of every peer.
    async fn is_known(&self) -> bool {
        let (_, findings) = self.findings(&["--no-probe"]).await;
        findings
            .iter()
            .any(|finding| finding["check"] == "schedulers" && finding["state"] == "ok")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &Value) {
        // JSON is YAML.
        std::fs::write(self.at(name), content.to_string()).unwrap();
    }

    /// The file of its dfdaemon.
    fn dfdaemon(&self) -> Value {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let home = self.at("data/peer-1");
        let door = |port: u16| json!({ "server": { "ip": self.ip, "port": port } });
        json!({
            "host": { "ip": self.ip, "hostname": format!("{}-peer-1", name.trim()) },
            "manager": { "addr": format!("{}:{MANAGER_PORT}", self.ip) },
            "download": { "server": { "socketPath": home.join("dfdaemon.sock") } },
            "upload": door(4000),
            "proxy": door(4001),
            "metrics": door(4002),
            "health": door(4003),
            "storage": { "dir": home.join("data"), "server": { "ip": self.ip, "tcpPort": 4005 } },
        })
    }

    /// The file of its dfinit.
    fn dfinit(&self) -> Value {
        json!({
            "proxy": { "addr": format!("http://{}:4001", self.ip) },
            "containerRuntime": { "containerd": {
                "configPath": self.at("containerd.toml"),
                "hostsPath": self.at("certs.d"),
            } },
        })
    }

    async fn doctor(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .args(["dfctl", "doctor", "--dfdaemon-config"])
            .arg(self.at("dfdaemon.json"))
            .arg("--dfinit-config")
            .arg(self.at("dfinit.json"))
            .args(arguments);
        process::output(command, WITHIN).await.unwrap()
    }

    async fn findings(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
        let output = self.doctor(&[&["--output", "json"], arguments].concat()).await;
        let findings = serde_json::from_slice(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            findings.unwrap_or_else(|error| panic!("{error}: {said}")),
        )
    }

    /// The first thing that is broken is this check, what was found has these words, and there is a remedy.
    async fn is_broken(&self, check: &str, words: &str, arguments: &[&str]) {
        let (code, findings) = self.findings(arguments).await;
        let broken = findings.iter().find(|finding| finding["state"] == "failed");
        let broken = broken.unwrap_or_else(|| panic!("{check}: nothing is broken in {findings:#?}"));
        let found = broken["found"].as_str().unwrap();
        assert!(
            broken["check"] == check && found.contains(words),
            "{check}: {findings:#?}"
        );
        assert!(broken["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
        assert_eq!(code, Some(1));
    }
}

/// The value at a path such as `/proxy/server/port` becomes another.
fn set(file: &mut Value, path: &str, value: impl Into<Value>) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[key] = value.into();
}

#[tokio::test]
async fn nothing_is_wrong_with_a_host_that_is_well() {
    let host = Host::well().await;
    let (code, findings) = host.findings(&[]).await;
    let checks: Vec<&str> = findings
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    let expected = [
        "configuration",
        "disk",
        "daemon",
        "ports",
        "socket",
        "proxy",
        "runtime",
        "manager",
        "clock",
        "cluster",
        "schedulers",
        "probe",
    ];
    assert_eq!(checks, expected);
    // How full the disk of a machine is that runs tests is its own affair.
    let bad = findings
        .iter()
        .filter(|finding| finding["check"] != "disk" && finding["state"] != "ok");
    assert_eq!(bad.count(), 0, "{findings:#?}");
    assert_eq!(code, Some(0));
    // The probe has left nothing behind.
    let mut tasks = Command::new(BINARY);
    tasks.args(["dfctl", "task", "ls", "--output", "json", "--endpoint"]);
    tasks.arg(host.at("data/peer-1/dfdaemon.sock"));
    let tasks = process::output(tasks, WITHIN).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&tasks.stdout).unwrap(), json!([]));
    let people = host.doctor(&["--no-probe"]).await;
    let text = String::from_utf8(people.stdout).unwrap();
    assert!(text.contains("ok       proxy          answers on"), "{text}");
    assert!(text.contains("skipped  probe          --no-probe"), "{text}");
}

/// What is changed in a file: where, and to what.
type Changes<'a> = &'a [(&'a str, Value)];

#[tokio::test]
async fn what_the_files_of_a_host_have_wrong_is_named() {
    let host = Host::well().await;
    let other = Origin::start().unwrap();
    let other: SocketAddr = other
        .url("")
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let silent = free_port(host.ip.into()).unwrap();
    let plain = host.at("no-socket");
    std::fs::write(&plain, "").unwrap();
    let missing = Path::new("/nowhere/at/all");
    let cases: [(&str, &str, Changes<'_>); 9] = [
        (
            "configuration",
            "did you mean",
            &[("/manager/adr", json!("manager:65003"))],
        ),
        ("disk", "No such file", &[("/storage/dir", json!(missing))]),
        (
            "daemon",
            "no dfdaemon answers",
            &[("/health/server/port", json!(silent))],
        ),
        (
            "ports",
            "storage.server.tcpPort",
            &[("/storage/server/tcpPort", json!(silent))],
        ),
        (
            "socket",
            "No such file",
            &[("/download/server/socketPath", json!(missing))],
        ),
        (
            "socket",
            "is no socket",
            &[("/download/server/socketPath", json!(plain))],
        ),
        (
            "proxy",
            "another program",
            &[
                ("/proxy/server/ip", json!(other.ip())),
                ("/proxy/server/port", json!(other.port())),
            ],
        ),
        (
            "manager",
            &format!(":{silent}"),
            &[("/manager/addr", json!(format!("{}:{silent}", host.ip)))],
        ),
        ("cluster", "77", &[("/host/schedulerClusterID", json!(77))]),
    ];
    for (check, words, changes) in cases {
        let mut file = host.dfdaemon();
        for (path, value) in changes {
            set(&mut file, path, value.clone());
        }
        host.write("dfdaemon.json", &file);
        host.is_broken(check, words, &["--no-probe"]).await;
    }
}

#[tokio::test]
async fn a_runtime_that_is_led_elsewhere_or_nowhere_is_named() {
    let host = Host::well().await;
    std::fs::remove_dir_all(host.at("certs.d")).unwrap();
    host.is_broken("runtime", "hosts.toml", &["--no-probe"]).await;
    let mut file = host.dfinit();
    set(&mut file, "/proxy/addr", format!("http://{}:65001", host.ip));
    host.write("dfinit.json", &file);
    host.is_broken(
        "runtime",
        "the proxy of this host listens on port 4001",
        &["--no-probe"],
    )
    .await;
}

#[tokio::test]
async fn a_host_whose_dfdaemon_has_ended_is_told_so() {
    let mut host = Host::well().await;
    host.cluster.kill().await.unwrap();
    host.is_broken("daemon", "no dfdaemon answers", &[]).await;
    let (_, findings) = host.findings(&[]).await;
    let probe = findings.iter().find(|finding| finding["check"] == "probe").unwrap();
    assert_eq!(probe["state"], "skipped");
}

#[tokio::test]
async fn a_socket_that_only_its_owner_may_use_is_a_warning() {
    let host = Host::well().await;
    let socket = host.at("data/peer-1/dfdaemon.sock");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, findings) = host.findings(&["--no-probe"]).await;
    let socket = findings.iter().find(|finding| finding["check"] == "socket").unwrap();
    assert_eq!(socket["state"], "warning", "{findings:#?}");
    assert!(socket["found"].as_str().unwrap().contains("mode 600"), "{socket}");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_scheduler_that_this_host_can_not_reach_is_named() {
    let host = Host::well().await;
    let addr = format!("http://{}:{MANAGER_PORT}", host.ip);
    let mut manager = ManagerClient::connect(addr).await.unwrap();
    let port = free_port(host.ip.into()).unwrap();
    let ghost = UpdateSchedulerRequest {
        source_type: SourceType::SchedulerSource.into(),
        hostname: "ghost".to_owned(),
        ip: host.ip.to_string(),
        port: port.into(),
        scheduler_cluster_id: 1,
        ..Default::default()
    };
    manager.update_scheduler(ghost).await.unwrap();
    let beat = KeepAliveRequest {
        source_type: SourceType::SchedulerSource.into(),
        hostname: "ghost".to_owned(),
        cluster_id: 1,
        ip: host.ip.to_string(),
    };
    // It lives as long as it says so, which is until the end of this test.
    let beats = futures::stream::unfold(false, move |told| {
        let beat = beat.clone();
        async move {
            match told {
                false => Some((beat, true)),
                true => std::future::pending().await,
            }
        }
    });
    let mut alive = JoinSet::new();
    let mut lease = manager.clone();
    alive.spawn(async move { lease.keep_alive(beats).await.map(drop) });
    let question = ListSchedulersRequest {
        source_type: SourceType::PeerSource.into(),
        hostname: "anybody".to_owned(),
        ip: host.ip.to_string(),
        ..Default::default()
    };
    let both = async {
        while manager
            .list_schedulers(question.clone())
            .await
            .unwrap()
            .into_inner()
            .schedulers
            .len()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, both).await.unwrap();
    host.is_broken("schedulers", &format!("{}:{port}", host.ip), &["--no-probe"])
        .await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_with_how_far() {
    let host = Host::well().await;
    // A manager an hour ago: it has no scheduler, either.
    let answer = || async {
        let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3600));
        [
            ("content-type", "application/grpc".to_owned()),
            ("grpc-status", "14".to_owned()),
            ("grpc-message", "cluster 1 has no active scheduler".to_owned()),
            ("date", date),
        ]
    };
    let listener = tokio::net::TcpListener::bind((host.ip, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut servers = JoinSet::new();
    servers.spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    let mut file = host.dfdaemon();
    set(&mut file, "/manager/addr", addr.to_string());
    host.write("dfdaemon.json", &file);
    host.is_broken("clock", "s ahead of the manager's", &["--no-probe"])
        .await;
    let (_, findings) = host.findings(&["--no-probe"]).await;
    let cluster = findings.iter().find(|finding| finding["check"] == "cluster").unwrap();
    assert_eq!(cluster["found"], "cluster 1 has no active scheduler");
}

#[tokio::test]
async fn a_probe_that_does_not_travel_says_what_the_proxy_said() {
    let host =
        Host::with("{\"proxy\": {\"server\": {\"basicAuth\": {\"username\": \"a\", \"password\": \"b\"}}}}").await;
    host.is_broken("probe", "407", &[]).await;
}
