//! What is asked of origins, by upstream's names.

use super::labels::OfOrigin;
use super::{Histograms, milliseconds};
use dragonfly_service::Metrics as Registry;
use dragonfly_source::{Asked, Observer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Counts it.
#[derive(Debug)]
pub(crate) struct Origins {
    asked: Family<OfOrigin, Counter>,
    failed: Family<OfOrigin, Counter>,
    took: Histograms<OfOrigin>,
    received: Counter,
}

impl Origins {
    /// Counts that `registry` shows.
    pub(crate) fn new(registry: &Registry) -> Self {
        let origins = Self {
            asked: Family::default(),
            failed: Family::default(),
            took: Family::new_with_constructor(milliseconds),
            received: Counter::default(),
        };
        let client = super::client(registry);
        client.register(
            "backend_request",
            "Questions to origins, redirects and retries included",
            origins.asked.clone(),
        );
        client.register(
            "backend_request_failure",
            "Questions to origins that got no answer, or a failure",
            origins.failed.clone(),
        );
        client.register(
            "backend_request_duration_milliseconds",
            "Time from a question to an origin to the beginning of its answer",
            origins.took.clone(),
        );
        client.register(
            "backend_received_bytes",
            "Bytes of contents that origins sent, those that came in vain included",
            origins.received.clone(),
        );
        origins
    }
}

impl Observer for Origins {
    fn asked(&self, asked: Asked) {
        let labels = OfOrigin {
            scheme: asked.scheme,
            method: asked.method,
        };
        self.asked.get_or_create(&labels).inc();
        let failed = self.failed.get_or_create(&labels).clone();
        if asked.failed {
            failed.inc();
        }
        self.took
            .get_or_create(&labels)
            .observe(asked.took.as_secs_f64() * 1000.0);
    }

    fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }
}
