//! Manager, scheduler and peers as programs of their own, each with its file, as a cluster of machines has them: without
//! certificates, and with those of `dragonfly manager ca`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use dragonfly_e2e::{Caller, dfget, succeeded};
use dragonfly_testkit::client;
use dragonfly_testkit::collector::{Collector, Told};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::process::{Process, Ready, own_loopback};
use dragonfly_testkit::registry::{Login, Registry, Transport};
use dragonfly_testkit::up::{Options, Up, binary};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(30);
const LENGTH: usize = 5 << 20;
const PASSWORD: &str = "correct horse";

/// A host with one program, on an address of its own.
struct Host {
    ip: Ipv4Addr,
    dir: TempDir,
    process: Option<Process>,
    /// What is added to its file: by its certificates, or by a test.
    more: Value,
}

/// Runs a command of the product and returns what it prints.
fn said(arguments: &[&str]) -> String {
    let output = Command::new(binary().unwrap()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Adds the keys of `more` to a file.
fn merge(file: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (file.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            _ => drop(file.insert(key.clone(), value.clone())),
        }
    }
}

impl Host {
    fn new() -> Self {
        Self {
            ip: own_loopback(),
            dir: tempfile::tempdir().unwrap(),
            process: None,
            more: json!({}),
        }
    }

    /// Takes a certificate of the authority in `ca`, and what the command says of the configuration.
    fn certified(&mut self, ca: &Path, component: &str) {
        let (ip, out) = (self.ip.to_string(), self.dir.path().join("tls"));
        let [ca, out] = [ca, &out].map(|path| path.to_str().unwrap());
        let issue = [
            "manager", "ca", "issue", "--dir", ca, "--for", component, "--ip", &ip, "--out", out,
        ];
        self.more = serde_saphyr::from_str(&said(&issue)).unwrap();
    }

    /// Runs a program with this file and waits until it accepts connections at `port`.
    async fn run(&mut self, program: &str, file: &str, port: u16) {
        let path = self.dir.path().join(format!("{program}.yaml"));
        let mut file: Value = serde_saphyr::from_str(file).unwrap();
        merge(file.as_object_mut().unwrap(), self.more.as_object().unwrap());
        // JSON is YAML.
        std::fs::write(&path, file.to_string()).unwrap();
        let mut command = Command::new(binary().unwrap());
        command.env("DRAGONFLY_INITIAL_ROOT_PASSWORD", PASSWORD);
        command.arg(program).arg("--console").arg("--config").arg(path);
        let mut process = Process::start(program, command, self.dir.path()).unwrap();
        process
            .ready(&Ready::Port((self.ip, port).into()), WITHIN)
            .await
            .unwrap();
        self.process = Some(process);
    }

    async fn run_manager(&mut self) {
        let (ip, data) = (self.ip, self.dir.path().join("data"));
        let file = format!(
            "server:\n  dataDir: {}\n  grpc:\n    listenIP: {ip}\n  rest:\n    addr: {ip}:8080\n",
            data.display(),
        );
        self.run("manager", &file, 65003).await;
    }

    async fn run_scheduler(&mut self, manager: &Host) {
        let (ip, data) = (self.ip, self.dir.path().join("data"));
        let file = format!(
            "server:\n  listenIP: {ip}\n  advertiseIP: {ip}\n  dataDir: {}\nmanager:\n  addr: {}:65003\n  schedulerClusterID: 1\n",
            data.display(),
            manager.ip,
        );
        self.run("scheduler", &file, 8002).await;
    }

    async fn run_dfdaemon(&mut self, manager: Option<&Host>, seed: bool) {
        let ip = self.ip;
        let mut file = format!(
            "host:\n  ip: {ip}\n  hostname: host-{ip}\nstorage:\n  dir: {}\n  server:\n    ip: {ip}\n\
             download:\n  server:\n    socketPath: {}\nupload:\n  server:\n    ip: {ip}\nproxy:\n  server:\n    ip: {ip}\n\
             health:\n  server:\n    ip: {ip}\nmetrics:\n  server:\n    ip: {ip}\nseedPeer:\n  enable: {seed}\n\
             security:\n  egress:\n    allow: [127.0.0.0/8]\n",
            self.dir.path().join("data").display(),
            self.socket().display(),
        );
        if let Some(manager) = manager {
            file.push_str(&format!("manager:\n  addr: http://{}:65003\n", manager.ip));
        }
        self.run("dfdaemon", &file, 4001).await;
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("dfdaemon.sock")
    }

    fn dfget(&self) -> Command {
        let mut command = Command::new(binary().unwrap());
        command.arg("dfget").arg("--endpoint").arg(self.socket());
        command
    }

    /// Runs `dfcache` or another tool of this host's dfdaemon.
    fn tool(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary().unwrap());
        command.args(arguments).arg("--endpoint").arg(self.socket());
        command.output().unwrap()
    }

    /// What such a tool prints as JSON.
    fn told(&self, arguments: &[&str]) -> Value {
        let output = self.tool(&[arguments, &["--output", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn stop(&mut self) {
        let status = self.process.take().unwrap().stop(Duration::from_secs(5)).await.unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn programs_of_their_own_find_each_other_and_the_seed_fetches_for_the_peer() {
    the_seed_fetches_for_the_peer([(); 4].map(|()| Host::new())).await;
}

#[tokio::test]
async fn with_the_certificates_of_one_authority_the_same_programs_trust_each_other() {
    let ca = tempfile::tempdir().unwrap();
    let dir = ca.path().join("ca");
    said(&["manager", "ca", "init", "--dir", dir.to_str().unwrap()]);
    let mut hosts = [(); 4].map(|()| Host::new());
    for (host, component) in hosts.iter_mut().zip(["manager", "scheduler", "seed-peer", "peer"]) {
        host.certified(&dir, component);
    }
    the_seed_fetches_for_the_peer(hosts).await;
}

/// Runs a manager, a scheduler, a seed peer and a peer, one on each of these hosts.
async fn cluster([mut manager, mut scheduler, mut seed, mut peer]: [Host; 4]) -> [Host; 4] {
    manager.run_manager().await;
    scheduler.run_scheduler(&manager).await;
    seed.run_dfdaemon(Some(&manager), true).await;
    peer.run_dfdaemon(Some(&manager), false).await;
    [manager, scheduler, seed, peer]
}

/// The same, on hosts whose programs send their traces there.
async fn traced_cluster(mut hosts: [Host; 4], collector: &str) -> [Host; 4] {
    for host in &mut hosts {
        host.more = json!({"tracing": {"protocol": "grpc", "endpoint": collector}});
    }
    cluster(hosts).await
}

/// On these four hosts: manager, scheduler, seed peer and peer.
async fn the_seed_fetches_for_the_peer(hosts: [Host; 4]) {
    let origin = Origin::start().unwrap();
    let content = Content::new(1, LENGTH as u64);
    let url = origin.put("/file", Resource::file(content));
    let [mut manager, mut scheduler, mut seed, mut peer] = cluster(hosts).await;

    // The peer may not ask the origin, so it has nothing before it knows the others.
    let file = knows_others(&peer, &url).await;
    assert_eq!(std::fs::read(&file).unwrap(), content.bytes(0, LENGTH));
    assert_eq!(origin.served("/file").unwrap().bytes, LENGTH as u64);

    for host in [&mut peer, &mut seed, &mut scheduler, &mut manager] {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_peer_without_manager_and_scheduler_fetches_and_keeps_what_it_fetched() {
    let origin = Origin::start().unwrap();
    let content = Content::new(2, LENGTH as u64);
    let url = origin.put("/file", Resource::file(content));
    let mut peer = Host::new();
    peer.run_dfdaemon(None, false).await;
    succeeded(
        &dfget(peer.dfget(), &url, &peer.dir.path().join("first"), &[])
            .await
            .unwrap(),
    )
    .unwrap();
    peer.stop().await;
    peer.run_dfdaemon(None, false).await;
    drop(origin);
    let file = peer.dir.path().join("second");
    succeeded(&dfget(peer.dfget(), &url, &file, &[]).await.unwrap()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), content.bytes(0, LENGTH));
}

#[tokio::test]
async fn a_peer_goes_on_while_manager_and_scheduler_are_away() {
    let origin = Origin::start().unwrap();
    let content = Content::new(3, LENGTH as u64);
    let url = origin.put("/file", Resource::file(content));
    let [mut manager, mut scheduler, mut peer] = [(); 3].map(|()| Host::new());
    manager.run_manager().await;
    scheduler.run_scheduler(&manager).await;
    peer.run_dfdaemon(Some(&manager), false).await;
    scheduler.stop().await;
    manager.stop().await;
    let file = peer.dir.path().join("file");
    succeeded(&dfget(peer.dfget(), &url, &file, &[]).await.unwrap()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), content.bytes(0, LENGTH));
}

#[tokio::test]
async fn two_hundred_downloads_survive_the_kill_of_their_scheduler_and_the_origin_gives_each_byte_once() {
    const CONTENTS: u64 = 50;
    const PEERS: usize = 4;
    let origin = Origin::start().unwrap();
    let [mut manager, mut scheduler, mut seed] = [(); 3].map(|()| Host::new());
    manager.run_manager().await;
    scheduler.run_scheduler(&manager).await;
    seed.run_dfdaemon(Some(&manager), true).await;
    let mut peers = [(); PEERS].map(|()| Host::new());
    for peer in &mut peers {
        peer.run_dfdaemon(Some(&manager), false).await;
    }
    // Until the seed fetches for its peers.
    let first = origin.put("/first", Resource::file(Content::new(70, 1)));
    for peer in &peers {
        knows_others(peer, &first).await;
    }

    // The origin stops in the middle of each content, so that all downloads are under way.
    let contents: Vec<Content> = (0..CONTENTS)
        .map(|number| Content::new(71 + number, LENGTH as u64))
        .collect();
    let path = |number: usize| format!("/{number}");
    let mut downloads = tokio::task::JoinSet::new();
    for (number, content) in contents.iter().enumerate() {
        let url = origin.put(&path(number), Resource::file(*content));
        origin.hold_at(&path(number), LENGTH as u64 / 2).unwrap();
        for peer in &peers {
            let file = peer.dir.path().join(number.to_string());
            let (command, url) = (peer.dfget(), url.clone());
            downloads.spawn(async move { dfget(command, &url, &file, &[]).await });
        }
    }
    for number in 0..contents.len() {
        let path = path(number);
        origin.wait_served(&path, LENGTH as u64 / 2, WITHIN).await.unwrap();
    }
    scheduler.process.as_mut().unwrap().kill().await.unwrap();
    scheduler.run_scheduler(&manager).await;
    for number in 0..contents.len() {
        origin.release(&path(number)).unwrap();
    }
    while let Some(output) = downloads.join_next().await {
        succeeded(&output.unwrap().unwrap()).unwrap();
    }
    for (number, content) in contents.iter().enumerate() {
        for peer in &peers {
            let file = peer.dir.path().join(number.to_string());
            assert_eq!(std::fs::read(file).unwrap(), content.bytes(0, LENGTH), "{number}");
        }
        let served = origin.served(&path(number)).unwrap();
        assert_eq!(served.bytes, LENGTH as u64, "{number}: {served:?}");
    }
}

/// Waits until a peer gets what it may not ask the origin for, and returns where that is.
async fn knows_others(peer: &Host, url: &str) -> PathBuf {
    let file = peer.dir.path().join("from-others");
    let end = Instant::now() + WITHIN;
    loop {
        let output = dfget(peer.dfget(), url, &file, &["--disable-back-to-source"])
            .await
            .unwrap();
        if output.status.success() {
            return file;
        }
        assert!(Instant::now() < end, "{output:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_block_list_is_in_force_long_before_anybody_polls() {
    let origin = Origin::start().unwrap();
    let url = origin.put("/secret", Resource::file(Content::new(5, LENGTH as u64)));
    let [mut manager, mut scheduler, mut peer] = [(); 3].map(|()| Host::new());
    manager.run_manager().await;
    scheduler.run_scheduler(&manager).await;
    peer.run_dfdaemon(Some(&manager), false).await;
    let root = Signed::open(&format!("http://{}:8080", manager.ip), PASSWORD).await;
    let set = async |urls: Value| {
        let list = json!({"peer_cluster_config": {"block_list": {"task": {"download": {"urls": urls}}}}});
        let patched = root
            .client
            .patch(format!("{}/api/v1/clusters/1", root.base))
            .bearer_auth(&root.token)
            .json(&list);
        assert!(patched.send().await.unwrap().status().is_success());
        Instant::now()
    };
    // Peers poll after 48 s at the earliest, so what happens before that was told them.
    let until = async |refused: bool, since: Instant| {
        for attempt in 0.. {
            let file = peer.dir.path().join(format!("{refused}-{attempt}"));
            let output = dfget(peer.dfget(), &url, &file, &[]).await.unwrap();
            let blocked = String::from_utf8_lossy(&output.stderr).contains("block list");
            if blocked == refused {
                break;
            }
            assert!(since.elapsed() < WITHIN, "{output:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        since.elapsed()
    };
    until(false, Instant::now()).await;
    let on = until(true, set(json!(["/secret$"])).await).await;
    let off = until(false, set(json!([])).await).await;
    println!("in force after {on:?}, lifted after {off:?}");
    for host in [&mut peer, &mut scheduler, &mut manager] {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_pull_is_found_by_its_url_and_its_trace_goes_through_the_scheduler_and_holds_no_secret() {
    let image = Image::tiny(80).unwrap();
    let registry = Registry::start(Login::Bearer, Transport::Plain).await.unwrap();
    registry.push(&image, "team/app", "v1").await.unwrap();
    let collector = Collector::start().await.unwrap();
    let hosts = [(); 4].map(|()| Host::new());
    let [mut manager, mut scheduler, mut seed, mut peer] = traced_cluster(hosts, &collector.endpoint()).await;
    let origin = Origin::start().unwrap();
    let first = origin.put("/first", Resource::file(Content::new(81, 1)));
    knows_others(&peer, &format!("{first}?X-Amz-Signature=s3cret")).await;

    let authorization = registry.authorization("team/app").await.unwrap().unwrap();
    let token = authorization.trim_start_matches("Bearer ");
    let caller = Caller::new(Some(&authorization)).unwrap();
    let blob = image.blobs().next().unwrap();
    let proxy = format!("http://{}:4001", peer.ip);
    let begun = Instant::now();
    let answer = caller.blob(&proxy, &registry, "team/app", &blob.digest).await.unwrap();
    let took = begun.elapsed();
    assert_eq!((answer.status, &answer.digest), (200, &blob.digest));

    // As the article looks for it.
    let url = format!("/v2/team/app/blobs/{}?ns={}", blob.digest, registry.host());
    let wanted = |told: &Told| told.span.name == "proxy" && told.text("http.url").as_ref() == Some(&url);
    let root = collector.find(WITHIN, wanted).await.unwrap();
    assert_eq!(root.service, "dragonfly-dfget");
    assert_eq!(root.text("http.request.method").as_deref(), Some("GET"));
    assert_eq!(root.number("http.response.status_code"), Some(200));
    assert_eq!(
        root.number("http.response.body.size"),
        Some(answer.length.try_into().unwrap())
    );
    let nanos = root.span.end_time_unix_nano - root.span.start_time_unix_nano;
    assert!(Duration::from_nanos(nanos) <= took, "{nanos} of {took:?}");
    let child = async |name: &str, parent: &Told| {
        let (trace, id) = (parent.span.trace_id.clone(), parent.span.span_id.clone());
        let is_it =
            |told: &Told| told.span.name == name && told.span.parent_span_id == id && told.span.trace_id == trace;
        collector.find(WITHIN, is_it).await.unwrap()
    };
    child("authorise", &root).await;
    let download = child("download", &root).await;
    assert_eq!(
        download.number("dragonfly.bytes.peers"),
        Some(answer.length.try_into().unwrap())
    );
    assert_eq!(download.number("dragonfly.bytes.origin"), Some(0));
    assert_eq!(download.text("dragonfly.task.id"), root.text("dragonfly.task.id"));
    assert!(!download.span.events.is_empty(), "a piece came");
    let register = child("register", &download).await;
    let call = child("rpc", &register).await;
    assert_eq!(call.service, "dragonfly-scheduler");
    // The seed peer that fetched for this pull is in its trace, too.
    let length = Some(answer.length.try_into().unwrap());
    let trace = root.span.trace_id.clone();
    let of_the_seed = |told: &Told| {
        told.span.name == "download" && told.span.trace_id == trace && told.number("dragonfly.bytes.origin") == length
    };
    collector.find(WITHIN, of_the_seed).await.unwrap();
    for secret in [token, "Bearer", "s3cret", registry.user().unwrap().password] {
        assert!(!collector.everything().contains(secret), "{secret}");
    }
    for host in [&mut peer, &mut seed, &mut scheduler, &mut manager] {
        host.stop().await;
    }
}

/// A caller of the manager's API with a session of root's.
struct Signed {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Signed {
    async fn open(base: &str, password: &str) -> Self {
        let client = client::builder().unwrap().build().unwrap();
        let sign_in = json!({"name": "root", "password": password});
        let answer = client.post(format!("{base}/api/v1/users/signin")).json(&sign_in);
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        Self {
            client,
            base: base.to_owned(),
            token: answer["token"].as_str().unwrap().to_owned(),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("{}{path}", self.base)).query(query);
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The trace whose span `proxy` was asked for this URL, when it has a span of each of these services.
    async fn trace(&self, url: &str, services: &[&str]) -> Value {
        let tags = json!({"http.url": url}).to_string();
        let query = [
            ("service", "dragonfly-dfget"),
            ("operation", "proxy"),
            ("tags", &tags),
            ("minDuration", "1us"),
        ];
        let end = Instant::now() + WITHIN;
        loop {
            let found = self.get("/jaeger/api/traces", &query).await;
            let trace = found["data"].get(0).cloned().unwrap_or_default();
            let told = trace["processes"].as_object().into_iter().flat_map(Map::values);
            let told: Vec<&str> = told.filter_map(|process| process["serviceName"].as_str()).collect();
            if services.iter().all(|service| told.contains(service)) {
                return trace;
            }
            assert!(Instant::now() < end, "{url} is not found: {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The names of a trace's spans.
fn operations(trace: &Value) -> Vec<&str> {
    let spans = trace["spans"].as_array().unwrap().iter();
    spans.map(|span| span["operationName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_pull_is_found_by_its_url_in_the_manager_and_still_is_after_the_managers_kill() {
    let image = Image::tiny(82).unwrap();
    let registry = Registry::start(Login::Bearer, Transport::Plain).await.unwrap();
    registry.push(&image, "team/app", "v1").await.unwrap();
    let hosts = [(); 4].map(|()| Host::new());
    let receiver = format!("{}:65003", hosts[0].ip);
    let [mut manager, mut scheduler, mut seed, mut peer] = traced_cluster(hosts, &receiver).await;
    let origin = Origin::start().unwrap();
    let first = origin.put("/first", Resource::file(Content::new(83, 1)));
    knows_others(&peer, &first).await;

    let authorization = registry.authorization("team/app").await.unwrap().unwrap();
    let caller = Caller::new(Some(&authorization)).unwrap();
    let blob = image.blobs().next().unwrap();
    let proxy = format!("http://{}:4001", peer.ip);
    let answer = caller.blob(&proxy, &registry, "team/app", &blob.digest).await.unwrap();
    assert_eq!(answer.status, 200);
    let url = format!("/v2/team/app/blobs/{}?ns={}", blob.digest, registry.host());
    let rest = format!("http://{}:8080", manager.ip);
    let signed = Signed::open(&rest, PASSWORD).await;
    let trace = signed.trace(&url, &["dragonfly-dfget", "dragonfly-scheduler"]).await;
    for operation in ["proxy", "authorise", "download", "register", "rpc"] {
        assert!(operations(&trace).contains(&operation), "{operation} in {trace}");
    }
    // The manager tells of no export.
    let services = signed.get("/jaeger/api/services", &[]).await;
    assert_eq!(services["data"], json!(["dragonfly-dfget", "dragonfly-scheduler"]));
    assert!(!trace.to_string().contains(authorization.trim_start_matches("Bearer ")));

    manager.process.take().unwrap().kill().await.unwrap();
    manager.run_manager().await;
    let signed = Signed::open(&rest, PASSWORD).await;
    let again = signed.trace(&url, &["dragonfly-dfget", "dragonfly-scheduler"]).await;
    assert_eq!(again["traceID"], trace["traceID"]);
    for host in [&mut peer, &mut seed, &mut scheduler, &mut manager] {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_pull_is_found_by_its_url_where_everything_is_one_process_and_nobody_named_a_collector() {
    let origin = Origin::start().unwrap();
    let url = origin.put("/model", Resource::file(Content::new(84, LENGTH as u64)));
    let options = Options::with_peers(1)
        .with_config("security: {egress: {allow: [127.0.0.0/8]}}\nproxy: {rules: [{regex: model}]}\n");
    let mut up = Up::start(options).await.unwrap();
    let through = reqwest::Proxy::http(up.proxy(0)).unwrap();
    let caller = client::builder().unwrap().proxy(through).build().unwrap();
    let answer = caller.get(&url).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), LENGTH);
    let (base, root) = (up.cluster().manager.rest.clone(), &up.cluster().root);
    let password = std::fs::read_to_string(&root.password_file).unwrap();
    let signed = Signed::open(&base, password.trim()).await;
    let trace = signed.trace(&url, &["dragonfly-dfget"]).await;
    let id = trace["traceID"].as_str().unwrap();
    assert!(operations(&trace).contains(&"download"), "{trace}");
    for (arguments, expected) in [
        (vec!["find", "--url", &url, "--since", "1h"], id),
        (vec!["show", id], "· download"),
    ] {
        let mut dfctl = Command::new(binary().unwrap());
        dfctl
            .env_clear()
            .env("DFCTL_MANAGER", &base)
            .env("DFCTL_TOKEN", &signed.token);
        let output = dfctl.args(["dfctl", "traces"]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(expected), "{said}");
    }
    assert_eq!(up.stop().await.unwrap().code(), Some(0));
}

/// Calls again and again until something is there.
async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + WITHIN;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_file_that_is_put_in_has_its_replicas_and_comes_out_whole_when_its_importer_is_killed() {
    let [mut manager, mut scheduler] = [(); 2].map(|()| Host::new());
    manager.run_manager().await;
    scheduler.run_scheduler(&manager).await;
    let mut peers = [(); 3].map(|()| Host::new());
    for peer in &mut peers {
        peer.run_dfdaemon(Some(&manager), false).await;
    }
    let [importer, b, c] = &mut peers;
    let content = Content::new(90, LENGTH as u64).bytes(0, LENGTH);
    let file = importer.dir.path().join("model.bin");
    std::fs::write(&file, &content).unwrap();
    let import = ["dfcache", "import", file.to_str().unwrap(), "--tag", "v1"];
    // Until the peer has found the scheduler.
    let id = until("it is put in", || {
        let output = importer.tool(&import);
        let said = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| said.trim().to_owned())
    });
    let id = id.await;
    until("two hosts keep it", || {
        let stat = importer.told(&["dfcache", "stat", &id]);
        (stat["currentPersistentReplicaCount"] == 2).then_some(())
    })
    .await;
    let (keeper, other) = match b.told(&["dfcache", "ls"])[0]["id"] == id.as_str() {
        true => (b, c),
        false => (c, b),
    };
    assert_eq!(keeper.told(&["dfcache", "ls"])[0]["persistent"], true);
    assert_eq!(other.told(&["dfcache", "ls"]), json!([]));
    assert_eq!(keeper.told(&["dfctl", "task", "ls"]), json!([]));

    importer.process.take().unwrap().kill().await.unwrap();
    let copy = other.dir.path().join("copy.bin");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    let export = [
        "dfcache",
        "export",
        &id,
        "-O",
        copy.to_str().unwrap(),
        "--digest",
        &digest,
    ];
    let output = other.tool(&export);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), content);
    let again = other.tool(&export);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let held = other.told(&["dfctl", "persistent-cache-task", "stat", &id]);
    assert_eq!(
        (&held["state"], &held["contentLength"]),
        (&json!("complete"), &json!(LENGTH))
    );

    assert!(other.tool(&["dfcache", "rm", &id]).status.success());
    for peer in [&mut *keeper, &mut *other] {
        assert_eq!(peer.told(&["dfcache", "ls"]), json!([]));
        assert_eq!(peer.tool(&["dfcache", "stat", &id]).status.code(), Some(1));
        peer.stop().await;
    }
    for host in [&mut scheduler, &mut manager] {
        host.stop().await;
    }
}
