//! A real Prometheus scrapes all programs of a cluster in which contents travel.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dragonfly_e2e::{dfget, succeeded};
use dragonfly_testkit::client;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::packages::{self, PROMETHEUS};
use dragonfly_testkit::process::{self, Process, Ready, free_port};
use dragonfly_testkit::up::{Options, Up, as_url, binary};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const SERVER: &str = "/usr/bin/prometheus";
/// Only managers that have a Redis say how it is.
const NOT_HERE: &str = "dragonfly_manager_redis_up";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The names in the tables of docs/metrics.md, and those of which `promtool` may warn.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let named = |start: &str| -> BTreeSet<String> {
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix(start)?.split_once('`'));
        rows.map(|(name, _)| name.to_owned()).collect()
    };
    (named("| `"), named("- `"))
}

/// Every question of every dashboard.
fn questions() -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("deploy/helm/dragonfly/dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
        all.extend(targets.map(|target| {
            let asked = target["expr"].as_str().unwrap();
            asked.replace("$__rate_interval", "5m").replace("$job", ".*")
        }));
    }
    all
}

struct Prometheus {
    _process: Process,
    client: reqwest::Client,
    address: SocketAddr,
}

impl Prometheus {
    async fn start(dir: &Path, targets: &[String]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port([127, 0, 0, 1].into()).unwrap()));
        let config = dir.join("prometheus.yml");
        let text = serde_json::json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": [{ "job_name": "dragonfly", "static_configs": [{ "targets": targets }] }],
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let mut command = Command::new(SERVER);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", command, dir).unwrap();
        process.ready(&Ready::Port(address), WITHIN).await.unwrap();
        Self {
            _process: process,
            client: client::builder().unwrap().build().unwrap(),
            address,
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("http://{}/api/v1/{path}", self.address));
        let answer = request.query(query).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    /// The first answer to a question that has data in it.
    async fn answers(&self, question: &str) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get("query", &[("query", question)]).await;
            if answer["data"]["result"].as_array().is_some_and(|data| !data.is_empty()) {
                return answer["data"]["result"].clone();
            }
            assert!(begun.elapsed() < WITHIN, "no data for {question}: {answer}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Until a question is answered by this number.
    async fn comes_to(&self, question: &str, expected: f64) {
        let begun = Instant::now();
        loop {
            let answer = self.answers(question).await;
            let value: f64 = answer[0]["value"][1].as_str().unwrap().parse().unwrap();
            if value == expected {
                return;
            }
            assert!(begun.elapsed() < WITHIN, "{question} is {value}, not {expected}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Where each program of a cluster tells its metrics.
fn doors(up: &Up) -> Vec<String> {
    let ip = up.ip();
    let mut doors: Vec<String> = [8000, 8001, 14_002].iter().map(|port| format!("{ip}:{port}")).collect();
    let peers = up.cluster().peers.iter().map(|peer| peer.metrics.as_str());
    doors.extend(peers.map(|door| door.trim_start_matches("http://").to_owned()));
    doors
}

/// Has a job made, so that what counts jobs has something to count.
async fn preheated(up: &Up, url: &str) {
    let manager = &up.cluster().manager.rest;
    let mut command = Command::new(binary().unwrap());
    command
        .args([
            "dfctl",
            "--manager",
            &as_url(manager),
            "--user",
            &up.cluster().root.name,
        ])
        .arg("--password-file")
        .arg(&up.cluster().root.password_file)
        .args(["preheat", "file", url]);
    succeeded(&process::output(command, WITHIN).await.unwrap()).unwrap();
}

#[tokio::test]
async fn prometheus_scrapes_every_program_and_every_question_of_the_dashboards_has_an_answer() {
    packages::require(&[PROMETHEUS]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 9 << 20);
    let url = origin.put("/file", Resource::file(content));
    let up = Up::start(Options::with_peers(2)).await.unwrap();
    let doors = doors(&up);
    let prometheus = Prometheus::start(dir.path(), &doors).await;
    for peer in 0..2 {
        let file = dir.path().join(format!("of-peer-{peer}"));
        succeeded(&dfget(up.dfget(peer), &url, &file, &[]).await.unwrap()).unwrap();
    }
    preheated(&up, &url).await;
    let mut unanswered = Vec::new();
    for question in questions() {
        match question.contains(NOT_HERE) {
            true => unanswered.push(question),
            false => drop(prometheus.answers(&question).await),
        }
    }
    assert_eq!(unanswered.len(), 1, "{unanswered:?}");

    let targets = prometheus.get("targets", &[]).await;
    let targets = targets["data"]["activeTargets"].as_array().unwrap();
    assert_eq!(targets.len(), 5);
    for target in targets {
        assert_eq!(
            (&target["health"], &target["lastError"]),
            (&"up".into(), &"".into()),
            "{target}"
        );
    }

    // Two callers were given what an origin gave once.
    let length = content.length() as f64;
    let delivered = "sum(dragonfly_client_delivered_bytes_total)";
    prometheus.comes_to(delivered, 2.0 * length).await;
    let from_origin = "sum(dragonfly_client_download_traffic{type=\"BACK_TO_SOURCE\"})";
    prometheus.comes_to(from_origin, length).await;
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());

    let (known, _) = documented();
    let names = prometheus.get("label/__name__/values", &[]).await;
    let names: Vec<&str> = names["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let ours = names
        .iter()
        .filter(|name| name.starts_with("dragonfly_") || name.starts_with("process_"));
    for name in ours {
        let is_known = ["", "_bucket", "_sum", "_count"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|name| known.contains(name)));
        assert!(is_known, "{name} is not in docs/metrics.md");
    }
}

#[tokio::test]
async fn promtool_warns_of_no_metric_but_those_whose_names_are_dragonflys() {
    packages::require(&[PROMETHEUS]).unwrap();
    let up = Up::start(Options::with_peers(1)).await.unwrap();
    let (_, odd) = documented();
    let client = client::builder().unwrap().build().unwrap();
    for door in doors(&up) {
        let answer = client.get(format!("{}/metrics", as_url(&door))).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let mut promtool = Command::new(PROMETHEUS.1)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let said = promtool.wait_with_output().unwrap();
        let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        for line in said.lines().filter(|line| !line.is_empty()) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(odd.contains(name), "{door}: {line}");
        }
    }
}
