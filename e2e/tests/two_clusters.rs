//! Two isolated clusters under one manager, on real MariaDB, Redis and registry, each node with its own containerd.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use dragonfly_e2e::article::{self, Kind};
use dragonfly_testkit::image::{Image, Layer};
use dragonfly_testkit::lab::{Blueprint, Host, Lab, Network, Node, Program, Rate, until};
use dragonfly_testkit::mariadb::MariaDb;
use dragonfly_testkit::process::output;
use dragonfly_testkit::redis::Redis;
use dragonfly_testkit::registry::Registry;
use dragonfly_testkit::up::binary;
use futures::future::try_join_all;

const REPOSITORY: &str = "team/app";
const PROBE_WITHIN: Duration = Duration::from_secs(20);

fn blueprint(origin_rate: Option<Rate>) -> Blueprint {
    Blueprint {
        binary: binary().unwrap(),
        nodes: 2,
        rate: None,
        origin_rate,
    }
}

fn say(step: &str) {
    eprintln!("{step}");
}

#[tokio::test]
async fn the_article_holds_byte_for_byte() {
    let report = article::tell(&blueprint(None), say).await.unwrap();
    assert!(report.held(), "{}", report.table());
    let kinds: Vec<_> = report
        .pulls
        .iter()
        .map(|pull| (pull.case.node.as_str(), pull.case.kind))
        .collect();
    let expected = [
        ("a-1", Kind::Direct),
        ("a-1", Kind::BackToSource),
        ("a-2", Kind::RemotePeer),
        ("b-1", Kind::BackToSource),
        ("b-2", Kind::RemotePeer),
        ("a-1", Kind::LocalPeer),
        ("a-2", Kind::LocalPeer),
        ("b-1", Kind::LocalPeer),
        ("b-2", Kind::LocalPeer),
    ];
    assert_eq!(kinds, expected);
    for pull in &report.pulls {
        let got = pull.seed_bytes + pull.peer_bytes;
        let expected = if pull.case.kind == Kind::RemotePeer {
            report.image_bytes
        } else {
            0
        };
        if pull.case.kind != Kind::BackToSource {
            assert_eq!(got, expected, "{:?}", pull.case);
        }
        assert_eq!(
            pull.blobs.iter().map(|blob| blob.bytes).sum::<u64>(),
            report.image_bytes
        );
    }
    let page = report.html();
    assert!(page.contains("<svg") && page.contains("a-seed") && page.contains("0 packets between the clusters"));
}

/// Whether a TCP connection from one host to another's proxy comes about.
async fn reaches(from: &Host, to: &Host) -> bool {
    let mut probe = from.place().command("/usr/bin/timeout");
    let connect = format!("exec 3<>/dev/tcp/{}/4001", to.ip);
    probe.args(["2", "/bin/bash", "-c", &connect]);
    output(probe, PROBE_WITHIN).await.unwrap().status.success()
}

/// The image is pulled on these nodes at once, and is then exact on each.
async fn pull_on(nodes: &[&Node], image: &Image, reference: &str) -> Result<()> {
    try_join_all(nodes.iter().map(|node| node.containerd.pull(reference, None))).await?;
    for node in nodes {
        assert_eq!(node.containerd.digest(reference).await?, image.manifest().digest);
        assert!(node.containerd.is_complete(reference).await?, "{}", node.name());
        let content = node.containerd.content().await?;
        assert!(
            image.blobs().all(|blob| content.contains(&blob.digest)),
            "{}",
            node.name()
        );
    }
    Ok(())
}

fn host<'a>(network: &'a Network, name: &str) -> &'a Host {
    network.host(name).unwrap()
}

#[tokio::test]
async fn clusters_stay_apart_even_where_the_network_would_let_them() {
    let standing = article::stand(&blueprint(None), say).await.unwrap();
    let network = &standing.lab.network;
    let (a, b) = (host(network, "a-1"), host(network, "b-1"));
    assert!(!reaches(a, b).await, "the lab keeps clusters apart");
    assert!(network.crossed().unwrap() > 0, "what tries to cross is counted");
    network.open().unwrap();
    assert!(reaches(a, b).await, "the way is open now");
    assert!(reaches(b, a).await, "both ways");
    let before = network.crossed().unwrap();
    assert!(before > 0, "what crosses is counted");

    let nodes: Vec<&Node> = standing
        .lab
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.nodes)
        .collect();
    pull_on(&nodes, &standing.image, &standing.reference).await.unwrap();

    assert_eq!(network.crossed().unwrap(), before, "no packet crossed");
    for blob in standing.image.blobs() {
        let served = standing.lab.registry.blob_bytes_served(&blob.digest).unwrap();
        assert_eq!(served, 2 * blob.size, "once for each cluster: {blob:?}");
    }
}

/// What is killed in the middle of pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Manager,
    Database,
    Redis,
    Scheduler,
    Seed,
}

/// A lab in parts, some of which are killed while others pull.
struct Parts<'a> {
    registry: &'a Registry,
    nodes: Vec<&'a Node>,
    manager: &'a mut Program,
    scheduler: &'a mut Program,
    seed: &'a mut Program,
    database: &'a mut MariaDb,
    redis: &'a mut Redis,
}

impl<'a> Parts<'a> {
    fn of(lab: &'a mut Lab) -> Self {
        let [a, b] = lab.clusters.as_mut_slice() else {
            panic!("there are two clusters");
        };
        Self {
            registry: &lab.registry,
            nodes: a.nodes.iter().chain(&b.nodes).collect(),
            manager: &mut lab.managers[0],
            scheduler: &mut a.scheduler,
            seed: &mut a.seed,
            database: &mut lab.database,
            redis: &mut lab.redis,
        }
    }

    /// The first, or the second, node of each cluster.
    fn half(&self, which: usize) -> Vec<&'a Node> {
        let ours = self.nodes.iter().skip(which).step_by(2);
        ours.copied().collect()
    }

    async fn kill(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Manager => self.manager.kill().await,
            Victim::Database => self.database.kill().await,
            Victim::Redis => self.redis.kill().await,
            Victim::Scheduler => self.scheduler.kill().await,
            Victim::Seed => self.seed.kill().await,
        }
    }

    async fn start_again(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Manager => self.manager.start_again().await,
            Victim::Database => self.database.start_again().await,
            Victim::Redis => self.redis.start_again().await,
            Victim::Scheduler => self.scheduler.start_again().await,
            Victim::Seed => self.seed.start_again().await,
        }
    }
}

/// Bytes of the image's blobs that have left the registry in whole answers.
fn origin_bytes(registry: &Registry, image: &Image) -> u64 {
    let served = image
        .blobs()
        .map(|blob| registry.blob_bytes_served(&blob.digest).unwrap());
    served.sum()
}

/// Kills `victim` while all nodes pull one image, starts it again, and has the other nodes pull what some hold.
async fn pulls_survive(victim: Victim, parts: &mut Parts<'_>) {
    let tag = format!("{victim:?}").to_lowercase();
    let held = Image::create(
        50 + victim as u64,
        &[Layer {
            bytes: 9 << 20,
            files: 5,
            gzip: false,
        }; 2],
    )
    .unwrap();
    let held_reference = parts.registry.push(&held, "team/held", &tag).await.unwrap();
    pull_on(&parts.half(0), &held, &held_reference).await.unwrap();
    let image = Image::five_layers(100 + victim as u64).unwrap();
    let reference = parts.registry.push(&image, REPOSITORY, &tag).await.unwrap();

    let (registry, nodes) = (parts.registry, parts.nodes.clone());
    let mut pulls = pin!(pull_on(&nodes, &image, &reference));
    // Small blobs have been served and large ones are under way: the pulls are in their middle.
    let under_way = until("pulls are under way", async || Ok(origin_bytes(registry, &image) > 0));
    tokio::select! {
        done = &mut pulls => panic!("the pulls ended ({done:?}) before {victim:?} could be killed"),
        under_way = under_way => under_way.unwrap(),
    }
    let restarted = async {
        parts.kill(victim).await?;
        parts.start_again(victim).await
    };
    tokio::try_join!(pulls, restarted).unwrap_or_else(|error| panic!("{victim:?}: {error:#}"));

    let before = origin_bytes(registry, &held);
    pull_on(&parts.half(1), &held, &held_reference).await.unwrap();
    assert_eq!(
        origin_bytes(registry, &held),
        before,
        "{victim:?}: what a cluster holds is not fetched again"
    );
    for (reference, image) in [(&reference, &image), (&held_reference, &held)] {
        let before = origin_bytes(registry, image);
        for node in &nodes {
            node.containerd.forget_image(reference).await.unwrap();
        }
        pull_on(&nodes, image, reference).await.unwrap();
        assert_eq!(
            origin_bytes(registry, image),
            before,
            "{victim:?}: pulls of {reference} again"
        );
    }
}

#[tokio::test]
async fn pulls_survive_the_kill_of_any_part_and_what_is_cached_stays_cached() {
    let mut standing = article::stand(&blueprint(Some(Rate::mbit(200))), say).await.unwrap();
    let mut parts = Parts::of(&mut standing.lab);
    for victim in [
        Victim::Manager,
        Victim::Database,
        Victim::Redis,
        Victim::Scheduler,
        Victim::Seed,
    ] {
        say(&format!("killing {victim:?}"));
        pulls_survive(victim, &mut parts).await;
    }
}
