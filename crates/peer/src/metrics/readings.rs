//! What is not counted here, but known elsewhere and looked up when somebody asks.

use dragonfly_service::Metrics as Registry;
use dragonfly_service::metrics::Reading;
use dragonfly_storage::Storage;
use dragonfly_transfer::{RateLimit, ServerStats};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where it is known.
pub(crate) struct Readings {
    pub(crate) storage: Storage,
    /// A directory on the file system of the storage.
    pub(crate) dir: PathBuf,
    pub(crate) pieces: Arc<ServerStats>,
    pub(crate) download_limit: RateLimit,
    pub(crate) source_limit: RateLimit,
    pub(crate) upload_limit: RateLimit,
}

impl Readings {
    /// Shows all of it.
    pub(crate) fn show(self, registry: &Registry) {
        let client = &super::client(registry);
        Self::show_disk(client, self.storage, self.dir);
        Self::show_uploads(client, &self.pieces);
        for (name, help, limit) in [
            (
                "download_wait_seconds",
                "Seconds that pieces waited for the limit of what may come from peers",
                self.download_limit,
            ),
            (
                "source_wait_seconds",
                "Seconds that bytes waited for the limit of what may come from origins",
                self.source_limit,
            ),
            (
                "upload_wait_seconds",
                "Seconds that pieces waited for the limit of what may go to peers",
                self.upload_limit,
            ),
        ] {
            client.register(name, help, Reading::counter(move || limit.waited().as_secs_f64()));
        }
    }

    fn show_disk(client: &Registry, storage: Storage, dir: PathBuf) {
        let tasks = storage.clone();
        client.register(
            "storage_tasks",
            "Tasks on the disk",
            Reading::gauge(move || tasks.usage().tasks as u64),
        );
        client.register(
            "storage_bytes",
            "Bytes of content on the disk",
            Reading::gauge(move || storage.usage().content_bytes),
        );
        let used = dir.clone();
        client.register(
            "disk_space_total",
            "Bytes of the file system that holds the content",
            Reading::gauge(move || space(&dir).map_or(0, |(total, _)| total)),
        );
        client.register(
            "disk_usage_space_total",
            "Bytes of that file system that are in use, whoever uses them",
            Reading::gauge(move || space(&used).map_or(0, |(_, used)| used)),
        );
    }

    /// The piece server's own counts.
    fn show_uploads(client: &Registry, stats: &Arc<ServerStats>) {
        // Like the traffic that comes in, a gauge by upstream's name.
        client.register(
            "upload_traffic",
            "Bytes sent to other peers; only grows",
            Reading::gauge(of(stats, |stats| &stats.bytes)),
        );
        client.register(
            "concurrent_upload_piece_total",
            "Pieces that are being sent to other peers",
            Reading::gauge(of(stats, |stats| &stats.sending)),
        );
        let count = |name, help, read| client.register(name, help, Reading::counter(of(stats, read)));
        count("upload_piece", "Pieces sent whole to other peers", |stats| {
            &stats.pieces
        });
        count(
            "upload_piece_not_found",
            "Pieces that other peers asked for and that are not here",
            |stats| &stats.not_found,
        );
        count(
            "upload_failure",
            "Connections for pieces that ended in an error",
            |stats| &stats.failed,
        );
        count(
            "upload_refused_busy",
            "Connections for pieces that were refused because a limit was reached",
            |stats| &stats.refused_busy,
        );
        count(
            "upload_refused_stranger",
            "Connections for pieces that were refused because their host is not of the cluster",
            |stats| &stats.refused_address,
        );
    }
}

fn of(stats: &Arc<ServerStats>, read: fn(&ServerStats) -> &AtomicU64) -> impl Fn() -> u64 + Send + Sync + 'static {
    let stats = stats.clone();
    move || read(&stats).load(Ordering::Relaxed)
}

/// All bytes of a file system, and those in use.
fn space(dir: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    Some((total, total.saturating_sub(stat.f_bfree.saturating_mul(stat.f_frsize))))
}
