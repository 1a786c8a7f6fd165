//! The server that is the bound: it reads what peers say and answers each registration with the same parents, as many as the
//! scheduler gives.

use dragonfly_api::common::{Host, Peer};
use dragonfly_api::scheduler::announce_peer_request::Request as Word;
use dragonfly_api::scheduler::announce_peer_response::Response as Answer;
use dragonfly_api::scheduler::{AnnouncePeerRequest, AnnouncePeerResponse, NormalTaskResponse};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

const PARENTS: usize = 3;

/// Serves `AnnouncePeer` for whatever is asked.
#[derive(Clone)]
pub(super) struct Wordless;

impl NamedService for Wordless {
    const NAME: &'static str = "scheduler.v2.Scheduler";
}

impl Service<http::Request<Body>> for Wordless {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.streaming(Self, request).await)
        })
    }
}

impl StreamingService<AnnouncePeerRequest> for Wordless {
    type Response = AnnouncePeerResponse;
    type ResponseStream = BoxStream<'static, Result<AnnouncePeerResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<AnnouncePeerRequest>>) -> Self::Future {
        let answers = request.into_inner().filter_map(|word| async {
            match word {
                Ok(word) => matches!(word.request, Some(Word::RegisterPeerRequest(_))).then(|| Ok(parents(&word))),
                Err(status) => Some(Err(status)),
            }
        });
        let answers = answers.boxed();
        Box::pin(async { Ok(Response::new(answers)) })
    }
}

fn parents(word: &AnnouncePeerRequest) -> AnnouncePeerResponse {
    let parent = |n: usize| Peer {
        id: format!("{}-{n}", word.peer_id),
        host: Some(Host {
            id: format!("{}-{n}", word.host_id),
            hostname: format!("node-{n}"),
            ip: "10.0.0.1".to_owned(),
            port: 4000,
            download_port: 4000,
            ..Host::default()
        }),
        ..Peer::default()
    };
    AnnouncePeerResponse {
        response: Some(Answer::NormalTaskResponse(NormalTaskResponse {
            candidate_parents: (0..PARENTS).map(parent).collect(),
        })),
    }
}
