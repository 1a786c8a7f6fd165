//! Tasks that the cluster keeps, on their way to a caller: as any content, but that the scheduler says what they are.

use super::delivery::Delivery;
use super::{Shared, status_of, task_id};
use crate::engine::{Kept, Request, ends_at};
use dragonfly_api::Invalid;
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::dfdaemon::{DownloadPersistentCacheTaskRequest, DownloadPersistentCacheTaskResponse};
use dragonfly_api::kept;
use dragonfly_model::TaskId;
use dragonfly_storage::Pin;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

pub(super) type Messages = BoxStream<'static, Result<DownloadPersistentCacheTaskResponse, Status>>;

/// Opens a content for a caller; it ends with what `write` says of the complete one.
pub(super) async fn deliver<F>(
    context: &Shared,
    asked: &DownloadPersistentCacheTaskRequest,
    with_content: bool,
    write: impl FnOnce(Pin) -> F + Send + 'static,
) -> Result<Messages, Status>
where
    F: Future<Output = Result<(), Status>> + Send,
{
    let request = request(context, asked).await?;
    let timeout = request.timeout;
    let opened = context.engine.open(request.clone()).await;
    let content = opened.map_err(|error| status_of(&error))?;
    let (delivery, messages) = Delivery::new(context.clone(), content.clone(), None, with_content);
    let (engine, obliged) = (context.engine.clone(), asked.persistent);
    let last = async move || {
        let pin = content.pin();
        let is_obliged = pin.record().policy.replica().is_some_and(|replica| replica.obliged);
        // A download that began as an obligation has told the scheduler so.
        if obliged && (content.was_finished() || !is_obliged) {
            engine.keep(&request).await.map_err(|error| status_of(&error))?;
        }
        write(pin.clone()).await
    };
    context.workers.spawn("delivery", delivery.run(timeout, last));
    let mut was_here = false;
    let told = messages.map(move |part| part.map(|part| kept::delivery(part, &mut was_here)));
    Ok(told.boxed())
}

/// What is asked for, as the scheduler knows it; while none answers, as this host does.
async fn request(context: &Shared, asked: &DownloadPersistentCacheTaskRequest) -> Result<Request, Status> {
    let id = task_id(&asked.task_id)?;
    let request = match context.cluster.stat_kept(&id).await {
        Ok(task) => of_task(id, &task, asked.persistent)?,
        Err(status) if status.code() == Code::NotFound => return Err(status),
        Err(status) => of_local(context, id).ok_or(status)?,
    };
    let timeout = asked.timeout.map(Duration::try_from).transpose();
    let timeout = timeout.map_err(|_| Status::invalid_argument("a negative timeout"))?;
    Ok(Request {
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        ..request
    })
}

fn of_task(id: TaskId, task: &PersistentCacheTask, obliged: bool) -> Result<Request, Status> {
    if task.state != "Succeeded" {
        let text = format!("the task is not there to be had: its state is {}", task.state);
        return Err(Status::failed_precondition(text));
    }
    let ends_at = ends_at(task).ok_or(Invalid::Missing("ttl or created_at"))?;
    if ends_at <= SystemTime::now() {
        return Err(Status::not_found("the time of the task is over"));
    }
    let kept = Kept {
        piece_length: task.piece_length,
        content_length: task.content_length,
        ends_at,
        obliged,
    };
    Ok(Request {
        tag: task.tag.clone(),
        application: task.application.clone(),
        ..Request::kept(id, kept)
    })
}

fn of_local(context: &Shared, id: TaskId) -> Option<Request> {
    let record = context.storage.pin(&id)?.record();
    let replica = record.policy.replica()?;
    let lives = record.is_finished() && !record.policy.has_ended(SystemTime::now());
    let kept = Kept {
        piece_length: record.piece_length,
        content_length: record.content_length?,
        ends_at: replica.ends_at,
        obliged: replica.obliged,
    };
    let request = Request {
        tag: record.tag,
        application: record.application,
        ..Request::kept(id, kept)
    };
    lives.then_some(request)
}
