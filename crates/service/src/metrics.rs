//! The metrics of one program, in the text form that Prometheus scrapes.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// A registry, or a part of one whose names share a prefix. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    prefix: String,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A view of the same registry whose names start with this one's prefix, then `prefix` and an underscore.
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self {
            registry: self.registry.clone(),
            prefix: format!("{}{prefix}_", self.prefix),
        }
    }

    /// Adds a metric, usually a clone of one whose other clone is counted with. Counters get `_total` behind their
    /// name by themselves; `help` is a sentence without its full stop.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        let name = format!("{}{name}", self.prefix);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric);
    }

    /// All metrics as OpenMetrics text, see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a String does not fail");
        text
    }
}

/// What [`Metrics::encode`] returns, for the header.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn names_carry_all_prefixes_and_values_are_live() {
        let metrics = Metrics::new();
        let counter: Counter = Counter::default();
        let client = metrics.with_prefix("dragonfly").with_prefix("client");
        client.register("download_task", "Tasks that were downloaded", counter.clone());
        counter.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("dragonfly_client_download_task_total 3\n"), "{text}");
        assert!(text.contains("# HELP dragonfly_client_download_task Tasks that were downloaded.\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}
