//! Traces that others send by OTLP: received, kept within bounds of size and age, found.
//!
//! One worker writes, in batches of what has come meanwhile, and on threads that may block; a sender is answered when its
//! spans are kept. Who comes while the queue is full is told to come again. Nothing here is traced itself, and no content goes
//! into the log.

mod jaeger;
mod search;
mod span;
mod store;

pub(crate) use search::{MAX_TRACES, Query};
pub(crate) use span::TraceId;
pub use store::Error;

use crate::config::OtlpConfig;
use crate::metrics::SpanCounts;
use crate::store::Time;
use dragonfly_api::rest::{JaegerOperation, JaegerTrace};
use dragonfly_service::chain;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest};
use span::{Received, Told};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{JOURNALS, Limits, Store};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Bytes of one export, unpacked.
pub(crate) const MAX_EXPORT_BYTES: usize = 4 << 20;
/// The least that can be kept.
pub(crate) const MIN_BYTES: u64 = 2 * JOURNALS;
/// Exports that wait to be written; each holds a few times its bytes.
const MAX_WAITING: usize = 16;
/// Spans from which on a batch takes no further export.
const MAX_BATCH: usize = 8192;
/// Searches at a time; further ones wait.
const MAX_SEARCHES: usize = 4;
/// Bytes of spans in one answer.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Bytes of the spans of one trace among several.
const MAX_TRACE_BYTES: usize = 4 << 20;
/// How often is looked for what has become too old.
const TEND: Duration = Duration::from_secs(60);

/// The traces. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    store: Arc<Store>,
    queue: mpsc::Sender<Export>,
    searches: Arc<Semaphore>,
    counts: SpanCounts,
}

/// What writes them.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<Store>,
    queue: mpsc::Receiver<Export>,
    counts: SpanCounts,
}

#[derive(Debug)]
struct Export {
    told: Vec<Told>,
    /// Dropped if they are not kept.
    kept: oneshot::Sender<()>,
}

/// Why an export is not kept. Its sender may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// More comes than can be written.
    #[error("too many spans come at once; come again")]
    Busy,
    /// The disk failed.
    #[error("spans can't be written; the manager's log says more")]
    Failed,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) traces: Vec<JaegerTrace>,
    /// Whether there may be more, because the search or the answer was ended at its limit.
    pub(crate) cut: bool,
}

impl Traces {
    /// Opens those in a directory, which nobody else may use.
    pub(crate) async fn open(path: &Path, config: &OtlpConfig, counts: SpanCounts) -> Result<(Self, Writer), Error> {
        let limits = Limits {
            bytes: config.max_size.saturating_sub(JOURNALS),
            age: config.max_age,
        };
        let path = path.to_owned();
        let store = blocking(move || Store::open(&path, limits, now())).await?;
        let store = Arc::new(store);
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let writer = Writer {
            store: store.clone(),
            queue: waiting,
            counts: counts.clone(),
        };
        let traces = Self {
            store,
            queue,
            searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
            counts,
        };
        Ok((traces, writer))
    }

    /// Keeps an export; returns what of it can't be.
    pub(crate) async fn keep(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<Option<ExportTracePartialSuccess>, Refused> {
        let Ok(place) = self.queue.try_reserve() else {
            self.counts.busy.inc();
            return Err(Refused::Busy);
        };
        let Received { told, refused } = Received::of(request);
        self.counts.malformed.inc_by(refused as u64);
        if !told.is_empty() {
            let (kept, told_kept) = oneshot::channel();
            place.send(Export { told, kept });
            told_kept.await.map_err(|_| Refused::Failed)?;
        }
        Ok((refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: "spans without ids, larger than 256 KiB or too many in one export are not kept".to_owned(),
        }))
    }

    /// Names of services.
    pub(crate) async fn services(&self) -> Result<Vec<String>, Error> {
        let names = self.read(|store| store.names()).await?;
        let services: BTreeSet<String> = names.into_iter().map(|(service, ..)| service).collect();
        Ok(services.into_iter().collect())
    }

    /// What a service does.
    pub(crate) async fn operations(&self, of: String) -> Result<Vec<JaegerOperation>, Error> {
        let names = self.read(|store| store.names()).await?;
        let own = names.into_iter().filter(|(service, ..)| *service == of);
        let operation = |(_, name, span_kind)| JaegerOperation { name, span_kind };
        Ok(own.map(operation).collect())
    }

    /// One trace, if any of its spans is here.
    pub(crate) async fn trace(&self, id: TraceId) -> Result<Option<JaegerTrace>, Error> {
        self.read(move |store| {
            let (told, more) = store.trace(id, MAX_ANSWER_BYTES)?;
            Ok((!told.is_empty()).then(|| jaeger::trace(id, told, more)))
        })
        .await
    }

    /// The traces that a query means, the newest first.
    pub(crate) async fn find(&self, query: Query) -> Result<Found, Error> {
        self.read(move |store| {
            let outcome = search::find(store, &query)?;
            let mut found = Found {
                cut: outcome.cut,
                ..Found::default()
            };
            let mut bytes = 0;
            for id in outcome.traces {
                let (told, more) = store.trace(id, MAX_TRACE_BYTES)?;
                bytes += told.iter().map(Told::bytes).sum::<usize>();
                if bytes > MAX_ANSWER_BYTES {
                    found.cut = true;
                    break;
                }
                if !told.is_empty() {
                    found.traces.push(jaeger::trace(id, told, more));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let searches = self.searches.clone().acquire_owned().await;
        // It goes with the thread: who no longer waits for an answer leaves the search behind.
        let permit = searches.expect("it is never closed");
        blocking(move || {
            let _permit = permit;
            read(&store)
        })
        .await
    }
}

impl Writer {
    /// Writes until `cancel`, and then what waits.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut tend = tokio::time::interval(TEND);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(first) = self.queue.recv() => self.write(first).await,
                _ = tend.tick() => self.tend().await,
            }
        }
        self.queue.close();
        while let Some(first) = self.queue.recv().await {
            self.write(first).await;
        }
    }

    /// Writes an export and those that wait behind it.
    async fn write(&mut self, first: Export) {
        let (mut told, mut kept) = (first.told, vec![first.kept]);
        while told.len() < MAX_BATCH
            && let Ok(next) = self.queue.try_recv()
        {
            told.extend(next.told);
            kept.push(next.kept);
        }
        let store = self.store.clone();
        let spans = told.len() as u64;
        let written = blocking(move || {
            store.write(&told, now())?;
            Ok(store.written_bytes())
        });
        match written.await {
            Ok(bytes) => {
                self.counts.kept.inc_by(spans);
                self.counts.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
                for kept in kept {
                    // Who no longer waits has been cut off.
                    kept.send(()).ok();
                }
            }
            Err(error) => {
                self.counts.failed.inc_by(spans);
                tracing::warn!(error = %chain(&error), spans, "spans are lost");
            }
        }
    }

    async fn tend(&self) {
        let store = self.store.clone();
        if let Err(error) = blocking(move || store.tend(now())).await {
            tracing::warn!(error = %chain(&error), "old traces stay");
        }
    }
}

/// Away from the threads that must not wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it who waits.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    u64::try_from(Time::now().0).unwrap_or_default()
}
