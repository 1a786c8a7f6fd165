//! What the manager counts. Labels are words of ours, never words of a caller.

use crate::wake::State;
use dragonfly_service::metrics::{self, LimitsReached};
use dragonfly_service::{Metrics, labels};
use http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

/// Upper bounds of a request's duration, in seconds.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

labels! {
    struct OfSpans {
        outcome: &'static str,
    }

    struct Placed {
        reason: &'static str,
    }

    struct Request {
        code: u16,
        method: &'static str,
        handler: String,
    }

    struct OfJob {
        name: &'static str,
    }

    struct Route {
        method: &'static str,
        handler: String,
    }
}

/// Handles to the manager's metrics. Clones count into the same.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    placements: Family<Placed, Counter>,
    placement_failures: Counter,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    sign_in_failures: Counter,
    jobs: Family<OfJob, Counter>,
    jobs_made: Family<OfJob, Counter>,
    attending: Gauge,
    /// Those who watch for changes.
    pub(crate) watchers: Gauge,
    watches_refused: Counter,
    /// Changes that they were told of.
    pub(crate) news: Counter,
    /// Shown only where there is a Redis.
    pub(crate) redis: State,
    pub(crate) limits: LimitsReached,
}

/// What is counted of traces that are received.
#[derive(Debug, Clone)]
pub(crate) struct SpanCounts {
    pub(crate) kept: Counter,
    /// Those that can't be kept, whoever sends them again.
    pub(crate) malformed: Counter,
    /// Those that the disk lost.
    pub(crate) failed: Counter,
    /// Exports that were to come again.
    pub(crate) busy: Counter,
    pub(crate) bytes: Gauge,
}

impl SpanCounts {
    /// Metrics that `metrics` shows.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let spans = Family::<OfSpans, Counter>::default();
        let outcome = |outcome| spans.get_or_create(&OfSpans { outcome }).clone();
        let counts = Self {
            kept: outcome("kept"),
            malformed: outcome("malformed"),
            failed: outcome("failed"),
            busy: Counter::default(),
            bytes: Gauge::default(),
        };
        let shown = metrics.with_prefix("dragonfly").with_prefix("manager");
        shown.register("spans", "Spans that were received, by what came of them", spans);
        shown.register(
            "span_exports_refused",
            "Exports of spans that were refused because too many came at once",
            counts.busy.clone(),
        );
        shown.register(
            "trace_store_bytes",
            "Bytes of the traces that are kept, as far as they are written out",
            counts.bytes.clone(),
        );
        counts
    }
}

impl Counts {
    /// Metrics that `metrics` shows.
    pub(crate) fn new(metrics: &Metrics, with_redis: bool) -> Self {
        let shown = &metrics.with_prefix("dragonfly").with_prefix("manager");
        let counts = Self {
            placements: Family::default(),
            placement_failures: Counter::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sign_in_failures: Counter::default(),
            jobs: Family::default(),
            jobs_made: Family::default(),
            attending: Gauge::default(),
            watchers: Gauge::default(),
            watches_refused: Counter::default(),
            news: Counter::default(),
            redis: State::default(),
            limits: LimitsReached::new(shown),
        };
        shown.register(
            "search_scheduler_cluster",
            "Peers that were given a cluster, by the rule that decided",
            counts.placements.clone(),
        );
        shown.register(
            "search_scheduler_cluster_failure",
            "Peers that were given no scheduler",
            counts.placement_failures.clone(),
        );
        shown.register("requests", "REST requests, by route", counts.requests.clone());
        shown.register(
            "request_duration_seconds",
            "Time to answer REST requests, by route",
            counts.durations.clone(),
        );
        shown.register(
            "sign_in_failure",
            "Sign-ins that were refused or throttled",
            counts.sign_in_failures.clone(),
        );
        shown.register("create_job", "Jobs that were asked for, by type", counts.jobs.clone());
        shown.register(
            "create_job_success",
            "Jobs that were made, by type",
            counts.jobs_made.clone(),
        );
        shown.register(
            "attending_schedulers",
            "Schedulers that take jobs from this manager",
            counts.attending.clone(),
        );
        shown.register(
            "watchers",
            "Schedulers and peers that watch for changes",
            counts.watchers.clone(),
        );
        shown.register("news", "Changes that those who watch were told of", counts.news.clone());
        shown.register(
            "watch_refused",
            "Watches that were refused because too many watch",
            counts.watches_refused.clone(),
        );
        metrics::show_version(shown);
        if with_redis {
            shown.register(
                "redis_up",
                "Whether Redis tells this manager what others change",
                counts.redis.up.clone(),
            );
        }
        counts
    }

    pub(crate) fn placed(&self, reason: &'static str) {
        self.placements.get_or_create(&Placed { reason }).inc();
    }

    pub(crate) fn not_placed(&self) {
        self.placement_failures.inc();
    }

    pub(crate) fn sign_in_failed(&self) {
        self.sign_in_failures.inc();
    }

    pub(crate) fn job_wanted(&self, name: &'static str) {
        self.jobs.get_or_create(&OfJob { name }).inc();
    }

    pub(crate) fn job_made(&self, name: &'static str) {
        self.jobs_made.get_or_create(&OfJob { name }).inc();
    }

    /// Counts a scheduler that attends, until what is returned is dropped.
    pub(crate) fn attends(&self) -> Attending {
        self.attending.inc();
        Attending(self.attending.clone())
    }

    pub(crate) fn watch_refused(&self) {
        self.watches_refused.inc();
    }

    /// `handler` is the template of the route, so that ids in paths make no series.
    pub(crate) fn answered(&self, method: &Method, handler: &str, code: StatusCode, after: Duration) {
        let method = method_word(method);
        let handler = handler.to_owned();
        let request = Request {
            code: code.as_u16(),
            method,
            handler: handler.clone(),
        };
        self.requests.get_or_create(&request).inc();
        let route = Route { method, handler };
        self.durations.get_or_create(&route).observe(after.as_secs_f64());
    }
}

/// A scheduler that attends.
#[derive(Debug)]
pub(crate) struct Attending(Gauge);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Callers may invent methods.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
