//! `dfctl stats`: what was fetched from where, and what origins did not have to give, by the counters of the peers themselves.

use super::args::Connection;
use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use bytesize::ByteSize;
use dragonfly_api::rest::{MemberState, Peer, PeerFilter};
use dragonfly_service::{chain, tls};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  dfctl stats
  dfctl stats --of 10.0.0.5:4002 --of 10.0.0.6:4002
  dfctl stats --all --cluster 2
  dfctl stats --all --output json

Without --of and --all the dfdaemon of this host is asked. Counters begin at 0 when a dfdaemon starts.
DELIVERED is what callers were given; what origins gave is not saved, all else is. A seed peer fetches for others, so what it
saves shows at those, and in the sum.";

/// Of an answer no more is read.
const MAX_BYTES: usize = 8 << 20;
const WITHIN: Duration = Duration::from_secs(10);
/// Peers that are asked at once.
const AT_ONCE: usize = 16;
const PEERS: &str = "/api/v1/peers";
/// Where a dfdaemon tells its metrics, if its file does not say.
const METRICS_PORT: u16 = 4002;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The metrics of this peer, host:port; may be said several times
    #[arg(long, value_name = "ADDRESS", conflicts_with = "all")]
    of: Vec<String>,

    /// All active peers that the manager knows
    #[arg(long)]
    all: bool,

    /// Only those of the cluster with this id
    #[arg(long, value_name = "ID", requires = "all")]
    cluster: Option<u64>,

    /// Where peers tell their metrics
    #[arg(long, value_name = "PORT", default_value_t = METRICS_PORT)]
    metrics_port: u16,
}

/// Bytes by where they came from, and what was given to callers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bytes {
    origin: u64,
    seeds: u64,
    peers: u64,
    local: u64,
    delivered: u64,
    /// Questions to origins.
    origin_requests: u64,
}

impl Bytes {
    fn add(&mut self, other: Self) {
        self.origin += other.origin;
        self.seeds += other.seeds;
        self.peers += other.peers;
        self.local += other.local;
        self.delivered += other.delivered;
        self.origin_requests += other.origin_requests;
    }

    /// What callers were given that no origin gave.
    fn saved(self) -> u64 {
        self.delivered.saturating_sub(self.origin)
    }

    /// The share of that; nothing before anything was delivered.
    fn ratio(self) -> Option<f64> {
        (self.delivered > 0).then(|| self.saved() as f64 / self.delivered as f64)
    }
}

/// Of one host, one cluster or all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    #[serde(flatten)]
    bytes: Bytes,
    saved: u64,
    /// Between 0 and 1.
    ratio: Option<f64>,
}

impl Row {
    fn new(name: String, bytes: Bytes) -> Self {
        Self {
            name,
            bytes,
            saved: bytes.saved(),
            ratio: bytes.ratio(),
        }
    }
}

/// All that is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    hosts: Vec<Row>,
    /// Where the manager says which cluster each host is of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clusters: Vec<Row>,
    total: Row,
    /// Hosts that did not tell, and why.
    silent: BTreeMap<String, String>,
}

/// A peer that is asked.
struct Asked {
    name: String,
    address: String,
    cluster: Option<u64>,
}

pub(super) async fn run(args: Args, connection: &Connection, output: Output) -> Result<String, Failure> {
    tls::install_provider();
    let asked = asked(&args, connection).await?;
    let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build();
    let client = client.map_err(|error| Failure::new(chain(&error).to_string()))?;
    let told = futures::stream::iter(asked.into_iter().map(|peer| {
        let client = client.clone();
        async move {
            let bytes = scrape(&client, &peer.address).await;
            (peer, bytes)
        }
    }));
    let told: Vec<_> = told.buffered(AT_ONCE).collect().await;
    let stats = summed(told);
    if stats.hosts.is_empty() {
        let silent = stats.silent.iter().map(|(name, why)| format!("{name}: {why}"));
        let silent: Vec<String> = silent.collect();
        return Err(Failure::new(match silent.is_empty() {
            true => "the manager knows no active peer".to_owned(),
            false => format!("no dfdaemon tells its metrics: {}", silent.join("; ")),
        }));
    }
    match output {
        Output::Table => Ok(table(&stats)),
        Output::Json => output::json(&stats),
    }
}

async fn asked(args: &Args, connection: &Connection) -> Result<Vec<Asked>, Failure> {
    if !args.all {
        let own = vec![format!("127.0.0.1:{}", args.metrics_port)];
        let addresses = if args.of.is_empty() { &own } else { &args.of };
        let named = addresses.iter().map(|address| Asked {
            name: address.clone(),
            address: address.clone(),
            cluster: None,
        });
        return Ok(named.collect());
    }
    let manager = Manager::connect(connection).await?;
    let filter = PeerFilter {
        scheduler_cluster_id: args.cluster,
        state: Some(MemberState::Active),
        ..PeerFilter::default()
    };
    let listed = manager.list::<Peer>(PEERS, &filter).await;
    manager.leave().await;
    let peers = listed?.into_iter().map(|peer| Asked {
        address: output::address(&peer.ip, args.metrics_port),
        cluster: Some(peer.scheduler_cluster_id),
        name: peer.host_name,
    });
    Ok(peers.collect())
}

async fn scrape(client: &reqwest::Client, address: &str) -> Result<Bytes, String> {
    let asking = async {
        let answer = client.get(format!("http://{address}/metrics")).send().await?;
        let mut body = answer.error_for_status()?.bytes_stream();
        let mut text = Vec::new();
        while let Some(more) = body.try_next().await? {
            text.extend_from_slice(&more);
            if text.len() > MAX_BYTES {
                break;
            }
        }
        Ok::<_, reqwest::Error>(text)
    };
    let text = asking.await.map_err(|error| chain(&error).to_string())?;
    counted(&String::from_utf8_lossy(&text)).ok_or_else(|| format!("what answers on {address} is no dfdaemon"))
}

/// The numbers in what a dfdaemon tells; nothing if it tells none of them.
fn counted(text: &str) -> Option<Bytes> {
    let mut bytes = Bytes::default();
    let mut is_ours = false;
    for line in text.lines() {
        let Some((series, value)) = line
            .strip_prefix("dragonfly_client_")
            .and_then(|line| line.rsplit_once(' '))
        else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let field = match (name, labels) {
            ("download_traffic", "type=\"BACK_TO_SOURCE\"}") => &mut bytes.origin,
            ("download_traffic", "type=\"LOCAL_PEER\"}") => &mut bytes.local,
            ("parent_traffic_bytes_total", "host_type=\"seed\"}") => &mut bytes.seeds,
            ("parent_traffic_bytes_total", "host_type=\"peer\"}") => &mut bytes.peers,
            ("delivered_bytes_total", "") => &mut bytes.delivered,
            ("backend_request_total", _) => &mut bytes.origin_requests,
            _ => continue,
        };
        *field += value.parse::<u64>().ok()?;
        is_ours = true;
    }
    is_ours.then_some(bytes)
}

fn summed(told: Vec<(Asked, Result<Bytes, String>)>) -> Stats {
    let (mut hosts, mut silent) = (Vec::new(), BTreeMap::new());
    let mut clusters: BTreeMap<u64, Bytes> = BTreeMap::new();
    let mut total = Bytes::default();
    for (peer, told) in told {
        match told {
            Ok(bytes) => {
                total.add(bytes);
                if let Some(cluster) = peer.cluster {
                    clusters.entry(cluster).or_default().add(bytes);
                }
                hosts.push(Row::new(peer.name, bytes));
            }
            Err(why) => {
                silent.insert(peer.name, why);
            }
        }
    }
    let clusters = clusters.into_iter();
    Stats {
        hosts,
        clusters: clusters
            .map(|(id, bytes)| Row::new(format!("cluster {id}"), bytes))
            .collect(),
        total: Row::new("all".to_owned(), total),
        silent,
    }
}

fn table(stats: &Stats) -> String {
    let many = stats.hosts.len() > 1;
    let rows = stats
        .hosts
        .iter()
        .chain(&stats.clusters)
        .chain(many.then_some(&stats.total));
    let rows = rows.map(|row| {
        let size = |bytes| ByteSize(bytes).to_string();
        let Bytes {
            origin,
            seeds,
            peers,
            local,
            delivered,
            ..
        } = row.bytes;
        [
            row.name.clone(),
            size(delivered),
            size(origin),
            size(seeds),
            size(peers),
            size(local),
            size(row.saved),
            row.ratio
                .map_or("-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0)),
        ]
    });
    let headings = [
        "HOST",
        "DELIVERED",
        "FROM ORIGINS",
        "FROM SEEDS",
        "FROM PEERS",
        "FROM HERE",
        "SAVED",
        "SHARE",
    ];
    let mut text = output::table(headings, rows);
    for (name, why) in &stats.silent {
        text.push_str(&format!("{name} does not tell: {why}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "# TYPE dragonfly_client_download_traffic gauge\n\
        dragonfly_client_download_traffic{type=\"BACK_TO_SOURCE\"} 10\n\
        dragonfly_client_download_traffic{type=\"REMOTE_PEER\"} 30\n\
        dragonfly_client_download_traffic{type=\"LOCAL_PEER\"} 5\n\
        dragonfly_client_parent_traffic_bytes_total{host_type=\"seed\"} 20\n\
        dragonfly_client_parent_traffic_bytes_total{host_type=\"peer\"} 10\n\
        dragonfly_client_delivered_bytes_total 40\n\
        dragonfly_client_backend_request_total{scheme=\"http\",method=\"GET\"} 2\n\
        dragonfly_client_backend_request_total{scheme=\"http\",method=\"HEAD\"} 1\n";

    #[test]
    fn a_peer_s_own_counters_are_read() {
        let bytes = counted(TOLD).unwrap();
        let expected = Bytes {
            origin: 10,
            seeds: 20,
            peers: 10,
            local: 5,
            delivered: 40,
            origin_requests: 3,
        };
        assert_eq!(bytes, expected);
        assert_eq!((bytes.saved(), bytes.ratio()), (30, Some(0.75)));
        assert_eq!(counted("go_goroutines 7\n"), None);
    }

    #[test]
    fn a_seed_peer_that_fetched_for_others_is_weighed_against_them() {
        let seed = Bytes {
            origin: 100,
            ..Bytes::default()
        };
        let peer = Bytes {
            seeds: 100,
            delivered: 100,
            ..Bytes::default()
        };
        let of = |name: &str| Asked {
            name: name.to_owned(),
            address: String::new(),
            cluster: Some(7),
        };
        let told = vec![
            (of("seed"), Ok(seed)),
            (of("a"), Ok(peer)),
            (of("b"), Ok(peer)),
            (of("c"), Err("it is away".to_owned())),
        ];
        let stats = summed(told);
        assert_eq!((stats.total.saved, stats.total.ratio), (100, Some(0.5)));
        assert_eq!(stats.clusters[0].name, "cluster 7");
        assert_eq!(stats.hosts[0].ratio, None);
        let text = table(&stats);
        assert!(text.contains("c does not tell: it is away"), "{text}");
        assert!(text.contains("50.0 %"), "{text}");
    }
}
