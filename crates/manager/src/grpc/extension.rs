//! The calls of `dragonfly.ext.v1`.

use super::attend::Desk;
use super::news::{Haste, News};
use super::proof::Proof;
use dragonfly_api::ext::manager_server::Manager;
use dragonfly_api::ext::{AttendRequest, AttendResponse, WatchRequest, WatchResponse};
use dragonfly_api::manager::SourceType;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Extension {
    pub(super) desk: Desk,
    pub(super) news: News,
    pub(super) cancel: CancellationToken,
}

#[tonic::async_trait]
impl Manager for Extension {
    type AttendStream = BoxStream<'static, Result<AttendResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn attend(&self, request: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        let proof = Proof::of(&request);
        Ok(Response::new(self.desk.attended(proof, request.into_inner())))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let haste = match request.get_ref().source_type() {
            SourceType::SchedulerSource => Haste::AtOnce,
            SourceType::PeerSource | SourceType::SeedPeerSource => Haste::InTurn,
        };
        let news = self.news.watch(haste);
        let news = news.map_err(|crowded| Status::resource_exhausted(crowded.to_string()))?;
        let told = news
            .map(|()| Ok(WatchResponse {}))
            .take_until(self.cancel.clone().cancelled_owned());
        Ok(Response::new(told.boxed()))
    }
}
