//! A daemon that says what a test tells it to.

use dragonfly_api::common::{Download, Piece, TrafficType};
use dragonfly_api::dfdaemon::download_task_response::Response;
use dragonfly_api::dfdaemon::{
    DownloadPieceFinishedResponse, DownloadTaskRequest, DownloadTaskResponse, DownloadTaskStartedResponse, Entry,
    ListTaskEntriesRequest, ListTaskEntriesResponse,
};
use dragonfly_service::{grpc, net};
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::runtime::{self, Runtime};
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Status};
use tower::Service;

/// One answer of the daemon.
pub(crate) type Answer = Result<DownloadTaskResponse, Status>;
/// What the daemon answers to one request.
pub(crate) type Answers = BoxStream<'static, Answer>;

type Script = dyn Fn(Download) -> Answers + Send + Sync;

/// Lives until it is dropped; then its connections end as if it had been killed.
pub(crate) struct Daemon {
    served: Served,
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Served {
    script: Arc<Script>,
    calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Download>>>,
    entries: Arc<Mutex<Vec<Entry>>>,
    listed: Arc<Mutex<Option<ListTaskEntriesRequest>>>,
}

impl Daemon {
    pub(crate) fn start(dir: &Path, script: impl Fn(Download) -> Answers + Send + Sync + 'static) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let inside = runtime.enter();
        let listener = net::bind_unix(&dir.join("dfdaemon.sock"), 0o600).unwrap();
        let served = Served {
            script: Arc::new(script),
            calls: Arc::default(),
            last: Arc::default(),
            entries: Arc::default(),
            listed: Arc::default(),
        };
        let limits = grpc::Limits::per_second(NonZeroU32::new(1000).unwrap());
        let server = grpc::server(limits)
            .add_service(served.clone())
            .serve_with_incoming(grpc::incoming(listener, 16));
        runtime.spawn(server);
        drop(inside);
        Self {
            served,
            runtime: Some(runtime),
        }
    }

    /// How often it was asked for a download.
    pub(crate) fn calls(&self) -> usize {
        self.served.calls.load(Ordering::SeqCst)
    }

    /// From now on, this is what every directory holds.
    pub(crate) fn holds(&self, urls: &[&str]) {
        let entries = urls.iter().map(|url| Entry {
            url: (*url).to_owned(),
            content_length: 6,
            is_dir: url.ends_with('/'),
        });
        *self.served.entries.lock().unwrap() = entries.collect();
    }

    /// The last list that was asked for.
    pub(crate) fn listed(&self) -> ListTaskEntriesRequest {
        self.served.listed.lock().unwrap().clone().unwrap()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Download {
        self.served.last.lock().unwrap().clone().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The future of the server alone would leave its connections open.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl NamedService for Served {
    const NAME: &'static str = "dfdaemon.v2.DfdaemonDownload";
}

impl Service<http::Request<Body>> for Served {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let served = self.clone();
        async move {
            if request.uri().path().ends_with("/ListTaskEntries") {
                let codec = tonic_prost::ProstCodec::default();
                return Ok(tonic::server::Grpc::new(codec).unary(served, request).await);
            }
            let codec = tonic_prost::ProstCodec::default();
            Ok(tonic::server::Grpc::new(codec).server_streaming(served, request).await)
        }
        .boxed()
    }
}

impl ServerStreamingService<DownloadTaskRequest> for Served {
    type Response = DownloadTaskResponse;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: Request<DownloadTaskRequest>) -> Self::Future {
        let download = request.into_inner().download.unwrap();
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(download.clone());
        ready(Ok(tonic::Response::new((self.script)(download)))).boxed()
    }
}

impl UnaryService<ListTaskEntriesRequest> for Served {
    type Response = ListTaskEntriesResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<ListTaskEntriesResponse>, Status>>;

    fn call(&mut self, request: Request<ListTaskEntriesRequest>) -> Self::Future {
        *self.listed.lock().unwrap() = Some(request.into_inner());
        let response = ListTaskEntriesResponse {
            entries: self.entries.lock().unwrap().clone(),
            ..ListTaskEntriesResponse::default()
        };
        ready(Ok(tonic::Response::new(response))).boxed()
    }
}

/// The first answer; 0 stands for a length that nobody knows yet.
pub(crate) fn started(content_length: u64) -> Answer {
    answer(Response::DownloadTaskStartedResponse(DownloadTaskStartedResponse {
        content_length,
        // As dfdaemon does: the pieces that will come, without a word of where they come from.
        pieces: vec![Piece {
            length: content_length,
            ..Piece::default()
        }],
        ..DownloadTaskStartedResponse::default()
    }))
}

/// A piece that arrived; its bytes go along if the request wants them.
pub(crate) fn piece(download: &Download, offset: u64, content: &[u8], traffic: TrafficType) -> Answer {
    answer(Response::DownloadPieceFinishedResponse(DownloadPieceFinishedResponse {
        piece: Some(Piece {
            offset,
            length: content.len() as u64,
            content: download.need_piece_content.then(|| content.to_vec()),
            traffic_type: Some(traffic as i32),
            ..Piece::default()
        }),
    }))
}

fn answer(response: Response) -> Answer {
    Ok(DownloadTaskResponse {
        host_id: "h".to_owned(),
        task_id: "t".to_owned(),
        peer_id: "p".to_owned(),
        response: Some(response),
    })
}

/// These answers, then the end.
pub(crate) fn all(answers: Vec<Answer>) -> Answers {
    futures::stream::iter(answers).boxed()
}

/// These answers, then nothing for as long as anybody waits.
pub(crate) fn endless(answers: Vec<Answer>) -> Answers {
    futures::stream::iter(answers).chain(futures::stream::pending()).boxed()
}
