//! What this peer counts. Names are those of upstream's client where it has them; its labels `tag` and `app` are left
//! out, since callers choose them and could make any number of time series.

use dragonfly_model::{Priority, TrafficType};
use dragonfly_service::Metrics as Registry;
use dragonfly_transfer::ServerStats;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Source {
    /// The origin.
    #[allow(non_camel_case_types, reason = "it is the label's value, which is upstream's")]
    BACK_TO_SOURCE,
    /// Another peer.
    #[allow(non_camel_case_types, reason = "it is the label's value, which is upstream's")]
    REMOTE_PEER,
    /// This host's storage.
    #[allow(non_camel_case_types, reason = "it is the label's value, which is upstream's")]
    LOCAL_PEER,
}

impl Source {
    pub(crate) fn of(traffic: TrafficType) -> Self {
        match traffic {
            TrafficType::BackToSource => Source::BACK_TO_SOURCE,
            TrafficType::RemotePeer => Source::REMOTE_PEER,
            TrafficType::LocalPeer => Source::LOCAL_PEER,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DownloadLabels {
    r#type: u32,
    priority: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrafficLabels {
    r#type: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    git_version: &'static str,
    platform: &'static str,
}

/// All counters of one peer. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    downloads: Family<DownloadLabels, Counter>,
    failures: Family<DownloadLabels, Counter>,
    running: Family<DownloadLabels, Gauge>,
    duration: Histogram,
    /// Upstream's name lacks the `_total` that a counter gets, so it is a gauge that only grows.
    traffic: Family<TrafficLabels, Gauge<u64, AtomicU64>>,
    storage_bytes: Gauge<u64, AtomicU64>,
    storage_tasks: Gauge<u64, AtomicU64>,
    evicted: Counter,
    lacked_room: Counter,
    refused: Counter,
    blocked: Family<TypeLabels, Counter>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            downloads: Family::default(),
            failures: Family::default(),
            running: Family::default(),
            duration: Histogram::new(exponential_buckets(1.0, 2.0, 24)),
            traffic: Family::default(),
            storage_bytes: Gauge::default(),
            storage_tasks: Gauge::default(),
            evicted: Counter::default(),
            lacked_room: Counter::default(),
            refused: Counter::default(),
            blocked: Family::default(),
        };
        let client = registry.with_prefix("dragonfly").with_prefix("client");
        client.register("download_task", "Downloads that began", metrics.downloads.clone());
        client.register(
            "download_task_failure",
            "Downloads that failed",
            metrics.failures.clone(),
        );
        client.register(
            "concurrent_download_task_total",
            "Downloads that run",
            metrics.running.clone(),
        );
        client.register(
            "download_task_duration_milliseconds",
            "How long downloads took",
            metrics.duration.clone(),
        );
        client.register(
            "download_traffic",
            "Bytes by where they came from",
            metrics.traffic.clone(),
        );
        client.register(
            "storage_bytes",
            "Bytes of content on the disk",
            metrics.storage_bytes.clone(),
        );
        client.register("storage_tasks", "Tasks on the disk", metrics.storage_tasks.clone());
        client.register("evicted_task", "Tasks that were evicted", metrics.evicted.clone());
        client.register(
            "lacked_room",
            "Contents that were not kept since there was no room on the disk and none could be made",
            metrics.lacked_room.clone(),
        );
        client.register(
            "refused_stranger",
            "Calls from hosts that no scheduler of the cluster has named",
            metrics.refused.clone(),
        );
        client.register(
            "download_task_blocked",
            "Downloads that the cluster's block list refused",
            metrics.blocked.clone(),
        );
        let build: Family<BuildLabels, Gauge> = Family::default();
        build
            .get_or_create(&BuildLabels {
                git_version: env!("CARGO_PKG_VERSION"),
                platform: std::env::consts::ARCH,
            })
            .set(1);
        client.register("version", "This program", build);
        metrics
    }

    /// Counts what the piece server gives away.
    pub(crate) fn serves(registry: &Registry, stats: Arc<ServerStats>) {
        let client = registry.with_prefix("dragonfly").with_prefix("client");
        client.register("upload_traffic", "Bytes sent to other peers", Uploads(stats));
    }

    pub(crate) fn download_started(&self, priority: Priority) {
        self.downloads.get_or_create(&labels(priority)).inc();
        self.running.get_or_create(&labels(priority)).inc();
    }

    pub(crate) fn download_ended(&self, priority: Priority, took: Duration, well: bool) {
        self.running.get_or_create(&labels(priority)).dec();
        self.duration.observe(took.as_secs_f64() * 1000.0);
        if !well {
            self.failures.get_or_create(&labels(priority)).inc();
        }
    }

    /// Bytes that are on this host now.
    pub(crate) fn moved(&self, from: Source, bytes: u64) {
        self.traffic
            .get_or_create(&TrafficLabels { r#type: from })
            .inc_by(bytes);
    }

    pub(crate) fn stored(&self, tasks: usize, bytes: u64) {
        self.storage_tasks.set(tasks as u64);
        self.storage_bytes.set(bytes);
    }

    pub(crate) fn evicted(&self) {
        self.evicted.inc();
    }

    pub(crate) fn lacked_room(&self) {
        self.lacked_room.inc();
    }

    pub(crate) fn blocked(&self) {
        self.blocked.get_or_create(&TypeLabels { r#type: STANDARD }).inc();
    }

    pub(crate) fn refused_stranger(&self) {
        self.refused.inc();
    }
}

/// The piece server's own count of bytes. Like the traffic that comes in, a gauge by upstream's name.
#[derive(Debug)]
struct Uploads(Arc<ServerStats>);

impl EncodeMetric for Uploads {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_gauge(&self.0.bytes.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// The type of all tasks.
const STANDARD: u32 = 0;

fn labels(priority: Priority) -> DownloadLabels {
    DownloadLabels {
        r#type: STANDARD,
        priority: priority.number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let uploads = Arc::new(ServerStats::default());
        Metrics::serves(&registry, uploads.clone());
        uploads.bytes.store(9, Ordering::Relaxed);
        metrics.download_started(Priority::Level6);
        metrics.moved(Source::of(TrafficType::RemotePeer), 7);
        let text = registry.encode();
        assert!(
            text.contains("dragonfly_client_download_task_total{type=\"0\",priority=\"6\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("dragonfly_client_download_traffic{type=\"REMOTE_PEER\"} 7\n"),
            "{text}"
        );
        assert!(text.contains("dragonfly_client_upload_traffic 9\n"), "{text}");
    }
}
