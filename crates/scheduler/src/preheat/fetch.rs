//! One content on one host: a `DownloadTask` to its end, again if it fails in passing.

use super::board::{Board, Row};
use super::content::Content;
use super::{Plan, Preheat};
use crate::reach::Failure;
use dragonfly_api::common::Host;
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_api::dfdaemon::download_task_response::Response;
use dragonfly_api::ext::TargetState;
use dragonfly_source::oci;
use http::HeaderValue;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

/// How often a host is asked that fails in passing; the first pause between, which doubles and is jittered.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// How often an `Authorization` that the origin refused is renewed.
const RENEWALS: u32 = 2;
/// Characters of a peer's own words that are repeated.
const MAX_WORDS: usize = 300;

/// Why a host does not have a content.
enum Lack {
    Peer(Failure),
    /// There is no `Authorization` to be had.
    Registry(oci::Error),
}

impl Preheat {
    /// Has a host fetch a content, and writes on the board how far it is. The error is why it has not, in words.
    pub(super) async fn on_host(
        &self,
        plan: &Plan,
        content: &Content,
        host: &Host,
        at: Paper<'_>,
    ) -> Result<(), String> {
        let mut tries = 1;
        let mut renewals = 0;
        loop {
            let authorization = match &plan.registry {
                Some(registry) => registry.authorization().await,
                None => Ok(None),
            };
            let lack = match authorization {
                Ok(authorization) => {
                    let fetched = self.fetch(content, host, authorization.as_ref(), at).await;
                    let Err(failure) = fetched else {
                        return Ok(());
                    };
                    if failure.origin() == Some(401)
                        && renewals < RENEWALS
                        && renewed(plan, authorization.as_ref()).await
                    {
                        renewals += 1;
                        continue;
                    }
                    Lack::Peer(failure)
                }
                Err(error) => Lack::Registry(error),
            };
            if tries == TRIES || lack.is_final() {
                return Err(lack.in_words());
            }
            tracing::debug!(host.id = host.id, task.id = %content.likely_id(), tries, reason = lack.in_words(), "a host failed in passing");
            let pause = PAUSE * 2_u32.pow(tries - 1);
            tries += 1;
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.8..1.2))).await;
        }
    }

    async fn fetch(
        &self,
        content: &Content,
        host: &Host,
        authorization: Option<&HeaderValue>,
        at: Paper<'_>,
    ) -> Result<(), Failure> {
        let _place = self.calls.acquire().await.expect("the semaphore is never closed");
        at.board.update(at.row, |target| {
            target.set_state(TargetState::Running);
            target.finished_length = 0;
        });
        let mut download = content.download.clone();
        if let Some(value) = authorization.and_then(|value| value.to_str().ok()) {
            download
                .request_header
                .insert("authorization".to_owned(), value.to_owned());
        }
        let mut request = Request::new(DownloadTaskRequest {
            download: Some(download),
        });
        let yes = MetadataValue::from_static("1");
        request.metadata_mut().insert(dragonfly_api::PREHEATS, yes);
        let mut answers = self.reach.client(host)?.download_task(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            match answer.response {
                Some(Response::DownloadTaskStartedResponse(started)) => at.board.update(at.row, |target| {
                    target.content_length = Some(started.content_length);
                    if started.is_finished {
                        target.finished_length = started.content_length;
                    }
                }),
                Some(Response::DownloadPieceFinishedResponse(finished)) => {
                    let length = finished.piece.map_or(0, |piece| piece.length);
                    at.board.update(at.row, |target| {
                        let sum = target.finished_length.saturating_add(length);
                        target.finished_length = sum.min(target.content_length.unwrap_or(u64::MAX));
                    });
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Where the progress of one host is written down.
#[derive(Clone, Copy)]
pub(super) struct Paper<'a> {
    pub(super) board: &'a Board,
    pub(super) row: Row,
}

async fn renewed(plan: &Plan, refused: Option<&HeaderValue>) -> bool {
    match &plan.registry {
        Some(registry) => registry.renew(refused).await.unwrap_or(false),
        None => false,
    }
}

impl Lack {
    /// Whether asking again would bring the same.
    fn is_final(&self) -> bool {
        match self {
            Lack::Registry(error) => !error.is_transient(),
            Lack::Peer(Failure::Address(_)) => true,
            Lack::Peer(Failure::Timeout(_)) => false,
            Lack::Peer(failure @ Failure::Call(status)) => match failure.origin() {
                Some(origin) => matches!(origin, 400..=428 | 430..=499),
                None => matches!(
                    status.code(),
                    Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented | Code::Unauthenticated
                ),
            },
        }
    }

    fn in_words(&self) -> String {
        match self {
            Lack::Registry(error) => dragonfly_service::chain(error).to_string(),
            Lack::Peer(failure) => in_words(failure),
        }
    }
}

/// A failure for those who read results: with the peer's own words, but without what may be a signature in them.
pub(super) fn in_words(failure: &Failure) -> String {
    match (failure, failure.origin()) {
        (_, Some(origin)) => format!("the origin answered {origin}"),
        (Failure::Call(status), None) => {
            let words: Vec<String> = status.message().split_whitespace().map(without_query).collect();
            let words: String = words.join(" ").chars().take(MAX_WORDS).collect();
            match status.code() {
                Code::Unavailable => format!("the peer can't be reached or is stopping: {words}"),
                code => format!("the peer failed ({code:?}): {words}"),
            }
        }
        (failure, None) => dragonfly_service::chain(failure).to_string(),
    }
}

fn without_query(word: &str) -> String {
    match word.split_once('?') {
        Some((before, after)) if !after.is_empty() => format!("{before}?…"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Status;

    #[test]
    fn a_reason_repeats_no_signature() {
        let status = Status::internal("can't fetch https://o.example/x?Signature=s3cret now");
        let words = in_words(&Failure::Call(status));
        assert!(
            words.contains("https://o.example/x?…") && !words.contains("s3cret"),
            "{words}"
        );
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let of = |code| Lack::Peer(Failure::Call(Status::new(code, ""))).is_final();
        for code in [
            Code::Unavailable,
            Code::Internal,
            Code::Unknown,
            Code::Aborted,
            Code::ResourceExhausted,
        ] {
            assert!(!of(code), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::PermissionDenied, Code::Unimplemented] {
            assert!(of(code), "{code:?}");
        }
    }
}
