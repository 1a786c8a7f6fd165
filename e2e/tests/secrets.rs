//! Nothing that a caller shows to be let in is ever told: not in a log at its most talkative, not in a trace, a metric or an error.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dragonfly_e2e::{Caller, dfget};
use dragonfly_testkit::client;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::process::{Process, Ready, own_loopback};
use dragonfly_testkit::registry::{Login, Registry, Transport, USER};
use dragonfly_testkit::up::{Cluster, as_url, binary};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);
/// What callers of this test show, each in another place; the last as it stands in a header.
const SECRETS: [&str; 10] = [
    "s3cret-header",
    "s3cret-cookie",
    "s3cret-in-url",
    "s3cret-signature",
    "s3cret-key",
    "s3cret-session",
    "s3cret-root-no",
    "s3cret-hub",
    USER.password,
    "czNjcmV0LWhlYWRlcg",
];

/// A cluster that says all it can.
struct Talkative {
    process: Process,
    cluster: Cluster,
    dir: tempfile::TempDir,
    /// What commands said.
    said: String,
}

impl Talkative {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary().unwrap());
        command
            .args(["up", "--peers", "2", "--log-level", "trace", "--ip"])
            .arg(own_loopback().to_string())
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .arg("--ready-file")
            .arg(dir.path().join("ready"));
        let mut process = Process::start("up", command, dir.path()).unwrap();
        process
            .ready(&Ready::File(dir.path().join("ready")), WITHIN)
            .await
            .unwrap();
        let ready = std::fs::read_to_string(dir.path().join("ready")).unwrap();
        Self {
            process,
            cluster: serde_json::from_str(&ready).unwrap(),
            dir,
            said: String::new(),
        }
    }

    fn heard(&mut self, output: &Output) {
        self.said.push_str(&String::from_utf8_lossy(&output.stdout));
        self.said.push_str(&String::from_utf8_lossy(&output.stderr));
    }

    async fn dfget(&mut self, url: &str, more: &[&str]) {
        let mut command = Command::new(binary().unwrap());
        command
            .arg("dfget")
            .arg("--endpoint")
            .arg(&self.cluster.peers[0].socket);
        let to = self.dir.path().join(format!("output-{}", self.said.len()));
        let more = [&["--console", "--log-level", "trace"], more].concat();
        let output = dfget(command, url, &to, &more).await.unwrap();
        self.heard(&output);
    }

    /// `dfctl` with a word that is read from stdin.
    fn dfctl(&mut self, word: &str, arguments: &[&str]) {
        let mut child = Command::new(binary().unwrap())
            .args(["dfctl", "--manager", &as_url(&self.cluster.manager.rest)])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{word}").unwrap();
        let output = child.wait_with_output().unwrap();
        self.heard(&output);
    }

    fn root_password(&self) -> String {
        let text = std::fs::read_to_string(&self.cluster.root.password_file).unwrap();
        text.trim().to_owned()
    }

    /// Every trace that the manager has, once it has one of such a URL.
    async fn traces(&self, url: &str) -> String {
        let client = client::builder().unwrap().build().unwrap();
        let base = as_url(&self.cluster.manager.rest);
        let sign_in = json!({"name": self.cluster.root.name, "password": self.root_password()});
        let signed = client.post(format!("{base}/api/v1/users/signin")).json(&sign_in);
        let signed: Value = signed.send().await.unwrap().json().await.unwrap();
        let token = signed["token"].as_str().unwrap();
        let query = [("service", "dragonfly-dfget"), ("limit", "100"), ("minDuration", "1us")];
        let asking = async {
            loop {
                let asked = client.get(format!("{base}/jaeger/api/traces")).query(&query);
                let text = asked.bearer_auth(token).send().await.unwrap().text().await.unwrap();
                if text.contains(url) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WITHIN, asking).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let client = client::builder().unwrap().build().unwrap();
        let ip = self.cluster.peers[0].metrics.trim_start_matches("http://");
        let ip = ip.split_once(':').unwrap().0;
        let mut text = String::new();
        for port in [8000, 8001, 4002, 4102, 14_002] {
            let answer = client.get(format!("http://{ip}:{port}/metrics")).send().await.unwrap();
            text.push_str(&answer.text().await.unwrap());
        }
        text
    }
}

/// Pulls and is refused with every kind of credential; what registries wanted to see.
async fn use_them(up: &mut Talkative, last: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for login in [Login::Basic, Login::Bearer] {
        let registry = Registry::start(login, Transport::Plain).await.unwrap();
        let image = Image::tiny(90).unwrap();
        registry.push(&image, "secret/app", "v1").await.unwrap();
        let blob = image.blobs().next().unwrap();
        let authorization = registry.authorization("secret/app").await.unwrap().unwrap();
        shown.extend(authorization.split_once(' ').map(|(_, secret)| secret.to_owned()));
        for caller in [Some(&*authorization), Some("Basic czNjcmV0LWhlYWRlcg=="), None] {
            let caller = Caller::new(caller).unwrap();
            for peer in 0..2 {
                let proxy = as_url(&up.cluster.peers[peer].proxy);
                let answer = caller
                    .blob(&proxy, &registry, "secret/app", &blob.digest)
                    .await
                    .unwrap();
                up.said.push_str(&String::from_utf8_lossy(&answer.head));
            }
        }
        let url = format!("{}/v2/secret/app/manifests/v1", registry.url());
        let preheat = ["preheat", "image", &url, "--username", USER.name, "--password-stdin"];
        let file = up.cluster.root.password_file.display().to_string();
        let root = ["--user", &up.cluster.root.name.clone(), "--password-file", &file];
        up.dfctl(USER.password, &[&root[..], &preheat[..]].concat());
    }
    let origin = Origin::start().unwrap();
    let good = origin.put("/good", Resource::file(Content::new(91, 100_000)));
    let header = [
        "--header",
        "Authorization: Bearer s3cret-header",
        "--header",
        "Cookie: c=s3cret-cookie",
    ];
    up.dfget(&good, &header).await;
    let missing = origin.url("/missing");
    up.dfget(&missing, &header).await;
    let host = good.trim_start_matches("http://");
    up.dfget(
        &format!("http://user:s3cret-in-url@{host}?X-Amz-Signature=s3cret-signature"),
        &[],
    )
    .await;
    let keys = [
        "--storage-endpoint",
        &missing,
        "--storage-region",
        "eu",
        "--storage-access-key-id",
        "id",
        "--storage-access-key-secret",
        "s3cret-key",
        "--storage-session-token",
        "s3cret-session",
    ];
    up.dfget("s3://bucket/object", &keys).await;
    up.dfget(
        "hf://owner/model/file",
        &["--hf-token", "s3cret-hub", "--hf-base-url", &missing],
    )
    .await;
    up.dfctl("s3cret-root-no", &["--user", "root", "cluster", "ls"]);
    up.dfget(last, &[]).await;
    shown
}

#[tokio::test]
async fn no_credential_is_told_in_logs_traces_metrics_or_errors() {
    let mut up = Talkative::start().await;
    let origin = Origin::start().unwrap();
    let last = origin.put("/the-last-of-all", Resource::file(Content::new(92, 1)));
    let mut secrets = use_them(&mut up, &last).await;
    secrets.push(up.root_password());
    secrets.extend(SECRETS.map(str::to_owned));
    // Traces come one after the other, so that with the last all are there.
    let told = [
        ("traces", up.traces("/the-last-of-all").await),
        ("metrics", up.metrics().await),
        ("logs", up.process.stderr().unwrap()),
        ("what commands said", up.said.clone()),
    ];
    for (place, text) in &told {
        assert!(!text.is_empty(), "{place}");
        for secret in &secrets {
            let at = text.find(secret.as_str());
            let around = at.map(|at| text[..at].lines().last().unwrap_or_default());
            assert_eq!(around, None, "{place} tell {secret}");
        }
    }
    assert!(told[2].1.len() > 10_000, "the log says what it can");
}
