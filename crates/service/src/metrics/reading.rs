//! A number that is not counted here but looked up whenever somebody asks.

use super::Shown;
use prometheus_client::encoding::{EncodeCounterValue, EncodeGaugeValue, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use std::fmt;

/// A metric whose value is what a function returns, which must not block.
pub struct Reading<N> {
    kind: MetricType,
    read: Box<dyn Fn() -> N + Send + Sync>,
}

impl<N> Reading<N> {
    /// A number that goes up and down, or one whose name must not end in `_total`.
    pub fn gauge(read: impl Fn() -> N + Send + Sync + 'static) -> Self {
        Self {
            kind: MetricType::Gauge,
            read: Box::new(read),
        }
    }

    /// A number that only grows.
    pub fn counter(read: impl Fn() -> N + Send + Sync + 'static) -> Self {
        Self {
            kind: MetricType::Counter,
            read: Box::new(read),
        }
    }
}

impl<N> EncodeMetric for Reading<N>
where
    N: EncodeGaugeValue + EncodeCounterValue,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let value = (self.read)();
        match self.kind {
            MetricType::Counter => encoder.encode_counter(&value, None::<&Exemplar<NoLabelSet, u64>>),
            _ => encoder.encode_gauge(&value),
        }
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl<N> Shown for Reading<N>
where
    N: EncodeGaugeValue + EncodeCounterValue + 'static,
{
    fn labels(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl<N> fmt::Debug for Reading<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}
