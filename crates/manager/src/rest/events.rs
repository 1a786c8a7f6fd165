//! A job's progress as server-sent events: `progress` with the result's numbers whenever they change, `ended` with the job.

use super::Rest;
use super::error::Problem;
use crate::error::Error;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::{Job, JobProgress};
use futures::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// Those who listen at a time.
pub(super) const MAX_LISTENERS: usize = 64;
/// Between two looks at a job that nothing says has changed.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long one listens; browsers come back by themselves, with the rights that they have then.
pub(super) const LISTEN: Duration = Duration::from_secs(600);

/// The events of one job for one listener.
pub(super) struct Events {
    rest: Rest,
    id: u64,
    changes: watch::Receiver<u64>,
    told: Option<JobProgress>,
    until: Instant,
    ended: bool,
    _listener: OwnedSemaphorePermit,
}

impl Events {
    /// Of the job with this id; nothing if too many listen.
    pub(super) async fn of(rest: &Rest, id: u64) -> Result<Option<Self>, Problem> {
        rest.jobs.get(id).await?;
        let Ok(listener) = rest.listeners.clone().try_acquire_owned() else {
            return Ok(None);
        };
        Ok(Some(Self {
            rest: rest.clone(),
            id,
            changes: rest.jobs.changes(),
            told: None,
            until: Instant::now() + LISTEN,
            ended: false,
            _listener: listener,
        }))
    }

    /// The next event; nothing at the end.
    async fn next(&mut self) -> Option<Event> {
        let stopping = self.rest.stopping.clone();
        stopping.run_until_cancelled(self.change()).await.flatten()
    }

    async fn change(&mut self) -> Option<Event> {
        while !self.ended && Instant::now() < self.until {
            self.changes.mark_unchanged();
            match self.rest.jobs.get(self.id).await {
                Ok(job) if job.state.has_ended() => {
                    self.ended = true;
                    return event("ended", &job);
                }
                Ok(job) => {
                    if let Some(event) = self.progress(&job) {
                        return Some(event);
                    }
                }
                Err(Error::Unavailable(_)) => {}
                // It was removed.
                Err(_) => return None,
            }
            // A change or the time, whichever is first.
            tokio::time::timeout(LOOK_AFTER, self.changes.changed()).await.ok();
        }
        None
    }

    fn progress(&mut self, job: &Job) -> Option<Event> {
        let progress = &job.result.progress;
        if self.told.as_ref() == Some(progress) {
            return None;
        }
        self.told = Some(progress.clone());
        event("progress", progress)
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let events = stream::unfold(self, |mut events| async move {
            let event = events.next().await?;
            Some((Ok::<_, Infallible>(event), events))
        });
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    }
}

pub(super) fn event(name: &str, value: &impl serde::Serialize) -> Option<Event> {
    match Event::default().event(name).json_data(value) {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(%error, "an event can't be written");
            None
        }
    }
}
