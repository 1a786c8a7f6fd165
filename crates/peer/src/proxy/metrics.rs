//! The proxy's numbers, by the names that Dragonfly's peers have where they have one.

use dragonfly_service::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Which limit was reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Limit {
    pub(super) limit: &'static str,
}

/// Who answered for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct By {
    pub(super) by: &'static str,
}

/// Counters and gauges; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxyMetrics {
    pub(super) requests: Counter,
    /// Requests that the proxy itself, the peer or the network failed; an origin's own refusal is none.
    pub(super) failures: Counter,
    pub(super) via_dfdaemon: Counter,
    pub(super) connections: Gauge,
    pub(super) limited: Family<Limit, Counter>,
    pub(super) manifests: Family<By, Counter>,
}

impl ProxyMetrics {
    /// Metrics under `metrics`, which carries the peer's prefix.
    pub(super) fn new(metrics: &Metrics) -> Self {
        let new = Self::default();
        metrics.register(
            "proxy_request",
            "Requests that the proxy received",
            new.requests.clone(),
        );
        metrics.register(
            "proxy_request_failure",
            "Requests that failed for another reason than the origin's word",
            new.failures.clone(),
        );
        metrics.register(
            "proxy_request_via_dfdaemon",
            "Requests that the proxy answered with a content that travels peer to peer",
            new.via_dfdaemon.clone(),
        );
        metrics.register(
            "proxy_connections",
            "Client connections open at the proxy, tunnels included",
            new.connections.clone(),
        );
        metrics.register(
            "proxy_limited",
            "Connections and requests that the proxy refused because a limit was reached",
            new.limited.clone(),
        );
        metrics.register(
            "proxy_manifest",
            "Answers for registries from what is kept here: without a question, confirmed by the registry, or without it",
            new.manifests.clone(),
        );
        new
    }

    /// Counts one answer for a registry.
    pub(super) fn manifest(&self, by: &'static str) {
        self.manifests.get_or_create(&By { by }).inc();
    }

    /// Counts one refusal for a reached limit.
    pub(super) fn limit(&self, limit: &'static str) {
        self.limited.get_or_create(&Limit { limit }).inc();
    }
}
