//! What a trace tells of a download: its span is that in which it runs.

use super::Error;
use dragonfly_model::TrafficType;
use dragonfly_service::telemetry::{Lasting, SPANS, number};
use dragonfly_storage::PieceRecord;
use std::time::Duration;
use tracing::Span;
use tracing::field::Empty;

/// Bytes by where they came from.
#[derive(Debug, Default)]
pub(super) struct Tale {
    origin: u64,
    peers: u64,
    at_source: Option<Lasting>,
}

/// The span of a download.
pub(in crate::engine) fn span(task: &dragonfly_model::TaskId, peer: &dragonfly_model::PeerId) -> Span {
    tracing::info_span!(
        target: SPANS,
        "download",
        dragonfly.task.id = %task,
        dragonfly.peer.id = %peer,
        dragonfly.bytes.origin = Empty,
        dragonfly.bytes.peers = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

impl Tale {
    pub(super) fn piece(&mut self, piece: &PieceRecord, cost: Duration) {
        match piece.traffic {
            TrafficType::BackToSource => self.origin += piece.span.length,
            TrafficType::RemotePeer => self.peers += piece.span.length,
            TrafficType::LocalPeer => {}
        }
        let (index, length) = (i64::from(piece.span.number.0), number(piece.span.length));
        let parent = piece.parent.as_ref().map(tracing::field::display);
        let ms = cost.as_secs_f64() * 1000.0;
        tracing::info!(target: SPANS, number = index, length, parent, ms, "piece");
    }

    pub(super) fn goes_to_source(&mut self, reason: &str) {
        let span = tracing::info_span!(target: SPANS, "back_to_source", otel.kind = "client", reason);
        self.at_source = Some(span.into());
    }

    pub(super) fn end(&mut self, outcome: &Result<(), Error>) {
        self.at_source = None;
        let span = Span::current();
        span.record("dragonfly.bytes.origin", number(self.origin));
        span.record("dragonfly.bytes.peers", number(self.peers));
        if let Err(error) = outcome {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", tracing::field::display(error));
        }
    }
}
