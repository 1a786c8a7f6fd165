//! The article's two `helm install`s on the article's nodes: what the manifests say is done by processes.
//!
//! The values are the article's files as they are (and that an uninstallation shall put the nodes back), and the image that is pulled has its name, `ghcr.io` included: a registry with a
//! private authority answers to that name, for the pods alone. MariaDB, Redis and busybox are Debian's programs. Jaeger is in no
//! package: a collector of OTLP takes what programs send to its service, and search in its pages is not shown here.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dragonfly_e2e::made::{made, root};
use dragonfly_testkit::helm::{Helm, Release, Version};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::lab::{Console, known_hosts, until};
use dragonfly_testkit::pods::{Labels, Node, Objects, Pod, Pods};
use dragonfly_testkit::registry::Registry;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const A: &str = "cluster-a";
const B: &str = "cluster-b";
const REGISTRY: &str = "ghcr.io";
const REPOSITORY: &str = "dragonflyoss/dragonfly2/scheduler";
const TAG: &str = "v2.0.5";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

fn article(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/chart/article")
        .join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(article(file)).unwrap()
}

/// What `helm install` would send to Kubernetes, made-up passwords included.
fn rendered(namespace: &str, file: &str) -> Objects {
    let helm = Helm::get(Version::V4, Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let chart = root().join("deploy/helm/dragonfly");
    let release = Release {
        chart: &chart,
        name: "dragonfly",
        namespace,
        arguments: &[
            format!("--values={}", article(file).display()),
            "--set=client.dfinit.undoAtUninstall=true".to_owned(),
        ],
    };
    Objects::read(&helm.template(release).unwrap()).unwrap()
}

/// The workers that the article has kind make: two of each cluster.
fn workers() -> Vec<Labels> {
    let kind: Value = serde_saphyr::from_str(&read("kind-config.yaml")).unwrap();
    let nodes = kind["nodes"].as_array().unwrap();
    let workers = nodes.iter().filter(|node| node["role"] == "worker");
    workers
        .map(|node| serde_json::from_value(node["labels"].clone()).unwrap())
        .collect()
}

/// The scheduler of a release knows these and no other hosts.
async fn until_joined(pods: &Pods, namespace: &str, expected: &[&str]) {
    let scheduler = pods.component(namespace, "scheduler")[0].ip();
    until(&format!("{expected:?} have joined"), async || {
        let known: BTreeSet<String> = known_hosts(scheduler).await?.into_iter().collect();
        Ok(known == expected.iter().map(|name| (*name).to_owned()).collect())
    })
    .await
    .unwrap();
}

/// Pulls as the kubelet does; what arrived is the image.
async fn pull(node: &Node, image: &Image) {
    let reference = format!("{REGISTRY}/{REPOSITORY}:{TAG}");
    let id = node.pull(&reference).await.unwrap();
    assert_eq!(id, image.blobs().next().unwrap().digest, "{}", node.host().name);
    let content = node.content().await.unwrap();
    for blob in image.blobs().chain([image.manifest()]) {
        assert!(content.contains(&blob.digest), "{blob:?} on {}", node.host().name);
    }
}

/// Each byte of the image's blobs has left the registry so often; its log may be a moment behind.
async fn until_served(registry: &Registry, image: &Image, times: u64) {
    until(&format!("each byte was served {times} times"), async || {
        let served = image.blobs().map(|blob| registry.blob_bytes_served(&blob.digest));
        let served: Vec<u64> = served.collect::<Result<_, _>>()?;
        let expected = image.blobs().map(|blob| times * blob.size);
        anyhow::ensure!(expected.eq(served.iter().copied()), "{served:?}");
        Ok(true)
    })
    .await
    .unwrap();
}

/// The article's query: the root span of a pull of this layer, by its URL.
async fn is_traced(pods: &Pods, namespace: &str, digest: &str) {
    let url = format!("/v2/{REPOSITORY}/blobs/{digest}?ns={REGISTRY}");
    let jaeger = pods.component(namespace, "jaeger")[0].collector().unwrap();
    jaeger
        .find(TOLD_WITHIN, |told| {
            told.service == "dragonfly-dfget"
                && told.span.name == "proxy"
                && told.text("http.url").as_ref() == Some(&url)
        })
        .await
        .unwrap();
}

/// What a node's containerd is told about registries.
fn containerd(node: &Node) -> (String, bool) {
    let dir = node.path(Path::new("/etc/containerd"));
    let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
    (config, dir.join("certs.d").join(REGISTRY).join("hosts.toml").exists())
}

/// How long a program took from its first line to being ready, by its own log.
fn started_in(pod: &Pod) -> SignedDuration {
    let log = pod.log().unwrap();
    let moment = |said: &str| -> Timestamp {
        let line = log.lines().find(|line| line.contains(said));
        let line = line.unwrap_or_else(|| panic!("{} never said {said:?}: {log}", pod.name()));
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    moment(": ready program").duration_since(moment(": starting program"))
}

#[tokio::test]
async fn the_articles_two_releases_come_up_and_pull_each_in_its_own_cluster() {
    made(&["image"]).unwrap();
    let service = Objects::read(&read("manager-rest-svc.yaml")).unwrap();
    let first = rendered(A, "charts-config-cluster-a.yaml").and(service);
    let second = rendered(B, "charts-config-cluster-b.yaml");
    let names = ["worker", "worker2", "worker3", "worker4"];
    let nodes: Vec<(&str, Labels)> = names.into_iter().zip(workers()).collect();
    let layout = root().join("target/image/oci");
    let mut pods = Pods::prepare(&layout, &nodes, &[(A, &first), (B, &second)])
        .await
        .unwrap();
    let host = pods.outside_host().unwrap();
    let address = SocketAddr::from((host.ip, 443));
    let registry = Registry::start_named(host.place(), address, REGISTRY).await.unwrap();
    pods.outside(REGISTRY, &registry.ca().unwrap()).unwrap();
    let image = Image::five_layers(2023).unwrap();
    registry.push(&image, REPOSITORY, TAG).await.unwrap();
    // Only the programs themselves keep clusters apart.
    pods.network.open().unwrap();

    let untouched: Vec<_> = pods.nodes.iter().map(containerd).collect();
    pods.install(A).await.unwrap();
    until_joined(&pods, A, &["dragonfly-seed-peer-0", "worker", "worker2"]).await;
    let console = Console::first(pods.service(A, "manager-rest").unwrap()).await.unwrap();
    let added = console
        .add_cluster("cluster-2", &json!({ "idc": "cluster-2" }))
        .await
        .unwrap();
    let ids = (added.scheduler_cluster_id, added.seed_peer_cluster_id);
    assert_eq!(ids, (2, 2), "those of the article's second file");
    pods.install(B).await.unwrap();
    until_joined(&pods, B, &["dragonfly-seed-peer-0", "worker3", "worker4"]).await;
    for node in &pods.nodes {
        assert_eq!(
            node.containerd_starts().unwrap(),
            2,
            "once anew, since dfinit changed its file"
        );
    }

    for (pulled, served) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        pull(&pods.nodes[pulled], &image).await;
        until_served(&registry, &image, served).await;
    }
    let asked = registry.requests().unwrap();
    let fetched_blobs = asked
        .iter()
        .filter(|one| one.method == "GET" && one.uri.contains("/blobs/"));
    let fetched_by: BTreeSet<IpAddr> = fetched_blobs.map(|one| one.caller.ip()).collect();
    let seeds = [A, B].map(|namespace| IpAddr::from(pods.component(namespace, "seed-peer")[0].ip()));
    assert_eq!(fetched_by, BTreeSet::from(seeds), "one seed of each cluster");
    assert_eq!(pods.network.crossed().unwrap(), 0, "no packet from cluster to cluster");
    for namespace in [A, B] {
        is_traced(&pods, namespace, &image.largest().digest).await;
        for component in ["scheduler", "seed-peer", "dfdaemon"] {
            for pod in pods.component(namespace, component) {
                println!("{} was ready after {:#}", pod.name(), started_in(pod));
            }
        }
    }

    for namespace in [B, A] {
        pods.uninstall(namespace).await.unwrap();
        assert!(pods.selected(namespace, &Labels::new()).is_empty());
    }
    let left: Vec<_> = pods.nodes.iter().map(containerd).collect();
    assert_eq!(left, untouched, "the nodes are as they were");
    for node in &pods.nodes {
        assert_eq!(node.containerd_starts().unwrap(), 3, "and their containerds know it");
    }
}
