//! The peer's two gRPC services: `DfdaemonUpload` for peers and schedulers, over TCP, and `DfdaemonDownload` for the
//! tools of this host, over a unix socket. Both translate, ask the engine, and answer.

mod admit;
mod delivery;
mod download;
mod import;
mod kept;
mod list;
mod request;
mod sever;
mod stat;
mod sync;
mod upload;

pub(crate) use admit::AdmitLayer;
pub(crate) use download::DownloadService;
pub(crate) use import::ImportService;
pub(crate) use sever::severable;
pub(crate) use upload::UploadService;

use crate::cluster::{Announcement, Cluster};
use crate::config::RegistryMirror;
use crate::engine::{self, Engine};
use crate::metrics::Metrics;
use dragonfly_api::{ApiError, backend_error, common};
use dragonfly_model::{IdError, TaskId};
use dragonfly_service::Workers;
use dragonfly_storage::Storage;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What both services work with.
pub(crate) struct Context {
    pub(crate) engine: Engine,
    pub(crate) storage: Storage,
    pub(crate) cluster: Cluster,
    pub(crate) announcement: Announcement,
    pub(crate) workers: Workers,
    pub(crate) metrics: Metrics,
    /// Cancelled when this peer answers no longer: streams without an end of their own end then.
    pub(crate) ending: CancellationToken,
    /// Which registries' blobs share tasks.
    pub(crate) registries: RegistryMirror,
    /// Where this host serves pieces.
    pub(crate) piece_port: u16,
    /// The last field, so that it closes after everything else was let go.
    pub(crate) alive: watch::Sender<()>,
}

impl Context {
    /// Closes when nothing of this is held any more.
    pub(crate) fn held(&self) -> Held {
        Held(self.alive.subscribe())
    }

    fn own_ip(&self) -> IpAddr {
        self.announcement.identity().ip
    }

    /// What the task's scheduler knows of it.
    async fn stat(&self, task: &str) -> Result<tonic::Response<common::Task>, Status> {
        let told = async { self.cluster.stat_task(&task_id(task)?).await };
        self.metrics.calls.stat_task.count(told.await).map(tonic::Response::new)
    }

    /// Deletes a task here and tells its scheduler.
    async fn delete(&self, task: &str) -> Result<tonic::Response<()>, Status> {
        let deleted = self.delete_and_tell(task).await;
        self.metrics.calls.delete_task.count(deleted).map(tonic::Response::new)
    }

    async fn delete_and_tell(&self, task: &str) -> Result<(), Status> {
        let task = &task_id(task)?;
        let policy = self.storage.pin(task).map(|pin| pin.record().policy);
        if !self.engine.delete(task).await.map_err(|error| status_of(&error))? {
            return Err(Status::not_found("the task is not here"));
        }
        if let Err(status) = self.cluster.deleted(task, &policy.unwrap_or_default()).await {
            tracing::debug!(task.id = %task, %status, "the scheduler was not told of the deletion");
        }
        Ok(())
    }
}

/// See [`Context::held`].
pub(crate) struct Held(watch::Receiver<()>);

impl Held {
    pub(crate) async fn closed(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

fn task_id(text: &str) -> Result<TaskId, Status> {
    TaskId::parse(text).map_err(|error: IdError| Status::invalid_argument(error.to_string()))
}

/// What a caller is told of a failed download. An origin's own answer travels in the details.
fn status_of(error: &engine::Error) -> Status {
    use engine::Error;
    let message = chain(error);
    match error {
        Error::Origin(_) => {
            let answer = error.origin_answer();
            backend_error(&ApiError {
                status: answer.as_ref().map(|(status, _)| status.as_u16()),
                message,
                headers: answer
                    .map(|(_, headers)| stat::text_headers(&headers))
                    .unwrap_or_default(),
            })
        }
        Error::Forbidden(_) => Status::permission_denied(message),
        Error::NoSource => Status::not_found(message),
        Error::OtherKind => Status::already_exists(message),
        Error::DigestMismatch => Status::data_loss(message),
        Error::Timeout(_) => Status::deadline_exceeded(message),
        Error::Deleted | Error::Abandoned => Status::aborted(message),
        Error::ShuttingDown => Status::unavailable(message),
        Error::NoRoom(_) => Status::resource_exhausted(message),
        Error::Storage(storage) => match &**storage {
            dragonfly_storage::Error::DiskFull { .. } => Status::resource_exhausted(message),
            _ => Status::internal(message),
        },
        Error::Transfer(_) => Status::internal(message),
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

type Shared = Arc<Context>;

/// Methods of families that are not served: answered UNIMPLEMENTED.
macro_rules! not_served {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(
            fn $method<'life0, 'async_trait>(
                &'life0 self,
                _: tonic::Request<$request>,
            ) -> futures::future::BoxFuture<'async_trait, Result<tonic::Response<$response>, tonic::Status>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                let status = tonic::Status::unimplemented(concat!(stringify!($method), " is not served"));
                Box::pin(std::future::ready(Err(status)))
            }
        )*
    };
}
use not_served;
