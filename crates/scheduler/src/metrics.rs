//! What the scheduler counts. Names are Dragonfly's where it has one; labels are words of ours or of the protocol, never
//! words of a caller.

use crate::preheat::Tally;
use dragonfly_api::common::{Download, Priority, TaskType, TrafficType};
use dragonfly_model::HostKind;
use dragonfly_scheduling as scheduling;
use dragonfly_service::metrics::{self, Call, LimitsReached};
use dragonfly_service::{Metrics, labels};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

/// Upper bounds of the time to an answer, in milliseconds.
const MILLISECONDS: [f64; 9] = [1.0, 5.0, 20.0, 100.0, 500.0, 2_000.0, 10_000.0, 30_000.0, 90_000.0];

labels! {
    /// Whose download it is.
    pub(crate) struct Who {
        priority: &'static str,
        task_type: &'static str,
        host_type: &'static str,
    }

    struct Moved {
        traffic_type: &'static str,
        task_type: &'static str,
        host_type: &'static str,
    }

    struct Bytes {
        r#type: &'static str,
        task_type: &'static str,
        host_type: &'static str,
    }

    struct Decided {
        decision: &'static str,
        reason: &'static str,
    }

    struct Outcome {
        outcome: &'static str,
    }
}

impl Who {
    /// The labels of a download on a host, whose kind is unknown before it announces itself.
    pub(crate) fn of(download: &Download, host: Option<HostKind>) -> Self {
        Self {
            priority: Priority::try_from(download.priority).map_or("unknown", |priority| priority.as_str_name()),
            task_type: TaskType::try_from(download.r#type).map_or("unknown", |kind| kind.as_str_name()),
            host_type: match host {
                Some(HostKind::Normal) => "normal",
                Some(HostKind::Seed) => "super",
                None => "unknown",
            },
        }
    }
}

/// A thing that peers do, counted as done and as failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deed {
    done: Family<Who, Counter>,
    failed: Family<Who, Counter>,
}

impl Deed {
    fn registered(shown: &Metrics, name: &str, help: &str) -> Self {
        let deed = Self::default();
        shown.register(name, help, deed.done.clone());
        let failed = format!("{name}_failure");
        shown.register(&failed, &format!("{help}, failed"), deed.failed.clone());
        deed
    }

    /// What has not failed yet is shown as 0, so that its first failure is a change.
    pub(crate) fn done(&self, who: &Who) {
        drop(self.failed.get_or_create(who));
        self.done.get_or_create(who).inc();
    }

    pub(crate) fn failed(&self, who: &Who) {
        drop(self.done.get_or_create(who));
        self.failed.get_or_create(who).inc();
    }
}

/// Handles to the scheduler's metrics. Clones count into the same.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) announce_peer: Call,
    pub(crate) stat_peer: Call,
    pub(crate) leave_peer: Call,
    pub(crate) stat_task: Call,
    pub(crate) leave_task: Call,
    pub(crate) announce_host: Call,
    pub(crate) list_hosts: Call,
    pub(crate) leave_host: Call,
    pub(crate) report_holdings: Call,
    pub(crate) trace: Call,
    pub(crate) register_peer: Deed,
    pub(crate) peer_started: Deed,
    pub(crate) peer_back_to_source_started: Deed,
    pub(crate) peer_finished: Deed,
    pub(crate) peer_back_to_source_finished: Deed,
    pieces: Family<Moved, Counter>,
    pieces_failed: Family<Moved, Counter>,
    source_pieces_failed: Family<Who, Counter>,
    traffic: Family<Bytes, Gauge>,
    schedule_milliseconds: Histogram,
    decisions: Family<Decided, Counter>,
    seed_calls: Family<Outcome, Counter>,
    preheat_targets: Family<Outcome, Counter>,
    pub(crate) preheat_image: Call,
    pub(crate) preheat_file: Call,
    pub(crate) stat_image: Call,
    pub(crate) stat_file: Call,
    waiting: Gauge,
    hosts: Gauge,
    tasks: Gauge,
    peers: Gauge,
    pub(crate) limits: LimitsReached,
}

impl Counts {
    /// Metrics that `metrics` shows.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let shown = &metrics.with_prefix("dragonfly").with_prefix("scheduler");
        let call = |name: &str| Call::new(shown, name);
        let deed = |name: &str, help: &str| Deed::registered(shown, name, help);
        let counts = Self {
            announce_peer: call("announce_peer"),
            stat_peer: call("stat_peer"),
            leave_peer: call("leave_peer"),
            stat_task: call("stat_task"),
            leave_task: call("leave_task"),
            announce_host: call("announce_host"),
            list_hosts: call("list_hosts"),
            leave_host: call("leave_host"),
            report_holdings: call("report_holdings"),
            trace: call("trace"),
            register_peer: deed("register_peer", "Registrations of peers"),
            peer_started: deed("download_peer_started", "Downloads that began"),
            peer_back_to_source_started: deed(
                "download_peer_back_to_source_started",
                "Downloads that began at the origin",
            ),
            peer_finished: deed("download_peer_finished", "Downloads that ended"),
            peer_back_to_source_finished: deed(
                "download_peer_back_to_source_finished",
                "Downloads that ended and began at the origin",
            ),
            pieces: Family::default(),
            pieces_failed: Family::default(),
            source_pieces_failed: Family::default(),
            traffic: Family::default(),
            schedule_milliseconds: Histogram::new(MILLISECONDS),
            decisions: Family::default(),
            seed_calls: Family::default(),
            preheat_targets: Family::default(),
            preheat_image: call("preheat_image"),
            preheat_file: call("preheat_file"),
            stat_image: call("stat_image"),
            stat_file: call("stat_file"),
            waiting: Gauge::default(),
            hosts: Gauge::default(),
            tasks: Gauge::default(),
            peers: Gauge::default(),
            limits: LimitsReached::new(shown),
        };
        counts.show(shown);
        counts.begin();
        metrics::show_version(shown);
        counts
    }

    fn show(&self, shown: &Metrics) {
        shown.register("download_piece_finished", "Pieces that peers got", self.pieces.clone());
        shown.register(
            "download_piece_finished_failure",
            "Pieces that parents did not deliver",
            self.pieces_failed.clone(),
        );
        shown.register(
            "download_piece_back_to_source_finished_failure",
            "Pieces that the origin did not deliver",
            self.source_pieces_failed.clone(),
        );
        // A gauge, though it only grows: a counter's name would end in another word than Dragonfly's.
        shown.register("traffic", "Bytes of the pieces that peers got", self.traffic.clone());
        shown.register(
            "schedule_duration_milliseconds",
            "Time from a peer's question to its answer, waiting included",
            self.schedule_milliseconds.clone(),
        );
        shown.register("decisions", "Decisions, with their reason", self.decisions.clone());
        shown.register(
            "seed_peer_calls",
            "Calls to seed peers that ended",
            self.seed_calls.clone(),
        );
        shown.register(
            "preheat_targets",
            "Contents on hosts that were to be preheated",
            self.preheat_targets.clone(),
        );
        shown.register(
            "concurrent_schedule_total",
            "Peers that wait for an answer",
            self.waiting.clone(),
        );
        shown.register("hosts", "Hosts that are known", self.hosts.clone());
        shown.register("tasks", "Tasks that are known", self.tasks.clone());
        shown.register("peers", "Peers that are known", self.peers.clone());
    }

    /// A series that begins at its first event has no rate of it, so those that are few begin at once.
    fn begin(&self) {
        for outcome in ["done", "failed"] {
            drop(self.seed_calls.get_or_create(&Outcome { outcome }));
        }
        for outcome in ["done", "failed", "cancelled"] {
            drop(self.preheat_targets.get_or_create(&Outcome { outcome }));
        }
    }

    /// Counts a piece that a peer got.
    pub(crate) fn piece(&self, who: &Who, traffic: TrafficType, length: u64) {
        let traffic_type = traffic.as_str_name();
        let Who {
            task_type, host_type, ..
        } = who.clone();
        let moved = Moved {
            traffic_type,
            task_type,
            host_type,
        };
        drop(self.pieces_failed.get_or_create(&moved));
        drop(self.source_pieces_failed.get_or_create(who));
        self.pieces.get_or_create(&moved).inc();
        let bytes = Bytes {
            r#type: traffic_type,
            task_type,
            host_type,
        };
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.traffic.get_or_create(&bytes).inc_by(length);
    }

    /// Counts a piece that a parent did not deliver.
    pub(crate) fn piece_failed(&self, who: &Who) {
        let Who {
            task_type, host_type, ..
        } = who.clone();
        let moved = Moved {
            traffic_type: TrafficType::RemotePeer.as_str_name(),
            task_type,
            host_type,
        };
        self.pieces_failed.get_or_create(&moved).inc();
    }

    /// Counts a piece that the origin did not deliver.
    pub(crate) fn source_piece_failed(&self, who: &Who) {
        self.source_pieces_failed.get_or_create(who).inc();
    }

    /// Counts a decision.
    pub(crate) fn decision(&self, decision: &scheduling::Decision) {
        use scheduling::Decision;
        let (decision, reason) = match decision {
            Decision::Parents { .. } => ("parents", "none"),
            Decision::MoreParents { .. } => ("more_parents", "none"),
            Decision::BackToSource { reason, .. } => ("back_to_source", reason.label()),
            Decision::Empty { .. } => ("empty", "none"),
            Decision::MetadataOnly { .. } => ("metadata_only", "none"),
            Decision::TriggerSeed { .. } => ("trigger_seed", "none"),
            Decision::Parked { reason, .. } => ("parked", reason.label()),
            Decision::Refuse { reason, .. } => ("refuse", reason.label()),
            Decision::HostForgotten { .. } => ("forget_host", "silent"),
            Decision::TaskForgotten { .. } => ("forget_task", "unused"),
            Decision::EndStream { .. } | Decision::WakeAt(_) => return,
        };
        self.decisions.get_or_create(&Decided { decision, reason }).inc();
    }

    /// Counts the end of a call to a seed peer.
    pub(crate) fn seed_call(&self, outcome: &'static str) {
        self.seed_calls.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts how the targets of an order ended.
    pub(crate) fn preheated(&self, tally: Tally) {
        for (outcome, count) in [
            ("done", tally.done),
            ("failed", tally.failed),
            ("cancelled", tally.others),
        ] {
            self.preheat_targets
                .get_or_create(&Outcome { outcome })
                .inc_by(count as u64);
        }
    }

    /// Counts an answer, and how long the peer waited for it.
    pub(crate) fn answered(&self, after: Duration) {
        self.schedule_milliseconds.observe(after.as_secs_f64() * 1000.0);
    }

    /// Shows how much the graph holds.
    pub(crate) fn holds(&self, counts: scheduling::Counts) {
        let set = |gauge: &Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.waiting, counts.waiting);
        set(&self.hosts, counts.hosts);
        set(&self.tasks, counts.tasks);
        set(&self.peers, counts.peers);
    }
}
