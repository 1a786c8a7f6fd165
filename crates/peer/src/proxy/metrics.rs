//! The proxy's numbers, by the names that Dragonfly's peers have where they have one.

use dragonfly_service::metrics::LimitsReached;
use dragonfly_service::{Metrics, labels};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

labels! {
    /// Who answered for a registry.
    pub(super) struct By {
        pub(super) by: &'static str,
    }
}

/// Counters and gauges; clones share them.
#[derive(Debug, Clone)]
pub(super) struct ProxyMetrics {
    pub(super) requests: Counter,
    /// Requests that the proxy itself, the peer or the network failed; an origin's own refusal is none.
    pub(super) failures: Counter,
    pub(super) via_dfdaemon: Counter,
    pub(super) connections: Gauge,
    /// How often the proxy had no place for a connection, took no more requests in a second, or took no longer header.
    pub(super) no_place: Counter,
    pub(super) too_many_requests: Counter,
    pub(super) long_header: Counter,
    /// Bytes of answers that were passed on as their origins sent them.
    pub(super) direct_bytes: Counter,
    pub(super) manifests: Family<By, Counter>,
}

impl ProxyMetrics {
    /// Metrics under `metrics`, which carries the peer's prefix.
    pub(super) fn new(metrics: &Metrics, limits: &LimitsReached) -> Self {
        let new = Self {
            requests: Counter::default(),
            failures: Counter::default(),
            via_dfdaemon: Counter::default(),
            connections: Gauge::default(),
            no_place: limits.of("proxy_connections"),
            too_many_requests: limits.of("proxy_requests"),
            long_header: limits.of("proxy_header_bytes"),
            direct_bytes: Counter::default(),
            manifests: Family::default(),
        };
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
            "proxy_direct_bytes",
            "Bytes of answers that were passed on as their origins sent them, because no rule has them travel peer to peer",
            new.direct_bytes.clone(),
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
}
