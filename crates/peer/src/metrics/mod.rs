//! What this peer counts. Names are those of upstream's client where it has them; its labels `tag` and `app` are left
//! out, since callers choose them and could make any number of time series.

mod labels;
mod origins;
mod readings;

pub(crate) use labels::{Evicted, Source, SourceReason};
pub(crate) use origins::Origins;
pub(crate) use readings::Readings;

use dragonfly_model::{PeerId, Priority};
use dragonfly_service::Metrics as Registry;
use dragonfly_service::metrics::{self, Call, LimitsReached};
use labels::{For, OfDownload, OfParent, OfSize, OfSource, OfType};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All counters of one peer. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    downloads: Family<OfDownload, Counter>,
    failures: Family<OfDownload, Counter>,
    running: Family<OfDownload, Gauge>,
    duration: Histograms<OfSize>,
    blocked: Family<OfType, Counter>,
    /// Upstream's name lacks the `_total` that a counter gets, so it is a gauge that only grows.
    traffic: Family<OfSource, Gauge<u64, AtomicU64>>,
    from_parents: Family<OfParent, Counter>,
    goodput: Histograms<OfParent>,
    parent_failures: Family<OfParent, Counter>,
    /// Counted where contents are read.
    pub(crate) delivered: Counter,
    to_source: Family<For, Counter>,
    schedule: Histogram,
    evicted: Family<For, Counter>,
    evicted_bytes: Family<For, Counter>,
    refused: Counter,
    pub(crate) calls: Calls,
    pub(crate) limits: LimitsReached,
}

/// What tools, schedulers and other peers ask over gRPC.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) stat_task: Call,
    pub(crate) list_local_tasks: Call,
    pub(crate) list_task_entries: Call,
    pub(crate) delete_task: Call,
    pub(crate) delete_host: Call,
}

/// Upstream's buckets of durations: a millisecond, doubled 23 times.
fn milliseconds() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 24))
}

/// From 64 KiB to 32 GiB in a second.
fn bytes_per_second() -> Histogram {
    Histogram::new(exponential_buckets(65_536.0, 2.0, 20))
}

impl Metrics {
    /// Metrics that `registry` shows.
    pub(crate) fn new(registry: &Registry) -> Self {
        let client = &client(registry);
        let call = |name| Call::new(client, name);
        let metrics = Self {
            downloads: Family::default(),
            failures: Family::default(),
            running: Family::default(),
            duration: Family::new_with_constructor(milliseconds),
            blocked: Family::default(),
            traffic: Family::default(),
            from_parents: Family::default(),
            goodput: Family::new_with_constructor(bytes_per_second),
            parent_failures: Family::default(),
            delivered: Counter::default(),
            to_source: Family::default(),
            schedule: milliseconds(),
            evicted: Family::default(),
            evicted_bytes: Family::default(),
            refused: Counter::default(),
            calls: Calls {
                stat_task: call("stat_task"),
                list_local_tasks: call("list_local_tasks"),
                list_task_entries: call("list_task_entries"),
                delete_task: call("delete_task"),
                delete_host: call("delete_host"),
            },
            limits: LimitsReached::new(client),
        };
        metrics.show_downloads(client);
        metrics.show_bytes(client);
        metrics.show_storage(client);
        metrics.begin();
        metrics::show_version(client);
        metrics
    }

    fn show_downloads(&self, client: &Registry) {
        client.register("download_task", "Downloads that began", self.downloads.clone());
        client.register("download_task_failure", "Downloads that failed", self.failures.clone());
        client.register(
            "concurrent_download_task_total",
            "Downloads that run",
            self.running.clone(),
        );
        client.register(
            "download_task_duration_milliseconds",
            "How long downloads took, by the size of their content",
            self.duration.clone(),
        );
        client.register(
            "download_task_blocked",
            "Downloads that the cluster's block list refused",
            self.blocked.clone(),
        );
        client.register(
            "back_to_source",
            "Times that a download asked the origin, by why",
            self.to_source.clone(),
        );
        client.register(
            "schedule_duration_milliseconds",
            "Time from a question to a scheduler to its answer, waiting there included",
            self.schedule.clone(),
        );
        client.register(
            "refused_stranger",
            "Calls from hosts that no scheduler of the cluster has named",
            self.refused.clone(),
        );
    }

    fn show_bytes(&self, client: &Registry) {
        client.register(
            "download_traffic",
            "Bytes by where they came from; only grows",
            self.traffic.clone(),
        );
        client.register(
            "parent_traffic_bytes",
            "Bytes that other peers gave, by whether they are seed peers",
            self.from_parents.clone(),
        );
        client.register(
            "parent_goodput_bytes_per_second",
            "How fast pieces came from other peers, from the question to the last byte",
            self.goodput.clone(),
        );
        client.register(
            "parent_piece_failure",
            "Pieces that other peers did not deliver",
            self.parent_failures.clone(),
        );
        client.register(
            "delivered_bytes",
            "Bytes of contents that callers of this host were given; what of them no origin gave was saved",
            self.delivered.clone(),
        );
    }

    fn show_storage(&self, client: &Registry) {
        client.register("evicted_task", "Tasks that were evicted, by why", self.evicted.clone());
        client.register(
            "evicted_bytes",
            "Bytes of tasks that were evicted, by why",
            self.evicted_bytes.clone(),
        );
    }

    /// A series that begins at its first event has no rate of it, so those that are few begin at once.
    fn begin(&self) {
        let usual = OfDownload::of(Priority::default());
        drop(self.downloads.get_or_create(&usual));
        drop(self.failures.get_or_create(&usual));
        drop(self.running.get_or_create(&usual));
        drop(self.blocked.get_or_create(&OfType::STANDARD));
        for source in [Source::BACK_TO_SOURCE, Source::REMOTE_PEER, Source::LOCAL_PEER] {
            drop(self.traffic.get_or_create(&OfSource { r#type: source }));
        }
        use SourceReason::{NoParent, NoScheduler, Scheduler, SchedulerLost};
        for reason in [Scheduler, NoScheduler, SchedulerLost, NoParent].map(SourceReason::label) {
            drop(self.to_source.get_or_create(&For { reason }));
        }
        for reason in [Evicted::Old, Evicted::Room, Evicted::Ended].map(Evicted::label) {
            drop(self.evicted.get_or_create(&For { reason }));
            drop(self.evicted_bytes.get_or_create(&For { reason }));
        }
        for parent in OfParent::ALL {
            drop(self.from_parents.get_or_create(&parent));
            drop(self.parent_failures.get_or_create(&parent));
        }
    }

    pub(crate) fn download_started(&self, priority: Priority) {
        let labels = OfDownload::of(priority);
        self.downloads.get_or_create(&labels).inc();
        self.running.get_or_create(&labels).inc();
    }

    /// `bytes` is the length of the content, if it became known.
    pub(crate) fn download_ended(&self, priority: Priority, bytes: Option<u64>, (took, well): (Duration, bool)) {
        let labels = OfDownload::of(priority);
        self.running.get_or_create(&labels).dec();
        self.duration
            .get_or_create(&OfSize::of(bytes))
            .observe(took.as_secs_f64() * 1000.0);
        if !well {
            self.failures.get_or_create(&labels).inc();
        }
    }

    /// Bytes that are on this host now.
    pub(crate) fn moved(&self, from: Source, bytes: u64) {
        self.traffic.get_or_create(&OfSource { r#type: from }).inc_by(bytes);
    }

    /// A piece that another peer gave, in so long.
    pub(crate) fn parent_gave(&self, parent: &PeerId, bytes: u64, took: Duration) {
        let labels = OfParent::of(parent);
        self.from_parents.get_or_create(&labels).inc_by(bytes);
        if !took.is_zero() {
            let goodput = bytes as f64 / took.as_secs_f64();
            self.goodput.get_or_create(&labels).observe(goodput);
        }
    }

    pub(crate) fn parent_failed(&self, parent: &PeerId) {
        self.parent_failures.get_or_create(&OfParent::of(parent)).inc();
    }

    pub(crate) fn goes_to_source(&self, reason: SourceReason) {
        let reason = reason.label();
        self.to_source.get_or_create(&For { reason }).inc();
    }

    /// A scheduler answered what it was asked so long ago.
    pub(crate) fn scheduled(&self, after: Duration) {
        self.schedule.observe(after.as_secs_f64() * 1000.0);
    }

    pub(crate) fn evicted(&self, reason: Evicted, bytes: u64) {
        let labels = For { reason: reason.label() };
        self.evicted.get_or_create(&labels).inc();
        self.evicted_bytes.get_or_create(&labels).inc_by(bytes);
    }

    pub(crate) fn blocked(&self) {
        self.blocked.get_or_create(&OfType::STANDARD).inc();
    }

    pub(crate) fn refused_stranger(&self) {
        self.refused.inc();
    }
}

/// Under upstream's prefix.
pub(crate) fn client(registry: &Registry) -> Registry {
    registry.with_prefix("dragonfly").with_prefix("client")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::TrafficType;

    #[test]
    fn names_are_upstreams() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        metrics.download_started(Priority::Level6);
        metrics.download_ended(Priority::Level6, Some(5 << 20), (Duration::from_secs(1), true));
        metrics.moved(Source::of(TrafficType::RemotePeer), 7);
        let text = registry.encode(metrics::Form::Prometheus);
        for line in [
            "dragonfly_client_download_task_total{type=\"0\",priority=\"6\"} 1\n",
            "dragonfly_client_download_traffic{type=\"REMOTE_PEER\"} 7\n",
            "dragonfly_client_download_task_duration_milliseconds_count{task_type=\"0\",task_size_level=\"3\"} 1\n",
            "dragonfly_client_stat_task_failure_total 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn what_is_rare_is_shown_before_it_happens() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        let text = registry.encode(metrics::Form::Prometheus);
        for line in [
            "dragonfly_client_back_to_source_total{reason=\"scheduler_lost\"} 0\n",
            "dragonfly_client_evicted_bytes_total{reason=\"room\"} 0\n",
            "dragonfly_client_parent_traffic_bytes_total{host_type=\"seed\"} 0\n",
            "dragonfly_client_download_task_failure_total{type=\"0\",priority=\"0\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
