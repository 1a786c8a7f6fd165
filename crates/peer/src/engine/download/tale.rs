//! What a trace tells of a download: its span is that in which it runs.

use super::Error;
use dragonfly_model::{PeerId, TaskId, TrafficType};
use dragonfly_service::telemetry::{Lasting, SPANS, number};
use dragonfly_storage::PieceRecord;
use std::time::Duration;
use tracing::Span;
use tracing::field::Empty;
use url::Url;

/// Bytes by where they came from.
#[derive(Debug, Default)]
pub(super) struct Tale {
    origin: u64,
    peers: u64,
    at_source: Option<Lasting>,
}

/// The span of a download. Where it begins a trace, as for `dfget`, it says of which URL; else its root does.
pub(in crate::engine) fn span(task: &TaskId, peer: &PeerId, url: &Url) -> Span {
    let in_a_trace = Span::current()
        .metadata()
        .is_some_and(|metadata| metadata.target() == SPANS);
    let url = (!in_a_trace).then(|| shown(url));
    tracing::info_span!(
        target: SPANS,
        "download",
        http.url = url,
        dragonfly.task.id = %task,
        dragonfly.peer.id = %peer,
        dragonfly.bytes.origin = Empty,
        dragonfly.bytes.peers = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// Neither user nor query, which may be credentials.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

impl Tale {
    pub(super) fn piece(&mut self, piece: &PieceRecord, cost: Duration) {
        let from = match piece.traffic {
            TrafficType::BackToSource => {
                self.origin += piece.span.length;
                "origin"
            }
            TrafficType::RemotePeer => {
                self.peers += piece.span.length;
                "peer"
            }
            TrafficType::LocalPeer => "here",
        };
        let (index, length) = (i64::from(piece.span.number.0), number(piece.span.length));
        let parent = piece.parent.as_ref().map(tracing::field::display);
        let ms = cost.as_secs_f64() * 1000.0;
        tracing::info!(target: SPANS, number = index, length, from, parent, ms, "piece");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_credential() {
        for (url, is_shown) in [
            (
                "https://user:pa55@origin.example:81/a/b?Signature=s1gn#x",
                "https://origin.example:81/a/b",
            ),
            ("s3://bucket/key", "s3://bucket/key"),
            ("http://[::1]/", "http://[::1]/"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), is_shown);
        }
    }
}
