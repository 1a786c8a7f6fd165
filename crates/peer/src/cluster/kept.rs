//! What this host asks and tells the scheduler of tasks that the cluster keeps.

use super::{CALL_TIMEOUT, Cluster, SchedulerClient, within};
use dragonfly_api::PeerIds;
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::scheduler::*;
use dragonfly_model::{PeerId, TaskId};
use std::time::Duration;
use tonic::{Code, Response, Status};

/// Longest wait for the end of a deletion: the scheduler tells each host that has the task, and waits for those that don't answer.
const DROP_TIMEOUT: Duration = Duration::from_secs(20);

impl Cluster {
    /// What the responsible scheduler knows of a task.
    pub(crate) async fn stat_kept(&self, task: &TaskId) -> Result<PersistentCacheTask, Status> {
        let request = StatPersistentCacheTaskRequest {
            host_id: self.own_id(),
            task_id: task.to_string(),
        };
        self.ask(task, CALL_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.stat_persistent_cache_task(request).await }
        })
        .await
    }

    /// Has every host drop a task.
    pub(crate) async fn drop_kept(&self, task: &TaskId) -> Result<(), Status> {
        let request = DeletePersistentCacheTaskRequest {
            host_id: self.own_id(),
            task_id: task.to_string(),
        };
        self.ask(task, DROP_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.delete_persistent_cache_task(request).await }
        })
        .await
    }

    /// This host has a task no more.
    pub(crate) async fn left_kept(&self, task: &TaskId, peer: &PeerId) -> Result<(), Status> {
        let request = DeletePersistentCachePeerRequest {
            host_id: self.own_id(),
            task_id: task.to_string(),
            peer_id: peer.to_string(),
        };
        let told = self.ask(task, CALL_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.delete_persistent_cache_peer(request).await }
        });
        match told.await {
            Err(status) if status.code() != Code::NotFound => Err(status),
            _ => Ok(()),
        }
    }

    pub(crate) async fn upload_started(&self, request: UploadPersistentCacheTaskStartedRequest) -> Result<(), Status> {
        let task = TaskId::parse(&request.task_id).map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.ask(&task, CALL_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.upload_persistent_cache_task_started(request).await }
        })
        .await
    }

    pub(crate) async fn upload_finished(&self, ids: &PeerIds) -> Result<PersistentCacheTask, Status> {
        let request = UploadPersistentCacheTaskFinishedRequest {
            host_id: ids.host.to_string(),
            task_id: ids.task.to_string(),
            peer_id: ids.peer.to_string(),
        };
        self.ask(&ids.task, CALL_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.upload_persistent_cache_task_finished(request).await }
        })
        .await
    }

    pub(crate) async fn upload_failed(&self, ids: &PeerIds, reason: String) -> Result<(), Status> {
        let request = UploadPersistentCacheTaskFailedRequest {
            host_id: ids.host.to_string(),
            task_id: ids.task.to_string(),
            peer_id: ids.peer.to_string(),
            description: Some(reason),
        };
        self.ask(&ids.task, CALL_TIMEOUT, |mut client| {
            let request = request.clone();
            async move { client.upload_persistent_cache_task_failed(request).await }
        })
        .await
    }

    fn own_id(&self) -> String {
        self.inner.announcement.host_id().to_string()
    }

    /// Asks the scheduler on whose place of the ring the task is: no other knows it. One that does not know this host is told of
    /// it first.
    async fn ask<T, F>(&self, task: &TaskId, limit: Duration, call: impl Fn(SchedulerClient) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let scheduler = self.schedulers_of(task).into_iter().next();
        let scheduler = scheduler.ok_or_else(|| Status::unavailable("no scheduler answers"))?;
        match within(limit, call(scheduler.client.clone())).await {
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.reannounce(&scheduler).await?;
                within(limit, call(scheduler.client)).await
            }
            answer => answer,
        }
    }
}
