//! `DfdaemonUpload`: what schedulers and other peers ask of this one.

use super::delivery::{Delivery, Messages};
use super::request::{Asker, parse};
use super::sync::PieceSync;
use super::{Shared, kept, not_served, stat, status_of, task_id};
use crate::engine::PIECE_REUSE;
use crate::proxy;
use dragonfly_api::common;
use dragonfly_api::dfdaemon::dfdaemon_upload_server::DfdaemonUpload;
use dragonfly_api::dfdaemon::*;
use dragonfly_api::kept as words;
use dragonfly_model::BlobTrust;
use dragonfly_source::Caller;
use dragonfly_storage::Pin;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::net::IpAddr;
use std::time::Duration;
use tokio_stream::wrappers::IntervalStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use url::Url;

/// How often a peer that listens is told how this host is.
const HOST_INTERVAL: Duration = Duration::from_secs(1);

/// The service.
pub(crate) struct UploadService {
    context: Shared,
}

type Stream<T> = BoxStream<'static, Result<T, Status>>;

impl UploadService {
    pub(crate) fn new(context: Shared) -> Self {
        Self { context }
    }

    /// The pieces that are here, as they land. `kept` is whether they are of a task that the cluster keeps.
    async fn pieces(
        &self,
        request: &SyncPiecesRequest,
        kept: bool,
    ) -> Result<Response<Stream<SyncPiecesResponse>>, Status> {
        let sync = PieceSync::open(&self.context, request, kept).await?;
        let ended = self.context.ending.clone().cancelled_owned();
        let mut response = Response::new(sync.stream().take_until(ended).boxed());
        response
            .metadata_mut()
            .insert(PIECE_REUSE, MetadataValue::from_static("1"));
        Ok(response)
    }

    /// For whom a scheduler asks. Only a caller on this very host may have its loopback asked.
    fn caller(&self, remote_ip: Option<&str>) -> Caller {
        let remote: Option<IpAddr> = remote_ip.and_then(|ip| ip.parse().ok());
        match remote {
            Some(ip) if ip == self.context.own_ip() => Caller::Local,
            _ => Caller::Remote,
        }
    }

    /// How a scheduler makes this peer fetch. The download goes on when the scheduler stops listening, unless it preheats.
    async fn fetch(&self, mut download: common::Download, preheats: bool) -> Result<Messages, Status> {
        if download.output_path.is_some() {
            return Err(output_path_refused());
        }
        let caller = self.caller(download.remote_ip.as_deref());
        let registries = &self.context.registries;
        let own_word = |url: &Url| proxy::blob_trust(registries, url);
        let its_word = |_: &Url| BlobTrust::Shared;
        let trust: &(dyn Fn(&Url) -> BlobTrust + Sync) = if preheats {
            // What is fetched ahead must be found by those who pull through the proxy of this host.
            download.enable_task_id_based_blob_digest = registries.enable_task_id_based_blob_digest;
            &own_word
        } else {
            &its_word
        };
        let request = parse(&download, &Asker { caller, trust })?;
        let (range, timeout) = (request.range, request.timeout);
        let announce = request.clone();
        let content = self
            .context
            .engine
            .open(request)
            .await
            .map_err(|error| status_of(&error))?;
        let workers = self.context.workers.clone();
        if content.was_finished() {
            let engine = self.context.engine.clone();
            workers.spawn("holding", async move { engine.announce_holding(&announce).await });
        }
        if !preheats {
            let kept = content.clone();
            workers.spawn("fetch", async move {
                if let Err(error) = kept.finished().await {
                    tracing::debug!(task.id = %kept.task_id(), %error, "a fetch for a scheduler failed");
                }
            });
        }
        let (delivery, messages) = Delivery::new(self.context.clone(), content, range, false);
        workers.spawn("delivery", delivery.run(timeout, || std::future::ready(Ok(()))));
        Ok(messages)
    }
}

fn output_path_refused() -> Status {
    Status::permission_denied("an output path is never taken from the network")
}

#[tonic::async_trait]
impl DfdaemonUpload for UploadService {
    type DownloadTaskStream = Messages;
    type SyncPiecesStream = Stream<SyncPiecesResponse>;
    type SyncHostStream = Stream<common::Host>;
    type DownloadCacheTaskStream = Stream<DownloadCacheTaskResponse>;
    type SyncCachePiecesStream = Stream<SyncCachePiecesResponse>;
    type DownloadPersistentTaskStream = Stream<DownloadPersistentTaskResponse>;
    type SyncPersistentPiecesStream = Stream<SyncPersistentPiecesResponse>;
    type DownloadPersistentCacheTaskStream = kept::Messages;
    type SyncPersistentCachePiecesStream = Stream<SyncPersistentCachePiecesResponse>;

    async fn download_task(&self, request: Request<DownloadTaskRequest>) -> Result<Response<Messages>, Status> {
        let preheats = request.metadata().contains_key(dragonfly_api::PREHEATS);
        let download = request.into_inner().download;
        let download = download.ok_or_else(|| Status::invalid_argument("the request lacks download"))?;
        self.fetch(download, preheats).await.map(Response::new)
    }

    async fn stat_task(&self, request: Request<StatTaskRequest>) -> Result<Response<common::Task>, Status> {
        self.context.stat(&request.into_inner().task_id).await
    }

    async fn stat_local_task(
        &self,
        request: Request<StatLocalTaskRequest>,
    ) -> Result<Response<StatLocalTaskResponse>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        let pin = self.context.engine.local(&task);
        let pin = pin.ok_or_else(|| Status::not_found("the task is not here"))?;
        Ok(stat::of_pin(&pin))
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        self.context.delete(&request.into_inner().task_id).await
    }

    async fn sync_pieces(
        &self,
        request: Request<SyncPiecesRequest>,
    ) -> Result<Response<Self::SyncPiecesStream>, Status> {
        self.pieces(request.get_ref(), false).await
    }

    async fn sync_persistent_cache_pieces(
        &self,
        request: Request<SyncPersistentCachePiecesRequest>,
    ) -> Result<Response<Self::SyncPersistentCachePiecesStream>, Status> {
        let told = self.pieces(&words::pieces_wanted(request.into_inner()), true).await?;
        Ok(told.map(|told| told.map_ok(words::piece_told).boxed()))
    }

    async fn download_persistent_cache_task(
        &self,
        request: Request<DownloadPersistentCacheTaskRequest>,
    ) -> Result<Response<kept::Messages>, Status> {
        let request = request.into_inner();
        if request.output_path.is_some() {
            return Err(output_path_refused());
        }
        let nothing = |_| std::future::ready(Ok(()));
        let messages = kept::deliver(&self.context, &request, false, nothing).await;
        messages.map(Response::new)
    }

    async fn update_persistent_cache_task(
        &self,
        request: Request<UpdatePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let task = task_id(&request.task_id)?;
        if !request.persistent {
            return Err(Status::invalid_argument("an obligation ends with the task, not before"));
        }
        let obliged = self.context.engine.oblige(&task).map_err(|error| status_of(&error))?;
        obliged.ok_or_else(|| Status::not_found("the task is not here"))?;
        Ok(Response::new(()))
    }

    async fn stat_persistent_cache_task(
        &self,
        request: Request<StatPersistentCacheTaskRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        self.context.cluster.stat_kept(&task).await.map(Response::new)
    }

    async fn delete_persistent_cache_task(
        &self,
        request: Request<DeletePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        let is_kept = |pin: Pin| pin.record().policy.replica().is_some();
        if !self.context.engine.local(&task).is_some_and(is_kept) {
            return Err(Status::not_found("the task is not here"));
        }
        // The scheduler that has it dropped has no more books of it.
        let deleted = self.context.engine.delete(&task).await;
        deleted.map_err(|error| status_of(&error))?;
        Ok(Response::new(()))
    }

    async fn sync_host(&self, _: Request<SyncHostRequest>) -> Result<Response<Self::SyncHostStream>, Status> {
        let announcement = self.context.announcement.clone();
        let hosts = IntervalStream::new(tokio::time::interval(HOST_INTERVAL)).map(move |_| Ok(announcement.host()));
        // A listener must not hold up the end of this peer.
        let ended = self.context.ending.clone().cancelled_owned();
        Ok(Response::new(hosts.take_until(ended).boxed()))
    }

    async fn list_task_entries(
        &self,
        request: Request<ListTaskEntriesRequest>,
    ) -> Result<Response<ListTaskEntriesResponse>, Status> {
        let asked = request.into_inner();
        let caller = self.caller(asked.remote_ip.as_deref());
        self.context.list(asked, caller).await.map(Response::new)
    }

    not_served! {
        download_cache_task(DownloadCacheTaskRequest) -> Self::DownloadCacheTaskStream;
        stat_cache_task(StatCacheTaskRequest) -> common::CacheTask;
        delete_cache_task(DeleteCacheTaskRequest) -> ();
        sync_cache_pieces(SyncCachePiecesRequest) -> Self::SyncCachePiecesStream;
        download_cache_piece(DownloadCachePieceRequest) -> DownloadCachePieceResponse;
        download_persistent_task(DownloadPersistentTaskRequest) -> Self::DownloadPersistentTaskStream;
        sync_persistent_pieces(SyncPersistentPiecesRequest) -> Self::SyncPersistentPiecesStream;
        update_persistent_task(UpdatePersistentTaskRequest) -> ();
        stat_persistent_task(StatPersistentTaskRequest) -> common::PersistentTask;
        delete_persistent_task(DeletePersistentTaskRequest) -> ();
    }
}
