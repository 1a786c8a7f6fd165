//! What is recorded: a storage that is filled, emptied, abandoned and opened again, and tells what it was promised.

use super::recording::SAYING;
use crate::support::*;
use dragonfly_model::{Policy, Replica, TaskId, TrafficType};
use dragonfly_storage::{Config, NewTask, Pin, Storage};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Every content is three full pieces and this many bytes.
const REST: u64 = 321;
pub(super) const LENGTH: u64 = 3 * PIECE + REST;

/// One content under one id. A task that is begun anew gets other bytes, so that nobody can mistake them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) task: u32,
    pub(super) seed: u32,
}

impl Content {
    pub(super) fn id(self) -> TaskId {
        id(self.task)
    }

    pub(super) fn url(self) -> String {
        format!("http://origin.example/{}", self.seed)
    }
}

/// What the recorded process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saying {
    /// The task is about to be made.
    Begins(Content),
    /// The piece is there.
    Piece(Content, u32),
    /// The content is whole and was put on the disk.
    Finished(Content),
    /// That it is whole and kept was put on the disk.
    Kept(Content),
    /// It is about to be removed or quarantined.
    Ends(Content),
    /// It is gone.
    Ended(Content),
    /// All records were put on the disk.
    Flushed,
    /// Everything was put on the disk.
    Closed,
}

impl Saying {
    fn say(self) {
        let words = match self {
            Self::Begins(content) => format!("begins {} {} 0", content.task, content.seed),
            Self::Piece(content, number) => format!("piece {} {} {number}", content.task, content.seed),
            Self::Finished(content) => format!("finished {} {} 0", content.task, content.seed),
            Self::Kept(content) => format!("kept {} {} 0", content.task, content.seed),
            Self::Ends(content) => format!("ends {} {} 0", content.task, content.seed),
            Self::Ended(content) => format!("ended {} {} 0", content.task, content.seed),
            Self::Flushed => "flushed 0 0 0".to_owned(),
            Self::Closed => "closed 0 0 0".to_owned(),
        };
        // One write, which strace hears after everything that was done before.
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{SAYING}{words}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }

    pub(super) fn parse(words: &str) -> Self {
        let words: Vec<&str> = words.split(' ').collect();
        let number = |at: usize| words[at].parse().unwrap();
        let content = Content {
            task: number(1),
            seed: number(2),
        };
        match words[0] {
            "begins" => Self::Begins(content),
            "piece" => Self::Piece(content, number(3)),
            "finished" => Self::Finished(content),
            "kept" => Self::Kept(content),
            "ends" => Self::Ends(content),
            "ended" => Self::Ended(content),
            "flushed" => Self::Flushed,
            "closed" => Self::Closed,
            word => panic!("{word} is nothing that the workload says"),
        }
    }
}

fn directory() -> Option<PathBuf> {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).unwrap();
    let dir = PathBuf::from(dir.trim_end());
    (!dir.as_os_str().is_empty()).then_some(dir)
}

/// The policy of what is kept.
pub(super) fn kept() -> Policy {
    Policy::PersistentCache(Replica {
        peer: "10.0.0.1-node-x".parse().unwrap(),
        obliged: true,
        ends_at: SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000),
    })
}

#[tokio::test]
#[ignore = "is the process that whatever_a_power_cut_leaves_is_opened_and_true records"]
async fn everyday() {
    let Some(dir) = directory() else {
        return;
    };
    let content = |task, seed| Content { task, seed };
    // The last piece first: the file has its full length long before it is whole.
    let (storage, _) = open(&dir).await;
    put_pieces(&storage, content(1, 1), &[3, 0, 2, 1]).await;
    flush(&storage).await;
    put_pieces(&storage, content(2, 2), &[1]).await;
    // The same task again, in a file of the same name.
    remove(&storage, content(1, 1)).await;
    put_pieces(&storage, content(1, 3), &[3, 0]).await;
    quarantine(&storage, content(1, 3)).await;
    put_pieces(&storage, content(1, 4), &[3, 2, 1, 0]).await;
    storage.pin(&id(1)).unwrap().set_policy(kept()).unwrap();
    flush(&storage).await;
    Saying::Kept(content(1, 4)).say();
    drop(storage);

    // It was not closed: everything unfinished is checked, and goes on.
    let (storage, _) = open(&dir).await;
    put_pieces(&storage, content(2, 2), &[0, 2, 3]).await;
    quarantine(&storage, content(2, 2)).await;
    put_unknown(&storage, content(3, 5)).await;
    put_kept(&storage, content(5, 8)).await;
    put_pieces(&storage, content(4, 6), &[2, 3]).await;
    close(storage).await;

    let (storage, _) = open(&dir).await;
    put_pieces(&storage, content(4, 6), &[0]).await;
    remove(&storage, content(3, 5)).await;
    close(storage).await;

    for gone in [content(1, 4), content(4, 6), content(5, 8)] {
        Saying::Ends(gone).say();
    }
    let anew = Config {
        keep: false,
        ..config(&dir)
    };
    let (storage, _) = Storage::open(anew).await.unwrap();
    put_pieces(&storage, content(1, 7), &[3, 0, 1, 2]).await;
    close(storage).await;
}

fn new(content: Content, length: Option<u64>) -> NewTask {
    NewTask {
        url: content.url(),
        ..new_task(PIECE, length)
    }
}

async fn put_piece(pin: &Pin, content: Content, number: u32) {
    put(pin, content.seed, number).await;
    Saying::Piece(content, number).say();
}

/// Writes these pieces, and finishes the task if it is whole then.
async fn put_pieces(storage: &Storage, content: Content, numbers: &[u32]) {
    Saying::Begins(content).say();
    let pin = storage
        .pin_or_create(&content.id(), new(content, Some(LENGTH)))
        .unwrap();
    for number in numbers {
        put_piece(&pin, content, *number).await;
    }
    if pin.pieces().len() == 4 {
        pin.finish().await.unwrap();
        Saying::Finished(content).say();
    }
}

/// A content that this host must keep: that it is whole is on the disk as soon as it is said.
async fn put_kept(storage: &Storage, content: Content) {
    Saying::Begins(content).say();
    let task = NewTask {
        policy: kept(),
        ..new(content, Some(LENGTH))
    };
    let pin = storage.pin_or_create(&content.id(), task).unwrap();
    for number in 0..4 {
        put_piece(&pin, content, number).await;
    }
    pin.finish().await.unwrap();
    Saying::Finished(content).say();
    Saying::Kept(content).say();
}

/// A content whose length shows at its end.
async fn put_unknown(storage: &Storage, content: Content) {
    Saying::Begins(content).say();
    let pin = storage.pin_or_create(&content.id(), new(content, None)).unwrap();
    for number in 0..3 {
        put_piece(&pin, content, number).await;
    }
    let last = span(&pin, 3);
    let mut writer = pin.begin_piece(last, TrafficType::BackToSource, None).unwrap();
    let bytes = crate::support::content(content.seed, last.offset, REST);
    writer.write(bytes).await.unwrap();
    writer.commit_as_last().await.unwrap();
    Saying::Piece(content, 3).say();
    pin.finish().await.unwrap();
    Saying::Finished(content).say();
}

async fn remove(storage: &Storage, content: Content) {
    Saying::Ends(content).say();
    assert!(storage.remove(&content.id()).await.unwrap());
    Saying::Ended(content).say();
}

async fn quarantine(storage: &Storage, content: Content) {
    Saying::Ends(content).say();
    let pin = storage.pin(&content.id()).unwrap();
    pin.quarantine("its digest is another").await.unwrap();
    Saying::Ended(content).say();
}

async fn flush(storage: &Storage) {
    storage.flush().await.unwrap();
    Saying::Flushed.say();
}

async fn close(storage: Storage) {
    storage.close().await.unwrap();
    Saying::Closed.say();
}

/// Opens the recorded directory.
pub(super) fn config_of(dir: &Path) -> Config {
    config(dir)
}
