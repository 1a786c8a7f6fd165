//! Contents that travel peer to peer: first whether this caller may read it, then the engine, then the answer as the
//! bytes arrive.

use super::answer::{self, Asked, Bytes, Label};
use super::body::{Body, BoxError, Holding, Watched};
use super::grants::{Access, Grants};
use super::headers::for_content;
use super::multipart;
use super::refusal::{Blame, Refusal};
use super::route::Plan;
use crate::engine::{self, Content, Engine};
use dragonfly_model::{ByteRange, Subject, TaskId};
use dragonfly_service::chain;
use dragonfly_service::telemetry::SPANS;
use dragonfly_source::{self as source, Caller, Head, Sources, Validator};
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::net::IpAddr;
use std::time::Duration;
use tracing::{Instrument, Span};

/// Answers with contents of tasks.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) engine: Engine,
    pub(super) sources: Sources,
    pub(super) grants: Grants,
    pub(super) server_ip: IpAddr,
    pub(super) disable_back_to_source: bool,
    /// How long a body may stand still before the client's connection is reset.
    pub(super) idle_timeout: Duration,
}

/// One request on its way to an answer.
struct Wish<'a> {
    plan: &'a Plan,
    caller: Caller,
    /// The client's headers, as the origin gets them.
    headers: HeaderMap,
    access: Access,
    asked: Asked,
}

/// What is known of the content before the engine is asked.
struct Known {
    content_length: Option<u64>,
    headers: HeaderMap,
}

impl Peers {
    /// Whether policy lets this be moved; asked before the origin is.
    pub(super) fn admit(&self, plan: &Plan) -> Result<(), Refusal> {
        let admitted = self.engine.admit(&Subject {
            url: plan.url.as_str(),
            tag: plan.tag.as_deref(),
            application: plan.application.as_deref(),
            priority: plan.priority,
        });
        admitted.map_err(|error| Refusal::proxy(error.status_for_proxy(), chain(&error).to_string()))
    }

    /// Answers a GET that was routed here.
    pub(super) async fn answer(&self, parts: &Parts, caller: Caller, plan: &Plan) -> Result<Response<Body>, Refusal> {
        let headers = for_content(&parts.headers);
        let wish = Wish {
            access: self.grants.access(&plan.url, &headers),
            asked: Asked::of(&parts.headers),
            plan,
            caller,
            headers,
        };
        let local = self.local(plan);
        let span = Span::current();
        span.record("dragonfly.task.id", plan.task_id.as_str());
        let asking = tracing::info_span!(target: SPANS, "authorise", otel.kind = "client");
        let head = self.authorise(&wish, local.as_ref()).instrument(asking).await?;
        let known = match &head {
            Some(head) => Some(Known {
                content_length: head.content_length,
                headers: head.headers.clone(),
            }),
            None => local,
        };
        if let Some(known) = &known
            && answer::is_not_modified(&parts.headers, &known.headers)
        {
            let head = answer::not_modified(known.headers.clone(), self.label(plan, false));
            return Ok(head.map(|()| super::body::empty()));
        }
        let range = match &known {
            Some(known) => wish
                .asked
                .bytes(known.content_length, &known.headers)?
                .to_engine(known.content_length),
            None => None,
        };
        let content = self.engine.open(self.request(&wish, head, range)).await;
        let content = content.map_err(|error| self.failed(&wish, &error))?;
        span.record("dragonfly.local", content.was_finished());
        self.deliver(&wish, content)
    }

    /// Answers a HEAD that the origin did not answer, with `silence`: from what is known here.
    pub(super) fn describe(&self, parts: &Parts, plan: &Plan, silence: Refusal) -> Result<Response<Body>, Refusal> {
        let access = self.grants.access(&plan.url, &for_content(&parts.headers));
        if !self.grants.holds(&access) {
            return Err(self.grants.unasked(&access, silence.message()));
        }
        let known = self.local(plan).ok_or(silence)?;
        let label = self.label(plan, false);
        let head = answer::head(&Bytes::All, known.content_length, known.headers, label);
        Ok(head.map(|()| super::body::empty()))
    }

    /// Whether this caller may read the content: the origin's word, asked for now or remembered. `Ok(None)` if it was
    /// not asked. A range needs the content's length, so the origin is asked if it is not known here.
    async fn authorise(&self, wish: &Wish<'_>, local: Option<&Known>) -> Result<Option<Head>, Refusal> {
        let granted = self.grants.holds(&wish.access);
        let has_length = local.is_some_and(|known| known.content_length.is_some());
        if granted && (has_length || !wish.asked.is_range()) {
            return Ok(None);
        }
        let mut request = source::Request::new(wish.plan.url.clone(), wish.caller);
        request.headers = wish.headers.clone();
        match self.sources.stat(&request).await {
            Ok(head) => {
                self.grants.observe(&wish.access, StatusCode::OK, &head.headers);
                Ok(Some(head))
            }
            // The caller's right is known; only the length is not, and everything can be sent without it.
            Err(error) if granted && is_down(&error) => Ok(None),
            Err(error) => Err(self.denied(&wish.access, &error)),
        }
    }

    /// The origin said no, or nothing.
    fn denied(&self, access: &Access, error: &source::Error) -> Refusal {
        if let source::Error::Status { status, headers, .. } = error {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            self.grants.observe(access, status, headers);
            return Refusal::from(error);
        }
        if !error.is_unreachable() {
            return Refusal::from(error);
        }
        self.grants.unasked(access, &chain(error).to_string())
    }

    /// The download failed before a byte of it could be sent.
    fn failed(&self, wish: &Wish<'_>, error: &engine::Error) -> Refusal {
        if let Some((status, headers)) = error.origin_answer() {
            self.grants.observe(&wish.access, status, &headers);
            return Refusal::of_origin(status, &headers);
        }
        let blame = match error {
            engine::Error::Origin(_) => Blame::Backend,
            engine::Error::Forbidden(_) => Blame::Proxy,
            _ => Blame::Dfdaemon,
        };
        Refusal::new(error.status_for_proxy(), blame, chain(error).to_string())
    }

    fn request(&self, wish: &Wish<'_>, head: Option<Head>, range: Option<ByteRange>) -> engine::Request {
        let plan = wish.plan;
        engine::Request {
            headers: wish.headers.clone(),
            digest: plan.digest.clone(),
            range,
            piece_length: plan.piece_length,
            tag: plan.tag.clone(),
            application: plan.application.clone(),
            content_for_task_id: plan.content_for_task_id.clone(),
            filtered_query_params: plan.filtered_query_params.clone(),
            priority: plan.priority,
            disable_back_to_source: self.disable_back_to_source,
            blob_trust: plan.blob_trust,
            head,
            ..engine::Request::new(plan.task_id.clone(), plan.url.clone(), wish.caller)
        }
    }

    /// The response, whose body is the content as it arrives. An error in the body resets the connection.
    fn deliver(&self, wish: &Wish<'_>, content: Content) -> Result<Response<Body>, Refusal> {
        let content_length = content.content_length();
        let headers = content.headers();
        let bytes = wish.asked.bytes(content_length, &headers)?;
        let label = self.label(wish.plan, content.was_finished());
        let mut head = answer::head(&bytes, content_length, headers, label);
        let range = match bytes {
            Bytes::All => None,
            Bytes::Part(range) => Some(range),
            Bytes::Parts(ranges) => {
                let body = self.parts(wish, &mut head, content, &ranges);
                return Ok(head.map(|()| body));
            }
        };
        let frames = content.read(range).map(framed(wish.plan.task_id.clone()));
        let body = StreamBody::new(frames.boxed());
        let body = Watched::new(Holding::new(body, content), self.idle_timeout);
        Ok(head.map(|()| body.boxed_unsync()))
    }

    /// The body of an answer with several parts, each opened when the one before has been sent.
    fn parts(&self, wish: &Wish<'_>, head: &mut Response<()>, first: Content, ranges: &[ByteRange]) -> Body {
        let frame = multipart::Frame::new(head.headers(), first.content_length().unwrap_or_default());
        head.headers_mut().insert(header::CONTENT_TYPE, frame.media_type());
        head.headers_mut()
            .insert(header::CONTENT_LENGTH, frame.length(ranges).into());
        let requests: Vec<_> = ranges
            .iter()
            .map(|range| (*range, frame.before(*range), self.request(wish, None, Some(*range))))
            .collect();
        let engine = self.engine.clone();
        let version = Validator::of(&first.headers());
        let parts = futures::stream::iter(requests).then(move |(range, before, request)| {
            let (engine, version) = (engine.clone(), version.clone());
            async move {
                let content = engine.open(request).await?;
                if Validator::of(&content.headers()) != version {
                    return Err(engine::ReadError::Replaced);
                }
                let before = futures::stream::once(async move { Ok(before) });
                Ok::<_, engine::ReadError>(before.chain(content.read(Some(range))))
            }
        });
        let end = futures::stream::once(async move { Ok(frame.end()) });
        let frames = parts.try_flatten().chain(end).map(framed(wish.plan.task_id.clone()));
        let body = Holding::new(StreamBody::new(frames.boxed()), first);
        Watched::new(body, self.idle_timeout).boxed_unsync()
    }

    fn label<'a>(&self, plan: &'a Plan, was_finished: bool) -> Label<'a> {
        Label {
            task_id: &plan.task_id,
            digest: plan.digest.as_ref(),
            server_ip: self.server_ip,
            was_finished,
        }
    }

    /// What this host has of the content already.
    fn local(&self, plan: &Plan) -> Option<Known> {
        let pin = self.engine.local(&plan.task_id)?;
        let record = pin.record();
        // What another door may have put under this id says nothing about the blob that the URL names.
        let fits = plan.digest.is_none() || record.digest == plan.digest;
        fits.then(|| Known {
            content_length: pin.content_length(),
            headers: header_map(&record.response_headers),
        })
    }
}

/// Chunks as a body has them. The client of one that fails sees its connection reset.
fn framed(
    task_id: TaskId,
) -> impl FnMut(Result<bytes::Bytes, engine::ReadError>) -> Result<Frame<bytes::Bytes>, BoxError> {
    move |chunk| match chunk {
        Ok(chunk) => Ok(Frame::data(chunk)),
        Err(error) => {
            tracing::warn!(task.id = %task_id, error = %chain(&error), "response broken off");
            Err(BoxError::from(error))
        }
    }
}

/// Whether the origin fails so that nothing can be concluded from it.
fn is_down(error: &source::Error) -> bool {
    error.is_unreachable() || error.status().is_some_and(|status| status >= 500)
}

fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    let parsed = pairs
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)));
    parsed.fold(HeaderMap::new(), |mut headers, (name, value): (HeaderName, _)| {
        headers.append(name, value);
        headers
    })
}
