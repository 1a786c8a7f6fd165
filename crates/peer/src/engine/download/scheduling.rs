//! The download's side of its conversation with the scheduler, and what becomes of the download when that breaks.

use super::head::backend_of;
use super::parents::{Candidate, Follow};
use super::{Download, missing};
use crate::access;
use crate::cluster::Scheduler;
use crate::engine::{Error, Inner, Request};
use crate::metrics::SourceReason;
use crate::session::{self, Answer, Kind, Registration, Session};
use dragonfly_api::{PeerIds, common, piece_of};
use dragonfly_model::{BlobTrust, PeerId, PieceNumber, TrafficType, blob_digest_of};
use dragonfly_service::telemetry::{Lasting, SPANS};
use dragonfly_storage::PieceRecord;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Schedulers that one download tries: the responsible one and the next on the ring.
const MAX_SCHEDULERS: usize = 2;
/// How often an overloaded scheduler is asked again before the download goes on without.
const MAX_OVERLOADED: u32 = 3;
/// How long an overloaded scheduler is left alone if it does not say.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(500);

/// The state of the conversation.
pub(super) struct Scheduling {
    ids: PeerIds,
    session: Option<Session>,
    /// Those to try, the one in use first.
    candidates: VecDeque<Scheduler>,
    register_due: Option<Instant>,
    reannounced: bool,
    overloaded: u32,
    started: bool,
    from_source: bool,
    told_present: bool,
    /// In traces: from the registration to its answer.
    asking: Option<Lasting>,
    /// When what is not answered yet was asked.
    asked_at: Option<Instant>,
}

impl Scheduling {
    pub(super) fn new(ids: PeerIds) -> Self {
        Self {
            ids,
            session: None,
            candidates: VecDeque::new(),
            register_due: None,
            reannounced: false,
            overloaded: 0,
            started: false,
            from_source: false,
            told_present: false,
            asking: None,
            asked_at: None,
        }
    }

    /// Whether the scheduler may still help.
    pub(super) fn is_alive(&self) -> bool {
        self.session.is_some() || self.register_due.is_some()
    }

    /// Whether the scheduler owes an answer or will be asked.
    pub(super) fn is_waiting(&self) -> bool {
        self.register_due.is_some() || self.session.as_ref().is_some_and(Session::is_awaited)
    }

    pub(super) fn register_due(&self) -> Option<Instant> {
        self.register_due
    }

    pub(super) async fn next(&mut self) -> Result<Answer, session::Error> {
        match &mut self.session {
            Some(session) => session.next().await,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn piece(&mut self, piece: &PieceRecord, cost: Duration) {
        self.tell_piece(piece, cost, piece.traffic).await;
    }

    /// Once: these pieces were here before.
    pub(super) async fn present(&mut self, pieces: Vec<PieceRecord>) {
        if std::mem::replace(&mut self.told_present, true) {
            return;
        }
        for piece in pieces {
            self.tell_piece(&piece, Duration::ZERO, TrafficType::LocalPeer).await;
        }
    }

    async fn tell_piece(&mut self, piece: &PieceRecord, cost: Duration, traffic: TrafficType) {
        let parent = piece.parent.as_ref().filter(|_| traffic == TrafficType::RemotePeer);
        let message = piece_of(piece.span, piece.crc32, parent, traffic, cost);
        if let Some(session) = &mut self.session {
            let told = session.piece(message, traffic).await;
            self.keep_if(told);
        }
    }

    pub(super) async fn parent_failed(&mut self, parent: &PeerId, piece: Option<PieceNumber>) {
        if let Some(session) = &mut self.session {
            let told = session.parent_failed(parent, piece).await;
            self.keep_if(told);
        }
    }

    pub(super) async fn source_started(&mut self, reason: &str) {
        self.from_source = true;
        if let Some(session) = &mut self.session {
            let told = session.source_started(reason).await;
            self.keep_if(told);
        }
    }

    pub(super) async fn source_failed(&mut self, error: &Error) {
        if let Some(session) = &mut self.session {
            let told = session.source_failed(backend_of(error)).await;
            self.keep_if(told);
        }
    }

    async fn started(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if let Some(session) = &mut self.session {
            let told = session.started().await;
            self.keep_if(told);
        }
    }

    /// Whether others may be asked for while parents are at work.
    pub(super) fn is_patient(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_patient)
    }

    /// Asks for others than `useless`, unless so many answers have brought no piece. Whether there is anybody to ask.
    pub(super) async fn ask_for_others(&mut self, useless: Vec<common::Peer>, max_fruitless: u32) -> bool {
        if let Some(session) = &mut self.session
            && session.fruitless() < max_fruitless
        {
            let asked = session.reschedule(useless, "its parents have no more").await;
            self.asked_at = Some(Instant::now());
            self.keep_if(asked);
        } else {
            return false;
        }
        self.session.is_some()
    }

    /// A conversation in which a word could not be said is over.
    fn keep_if(&mut self, told: Result<(), session::Error>) {
        if let Err(error) = told {
            tracing::debug!(task.id = %self.ids.task, %error, "lost the scheduler");
            self.session = None;
        }
    }

    /// The last word.
    pub(super) async fn conclude(self, outcome: Result<(), Error>) {
        let Some(session) = self.session else {
            return;
        };
        match outcome {
            Ok(()) => session.finish(self.from_source).await,
            Err(error) => session.fail(self.from_source, error.to_string()).await,
        }
    }
}

impl Download {
    /// Registers with the responsible scheduler, if one answers at all.
    pub(super) fn contact_scheduler(&mut self) {
        let schedulers = self.engine.parts.cluster.schedulers_of(&self.shared.task);
        self.scheduling.candidates = schedulers.into_iter().take(MAX_SCHEDULERS).collect();
        self.register();
    }

    pub(super) fn register(&mut self) {
        let scheduling = &mut self.scheduling;
        scheduling.register_due = None;
        (scheduling.started, scheduling.told_present) = (false, false);
        let Some(scheduler) = scheduling.candidates.front() else {
            return;
        };
        let mut download = download_of(&self.request, self.engine.parts.settings.concurrent_pieces);
        if let Some(moving) = &self.transfer {
            let layout = moving.pin.layout();
            download.actual_piece_length = Some(moving.pin.piece_length());
            download.actual_content_length = moving.pin.content_length();
            download.actual_piece_count = layout.map(|layout| u64::from(layout.count()));
        }
        let timeout = self.engine.parts.settings.schedule_timeout;
        let asking = tracing::info_span!(target: SPANS, "register", otel.kind = "client", scheduler = %scheduler.addr);
        let registration = Registration {
            ids: scheduling.ids.clone(),
            download,
            kind: kind_of(&self.request),
        };
        scheduling.session = Some(asking.in_scope(|| Session::register(scheduler, registration, timeout)));
        scheduling.asking = Some(asking.into());
        scheduling.asked_at = Some(Instant::now());
    }

    pub(super) async fn answered(&mut self, answer: Result<Answer, session::Error>) -> Result<(), Error> {
        self.scheduling.asking = None;
        if let Some(asked_at) = self.scheduling.asked_at.take().filter(|_| answer.is_ok()) {
            self.engine.parts.metrics.scheduled(asked_at.elapsed());
        }
        match answer {
            Ok(Answer::Parents(parents)) => self.follow(parents).await,
            Ok(Answer::BackToSource) => self.go_to_source(SourceReason::Scheduler).await,
            Ok(Answer::Empty) => {
                self.scheduling.started().await;
                if self.transfer.is_none() {
                    let plan = self.blind_plan();
                    self.begin(plan).await?;
                }
                if let Some(moving) = &self.transfer {
                    moving.control.content_length(0).await;
                }
                Ok(())
            }
            Ok(Answer::Noted) => Ok(()),
            Err(error) => self.scheduler_lost(error).await,
        }
    }

    async fn follow(&mut self, parents: Vec<common::Peer>) -> Result<(), Error> {
        let own = &self.engine.parts.identity.host_id;
        let candidates: Vec<Candidate> = parents
            .into_iter()
            .filter_map(|wire| Candidate::of(wire, own))
            .collect();
        for candidate in &candidates {
            self.engine.parts.neighbours.named(candidate.ip);
        }
        self.scheduling.started().await;
        if self.transfer.is_none() {
            self.learn_from(&candidates).await?;
        }
        self.report_present().await;
        if let Some(moving) = &self.transfer {
            let missing = missing(&moving.pin);
            let record = moving.pin.record();
            let is_kept = self.request.kept.is_some();
            let parts = &self.engine.parts;
            let follow = Follow {
                workers: &parts.workers,
                channels: &self.engine.parents,
                host: &parts.identity.host_id,
                task: &self.shared.task,
                control: &moving.control,
                missing: &missing,
                silence: parts.settings.parent_silence,
                is_kept,
                version: (record.digest.is_none() && !is_kept).then_some(record.response_headers),
            };
            for candidate in candidates {
                self.parents.follow(candidate, &follow);
            }
        } else {
            for candidate in candidates {
                self.parents.reject(candidate);
            }
        }
        // A round that brought nobody must not be the last event there is.
        self.starved().await
    }

    /// The origin said nothing, so a parent must say how the content is cut.
    async fn learn_from(&mut self, candidates: &[Candidate]) -> Result<(), Error> {
        for candidate in candidates {
            let stat = self.engine.parents.stat(candidate.grpc, &self.shared.task).await;
            if let Some(plan) = stat.and_then(|stat| self.plan_of_parent(stat)) {
                return self.begin(plan).await;
            }
        }
        // The scheduler has said how it is cut; only the digest of the whole is not known then.
        if self.request.kept.is_some() && !candidates.is_empty() {
            let plan = self.blind_plan();
            return self.begin(plan).await;
        }
        Ok(())
    }

    /// Announces and registers again, waits, tries the next scheduler, or goes on with the parents that are known.
    async fn scheduler_lost(&mut self, error: session::Error) -> Result<(), Error> {
        tracing::debug!(task.id = %self.shared.task, %error, "the scheduler does not help");
        let lost = self.scheduling.session.take();
        let answered = lost.as_ref().is_some_and(|session| session.answers() > 0);
        match error {
            session::Error::Forbidden(reason) => return Err(Error::Forbidden(reason)),
            session::Error::UnknownHost if !answered && !self.scheduling.reannounced => {
                self.scheduling.reannounced = true;
                if let Some(scheduler) = self.scheduling.candidates.front().cloned()
                    && self.engine.parts.cluster.reannounce(&scheduler).await.is_ok()
                {
                    self.register();
                    return Ok(());
                }
            }
            session::Error::Overloaded { retry_after } if self.scheduling.overloaded < MAX_OVERLOADED => {
                self.scheduling.overloaded += 1;
                let pause = retry_after.unwrap_or(OVERLOAD_PAUSE);
                let jitter: f64 = rand::random_range(1.0..1.5);
                self.scheduling.register_due = Some(Instant::now() + pause.mul_f64(jitter));
                return Ok(());
            }
            _ => {}
        }
        self.engine.parts.cluster.refresh();
        self.scheduling.candidates.pop_front();
        if !answered && !self.scheduling.candidates.is_empty() {
            self.register();
            return Ok(());
        }
        if self.transfer.is_none() {
            return if self.origin == super::Origin::Unasked {
                self.fall_back(SourceReason::SchedulerLost)
            } else {
                Ok(())
            };
        }
        self.starved().await
    }
}

/// Tells the task's scheduler that all of it is on this host. What goes wrong is only logged: the scheduler learns of
/// it another way, or not at all.
pub(in crate::engine) async fn announce_holding(engine: &Inner, request: &Request, peer: PeerId) {
    let parts = &engine.parts;
    let Some(scheduler) = parts.cluster.schedulers_of(&request.task_id).into_iter().next() else {
        return;
    };
    let Some(pin) = parts.storage.pin(&request.task_id) else {
        return;
    };
    let ids = PeerIds {
        host: parts.identity.host_id.clone(),
        task: request.task_id.clone(),
        peer,
    };
    let kind = kind_of(request);
    let download = common::Download {
        metadata_only: true,
        actual_piece_length: Some(pin.piece_length()),
        actual_content_length: pin.content_length(),
        actual_piece_count: pin.layout().map(|layout| u64::from(layout.count())),
        ..download_of(request, parts.settings.concurrent_pieces).without_secrets()
    };
    let registration = Registration { ids, download, kind };
    let mut session = Session::register(&scheduler, registration, parts.settings.schedule_timeout);
    match session.next().await {
        // Of a task that the cluster keeps a scheduler names parents, needed or not.
        Ok(answer) if matches!(answer, Answer::Noted) || kind != Kind::Standard => {
            if session.started().await.is_ok() {
                session.finish(false).await;
            }
        }
        Ok(_) => session.fail(false, "only to be noted".to_owned()).await,
        Err(error) => tracing::debug!(task.id = %request.task_id, %error, "the scheduler took no note"),
    }
}

fn kind_of(request: &Request) -> Kind {
    match &request.kept {
        None => Kind::Standard,
        Some(kept) => Kind::Kept { obliged: kept.obliged },
    }
}

/// The request as it is registered. It carries the caller's headers and keys, for the seed that fetches in our stead.
fn download_of(request: &Request, concurrent_pieces: u32) -> common::Download {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let mut download = common::Download {
        url: request.url.to_string(),
        digest: request.digest.as_ref().map(ToString::to_string),
        range: request.range.map(common::Range::from),
        r#type: common::TaskType::Standard.into(),
        tag: request.tag.clone(),
        application: request.application.clone(),
        priority: request.priority.number(),
        filtered_query_params: request.filtered_query_params.clone(),
        request_header: request
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
            .collect(),
        piece_length: request.piece_length,
        timeout: request.timeout.map(dragonfly_api::duration),
        disable_back_to_source: request.disable_back_to_source,
        need_back_to_source: request.need_back_to_source,
        content_for_calculating_task_id: content_of(request),
        concurrent_piece_count: Some(concurrent_pieces),
        enable_task_id_based_blob_digest: request.blob_trust == BlobTrust::Shared,
        scheduling_policy: common::SchedulingPolicy::Always.into(),
        certificate_chain: request.trust.authorities().iter().map(|root| root.to_vec()).collect(),
        ..Default::default()
    };
    access::put(&request.access, &request.url, &mut download);
    download
}

/// What makes a seed find the same task id: for a blob that only its own origin vouches for, the text whose hash is that
/// id (see [`dragonfly_model::TaskIdentity`]).
fn content_of(request: &Request) -> Option<String> {
    if request.blob_trust != BlobTrust::OwnOrigin || request.content_for_task_id.is_some() {
        return request.content_for_task_id.clone();
    }
    own_origin_text(&request.url)
}

/// The text whose SHA-256 is the task id of a blob that only its own origin vouches for.
pub(crate) fn own_origin_text(url: &url::Url) -> Option<String> {
    let digest = blob_digest_of(url)?;
    let port = url.port_or_known_default().unwrap_or_default();
    Some(format!("{digest}\n{}://{}:{port}", url.scheme(), url.host_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::TaskIdentity;

    #[test]
    fn a_seed_finds_the_task_id_of_a_blob_that_only_its_origin_vouches_for() {
        let url = url::Url::parse(&format!("https://evil.example/v2/a/blobs/sha256:{}", "a".repeat(64))).unwrap();
        let identity = TaskIdentity {
            url: &url,
            content: None,
            tag: None,
            application: None,
            revision: None,
            piece_length: None,
            filtered_query_params: &[],
            blob_trust: BlobTrust::OwnOrigin,
        };
        let text = own_origin_text(&url).unwrap();
        let at_seed = TaskIdentity {
            content: Some(&text),
            blob_trust: BlobTrust::Ignored,
            ..identity
        };
        assert_eq!(at_seed.task_id(), identity.task_id());
    }
}
