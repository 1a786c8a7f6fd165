//! `dfcache export`: the file comes piece by piece from those that have it, and gets its name when it is whole and checked.

use crate::console;
use crate::dfget::download::runs_as_us;
use crate::dfget::landed::{Landed, Traffic};
use crate::dfget::part::Part;
use crate::dfget::progress::Progress;
use crate::dfget::verify;
use crate::failure::Failure;
use crate::local::{Endpoint, Local, refused};
use bytesize::ByteSize;
use dragonfly_api::common::Piece;
use dragonfly_api::dfdaemon::DownloadPersistentCacheTaskRequest;
use dragonfly_api::dfdaemon::download_persistent_cache_task_response::Response;
use dragonfly_model::Digest;
use dragonfly_service::exit;
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tonic::{Code, Status};

pub(super) const EXAMPLES: &str = "\
Examples:
  dfcache export 5e884898da28047151d0e56f8dc62927… -O model.bin
  dfcache export 5e884898da28047151d0e56f8dc62927… -O model.bin --digest sha256:9f86d081884c7d65…
  dfcache export 5e884898da28047151d0e56f8dc62927… -O model.bin --format json";

/// `dfcache export`
#[derive(clap::Args)]
pub(super) struct Args {
    /// The id that `dfcache import` printed
    id: String,

    /// Where to write it
    #[arg(short = 'O', long, value_name = "PATH")]
    output: PathBuf,

    /// What is printed to stdout at the end
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Replace the output if it exists
    #[arg(long, env = "DFCACHE_EXPORT_OVERWRITE")]
    overwrite: bool,

    /// What the content must be, as sha256:HEX, sha512:HEX or crc32:NUMBER; on a mismatch no file is left
    #[arg(long, env = "DFCACHE_EXPORT_DIGEST")]
    digest: Option<Digest>,

    /// Let the bytes come over the socket even where dfdaemon could write the file itself
    #[arg(
        long,
        env = "DFCACHE_EXPORT_TRANSFER_FROM_DFDAEMON",
        conflicts_with = "force_hard_link"
    )]
    transfer_from_dfdaemon: bool,

    /// Make the output a hard link to dfdaemon's cache, or fail. Dragonfly's own dfdaemon refuses it: whoever writes to the
    /// file later would damage the cache
    #[arg(long, env = "DFCACHE_EXPORT_FORCE_HARD_LINK")]
    force_hard_link: bool,

    /// Name of the application with which it was put in; the scheduler knows it, too
    #[arg(long, env = "DFCACHE_EXPORT_APPLICATION")]
    application: Option<String>,

    /// The tag with which it was put in; the scheduler knows it, too
    #[arg(long, env = "DFCACHE_EXPORT_TAG")]
    tag: Option<String>,

    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = humantime::parse_duration, env = "DFCACHE_EXPORT_TIMEOUT")]
    pub(super) timeout: Duration,

    /// Draw no progress bar; none is drawn either if stderr is no terminal
    #[arg(long, env = "DFCACHE_EXPORT_NO_PROGRESS")]
    no_progress: bool,

    #[command(flatten)]
    of: Endpoint,
}

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// One line that says where the bytes came from
    #[default]
    Human,
    /// One JSON object, also for errors
    Json,
}

/// An export that ended well.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    task_id: String,
    output: PathBuf,
    content_length: u64,
    duration_ms: u128,
    bytes_from: Traffic,
}

/// How the bytes come.
enum Way {
    Socket,
    File(PathBuf),
}

/// What has come.
struct Received {
    length: u64,
    traffic: Traffic,
}

/// What stands on stdout.
pub(super) fn told(args: &Args, done: Result<Report, Failure>) -> Result<String, Failure> {
    match (done, args.format) {
        (Ok(report), Format::Human) => Ok(report.line()),
        (Ok(report), Format::Json) => {
            let json = serde_json::to_string(&report).map_err(|error| Failure::of(&error, exit::FAILURE))?;
            Ok(json + "\n")
        }
        (Err(failure), Format::Json) => {
            let json = serde_json::json!({ "error": failure.to_string() });
            console::say(&format!("{json}\n"));
            Err(failure)
        }
        (Err(failure), Format::Human) => Err(failure),
    }
}

impl Report {
    fn line(&self) -> String {
        let size = |bytes| ByteSize::b(bytes).display().iec();
        format!(
            "{}: {} in {:.1} s: peers {}, local {}\n",
            self.output.display(),
            size(self.content_length),
            Duration::from_millis(u64::try_from(self.duration_ms).unwrap_or(u64::MAX)).as_secs_f64(),
            size(self.bytes_from.peers),
            size(self.bytes_from.local),
        )
    }
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let begun = Instant::now();
    // Before anything is asked of anyone.
    let mut part = Part::begin(&args.output, args.overwrite).map_err(failed)?;
    let mut local = Local::connect(&args.of.socket).await?;
    let name = args
        .output
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let progress = Progress::start(&name, !args.no_progress);
    let received = fetch(args, &mut local, &mut part, &progress).await?;
    drop(progress);
    if let Some(digest) = args.digest.clone() {
        let content = part.content().map_err(failed)?;
        let verified = tokio::task::spawn_blocking(move || verify::verify(&content, &digest)).await;
        verified.map_err(failed)?.map_err(failed)?;
    }
    part.finish(args.overwrite).map_err(failed)?;
    Ok(Report {
        task_id: args.id.clone(),
        output: args.output.clone(),
        content_length: received.length,
        duration_ms: begun.elapsed().as_millis(),
        bytes_from: received.traffic,
    })
}

/// Where the daemon runs as this user it may write the file, and needs not copy its blocks where the file system can share them.
async fn fetch(args: &Args, local: &mut Local, part: &mut Part, progress: &Progress) -> Result<Received, Failure> {
    let may_write = async || !args.transfer_from_dfdaemon && runs_as_us(&args.of.socket).await;
    if args.force_hard_link || may_write().await {
        let way = Way::File(part.delivery().map_err(failed)?);
        match attempt(args, local, (part, way), progress).await {
            Ok(received) if part.take_delivery(received.length).map_err(failed)? => return Ok(received),
            Ok(_) if args.force_hard_link => {
                return Err(Failure::new(
                    "dfdaemon linked its cache to a path that is not the same here; leave --force-hard-link out",
                ));
            }
            // It sees other files than we do, in a container say, or may not write here. It has the pieces now.
            Ok(_) => {}
            Err(Broken::Status(status)) if !args.force_hard_link && may_be_the_path(&status) => {}
            Err(broken) => return Err(broken.told(args)),
        }
        progress.restart();
    }
    let came = attempt(args, local, (part, Way::Socket), progress).await;
    came.map_err(|broken| broken.told(args))
}

/// Whether it may have failed only because the daemon can't write where we asked.
fn may_be_the_path(status: &Status) -> bool {
    let code = matches!(
        status.code(),
        Code::PermissionDenied | Code::InvalidArgument | Code::Internal
    );
    code && std::error::Error::source(status).is_none()
}

/// Why an attempt did not bring the content.
enum Broken {
    Status(Status),
    Here(Failure),
}

impl Broken {
    fn told(self, args: &Args) -> Failure {
        match self {
            Broken::Status(status) => refused(&args.id, &status),
            Broken::Here(failure) => failure,
        }
    }
}

async fn attempt(
    args: &Args,
    local: &mut Local,
    (part, way): (&Part, Way),
    progress: &Progress,
) -> Result<Received, Broken> {
    let (output_path, need_piece_content) = match &way {
        Way::Socket => (None, true),
        Way::File(path) => (Some(path.to_string_lossy().into_owned()), false),
    };
    let request = DownloadPersistentCacheTaskRequest {
        task_id: args.id.clone(),
        output_path,
        need_piece_content,
        force_hard_link: args.force_hard_link,
        application: args.application.clone(),
        tag: args.tag.clone(),
        timeout: Some(dragonfly_api::duration(args.timeout)),
        // The delivery's name is ours; one that a killed dfcache left there is of no value.
        overwrite: true,
        ..DownloadPersistentCacheTaskRequest::default()
    };
    let answer = local.dfdaemon.download_persistent_cache_task(request).await;
    let mut answers = answer.map_err(Broken::Status)?.into_inner();
    let (mut landed, mut expected) = (Landed::default(), None);
    while let Some(answer) = answers.message().await.map_err(Broken::Status)? {
        match answer.response {
            Some(Response::DownloadPersistentCacheTaskStartedResponse(started)) => {
                expected = Some(started.content_length);
                progress.expect(started.content_length);
            }
            Some(Response::DownloadPieceFinishedResponse(finished)) => {
                let Some(mut piece) = finished.piece else { continue };
                if need_piece_content && !write(part, &mut piece).await? {
                    continue;
                }
                if landed.note(&piece) {
                    progress.advance(piece.length);
                }
            }
            None => {}
        }
    }
    match landed.length() {
        Some(length) if expected == Some(length) => Ok(Received {
            length,
            traffic: landed.traffic(),
        }),
        _ => Err(Broken::Here(Failure::new(format!(
            "{}: dfdaemon ended before all was there; run the same command again",
            args.id
        )))),
    }
}

/// Whether the piece's bytes came along.
async fn write(part: &Part, piece: &mut Piece) -> Result<bool, Broken> {
    let content = piece
        .content
        .take()
        .filter(|content| content.len() as u64 == piece.length);
    let Some(content) = content else {
        return Ok(false);
    };
    let written = part.write_at(piece.offset, content).await;
    written.map_err(|error| Broken::Here(failed(error)))?;
    Ok(true)
}

fn failed<E: std::error::Error + 'static>(error: E) -> Failure {
    Failure::of(&error, exit::FAILURE)
}
