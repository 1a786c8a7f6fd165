//! `/api/v1/events`: which kinds of objects have changed, as server-sent events, of those that the caller may read.

use super::Rest;
use super::error::Problem;
use super::events::{LISTEN, event};
use crate::changes::Listener;
use crate::users::{Action, Error};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::HeaderMap;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Between two looks at a session: one that has ended elsewhere, or may less, hears no more for longer.
const CHECK: Duration = Duration::from_secs(3);

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(listen))
}

/// Tells which kinds of objects have changed: events `changed` with `{"kinds": ["jobs"]}`, of what the caller may read. The
/// stream ends with the session.
#[utoipa::path(
    get,
    path = "/events",
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String)),
)]
pub(super) async fn listen(State(rest): State<Rest>, headers: HeaderMap) -> Result<Response, Problem> {
    let listener = rest
        .changes
        .listen()
        .map_err(|crowded| Problem::unavailable(&crowded.to_string()))?;
    let hearer = Hearer {
        rest,
        headers,
        listener,
        until: Instant::now() + LISTEN,
    };
    let events = stream::unfold(hearer, |mut hearer| async move {
        let event = hearer.next().await?;
        Some((Ok::<_, Infallible>(event), hearer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Says after every write that pages may have to look again.
pub(super) async fn after_writes(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let reads = request.method().is_safe();
    let response = next.run(request).await;
    if !reads {
        rest.changes.look();
    }
    response
}

/// What an event says.
#[derive(Debug, Serialize)]
struct Changed {
    /// As paths and rights name them.
    kinds: Vec<&'static str>,
}

/// One who hears of changes.
struct Hearer {
    rest: Rest,
    /// By which it is known whose session this is, and that it goes on.
    headers: HeaderMap,
    listener: Listener,
    until: Instant,
}

impl Hearer {
    /// The next event; nothing at the end.
    async fn next(&mut self) -> Option<Event> {
        let stopping = self.rest.stopping.clone();
        stopping.run_until_cancelled(self.change()).await.flatten()
    }

    async fn change(&mut self) -> Option<Event> {
        while Instant::now() < self.until {
            let heard = tokio::time::timeout(CHECK, self.listener.heard()).await;
            let kinds = self.readable(heard.unwrap_or_default()).await?;
            if !kinds.is_empty() {
                return event("changed", &Changed { kinds });
            }
        }
        None
    }

    /// Those of the kinds that the caller may read at this moment; nothing if the session has ended.
    async fn readable(&self, kinds: Vec<&'static str>) -> Option<Vec<&'static str>> {
        let caller = self.rest.present(&self.headers).await?;
        let mut readable = Vec::with_capacity(kinds.len());
        for kind in kinds {
            match self.rest.users.authorize(&caller, Action::Read, kind).await {
                Ok(()) => readable.push(kind),
                Err(Error::Forbidden { .. }) => {}
                // Whoever opens the stream again looks at everything.
                Err(_) => return None,
            }
        }
        Some(readable)
    }
}
