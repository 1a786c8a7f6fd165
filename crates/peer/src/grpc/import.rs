//! Putting files in that the cluster shall keep.
//!
//! Whoever may connect to the socket is not whoever may read a file with this daemon's rights. So our tools open the file
//! themselves and send its bytes; a path is read only for the daemon's own user and root, as the kernel names the caller.

use super::request::{given, names_a_blob, piece_length};
use super::{Shared, chain, status_of, task_id};
use crate::engine::{self, Bytestream, Import, ImportError};
use crate::output;
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::dfdaemon::{DeletePersistentCacheTaskRequest, UploadPersistentCacheTaskRequest};
use dragonfly_api::ext::dfdaemon_server::Dfdaemon;
use dragonfly_api::ext::import_persistent_cache_task_request::Part;
use dragonfly_api::ext::{ImportHeader, ImportPersistentCacheTaskRequest};
use dragonfly_model::{CachedContent, TaskId, task_id_of_text};
use futures::stream::{self, StreamExt};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncSeekExt;
use tokio::sync::oneshot;
use tokio_util::io::ReaderStream;
use tonic::{Request, Response, Status, Streaming};

/// For how long a task may be kept, as in Dragonfly.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(300)..=Duration::from_secs(7 * 24 * 3600);
/// How long a caller may take for the next bytes.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// What our own tools ask beyond Dragonfly's services.
pub(crate) struct ImportService {
    context: Shared,
}

impl ImportService {
    pub(crate) fn new(context: Shared) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl Dfdaemon for ImportService {
    async fn import_persistent_cache_task(
        &self,
        request: Request<Streaming<ImportPersistentCacheTaskRequest>>,
    ) -> Result<Response<PersistentCacheTask>, Status> {
        let mut parts = request.into_inner();
        let header = match parts.message().await?.and_then(|first| first.part) {
            Some(Part::Header(header)) => header,
            _ => return Err(Status::invalid_argument("the first message must be the header")),
        };
        let import = of_header(&header)?;
        let bytes = stream::unfold(parts, |mut parts| async move {
            let sent = tokio::time::timeout(SILENCE, parts.next()).await;
            let bytes = match sent.map(|sent| sent.map(|part| part.map(|part| part.part))) {
                Ok(None) => return None,
                Ok(Some(Ok(Some(Part::Content(bytes))))) => Ok(bytes.into()),
                Ok(Some(Ok(_))) => Err(io::Error::other("a message without content")),
                // What a caller does to its own call is no news to it.
                Ok(Some(Err(_))) => Err(io::ErrorKind::ConnectionAborted.into()),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            Some((bytes, parts))
        });
        put_in(&self.context, import, bytes.boxed()).await.map(Response::new)
    }

    async fn delete_persistent_cache_task(
        &self,
        request: Request<DeletePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        self.context.cluster.drop_kept(&task).await?;
        Ok(Response::new(()))
    }
}

/// Dragonfly's own call: the daemon reads the file itself.
pub(super) async fn of_path(
    context: &Shared,
    upload: UploadPersistentCacheTaskRequest,
    caller: Option<u32>,
) -> Result<PersistentCacheTask, Status> {
    if !output::may_name_paths(caller) {
        let text = "the daemon reads files only for its own user and root; send the content instead (dfcache does)";
        return Err(Status::permission_denied(text));
    }
    let (mut file, length) = open(Path::new(&upload.path)).await?;
    let header = ImportHeader {
        content_length: length,
        task_id: match given(&upload.content_for_calculating_task_id) {
            Some(_) => None,
            None => Some(id_of(&mut file, &upload).await.map_err(unreadable)?.to_string()),
        },
        upload: Some(upload),
    };
    let import = of_header(&header)?;
    put_in(context, import, ReaderStream::with_capacity(file, CHUNK).boxed()).await
}

async fn open(path: &Path) -> Result<(File, u64), Status> {
    if !path.is_absolute() {
        return Err(Status::invalid_argument(format!("the path {path:?} is not absolute")));
    }
    // A pipe or a device would be waited for without end.
    let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if !found.is_file() {
        return Err(Status::invalid_argument(format!("{path:?} is no regular file")));
    }
    let file = File::open(path).await.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    Ok((file, length))
}

/// The id that the bytes of a file make. It is at its beginning again then.
async fn id_of(file: &mut File, upload: &UploadPersistentCacheTaskRequest) -> io::Result<TaskId> {
    let mut content = CachedContent::default();
    let mut chunks = ReaderStream::with_capacity(&mut *file, CHUNK);
    while let Some(chunk) = chunks.next().await {
        content.update(&chunk?);
    }
    file.rewind().await?;
    let piece_length = upload.piece_length.filter(|length| *length > 0);
    Ok(content.task_id(upload.tag.as_deref(), upload.application.as_deref(), piece_length))
}

fn unreadable(error: io::Error) -> Status {
    Status::failed_precondition(format!("can't read the file: {error}"))
}

fn of_header(header: &ImportHeader) -> Result<Import, Status> {
    let upload = header.upload.clone().unwrap_or_default();
    let text = given(&upload.content_for_calculating_task_id);
    if text.as_deref().is_some_and(names_a_blob) {
        return Err(Status::invalid_argument("the content text names a blob of an origin"));
    }
    let id = match (&text, &header.task_id) {
        (Some(text), _) => task_id_of_text(text),
        (None, Some(id)) => task_id(id)?,
        (None, None) => return Err(Status::invalid_argument("the request lacks task_id")),
    };
    if upload.persistent_replica_count == 0 {
        return Err(Status::invalid_argument("persistent_replica_count can't be 0"));
    }
    let ttl = upload.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
    let ttl = ttl.filter(|ttl| TTL.contains(ttl));
    let ttl = ttl.ok_or_else(|| Status::invalid_argument("a task is kept for 5 minutes to 7 days; give such a ttl"))?;
    Ok(Import {
        task_id: id,
        named_by_text: text.is_some(),
        content_length: header.content_length,
        piece_length: piece_length(upload.piece_length)?,
        tag: given(&upload.tag),
        application: given(&upload.application),
        replicas: upload.persistent_replica_count,
        ttl,
    })
}

/// Imports on a worker of its own: what was begun is taken back in order, also when the caller goes.
async fn put_in(context: &Shared, import: Import, bytes: Bytestream) -> Result<PersistentCacheTask, Status> {
    let (mut answer, answered) = oneshot::channel();
    let (engine, ending) = (context.engine.clone(), context.workers.cancel_token());
    context.workers.spawn("import", async move {
        let broken_off = async {
            tokio::select! {
                () = answer.closed() => {}
                () = ending.cancelled() => {}
            }
        };
        let put = engine.import(import, bytes, broken_off).await;
        // A caller that has gone needs no answer.
        answer.send(put).ok();
    });
    let put = answered.await;
    let put = put.map_err(|_| Status::unavailable("the peer is shutting down"))?;
    put.map_err(refused)
}

fn refused(error: ImportError) -> Status {
    let message = chain(&error);
    match error {
        ImportError::Refused(error) => status_of(&error),
        ImportError::Scheduler(status) => Status::new(status.code(), message),
        ImportError::Storage(error) => status_of(&engine::Error::from(error)),
        ImportError::Layout { .. } => Status::invalid_argument(message),
        ImportError::Busy => Status::already_exists(message),
        ImportError::Read(_) | ImportError::Changed => Status::failed_precondition(message),
        ImportError::BrokenOff => Status::aborted(message),
    }
}
