//! `dfcache import`: reads the file once to name it and once to send it, so that the daemon needs no right to read it.

use crate::dfctl::output::{self, Output};
use crate::dfget::progress::Progress;
use crate::failure::Failure;
use crate::local::{Endpoint, Local, refused};
use bytesize::ByteSize;
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::dfdaemon::UploadPersistentCacheTaskRequest;
use dragonfly_api::ext::import_persistent_cache_task_request::Part;
use dragonfly_api::ext::{ImportHeader, ImportPersistentCacheTaskRequest};
use dragonfly_model::{CachedContent, PieceLayout};
use dragonfly_service::exit;
use futures::stream;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::{Code, Status};

pub(super) const EXAMPLES: &str = "\
Examples:
  dfcache import model.bin
  dfcache import model.bin --persistent-replica-count 3 --ttl 24h --output json
  dfcache export $(dfcache import model.bin) -O copy.bin";

/// Bytes that are read, and sent, at once.
const CHUNK: usize = 1 << 20;
/// For how long a file may be kept, as in Dragonfly.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(300)..=Duration::from_secs(7 * 24 * 3600);

/// `dfcache import`
#[derive(clap::Args)]
pub(super) struct Args {
    /// The file
    path: PathBuf,

    /// Text that alone decides the id, whatever the file holds. Without it the file is read once more, to be named by its bytes
    #[arg(long, value_name = "TEXT", env = "DFCACHE_IMPORT_CONTENT_FOR_CALCULATING_TASK_ID")]
    content_for_calculating_task_id: Option<String>,

    /// How many hosts keep it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000), env = "DFCACHE_IMPORT_PERSISTENT_REPLICA_COUNT")]
    persistent_replica_count: u64,

    /// Length of pieces, 4MiB to 64MiB; by the length of the file if absent. It enters the id
    #[arg(long, value_name = "SIZE", value_parser = piece_length, env = "DFCACHE_IMPORT_PIECE_LENGTH")]
    piece_length: Option<ByteSize>,

    /// Name of the application, which separates files of the same bytes
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        env = "DFCACHE_IMPORT_APPLICATION"
    )]
    application: String,

    /// Separates files of the same bytes with another tag
    #[arg(long, default_value = "", hide_default_value = true, env = "DFCACHE_IMPORT_TAG")]
    tag: String,

    /// How long it is kept, 5m to 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl, env = "DFCACHE_IMPORT_TTL")]
    ttl: Duration,

    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration, env = "DFCACHE_IMPORT_TIMEOUT")]
    pub(super) timeout: Duration,

    /// What is printed to stdout: the id, or all that is known of it
    #[arg(long, value_enum, default_value_t)]
    output: Output,

    /// Draw no progress bar; none is drawn either if stderr is no terminal
    #[arg(long, env = "DFCACHE_IMPORT_NO_PROGRESS")]
    no_progress: bool,

    #[command(flatten)]
    of: Endpoint,
}

/// Why the file is not put in.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("can't read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no regular file; put a file in", .0.display())]
    Special(PathBuf),
}

fn piece_length(text: &str) -> Result<ByteSize, String> {
    let length: ByteSize = text.parse()?;
    let allowed = PieceLayout::MIN_PIECE_LENGTH..=PieceLayout::MAX_PIECE_LENGTH;
    let fits = allowed.contains(&length.as_u64());
    fits.then_some(length).ok_or_else(|| "use 4MiB to 64MiB".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    TTL.contains(&ttl)
        .then_some(ttl)
        .ok_or_else(|| "use 5m to 7d".to_owned())
}

pub(super) async fn run(args: &Args) -> Result<String, Failure> {
    // Before anything is asked of anyone.
    let (file, length) = open(&args.path).map_err(|error| Failure::of(&error, exit::FAILURE))?;
    let mut local = Local::connect(&args.of.socket).await?;
    let file = Arc::new(file);
    let task_id = match given(&args.content_for_calculating_task_id.clone().unwrap_or_default()) {
        Some(_) => None,
        None => Some(named(args, file.clone(), length).await?),
    };
    let about = args.path.display().to_string();
    let header = ImportHeader {
        upload: Some(upload(args)),
        content_length: length,
        task_id,
    };
    let progress = Progress::start(&name_of(&args.path), !args.no_progress);
    progress.expect(length);
    let sending = Sending {
        file: Some(file),
        header: Some(header),
        progress,
        failed: Arc::default(),
    };
    let failed = sending.failed.clone();
    let put = local.ours.import_persistent_cache_task(sending.stream()).await;
    if let Some(source) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let path = args.path.clone();
        return Err(Failure::of(&Error::Read { path, source }, exit::FAILURE));
    }
    let task = match put {
        Err(status) if status.code() == Code::Unimplemented => by_path(args, &mut local).await,
        put => put.map(tonic::Response::into_inner),
    };
    told(&task.map_err(|status| refused(&about, &status))?, args.output)
}

/// A dfdaemon of another make reads the file itself.
async fn by_path(args: &Args, local: &mut Local) -> Result<PersistentCacheTask, Status> {
    let path = std::path::absolute(&args.path).map_err(|error| Status::internal(error.to_string()))?;
    let request = UploadPersistentCacheTaskRequest {
        path: path.to_string_lossy().into_owned(),
        ..upload(args)
    };
    let put = local.dfdaemon.upload_persistent_cache_task(request).await;
    put.map(tonic::Response::into_inner)
}

fn told(task: &PersistentCacheTask, output: Output) -> Result<String, Failure> {
    match output {
        Output::Table => Ok(format!("{}\n", task.id)),
        Output::Json => output::json(&super::tasks::Known::of(task)),
    }
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn upload(args: &Args) -> UploadPersistentCacheTaskRequest {
    UploadPersistentCacheTaskRequest {
        content_for_calculating_task_id: args.content_for_calculating_task_id.as_deref().and_then(given),
        persistent_replica_count: args.persistent_replica_count,
        tag: given(&args.tag),
        application: given(&args.application),
        piece_length: args.piece_length.map(|length| length.as_u64()),
        ttl: Some(dragonfly_api::duration(args.ttl)),
        timeout: Some(dragonfly_api::duration(args.timeout)),
        ..UploadPersistentCacheTaskRequest::default()
    }
}

fn open(path: &Path) -> Result<(File, u64), Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    // To open a pipe would wait for whoever writes to it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::Special(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

/// The id that the file's bytes make.
async fn named(args: &Args, file: Arc<File>, length: u64) -> Result<String, Failure> {
    let progress = Progress::start("naming", !args.no_progress);
    progress.expect(length);
    let read = tokio::task::spawn_blocking(move || {
        let mut content = CachedContent::default();
        let mut file = &*file;
        while let Some(bytes) = chunk(file)? {
            content.update(&bytes);
            progress.advance(bytes.len() as u64);
        }
        file.rewind()?;
        Ok(content)
    });
    let read: io::Result<CachedContent> = read.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    let content = read.map_err(|source| {
        let path = args.path.clone();
        Failure::of(&Error::Read { path, source }, exit::FAILURE)
    })?;
    let piece_length = args.piece_length.map(|length| length.as_u64());
    Ok(content
        .task_id(Some(&args.tag), Some(&args.application), piece_length)
        .to_string())
}

/// The next bytes of a file; nothing at its end.
fn chunk(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(CHUNK);
    file.take(CHUNK as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

/// The messages of an import.
struct Sending {
    /// Absent at its end.
    file: Option<Arc<File>>,
    header: Option<ImportHeader>,
    progress: Progress,
    /// Why it could not be read to its end.
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Sending {
    fn stream(self) -> impl futures::Stream<Item = ImportPersistentCacheTaskRequest> + Send + 'static {
        stream::unfold(self, |mut sending| async move {
            let part = sending.next().await?;
            Some((ImportPersistentCacheTaskRequest { part: Some(part) }, sending))
        })
    }

    async fn next(&mut self) -> Option<Part> {
        if let Some(header) = self.header.take() {
            return Some(Part::Header(header));
        }
        let file = self.file.clone()?;
        let read = tokio::task::spawn_blocking(move || chunk(&file)).await;
        match read.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(Some(bytes)) => {
                self.progress.advance(bytes.len() as u64);
                Some(Part::Content(bytes))
            }
            Ok(None) => {
                self.file = None;
                None
            }
            Err(error) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_outside_their_range_are_refused() {
        assert_eq!(ttl("1h"), Ok(Duration::from_secs(3600)));
        assert!(ttl("4m").unwrap_err().contains("5m to 7d") && ttl("8d").is_err());
        assert!(piece_length("1MiB").unwrap_err().contains("4MiB to 64MiB"));
    }

    #[test]
    fn only_a_file_is_put_in() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(dir.path()), Err(Error::Special(_))));
        assert!(matches!(open(&dir.path().join("x")), Err(Error::Read { .. })));
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(open(&path).unwrap().1, 3);
    }
}
