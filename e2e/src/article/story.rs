//! The steps of the story, each through the doors that an operator has: REST, configuration files, containerd.

use std::time::Instant;

use anyhow::{Context, Result};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::lab::{Blueprint, Cluster, Console, Lab, Membership, Node, Says};
use dragonfly_testkit::registry::Registry;
use jiff::Timestamp;
use serde_json::json;

use super::measure::{self, Reading};
use super::report::{CLUSTERS, Case, Edge, Kind, ORIGIN, Pull, Report};

const REPOSITORY: &str = "dragonflyoss/dragonfly2/scheduler";
const TAG: &str = "v2.0.5";
/// The second cluster: its name, and the IDC that its scopes and its peers say.
const SECOND_CLUSTER: &str = "cluster-2";
/// The image is the same on every run.
const SEED: u64 = 2023;

/// Two running clusters and an image in the registry: what the story begins with.
#[derive(Debug)]
pub struct Standing {
    /// All that runs.
    pub lab: Lab,
    /// The image.
    pub image: Image,
    /// Its name in the lab's registry.
    pub reference: String,
    /// The operator who made the second cluster.
    pub console: Console,
}

/// From nothing to two clusters whose containerds pull through their peers. `step` is told what happens next.
///
/// # Errors
/// When a step fails.
pub async fn stand(blueprint: &Blueprint, mut step: impl FnMut(&str)) -> Result<Standing> {
    step("making hosts, registry, MariaDB, Redis and manager");
    let image = Image::five_layers(SEED)?;
    let mut lab = Lab::start(blueprint.clone()).await?;
    let reference = lab.registry.push(&image, REPOSITORY, TAG).await?;
    lab.shape_origin()?;
    let console = start_clusters(&mut lab, &mut step).await?;
    for node in lab.clusters.iter().flat_map(|cluster| &cluster.nodes) {
        node.containerd.pull_through(&lab.registry, &node.proxy())?;
    }
    Ok(Standing {
        lab,
        image,
        reference,
        console,
    })
}

/// Runs the story. `step` is told what happens next.
///
/// # Errors
/// When a step fails. What was measured but should not be is no error: see [`Report::held`].
pub async fn tell(blueprint: &Blueprint, mut step: impl FnMut(&str)) -> Result<Report> {
    let standing = stand(blueprint, &mut step).await?;
    let mut teller = Teller {
        standing,
        pulls: Vec::new(),
    };
    teller.pull_everywhere(&mut step).await?;
    teller.report(blueprint)
}

/// From the first sign-in to two clusters whose members know each other.
async fn start_clusters(lab: &mut Lab, step: &mut impl FnMut(&str)) -> Result<Console> {
    step("first sign-in: choosing a password");
    let console = lab.first_sign_in().await?;
    step("starting cluster a with the ids of the default cluster");
    let first = Membership::of(console.first_cluster().await?, Says::Nothing);
    lab.start_cluster(CLUSTERS[0], &first, &console).await?;
    step("ADD CLUSTER cluster-2 with IDC cluster-2");
    let scopes = json!({ "idc": SECOND_CLUSTER });
    let says = Says::Idc(SECOND_CLUSTER.to_owned());
    let second = Membership::of(console.add_cluster(SECOND_CLUSTER, &scopes).await?, says);
    step(&format!(
        "starting cluster b with scheduler cluster {} and seed peer cluster {}",
        second.ids.scheduler_cluster_id, second.ids.seed_peer_cluster_id
    ));
    lab.start_cluster(CLUSTERS[1], &second, &console).await?;
    Ok(console)
}

/// What runs, and what was pulled so far.
struct Teller {
    standing: Standing,
    pulls: Vec<Pull>,
}

impl Teller {
    async fn pull_everywhere(&mut self, step: &mut impl FnMut(&str)) -> Result<()> {
        self.pull(0, 0, Kind::Direct, step).await?;
        for cluster in 0..CLUSTERS.len() {
            for node in 0..self.standing.lab.clusters[cluster].nodes.len() {
                let kind = if node == 0 {
                    Kind::BackToSource
                } else {
                    Kind::RemotePeer
                };
                self.pull(cluster, node, kind, step).await?;
            }
        }
        for cluster in 0..CLUSTERS.len() {
            for node in 0..self.standing.lab.clusters[cluster].nodes.len() {
                self.pull(cluster, node, Kind::LocalPeer, step).await?;
            }
        }
        Ok(())
    }

    /// One node's containerd, which has nothing of the image, pulls it.
    async fn pull(&mut self, cluster: usize, node: usize, kind: Kind, step: &mut impl FnMut(&str)) -> Result<()> {
        let cluster = &self.standing.lab.clusters[cluster];
        let node = &cluster.nodes[node];
        step(&format!("pulling on {}: {}", node.name(), words(kind)));
        let pull = Puller {
            cluster,
            node,
            registry: &self.standing.lab.registry,
            image: &self.standing.image,
            reference: &self.standing.reference,
            kind,
        };
        self.pulls.push(pull.run().await?);
        Ok(())
    }

    fn report(self, blueprint: &Blueprint) -> Result<Report> {
        let mut report = Report {
            image_bytes: self.standing.image.blobs().map(|blob| blob.size).sum(),
            largest_layer: self.standing.image.largest().digest.clone(),
            largest_layer_bytes: self.standing.image.largest().size,
            origin_rate: blueprint.origin_rate.map(|rate| rate.to_string()),
            rate: blueprint.rate.map(|rate| rate.to_string()),
            pulls: self.pulls,
            crossed_packets: self.standing.lab.network.crossed()?,
            verdicts: Vec::new(),
        };
        report.judge(blueprint.origin_rate, blueprint.rate);
        Ok(report)
    }
}

/// How a pull comes to its bytes, in words.
pub(super) fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Direct => "containerd alone",
        Kind::BackToSource => "back to source",
        Kind::RemotePeer => "remote peer",
        Kind::LocalPeer => "the node itself",
    }
}

/// One pull and all that it needs.
struct Puller<'a> {
    cluster: &'a Cluster,
    node: &'a Node,
    registry: &'a Registry,
    image: &'a Image,
    reference: &'a str,
    kind: Kind,
}

impl Puller<'_> {
    async fn run(&self) -> Result<Pull> {
        let containerd = &self.node.containerd;
        if self.kind == Kind::Direct {
            containerd.pull_directly(self.registry)?;
        } else {
            containerd.pull_through(self.registry, &self.node.proxy())?;
        }
        let before = Reading::take(self.cluster, self.registry).await?;
        let (begin, clock) = (Timestamp::now(), Instant::now());
        containerd.pull(self.reference, None).await?;
        let whole_ms = clock.elapsed().as_secs_f64() * 1000.0;
        let blobs = match self.kind {
            Kind::Direct => measure::blobs_of(&before.requests_since(self.registry)?, begin),
            _ => Reading::blobs_from(&self.node.peer, self.image, begin).await?,
        };
        let after = Reading::take(self.cluster, self.registry).await?;
        let origin_bytes = measure::blob_bytes(&before.requests_since(self.registry)?, self.image);
        let edges = match self.kind {
            Kind::Direct => vec![Edge {
                from: ORIGIN.to_owned(),
                to: self.node.name().to_owned(),
                bytes: origin_bytes,
            }],
            _ => before.edges_until(&after),
        };
        let exact = self.is_exact().await?;
        containerd.forget(self.reference).await?;
        let largest = &self.image.largest().digest;
        let largest = blobs.iter().find(|blob| blob.digest == *largest);
        let seed = self.cluster.names.seed();
        let (from_seed, from_peers) = self.received(&edges, &seed);
        Ok(Pull {
            case: Case {
                cluster: self.cluster.names.cluster().to_owned(),
                node: self.node.name().to_owned(),
                kind: self.kind,
            },
            whole_ms,
            largest_layer_ms: largest.context("the largest layer was not asked for")?.took_ms,
            blobs,
            edges,
            origin_bytes,
            seed_bytes: from_seed,
            peer_bytes: from_peers,
            exact,
        })
    }

    /// Bytes that this node got from the seed, and from other peers.
    fn received(&self, edges: &[Edge], seed: &str) -> (u64, u64) {
        let ours = edges
            .iter()
            .filter(|edge| edge.to == self.node.name() && edge.from != ORIGIN);
        let (seed, others): (Vec<&Edge>, Vec<&Edge>) = ours.partition(|edge| edge.from == seed);
        let sum = |edges: Vec<&Edge>| edges.into_iter().map(|edge| edge.bytes).sum();
        (sum(seed), sum(others))
    }

    async fn is_exact(&self) -> Result<bool> {
        let containerd = &self.node.containerd;
        let content = containerd.content().await?;
        let has_all = self.image.blobs().all(|blob| content.contains(&blob.digest));
        let named_right = containerd.digest(self.reference).await? == self.image.manifest().digest;
        Ok(has_all && named_right && containerd.is_complete(self.reference).await?)
    }
}
