//! The metrics of one program, in the text form that Prometheus scrapes, and what is known of them without scraping.

mod call;
mod process;
mod reading;

pub use call::Call;
pub use reading::Reading;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// A registry, or a part of one whose names share a prefix. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    shown: Arc<Mutex<All>>,
    prefix: String,
}

#[derive(Debug, Default)]
struct All {
    registry: Registry,
    described: Vec<Description>,
}

/// What is known of a metric before it has a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    /// Its name as it is asked for; a histogram's has `_bucket`, `_sum` or `_count` behind it then.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// A sentence without its full stop.
    pub help: String,
}

impl Metrics {
    /// A registry with what is to be told of any process.
    pub fn new() -> Self {
        let metrics = Self::default();
        process::show(&metrics);
        metrics
    }

    /// A view of the same registry whose names start with this one's prefix, then `prefix` and an underscore.
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self {
            shown: self.shown.clone(),
            prefix: format!("{}{prefix}_", self.prefix),
        }
    }

    /// Adds a metric, usually a clone of one whose other clone is counted with. Counters get `_total` behind their
    /// name by themselves; `help` is a sentence without its full stop.
    pub fn register(&self, name: &str, help: &str, metric: impl Shown) {
        let name = format!("{}{name}", self.prefix);
        let (kind, end) = match metric.metric_type() {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Histogram => ("histogram", ""),
            MetricType::Gauge | MetricType::Info | MetricType::Unknown => ("gauge", ""),
        };
        let description = Description {
            name: format!("{name}{end}"),
            kind,
            labels: metric.labels(),
            help: help.to_owned(),
        };
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        all.described.push(description);
        all.registry.register(name, help, metric);
    }

    /// All metrics as text.
    pub fn encode(&self, form: Form) -> String {
        let mut text = String::new();
        let all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &all.registry).expect("writing to a String does not fail");
        match form {
            Form::OpenMetrics => text,
            Form::Prometheus => older(&text),
        }
    }

    /// Every metric that was added, also those that have no value yet.
    pub fn described(&self) -> Vec<Description> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .described
            .clone()
    }
}

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As Prometheus asks for them.
    OpenMetrics,
    /// The form before that, which every tool reads.
    Prometheus,
}

impl Form {
    /// What a client with this `Accept` header is given.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Form::OpenMetrics,
            false => Form::Prometheus,
        }
    }

    /// For the header of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics in the older form, in which a counter is described by the name of its series, and nothing marks the end.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines().filter(|line| *line != "# EOF") {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let end = match line.starts_with("# TYPE ") && line.ends_with(" counter") {
            true => "_total",
            false => "",
        };
        let described = help.take().into_iter().chain([line]);
        for line in described {
            match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
                ["#", word @ ("HELP" | "TYPE"), name, rest] => out.push_str(&format!("# {word} {name}{end} {rest}\n")),
                _ => out.push_str(&format!("{line}\n")),
            }
        }
    }
    out
}

/// A metric that says which labels it has.
pub trait Shown: Metric {
    /// Their names.
    fn labels(&self) -> Vec<&'static str>;
}

impl<N, A> Shown for Counter<N, A>
where
    Self: Metric,
{
    fn labels(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl<N, A> Shown for Gauge<N, A>
where
    Self: Metric,
{
    fn labels(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl Shown for Histogram {
    fn labels(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl<L: Labels, M, C> Shown for Family<L, M, C>
where
    Self: Metric,
{
    fn labels(&self) -> Vec<&'static str> {
        // A word of the language has this in front of it where it is a field's name.
        L::NAMES.iter().map(|name| name.trim_start_matches("r#")).collect()
    }
}

/// A set of labels, made by [`labels!`](crate::labels).
pub trait Labels {
    /// The fields' names.
    const NAMES: &'static [&'static str];
}

/// Defines sets of labels: structs whose fields are the labels.
#[macro_export]
macro_rules! labels {
    ($($(#[$said:meta])* $seen:vis struct $name:ident { $($(#[$of:meta])* $reach:vis $field:ident: $kind:ty,)+ })+) => {$(
        $(#[$said])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, ::prometheus_client::encoding::EncodeLabelSet)]
        $seen struct $name { $($(#[$of])* $reach $field: $kind,)+ }

        impl $crate::metrics::Labels for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
        }
    )+};
}

labels! {
    struct Limit {
        limit: &'static str,
    }
}

/// How often each limit of a program was reached: what came then was refused, and its caller told so.
#[derive(Debug, Clone, Default)]
pub struct LimitsReached(Family<Limit, Counter>);

impl LimitsReached {
    /// Counts that `metrics` shows.
    pub fn new(metrics: &Metrics) -> Self {
        let reached = Self::default();
        metrics.register(
            "limit_reached",
            "Connections, calls and requests that were refused because a limit was reached, by the limit's name",
            reached.0.clone(),
        );
        reached
    }

    /// The count of one limit; it is shown as 0 before it is reached.
    pub fn of(&self, limit: &'static str) -> Counter {
        self.0.get_or_create(&Limit { limit }).clone()
    }
}

labels! {
    struct Build {
        git_version: &'static str,
        platform: &'static str,
    }
}

/// Shows which version of a program this is, under Dragonfly's name for that.
pub fn show_version(metrics: &Metrics) {
    let build: Family<Build, Gauge> = Family::default();
    let own = Build {
        git_version: env!("CARGO_PKG_VERSION"),
        platform: std::env::consts::ARCH,
    };
    build.get_or_create(&own).set(1);
    metrics.register("version", "Always 1; the labels say which program this is", build);
}

#[cfg(test)]
mod tests {
    use super::*;

    labels! {
        struct Kinds {
            r#type: u32,
            host: &'static str,
        }
    }

    #[test]
    fn names_carry_all_prefixes_and_values_are_live() {
        let metrics = Metrics::new();
        let counter: Counter = Counter::default();
        let client = metrics.with_prefix("dragonfly").with_prefix("client");
        client.register("download_task", "Tasks that were downloaded", counter.clone());
        counter.inc_by(3);
        let text = metrics.encode(Form::OpenMetrics);
        assert!(text.contains("dragonfly_client_download_task_total 3\n"), "{text}");
        assert!(text.contains("# HELP dragonfly_client_download_task Tasks that were downloaded.\n"));
        assert!(text.ends_with("# EOF\n"));
        let text = metrics.encode(Form::Prometheus);
        let expected = "# HELP dragonfly_client_download_task_total Tasks that were downloaded.\n\
            # TYPE dragonfly_client_download_task_total counter\ndragonfly_client_download_task_total 3\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.contains("# TYPE process_open_fds gauge\n"), "{text}");
    }

    #[test]
    fn a_metric_is_described_as_it_is_shown_also_before_it_has_a_value() {
        let metrics = Metrics::default();
        let family: Family<Kinds, Counter> = Family::default();
        metrics.register("moved", "Things that were moved", family.clone());
        metrics.register("bytes", "Bytes", Reading::gauge(|| 7_u64));
        let [moved, bytes] = metrics.described().try_into().unwrap();
        assert_eq!(
            (moved.name.as_str(), moved.kind, moved.labels),
            ("moved_total", "counter", vec!["type", "host"])
        );
        assert_eq!((bytes.name.as_str(), bytes.kind), ("bytes", "gauge"));
        assert!(!metrics.encode(Form::Prometheus).contains("moved"));
        let labels = Kinds { r#type: 1, host: "a" };
        family.get_or_create(&labels).inc();
        let text = metrics.encode(Form::Prometheus);
        assert!(text.contains("moved_total{type=\"1\",host=\"a\"} 1\n"), "{text}");
        assert!(text.contains("bytes 7\n"), "{text}");
    }

    #[test]
    fn who_asks_for_no_form_gets_the_one_that_all_can_read() {
        assert_eq!(Form::accepted("*/*"), Form::Prometheus);
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Form::accepted(prometheus), Form::OpenMetrics);
    }

    #[test]
    fn a_limit_is_shown_before_it_is_reached() {
        let metrics = Metrics::default();
        let reached = LimitsReached::new(&metrics).of("grpc");
        assert!(
            metrics
                .encode(Form::Prometheus)
                .contains("limit_reached_total{limit=\"grpc\"} 0\n")
        );
        reached.inc();
        assert!(
            metrics
                .encode(Form::Prometheus)
                .contains("limit_reached_total{limit=\"grpc\"} 1\n")
        );
    }
}
