//! A daemon that says what a test tells it to.

use dragonfly_api::common::{Download, Piece, TrafficType};
use dragonfly_api::dfdaemon::download_task_response::Response;
use dragonfly_api::dfdaemon::{
    DownloadPieceFinishedResponse, DownloadTaskRequest, DownloadTaskResponse, DownloadTaskStartedResponse,
};
use dragonfly_service::{Workers, grpc, net};
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::{Request, Status};
use tower::Service;

/// One answer of the daemon.
pub type Answer = Result<DownloadTaskResponse, Status>;
/// What the daemon answers to one request.
pub type Answers = BoxStream<'static, Answer>;

type Script = dyn Fn(Download) -> Answers + Send + Sync;

/// Listens until it is dropped.
pub struct Daemon {
    pub socket: PathBuf,
    served: Served,
    _guard: DropGuard,
}

#[derive(Clone)]
struct Served {
    script: Arc<Script>,
    calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Download>>>,
}

impl Daemon {
    pub fn start(dir: &Path, script: impl Fn(Download) -> Answers + Send + Sync + 'static) -> Self {
        let socket = dir.join("dfdaemon.sock");
        let listener = net::bind_unix(&socket, 0o600).unwrap();
        let served = Served {
            script: Arc::new(script),
            calls: Arc::default(),
            last: Arc::default(),
        };
        let cancel = CancellationToken::new();
        let limits = grpc::Limits::per_second(NonZeroU32::new(1000).unwrap());
        let server = grpc::server(limits)
            .add_service(served.clone())
            .serve_with_incoming(grpc::incoming(listener, 16));
        let ended = cancel.clone();
        Workers::new(cancel.clone()).spawn("daemon", async move {
            // Cancelled, it drops its connections in the middle, as a killed daemon does.
            ended.run_until_cancelled(server).await;
        });
        Self {
            socket,
            served,
            _guard: cancel.drop_guard(),
        }
    }

    /// How often it was asked for a download.
    pub fn calls(&self) -> usize {
        self.served.calls.load(Ordering::SeqCst)
    }

    /// The last request.
    pub fn last(&self) -> Download {
        self.served.last.lock().unwrap().clone().unwrap()
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

/// The first answer; 0 stands for a length that nobody knows yet.
pub fn started(content_length: u64) -> Answer {
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
pub fn piece(download: &Download, offset: u64, content: &[u8], traffic: TrafficType) -> Answer {
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
pub fn all(answers: Vec<Answer>) -> Answers {
    futures::stream::iter(answers).boxed()
}

/// These answers, then nothing for as long as anybody waits.
pub fn endless(answers: Vec<Answer>) -> Answers {
    futures::stream::iter(answers).chain(futures::stream::pending()).boxed()
}
