//! A kind of call, as Dragonfly counts it: how often it was made, and how often that failed.

use super::Metrics;
use prometheus_client::metrics::counter::Counter;

/// A call, counted as asked and as failed.
#[derive(Debug, Clone, Default)]
pub struct Call {
    asked: Counter,
    failed: Counter,
}

impl Call {
    /// Counts that `metrics` shows: `<name>_total` and `<name>_failure_total`.
    pub fn new(metrics: &Metrics, name: &str) -> Self {
        let call = Self::default();
        metrics.register(name, &format!("Calls of {name}"), call.asked.clone());
        let failed = format!("{name}_failure");
        metrics.register(&failed, &format!("Failed calls of {name}"), call.failed.clone());
        call
    }

    /// Counts a call by its result.
    pub fn count<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        self.asked.inc();
        if result.is_err() {
            self.failed.inc();
        }
        result
    }
}
