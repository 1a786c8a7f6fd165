//! What a run has shown.

use dragonfly_testkit::lab::Rate;
use serde::Serialize;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Bytes of the image's blobs: its configuration and layers.
    pub image_bytes: u64,
    /// The digest of its largest layer.
    pub largest_layer: String,
    /// Bytes of that layer.
    pub largest_layer_bytes: u64,
    /// What the registry's link carries, if it is limited.
    pub origin_rate: Option<String>,
    /// What the nodes' links carry, if they are limited.
    pub rate: Option<String>,
    /// Every pull, in the order of the story.
    pub pulls: Vec<Pull>,
    /// Packets that went, or tried to go, from one cluster to the other.
    pub crossed_packets: u64,
    /// What had to hold.
    pub verdicts: Vec<Verdict>,
}

/// How a pull came to its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// containerd by itself, without Dragonfly.
    Direct,
    /// The first pull in a cluster.
    BackToSource,
    /// A pull of what the cluster has.
    RemotePeer,
    /// A pull of what the node itself has.
    LocalPeer,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The cluster.
    pub cluster: String,
    /// The node that pulls.
    pub node: String,
    /// How it comes to the bytes.
    pub kind: Kind,
}

/// One pull by one containerd.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pull {
    /// What was pulled where.
    #[serde(flatten)]
    pub case: Case,
    /// From the command to its end, unpacking included, in milliseconds.
    pub whole_ms: f64,
    /// From the request for the largest layer to its last byte, in milliseconds, as the server of containerd logged it.
    pub largest_layer_ms: f64,
    /// Every blob that containerd asked for.
    pub blobs: Vec<Blob>,
    /// The ways that the bytes of blobs took.
    pub edges: Vec<Edge>,
    /// Bytes of blobs that left the registry for this pull.
    pub origin_bytes: u64,
    /// Bytes that came from the cluster's seed peer.
    pub seed_bytes: u64,
    /// Bytes that came from the cluster's other peers.
    pub peer_bytes: u64,
    /// Whether containerd then held every blob of the image, each by its digest, and could unpack it.
    pub exact: bool,
}

/// One request for a blob.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// Its digest.
    pub digest: String,
    /// Bytes that were sent.
    pub bytes: u64,
    /// When it was asked for, in milliseconds from the begin of the pull.
    pub begin_ms: f64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// Bytes that went from one host to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// The host that gave them; `origin` is the registry.
    pub from: String,
    /// The host that got them.
    pub to: String,
    /// How many.
    pub bytes: u64,
}

/// One thing that had to hold.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// Whether it held.
    pub held: bool,
}

/// Names of the clusters, in the order of the story.
pub(super) const CLUSTERS: [&str; 2] = ["a", "b"];
/// The registry's name in edges.
pub(super) const ORIGIN: &str = "origin";
/// How much faster a remote peer has to be than a registry of 50 Mbit/s, where links between peers are not limited.
const FASTER: f64 = 20.0;

impl Report {
    /// Whether everything held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }

    /// Bytes of blobs that left the registry for a cluster, without direct pulls.
    #[must_use]
    pub fn origin_bytes(&self, cluster: &str) -> u64 {
        let pulls = self.pulls.iter();
        let through = pulls.filter(|pull| pull.case.cluster == cluster && pull.case.kind != Kind::Direct);
        through.map(|pull| pull.origin_bytes).sum()
    }

    /// How many times faster the largest layer came from a cluster's peers than from the registry.
    #[must_use]
    pub fn speed_up(&self, cluster: &str) -> f64 {
        let slowest = |kind| {
            let pulls = self.pulls.iter();
            let of_kind = pulls.filter(|pull| pull.case.cluster == cluster && pull.case.kind == kind);
            of_kind.map(|pull| pull.largest_layer_ms).fold(0.0, f64::max)
        };
        slowest(Kind::BackToSource) / slowest(Kind::RemotePeer)
    }

    /// Judges the run by its bytes, and, where only the registry's link is limited, by its times.
    pub(super) fn judge(&mut self, origin: Option<Rate>, links: Option<Rate>) {
        let mut verdicts = Vec::new();
        let mut judge = |what: String, seen: String, held: bool| verdicts.push(Verdict { what, seen, held });
        let exact = self.pulls.iter().filter(|pull| pull.exact).count();
        judge(
            "every pull is byte-exact".to_owned(),
            format!("{exact} of {}", self.pulls.len()),
            exact == self.pulls.len(),
        );
        for cluster in CLUSTERS {
            let bytes = self.origin_bytes(cluster);
            judge(
                format!("origin bytes of cluster {cluster} = 1.00 x the image's blobs"),
                format!("{:.4}", bytes as f64 / self.image_bytes as f64),
                bytes == self.image_bytes,
            );
        }
        judge(
            "no packet between the clusters".to_owned(),
            self.crossed_packets.to_string(),
            self.crossed_packets == 0,
        );
        let again = self.pulls.iter().filter(|pull| pull.case.kind == Kind::LocalPeer);
        let again: u64 = again.map(|pull| pull.origin_bytes).sum();
        judge(
            "pulls of what a node has take no blob byte from the origin".to_owned(),
            again.to_string(),
            again == 0,
        );
        if links.is_none() && origin.is_some_and(|rate| rate <= Rate::mbit(50)) {
            for cluster in CLUSTERS {
                let times = self.speed_up(cluster);
                judge(
                    format!(
                        "cluster {cluster}: the largest layer from a peer is at least {FASTER} x faster than from the origin"
                    ),
                    format!("{times:.0} x"),
                    times >= FASTER,
                );
            }
        }
        self.verdicts = verdicts;
    }
}
