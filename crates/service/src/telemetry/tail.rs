//! Which traces are kept that the sampler has not chosen: those that turned out slow or failed.
//!
//! What this process adds to a trace hangs below a span whose parent is elsewhere or nowhere: its root here. The sampler has spans
//! that it does not choose recorded but not marked; they wait here until their root ends, which decides about all of them. Those that
//! are chosen pass through at once. Other processes see the mark, so they keep their part of such a trace only if that is slow or
//! failed itself.

use opentelemetry::trace::{Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Spans that are open at a time; what is begun beyond them is not looked at.
const MAX_OPEN: usize = 16 * 1024;
/// Spans that wait for a root; those that end beyond them are lost.
const MAX_WAITING: usize = 16 * 1024;

/// Chooses as another sampler does, and has the rest recorded.
#[derive(Debug, Clone)]
pub(super) struct Recording(pub(super) Sampler);

impl ShouldSample for Recording {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.0.should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

/// Passes on what is chosen, and what its root here makes worth keeping.
#[derive(Debug)]
pub(super) struct Tail<P> {
    next: P,
    /// How long a root takes that is slow.
    slow: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Each open span's root.
    root_of: HashMap<SpanId, SpanId>,
    roots: HashMap<SpanId, Root>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Root {
    /// How many of its spans are open, itself included.
    open: usize,
    /// Whether its spans are kept, when it has ended.
    kept: Option<bool>,
    waiting: Vec<SpanData>,
}

impl<P> Tail<P> {
    pub(super) fn new(next: P, slow: Duration) -> Self {
        Self {
            next,
            slow,
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn begin(&mut self, span: SpanId, parent: &SpanContext) {
        if self.root_of.len() >= MAX_OPEN {
            return;
        }
        let here = parent.is_valid() && !parent.is_remote();
        let root = here.then(|| self.root_of.get(&parent.span_id()).copied()).flatten();
        let root = root.unwrap_or(span);
        self.root_of.insert(span, root);
        self.roots.entry(root).or_default().open += 1;
    }

    /// What is to be kept now that this one has ended.
    fn end(&mut self, span: SpanData, slow: Duration) -> Vec<SpanData> {
        let id = span.span_context.span_id();
        let Some(of) = self.root_of.remove(&id) else {
            return Vec::new();
        };
        let Some(root) = self.roots.get_mut(&of) else {
            return Vec::new();
        };
        root.open -= 1;
        let mut kept = Vec::new();
        if of == id {
            kept = std::mem::take(&mut root.waiting);
            self.waiting -= kept.len();
            let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
            let is_kept = took >= slow || matches!(span.status, Status::Error { .. });
            root.kept = Some(is_kept);
            match is_kept {
                true => kept.push(span),
                false => kept.clear(),
            }
        } else {
            match root.kept {
                Some(true) => kept.push(span),
                None if self.waiting < MAX_WAITING => {
                    self.waiting += 1;
                    root.waiting.push(span);
                }
                Some(false) | None => {}
            }
        }
        if root.open == 0
            && let Some(root) = self.roots.remove(&of)
        {
            // A root that was not looked at ends unseen, and leaves what waits for it.
            self.waiting -= root.waiting.len();
        }
        kept
    }
}

impl<P: SpanProcessor> SpanProcessor for Tail<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let own = span.span_context();
        if own.is_sampled() {
            self.next.on_start(span, context);
        } else {
            let id = own.span_id();
            self.open().begin(id, context.span().span_context());
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.next.on_end(span);
            return;
        }
        let kept = self.open().end(span, self.slow);
        for span in kept {
            self.next.on_end(marked(span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// As if the sampler had chosen it.
fn marked(mut span: SpanData) -> SpanData {
    let own = &span.span_context;
    span.span_context = SpanContext::new(
        own.trace_id(),
        own.span_id(),
        own.trace_flags().with_sampled(true),
        own.is_remote(),
        own.trace_state().clone(),
    );
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{TraceFlags, TraceState, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl SpanProcessor for Kept {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            assert!(span.span_context.is_sampled());
            self.0.lock().unwrap().push(span.name.into_owned());
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn kept(ratio: f64, tell: impl FnOnce(&SdkTracer)) -> Vec<String> {
        let kept = Kept::default();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Tail::new(kept.clone(), Duration::from_secs(5)))
            .with_sampler(Recording(sampler))
            .build();
        tell(&provider.tracer("test"));
        let mut names = kept.0.lock().unwrap().clone();
        names.sort();
        names
    }

    /// A root with this parent and a child, of which the root ends first, and one that ends after it; the root takes so long.
    fn pull(tracer: &SdkTracer, parent: &Context, (seconds, status): (u64, Status)) {
        let begin = SystemTime::UNIX_EPOCH;
        let builder = tracer.span_builder("root").with_start_time(begin);
        let root = parent.with_span(tracer.build_with_context(builder, parent));
        let child = root.with_span(tracer.start_with_context("child", &root));
        let mut grandchild = tracer.start_with_context("grandchild", &child);
        let mut late = tracer.start_with_context("late", &root);
        grandchild.end();
        child.span().end();
        root.span().set_status(status);
        root.span().end_with_timestamp(begin + Duration::from_secs(seconds));
        late.end();
    }

    #[test]
    fn what_was_slow_or_failed_is_kept_whole_and_the_rest_by_ratio() {
        let all = ["child", "grandchild", "late", "root"];
        let none = Context::new();
        let of = |ratio, seconds, status| kept(ratio, |tracer| pull(tracer, &none, (seconds, status)));
        assert_eq!(of(0.0, 1, Status::Unset), [""; 0]);
        assert_eq!(of(0.0, 5, Status::Unset), all);
        assert_eq!(of(0.0, 1, Status::error("away")), all);
        assert_eq!(of(1.0, 1, Status::Unset), all);
    }

    #[test]
    fn what_a_caller_begun_is_kept_if_the_caller_keeps_it_or_it_is_slow_here() {
        let parent = |flags| {
            let parent = SpanContext::new(7.into(), 7.into(), flags, true, TraceState::default());
            Context::new().with_remote_span_context(parent)
        };
        let of = |flags, seconds| kept(1.0, |tracer| pull(tracer, &parent(flags), (seconds, Status::Unset)));
        assert_eq!(of(TraceFlags::SAMPLED, 1).len(), 4);
        assert_eq!(of(TraceFlags::default(), 1).len(), 0);
        assert_eq!(of(TraceFlags::default(), 9).len(), 4);
    }

    /// A processor that the test can look into.
    #[derive(Debug, Clone)]
    struct Shared(Arc<Tail<Kept>>);

    impl SpanProcessor for Shared {
        fn on_start(&self, span: &mut Span, context: &Context) {
            self.0.on_start(span, context);
        }

        fn on_end(&self, span: SpanData) {
            self.0.on_end(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_left_behind_and_what_is_open_is_bounded() {
        let shared = Shared(Arc::new(Tail::new(Kept::default(), Duration::from_secs(5))));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(shared.clone())
            .with_sampler(Recording(Sampler::AlwaysOff))
            .build();
        let tracer = provider.tracer("test");
        for seconds in [1, 9] {
            pull(&tracer, &Context::new(), (seconds, Status::Unset));
        }
        let is_empty = || {
            let open = shared.0.open();
            open.roots.is_empty() && open.root_of.is_empty() && open.waiting == 0
        };
        assert!(is_empty());
        let spans: Vec<Span> = (0..MAX_OPEN + 5).map(|_| tracer.start("root")).collect();
        assert_eq!(shared.0.open().root_of.len(), MAX_OPEN);
        drop(spans);
        assert!(is_empty());
    }
}
