//! What moved during a pull, read where it was counted: the registry's request log, the peers' metrics, and the line
//! that a peer's proxy logs for each answer.
//!
//! One node pulls at a time, so what was counted between two readings belongs to its pull.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dragonfly_testkit::client;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::lab::{Cluster, Program, metrics_url};
use dragonfly_testkit::registry::{Registry, Request};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::report::{Blob, Edge, ORIGIN};

/// How long a log may lag behind what it tells.
const LOG_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one peer has counted since it was started, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    from_origin: u64,
    from_peers: u64,
    to_peers: u64,
}

/// A reading of everything that counts in a cluster.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    peers: BTreeMap<String, Counts>,
    registry_requests: usize,
}

impl Reading {
    pub(super) async fn take(cluster: &Cluster, registry: &Registry) -> Result<Self> {
        let mut peers = BTreeMap::new();
        for peer in cluster.peers() {
            peers.insert(peer.host().name.clone(), counts(peer).await?);
        }
        Ok(Self {
            peers,
            registry_requests: registry.requests()?.len(),
        })
    }

    /// The ways that bytes took between this reading and a later one.
    pub(super) fn edges_until(&self, later: &Self) -> Vec<Edge> {
        let moved: Vec<(&String, Counts)> = later
            .peers
            .iter()
            .map(|(name, after)| {
                let before = self.peers.get(name).copied().unwrap_or_default();
                let counts = Counts {
                    from_origin: after.from_origin - before.from_origin,
                    from_peers: after.from_peers - before.from_peers,
                    to_peers: after.to_peers - before.to_peers,
                };
                (name, counts)
            })
            .collect();
        let mut edges = Vec::new();
        for (name, counts) in &moved {
            edges.push(edge(ORIGIN, name, counts.from_origin));
        }
        for (giver, given) in &moved {
            let takers = moved
                .iter()
                .filter(|(taker, took)| taker != giver && took.from_peers > 0);
            let taken: u64 = takers.clone().map(|(_, took)| took.from_peers).sum();
            for (taker, took) in takers {
                // With several takers, by their shares: who took from whom is not counted.
                let share = u128::from(given.to_peers) * u128::from(took.from_peers) / u128::from(taken.max(1));
                edges.push(edge(giver, taker, u64::try_from(share).unwrap_or(u64::MAX)));
            }
        }
        edges.retain(|edge| edge.bytes > 0);
        edges
    }

    /// What the registry answered since this reading.
    pub(super) fn requests_since(&self, registry: &Registry) -> Result<Vec<Request>> {
        let mut requests = registry.requests()?;
        requests.drain(..self.registry_requests.min(requests.len()));
        Ok(requests)
    }

    /// The blobs of a pull that went through a peer, as its proxy logged their answers.
    pub(super) async fn blobs_from(peer: &Program, image: &Image, begin: Timestamp) -> Result<Vec<Blob>> {
        let expected: HashSet<&str> = image.blobs().map(|blob| blob.digest.as_str()).collect();
        let end = Instant::now() + LOG_WITHIN;
        loop {
            let blobs: Vec<Blob> = peer.log()?.lines().filter_map(|line| answer(line, begin)).collect();
            let seen: HashSet<&str> = blobs.iter().map(|blob| blob.digest.as_str()).collect();
            if expected.is_subset(&seen) {
                return Ok(blobs);
            }
            if Instant::now() > end {
                let missing: Vec<_> = expected.difference(&seen).collect();
                bail!("the peer on {} logged no answer for {missing:?}", peer.host().name);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Bytes of blobs in these answers.
pub(super) fn blob_bytes(requests: &[Request], image: &Image) -> u64 {
    let of_blobs = requests.iter().filter(|request| {
        let given = request.method == "GET" && request.status < 300;
        given && image.blobs().any(|blob| request.is_for_blob(&blob.digest))
    });
    of_blobs.map(|request| request.written).sum()
}

/// The blobs of a pull that went straight to the registry.
pub(super) fn blobs_of(requests: &[Request], begin: Timestamp) -> Vec<Blob> {
    let blobs = requests.iter().filter(|request| request.method == "GET");
    blobs
        .filter_map(|request| {
            let took_ms = request.duration.as_secs_f64() * 1000.0;
            Some(Blob {
                digest: digest(&request.uri)?,
                bytes: request.written,
                // The registry's clock tells whole seconds only, so the begin is not better known.
                begin_ms: (ms(begin, request.time) - took_ms).max(0.0),
                took_ms,
            })
        })
        .collect()
}

/// A line of a proxy's log.
#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    message: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    ms: f64,
    #[serde(default)]
    whole: bool,
}

/// The answer that a line tells of, if it gave a blob whole after `begin`.
fn answer(line: &str, begin: Timestamp) -> Option<Blob> {
    let line: Line = serde_json::from_str(line).ok()?;
    let begin_ms = ms(begin, line.timestamp) - line.ms;
    let gave = line.message == "proxy request" && line.method == "GET" && line.whole && begin_ms >= 0.0;
    Some(Blob {
        digest: digest(&line.path).filter(|_| gave)?,
        bytes: line.bytes,
        begin_ms,
        took_ms: line.ms,
    })
}

fn ms(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// The digest in the path of a blob.
fn digest(path: &str) -> Option<String> {
    let path = path.split('?').next()?;
    let (_, digest) = path.split_once("/blobs/")?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

fn edge(from: &str, to: &str, bytes: u64) -> Edge {
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        bytes,
    }
}

async fn counts(peer: &Program) -> Result<Counts> {
    let url = metrics_url(peer);
    let text = client::builder()?.build()?.get(&url).send().await?.error_for_status()?;
    let text = text.text().await.with_context(|| format!("reading {url}"))?;
    let sample = |name: &str| {
        let name = format!("dragonfly_client_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value
            .map_or(Ok(0), str::parse::<u64>)
            .with_context(|| format!("{name}of {url}"))
    };
    Ok(Counts {
        from_origin: sample("download_traffic{type=\"BACK_TO_SOURCE\"}")?,
        from_peers: sample("download_traffic{type=\"REMOTE_PEER\"}")?,
        to_peers: sample("upload_traffic")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(counts: &[(&str, u64, u64, u64)]) -> Reading {
        let counts = counts.iter().map(|&(name, from_origin, from_peers, to_peers)| {
            let counts = Counts {
                from_origin,
                from_peers,
                to_peers,
            };
            (name.to_owned(), counts)
        });
        Reading {
            peers: counts.collect(),
            registry_requests: 0,
        }
    }

    #[test]
    fn edges_are_what_was_counted_between_two_readings() {
        let before = reading(&[("seed", 5, 0, 0), ("one", 0, 0, 0), ("two", 0, 0, 0)]);
        let after = reading(&[("seed", 105, 0, 70), ("one", 0, 100, 0), ("two", 0, 0, 30)]);
        let edges = before.edges_until(&after);
        assert_eq!(
            edges,
            [
                edge(ORIGIN, "seed", 100),
                edge("seed", "one", 70),
                edge("two", "one", 30)
            ]
        );
    }

    #[test]
    fn only_whole_answers_of_this_pull_count() {
        let begin: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let line = |second: u32, whole: bool| {
            format!(
                r#"{{"timestamp":"2024-01-01T00:00:{second:02}.5Z","level":"INFO","message":"proxy request","method":"GET",
                "path":"/v2/r/blobs/sha256:ab","status":200,"bytes":7,"ms":1000.0,"whole":{whole}}}"#
            )
        };
        let blob = answer(&line(2, true), begin).unwrap();
        assert_eq!(
            (blob.digest.as_str(), blob.bytes, blob.begin_ms),
            ("sha256:ab", 7, 1500.0)
        );
        assert!(answer(&line(0, true), begin).is_none(), "it began before");
        assert!(answer(&line(2, false), begin).is_none());
        assert!(answer("no json", begin).is_none());
    }
}
