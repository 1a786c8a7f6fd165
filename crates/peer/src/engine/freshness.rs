//! Whether what is kept of a content that no digest names is still what its origin has.
//!
//! Without a digest only the origin knows. It is asked when a content is wanted again, not more often than every few
//! seconds, or as its `Cache-Control` says. While it is down what is kept is given: it was the content, and nobody can
//! say that it is not.

use super::{Engine, Error, Request};
use crate::engine::download::{is_same_version, is_source_forbidden};
use dragonfly_model::TaskId;
use dragonfly_source::{Access, Fault, Head};
use dragonfly_storage::TaskRecord;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than this no origin is believed.
const MAX: Duration = Duration::from_secs(24 * 3600);
/// Contents whose last confirmation is remembered; others are asked for again.
const MAX_REMEMBERED: u64 = 65_536;

/// Until when contents need not be asked for.
pub(super) struct Freshness {
    until: moka::sync::Cache<TaskId, Instant>,
    /// How long an origin's word holds that does not say how long it does: many small ranges of one file are one
    /// question.
    unsaid: Duration,
}

impl Freshness {
    pub(super) fn new(unsaid: Duration) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .time_to_live(MAX);
        Self {
            until: cache.build(),
            unsaid,
        }
    }

    /// The origin has just said that this is its content.
    pub(super) fn confirmed(&self, task: &TaskId, head: &Head) {
        let lifetime = lifetime(&head.headers).unwrap_or(self.unsaid);
        self.until.insert(task.clone(), Instant::now() + lifetime);
    }

    fn is_fresh(&self, task: &TaskId) -> bool {
        self.until.get(task).is_some_and(|until| Instant::now() < until)
    }
}

impl Engine {
    /// Whether what is kept of the content may be given. If not, `request` knows the origin's new head.
    pub(super) async fn is_current(&self, request: &mut Request, known: &TaskRecord) -> Result<bool, Error> {
        // A digest names the version, and so do a text of the caller's own and the scheduler's word.
        if request.digest.is_some() || request.content_for_task_id.is_some() || request.kept.is_some() {
            return Ok(true);
        }
        if request.head.is_none() {
            // Keys are judged by who made them, at each request.
            let is_open = matches!(request.access, Access::Plain);
            if is_source_forbidden(request) || (is_open && self.inner.freshness.is_fresh(&request.task_id)) {
                return Ok(true);
            }
            match self.inner.parts.sources.stat(&request.to_source()).await {
                Ok(head) => request.head = Some(head),
                Err(error) if error.fault() == Fault::Caller => return Err(error.into()),
                Err(error) => {
                    tracing::info!(task.id = %request.task_id, %error, "the origin can't be asked whether its content is still the same");
                    return Ok(true);
                }
            }
        }
        let Some(head) = &request.head else {
            return Ok(true);
        };
        let is_current = is_same_version(known, head);
        if is_current {
            self.inner.freshness.confirmed(&request.task_id, head);
        }
        Ok(is_current)
    }
}

/// How long an origin lets its answer be used without a question (RFC 9111, section 5.2.2), if it says so.
fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives: Vec<String> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|word| word == name);
    if has("no-cache") || has("no-store") {
        return Some(Duration::ZERO);
    }
    let seconds = |name: &str| {
        let found = directives.iter().find_map(|word| word.strip_prefix(name));
        found.and_then(|text| text.trim_matches('"').parse().ok())
    };
    let said: Option<u64> = seconds("s-maxage=").or_else(|| seconds("max-age="));
    said.map(|said| Duration::from_secs(said).min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_says_how_long_its_word_holds() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            lifetime(&headers)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of("public, max-age=60"), seconds(60));
        assert_eq!(of("max-age=60, s-maxage=5"), seconds(5));
        assert_eq!(of("max-age=60, no-cache"), seconds(0));
        assert_eq!(of("No-Store"), seconds(0));
        assert_eq!(of("max-age=99999999999"), Some(MAX));
        assert_eq!(of("max-age=soon"), None);
        assert_eq!(lifetime(&HeaderMap::new()), None);
    }
}
