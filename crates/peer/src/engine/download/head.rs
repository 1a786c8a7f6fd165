//! What is known of a content before its first byte: from the origin, from this host's storage, or from a parent.

use super::{Download, Moving, lacking, missing, wanted};
use crate::engine::Error;
use crate::engine::request::Kept;
use dragonfly_api::dfdaemon::StatLocalTaskResponse;
use dragonfly_api::kept::CONTENT_DIGEST;
use dragonfly_model::{Digest, PieceLayout, Policy, Replica};
use dragonfly_source as source;
use dragonfly_source::{Fault, Head, Validator};
use dragonfly_storage::{NewTask, Pin, TaskRecord};
use std::collections::HashMap;
use std::time::SystemTime;

/// How a content is cut, and what is told of it.
pub(super) struct Plan {
    piece_length: u64,
    content_length: Option<u64>,
    headers: Vec<(String, String)>,
    /// The digest of a content that is not named by it.
    digest: Option<Digest>,
}

impl Download {
    /// Asks the origin with the caller's own headers, unless somebody did or it must not be asked. `None` if it can't
    /// be reached or is ill: a parent may have the content all the same.
    pub(super) async fn ask_head(&mut self) -> Result<Option<Head>, Error> {
        if let Some(head) = self.request.head.clone() {
            self.engine.freshness.confirmed(&self.shared.task, &head);
            return Ok(Some(head));
        }
        if self.is_source_forbidden() {
            return Ok(None);
        }
        match self.engine.parts.sources.stat(&self.request.to_source()).await {
            Ok(head) => {
                self.engine.freshness.confirmed(&self.shared.task, &head);
                self.request.head = Some(head.clone());
                Ok(Some(head))
            }
            // Nobody gets by another's credentials what its own don't give; others who wait ask for themselves.
            Err(error) if error.fault() == Fault::Caller => Err(error.into()),
            Err(error) => {
                tracing::debug!(task.id = %self.shared.task, %error, "the origin gave no head; a parent may");
                self.unreachable = Some(error.into());
                Ok(None)
            }
        }
    }

    /// How to fetch: by what the origin said, else by what an earlier download left here. What is here of another
    /// version of the content is thrown away.
    pub(super) async fn plan(&mut self, head: Option<&Head>) -> Result<Option<Plan>, Error> {
        let known = self.engine.parts.storage.pin(&self.shared.task).map(|pin| pin.record());
        if let Some(other) = known.as_ref().filter(|known| self.is_in_the_way(known)) {
            tracing::info!(task.id = %other.id, "what was here is not what the cluster keeps under this id now");
            self.engine.parts.storage.remove(&self.shared.task).await?;
            return Ok(None);
        }
        let Some(head) = head else {
            return Ok(known.filter(|known| self.is_same_content(known)).map(Plan::of_record));
        };
        let plan = self.plan_of_head(head);
        if let Some(known) = known {
            if self.is_same_content(&known) && is_same_version(&known, head) {
                return Ok(Some(Plan {
                    piece_length: known.piece_length,
                    ..plan
                }));
            }
            tracing::info!(task.id = %self.shared.task, "the content has changed at its origin; starting afresh");
            self.engine.parts.storage.remove(&self.shared.task).await?;
        }
        Ok(Some(plan))
    }

    /// A cut for a content of which nothing is known.
    pub(super) fn blind_plan(&self) -> Plan {
        Plan {
            piece_length: self.request.piece_length.unwrap_or(PieceLayout::MIN_PIECE_LENGTH),
            content_length: self.request.kept.as_ref().map(|kept| kept.content_length),
            headers: Vec::new(),
            digest: None,
        }
    }

    /// What a parent tells, which must agree with what the caller asked for.
    pub(super) fn plan_of_parent(&self, parent: StatLocalTaskResponse) -> Option<Plan> {
        if self.request.kept.is_some() {
            let digest = parent.response_header.get(CONTENT_DIGEST);
            return Some(Plan {
                digest: Some(digest?.parse().ok()?),
                ..self.blind_plan()
            });
        }
        let piece_length = parent.piece_length.filter(|length| *length > 0)?;
        Some(Plan {
            piece_length,
            content_length: parent.content_length,
            headers: parent.response_header.into_iter().collect(),
            digest: None,
        })
    }

    /// Makes the task and starts to move its pieces, if there is room for them.
    pub(super) async fn begin(&mut self, plan: Plan) -> Result<(), Error> {
        let parts = &self.engine.parts;
        let task = NewTask {
            url: match self.request.kept {
                None => without_secrets(&self.request.url),
                Some(_) => String::new(),
            },
            tag: self.request.tag.clone(),
            application: self.request.application.clone(),
            piece_length: plan.piece_length,
            content_length: plan.content_length,
            response_headers: plan.headers.clone(),
            digest: self.request.digest.clone().or(plan.digest),
            policy: self.policy(),
        };
        let pin = parts.storage.pin_or_create(&self.shared.task, task)?;
        self.keep_on(&pin)?;
        if let Some(length) = plan.content_length {
            pin.set_content_length(length)?;
        }
        if !plan.headers.is_empty() {
            pin.set_response_headers(plan.headers)?;
        }
        let wanted = wanted(&pin, self.request.range);
        let claim = match self.engine.claim(&self.shared.task, lacking(&pin, &wanted)).await {
            Ok(claim) => claim,
            Err(lacking) => {
                // Of what was never begun nothing stays.
                if parts.storage.bytes_of(&self.shared.task) == 0 {
                    parts.storage.remove(&self.shared.task).await?;
                }
                return Err(lacking.into());
            }
        };
        let (control, reports, driver) = parts.transfer.download(pin.clone(), wanted);
        parts.workers.spawn("transfer", driver);
        tracing::debug!(task.id = %self.shared.task, missing = missing(&pin).len(), "moving pieces");
        self.due.push(self.request.range);
        self.shared.set_pin(pin.clone());
        self.transfer = Some(Moving {
            pin,
            control,
            reports,
            _claim: claim,
        });
        Ok(())
    }

    fn plan_of_head(&self, head: &Head) -> Plan {
        let cut = |length| PieceLayout::for_content(length).piece_length();
        let piece_length = match (self.request.piece_length, head.content_length) {
            (Some(chosen), _) => chosen,
            (None, Some(length)) => cut(length),
            (None, None) => PieceLayout::MIN_PIECE_LENGTH,
        };
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        Plan {
            piece_length,
            content_length: head.content_length,
            headers: head.headers.iter().filter_map(text).collect(),
            digest: None,
        }
    }

    /// Whether what is here has to go before a content that the cluster keeps can come.
    fn is_in_the_way(&self, known: &TaskRecord) -> bool {
        self.request.kept.as_ref().is_some_and(|kept| !kept.is_of(known))
    }

    fn policy(&self) -> Policy {
        match &self.request.kept {
            None => Policy::Standard,
            Some(kept) => Policy::PersistentCache(Replica {
                peer: self.shared.peer.clone(),
                obliged: kept.obliged,
                ends_at: kept.ends_at,
            }),
        }
    }

    /// What was begun before is gone on with as this peer; an obligation stays one.
    fn keep_on(&self, pin: &Pin) -> Result<(), Error> {
        if let Policy::PersistentCache(mut replica) = self.policy() {
            replica.obliged |= pin.record().policy.replica().is_some_and(|known| known.obliged);
            pin.set_policy(Policy::PersistentCache(replica))?;
        }
        Ok(())
    }

    /// Whether what is here goes by the same digest, or is of the same keeping.
    fn is_same_content(&self, known: &TaskRecord) -> bool {
        match &self.request.kept {
            None => known.digest == self.request.digest,
            Some(kept) => kept.is_of(known),
        }
    }
}

impl Kept {
    /// Whether that is what the cluster keeps: under the same id there may once have been another content.
    pub(in crate::engine) fn is_of(&self, known: &TaskRecord) -> bool {
        let length = known.content_length.is_none_or(|length| length == self.content_length);
        length
            && known.piece_length == self.piece_length
            && known
                .policy
                .replica()
                .is_some_and(|replica| millis(replica.ends_at) == millis(self.ends_at))
    }
}

/// As times are kept on the disk.
fn millis(at: SystemTime) -> u128 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}

impl Plan {
    fn of_record(record: TaskRecord) -> Self {
        Self {
            piece_length: record.piece_length,
            content_length: record.content_length,
            headers: record.response_headers,
            digest: None,
        }
    }
}

/// Whether what is here is the version that the origin has now, as far as can be told.
pub(in crate::engine) fn is_same_version(known: &TaskRecord, head: &Head) -> bool {
    let same_length = match (known.content_length, head.content_length) {
        (Some(known), Some(now)) => known == now,
        _ => true,
    };
    // A digest names the version, whatever a registry says about dates and tags.
    let same_validator = known.digest.is_some()
        || match (Validator::of_pairs(&known.response_headers), &head.validator) {
            (Some(known), Some(now)) => known == *now,
            _ => true,
        };
    same_length && same_validator
}

/// A URL as it may be kept: a query may be a signature, and a user has a password.
fn without_secrets(url: &url::Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Only URLs that can't have a user refuse to lose it.
    shown.set_username("").ok();
    shown.set_password(None).ok();
    shown.into()
}

/// What the origin said when it refused, for the scheduler.
pub(super) fn backend_of(error: &Error) -> dragonfly_api::errordetails::Backend {
    let (status, headers) = match error {
        Error::Origin(error) => match &**error {
            source::Error::Status { status, headers, .. } => (Some(i32::from(*status)), headers.as_ref().clone()),
            _ => (None, http::HeaderMap::new()),
        },
        _ => (None, http::HeaderMap::new()),
    };
    dragonfly_api::errordetails::Backend {
        message: error.to_string(),
        header: text_headers(&headers),
        status_code: status,
    }
}

fn text_headers(headers: &http::HeaderMap) -> HashMap<String, String> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}
