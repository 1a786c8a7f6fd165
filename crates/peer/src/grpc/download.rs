//! `DfdaemonDownload`: what the tools of this host ask, over the unix socket.

use super::delivery::{Delivery, Messages};
use super::request::{Asker, parse};
use super::{Shared, import, kept, not_served, stat, status_of, task_id};
use crate::output::Output;
use crate::{access, proxy};
use dragonfly_api::common;
use dragonfly_api::dfdaemon::dfdaemon_download_server::DfdaemonDownload;
use dragonfly_api::dfdaemon::*;
use dragonfly_source::Caller;
use dragonfly_storage::Pin;
use futures::stream::BoxStream;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Response, Status};
use url::Url;

/// The service.
pub(crate) struct DownloadService {
    context: Shared,
}

type Stream<T> = BoxStream<'static, Result<T, Status>>;

impl DownloadService {
    pub(crate) fn new(context: Shared) -> Self {
        Self { context }
    }

    async fn deliver(&self, mut download: common::Download, caller_uid: Option<u32>) -> Result<Messages, Status> {
        let output = Output::of(&download, caller_uid)?;
        access::read_credential(download.object_storage.as_mut(), caller_uid).await?;
        let registries = &self.context.registries;
        let trust = |url: &Url| proxy::blob_trust(registries, url);
        let asker = Asker {
            caller: Caller::Local,
            trust: &trust,
        };
        let request = parse(&download, &asker)?;
        let (range, timeout) = (request.range, request.timeout);
        let content = self
            .context
            .engine
            .open(request)
            .await
            .map_err(|error| status_of(&error))?;
        let with_content = download.need_piece_content && output.is_none();
        let (delivery, messages) = Delivery::new(self.context.clone(), content.clone(), range, with_content);
        let write = async move || -> Result<(), Status> {
            if let Some(output) = output {
                output.write(content.pin()).await?;
                content.delivered(content.content_length().unwrap_or(0));
            }
            Ok(())
        };
        self.context.workers.spawn("delivery", delivery.run(timeout, write));
        Ok(messages)
    }
}

#[tonic::async_trait]
impl DfdaemonDownload for DownloadService {
    type DownloadTaskStream = Messages;
    type DownloadCacheTaskStream = Stream<DownloadCacheTaskResponse>;
    type DownloadPersistentTaskStream = Stream<DownloadPersistentTaskResponse>;
    type DownloadPersistentCacheTaskStream = kept::Messages;

    async fn download_task(&self, request: Request<DownloadTaskRequest>) -> Result<Response<Messages>, Status> {
        let uid = caller_of(&request);
        let download = request.into_inner().download;
        let download = download.ok_or_else(|| Status::invalid_argument("the request lacks download"))?;
        self.deliver(download, uid).await.map(Response::new)
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

    async fn list_local_tasks(
        &self,
        _: Request<ListLocalTasksRequest>,
    ) -> Result<Response<ListLocalTasksResponse>, Status> {
        let listed = Ok(Response::new(stat::list(&self.context.storage)));
        self.context.metrics.calls.list_local_tasks.count(listed)
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        self.context.delete(&request.into_inner().task_id).await
    }

    async fn delete_local_task(&self, request: Request<DeleteLocalTaskRequest>) -> Result<Response<()>, Status> {
        self.context.delete(&request.into_inner().task_id).await
    }

    async fn delete_host(&self, _: Request<()>) -> Result<Response<()>, Status> {
        self.context.cluster.leave().await;
        self.context.metrics.calls.delete_host.count(Ok(Response::new(())))
    }

    async fn download_persistent_cache_task(
        &self,
        request: Request<DownloadPersistentCacheTaskRequest>,
    ) -> Result<Response<kept::Messages>, Status> {
        let uid = caller_of(&request);
        let request = request.into_inner();
        let output = common::Download {
            output_path: request.output_path.clone(),
            overwrite: request.overwrite,
            force_hard_link: request.force_hard_link,
            digest: request.digest.clone(),
            ..Default::default()
        };
        let output = Output::of(&output, uid)?;
        let with_content = request.need_piece_content && output.is_none();
        let delivered = self.context.metrics.delivered.clone();
        let write = async move |pin: Pin| {
            if let Some(output) = output {
                output.write(&pin).await?;
                delivered.inc_by(pin.content_length().unwrap_or(0));
            }
            Ok(())
        };
        let messages = kept::deliver(&self.context, &request, with_content, write).await;
        messages.map(Response::new)
    }

    async fn upload_persistent_cache_task(
        &self,
        request: Request<UploadPersistentCacheTaskRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let uid = caller_of(&request);
        let put = import::of_path(&self.context, request.into_inner(), uid).await;
        put.map(Response::new)
    }

    async fn stat_persistent_cache_task(
        &self,
        request: Request<StatPersistentCacheTaskRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        self.context.cluster.stat_kept(&task).await.map(Response::new)
    }

    async fn stat_local_persistent_cache_task(
        &self,
        request: Request<StatLocalPersistentCacheTaskRequest>,
    ) -> Result<Response<StatLocalPersistentCacheTaskResponse>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        let pin = self.context.engine.local(&task);
        let kept = pin.and_then(|pin| stat::of_kept(pin.record()));
        let kept = kept.ok_or_else(|| Status::not_found("the task is not here"))?;
        Ok(Response::new(kept))
    }

    async fn list_local_persistent_cache_tasks(
        &self,
        _: Request<ListLocalPersistentCacheTasksRequest>,
    ) -> Result<Response<ListLocalPersistentCacheTasksResponse>, Status> {
        Ok(Response::new(stat::list_kept(&self.context.storage)))
    }

    async fn list_task_entries(
        &self,
        request: Request<ListTaskEntriesRequest>,
    ) -> Result<Response<ListTaskEntriesResponse>, Status> {
        let uid = caller_of(&request);
        let mut asked = request.into_inner();
        access::read_credential(asked.object_storage.as_mut(), uid).await?;
        self.context.list(asked, Caller::Local).await.map(Response::new)
    }

    not_served! {
        download_cache_task(DownloadCacheTaskRequest) -> Self::DownloadCacheTaskStream;
        stat_cache_task(StatCacheTaskRequest) -> common::CacheTask;
        delete_cache_task(DeleteCacheTaskRequest) -> ();
        download_persistent_task(DownloadPersistentTaskRequest) -> Self::DownloadPersistentTaskStream;
        upload_persistent_task(UploadPersistentTaskRequest) -> common::PersistentTask;
        stat_persistent_task(StatPersistentTaskRequest) -> common::PersistentTask;
        stat_local_persistent_task(StatLocalPersistentTaskRequest) -> StatLocalPersistentTaskResponse;
        list_local_persistent_tasks(ListLocalPersistentTasksRequest) -> ListLocalPersistentTasksResponse;
    }
}

/// The user at the other end of the socket.
fn caller_of<T>(request: &Request<T>) -> Option<u32> {
    let connection = request.extensions().get::<UdsConnectInfo>();
    let credentials = connection.and_then(|info| info.peer_cred);
    credentials.map(|credentials| credentials.uid())
}
