//! Removal, quarantine, opening again, and what is found then.

use crate::support::*;
use dragonfly_model::{PieceNumber, TrafficType};
use dragonfly_storage::{BeginError, Config, Error, Export, Soundness, Storage, TaskState};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn content_path(dir: &Path, number: u32) -> PathBuf {
    dir.join("storage/content/000").join(id(number).as_str())
}

/// Opened, filled with one task, and dropped without being closed, as after a crash.
async fn crashed_with(dir: &Path, pieces: u32, of: u32) {
    let (storage, _) = open(dir).await;
    let pin = storage
        .pin_or_create(&id(1), new_task(PIECE, Some(u64::from(of) * PIECE)))
        .unwrap();
    for number in 0..pieces {
        put(&pin, 1, number).await;
    }
    if pieces == of {
        pin.finish().await.unwrap();
    }
}

#[tokio::test]
async fn a_removed_task_is_unlisted_at_once_and_its_bytes_go_with_the_last_pin() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    put_all(&pin, 1).await;
    let other = storage.pin(&id(1)).unwrap();
    assert!(storage.remove(&id(1)).await.unwrap());
    assert!(!storage.remove(&id(1)).await.unwrap());
    assert!(storage.list().is_empty());
    assert!(storage.pin(&id(1)).is_none());
    assert!(!content_path(dir.path(), 1).exists());
    drop(pin);
    assert!(other.is_gone());
    assert_eq!(read_all(&other).await, content(1, 0, 2 * PIECE));

    // A new task of the same name is another content.
    let again = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&again, 2).await;
    assert_eq!(read_all(&other).await, content(1, 0, 2 * PIECE));
    assert_eq!(read_all(&again).await, content(2, 0, PIECE));
    assert_eq!(other.content_file().metadata().unwrap().nlink(), 0);
}

#[tokio::test]
async fn a_task_that_is_removed_under_way_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    let mut writer = begin(&pin, 0);
    writer.write(content(1, 0, PIECE)).await.unwrap();
    storage.remove(&id(1)).await.unwrap();
    assert!(matches!(writer.commit(None).await, Err(Error::Gone)));
    let begun = pin.begin_piece(span(&pin, 1), TrafficType::BackToSource, None);
    assert!(matches!(begun, Err(BeginError::Gone)));
    assert!(matches!(pin.set_content_length(2 * PIECE), Err(Error::Gone)));
    drop((pin, storage));
    let (storage, recovery) = open(dir.path()).await;
    assert!(storage.list().is_empty());
    assert_eq!((recovery.pieces_dropped, recovery.files_removed), (0, 0));
}

#[tokio::test]
async fn a_quarantined_content_is_never_served_again() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    put(&pin, 1, 0).await;
    let mut writer = begin(&pin, 1);
    writer.write(content(1, PIECE, PIECE)).await.unwrap();
    let mut changes = pin.changes();
    changes.mark_unchanged();
    pin.quarantine("its digest is another").await.unwrap();

    changes.changed().await.unwrap();
    let TaskState::Quarantined { reason, .. } = pin.record().state else {
        panic!("{:?}", pin.record());
    };
    assert_eq!(reason, "its digest is another");
    assert!(matches!(pin.read(0, 1).await, Err(Error::Quarantined { .. })));
    assert!(matches!(writer.commit(None).await, Err(Error::Quarantined { .. })));
    assert!(matches!(pin.finish().await, Err(Error::Quarantined { .. })));
    assert!(pin.pieces().is_empty() && pin.piece(PieceNumber(0)).is_none());
    assert!(storage.pin(&id(1)).is_none());
    assert!(!content_path(dir.path(), 1).exists());
    assert_eq!(storage.usage().content_bytes, 0);

    // Nor after a restart.
    drop((pin, storage));
    let (storage, _) = open(dir.path()).await;
    assert!(storage.pin(&id(1)).is_none());
    assert!(storage.list()[0].is_quarantined());

    // It may be fetched afresh.
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    assert!(pin.pieces().is_empty());
    put_all(&pin, 2).await;
    assert!(storage.pin(&id(1)).unwrap().record().is_finished());
}

#[tokio::test]
async fn one_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let second = Storage::open(config(dir.path())).await.map(|_| ()).unwrap_err();
    assert!(matches!(second, Error::InUse { .. }));
    assert!(second.to_string().contains("storage"), "{second}");
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, None)).unwrap();
    drop(storage);
    // The pin still holds it.
    assert!(matches!(
        Storage::open(config(dir.path())).await,
        Err(Error::InUse { .. })
    ));
    drop(pin);
    open(dir.path()).await;
}

#[tokio::test]
async fn what_was_closed_is_trusted_and_what_was_not_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 3, 5).await;
    let (storage, recovery) = open(dir.path()).await;
    assert!(!recovery.clean);
    assert_eq!((recovery.pieces_checked, recovery.pieces_dropped), (3, 0));
    assert_eq!(storage.pin(&id(1)).unwrap().pieces().len(), 3);
    storage.close().await.unwrap();
    drop(storage);

    let (storage, recovery) = open(dir.path()).await;
    assert!(recovery.clean);
    assert_eq!((recovery.tasks, recovery.pieces_checked), (1, 0));
    assert_eq!(storage.pin(&id(1)).unwrap().pieces().len(), 3);
    // The mark holds for one start only.
    drop(storage);
    assert!(!open(dir.path()).await.1.clean);
}

#[tokio::test]
async fn a_closed_storage_records_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(2 * PIECE))).unwrap();
    put(&pin, 1, 0).await;
    let mut writer = begin(&pin, 1);
    writer.write(content(1, PIECE, PIECE)).await.unwrap();
    storage.close().await.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(writer.commit(None).await, Err(Error::Closed)));
    assert!(matches!(storage.remove(&id(1)).await, Err(Error::Closed)));
    let created = storage.pin_or_create(&id(2), new_task(PIECE, None));
    assert!(matches!(created, Err(Error::Closed)));
    assert_eq!(pin.read(0, 10).await.unwrap(), content(1, 0, 10));
}

#[tokio::test]
async fn a_piece_that_was_torn_is_forgotten_and_only_that() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 4, 5).await;
    let file = std::fs::File::options()
        .write(true)
        .open(content_path(dir.path(), 1))
        .unwrap();
    file.write_all_at(&[0xff; 3], PIECE + 10).unwrap();
    file.set_len(4 * PIECE - 1).unwrap();

    let (storage, recovery) = open(dir.path()).await;
    assert_eq!((recovery.pieces_checked, recovery.pieces_dropped), (4, 2));
    let pin = storage.pin(&id(1)).unwrap();
    let present: Vec<u32> = pin.pieces().iter().map(|n| n.0).collect();
    assert_eq!(present, [0, 2]);
    put_all_missing(&pin).await;
    assert_eq!(read_all(&pin).await, content(1, 0, 5 * PIECE));
    drop((pin, storage));
    // What was dropped stays dropped or is there anew: the next start agrees with this one.
    let (_, recovery) = open(dir.path()).await;
    assert_eq!((recovery.pieces_checked, recovery.pieces_dropped), (0, 0));
}

async fn put_all_missing(pin: &dragonfly_storage::Pin) {
    let missing: Vec<_> = pin.pieces().missing_in(pin.layout().unwrap(), None).collect();
    for span in missing {
        put(pin, 1, span.number.0).await;
    }
    pin.finish().await.unwrap();
}

#[tokio::test]
async fn a_finished_content_that_lost_bytes_is_partial_again() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 5, 5).await;
    let file = std::fs::File::options()
        .write(true)
        .open(content_path(dir.path(), 1))
        .unwrap();
    file.set_len(3 * PIECE + 1).unwrap();
    let (storage, recovery) = open(dir.path()).await;
    assert_eq!((recovery.pieces_checked, recovery.pieces_dropped), (5, 2));
    let pin = storage.pin(&id(1)).unwrap();
    assert_eq!(pin.record().state, TaskState::Partial);
    put_all_missing(&pin).await;
    assert_eq!(read_all(&pin).await, content(1, 0, 5 * PIECE));
}

#[tokio::test]
async fn a_content_removed_by_hand_is_forgotten_when_it_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 2, 2).await;
    std::fs::remove_file(content_path(dir.path(), 1)).unwrap();
    let (storage, recovery) = open(dir.path()).await;
    assert_eq!((recovery.tasks, recovery.tasks_dropped), (0, 1));

    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&pin, 1).await;
    drop(pin);
    std::fs::remove_file(content_path(dir.path(), 1)).unwrap();
    assert!(storage.pin(&id(1)).is_none());
    assert!(storage.list().is_empty());
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&pin, 1).await;
}

#[tokio::test]
async fn files_of_no_task_are_removed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 1, 2).await;
    std::fs::write(content_path(dir.path(), 2), "orphan").unwrap();
    std::fs::create_dir(dir.path().join("storage/content/fff")).unwrap();
    std::fs::write(dir.path().join("storage/content/fff/x"), "orphan").unwrap();
    let (storage, recovery) = open(dir.path()).await;
    assert_eq!(recovery.files_removed, 2);
    assert!(!content_path(dir.path(), 2).exists());
    assert!(storage.pin(&id(1)).is_some());
}

#[tokio::test]
async fn without_keep_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 2, 2).await;
    let config = Config {
        keep: false,
        ..config(dir.path())
    };
    let (storage, recovery) = Storage::open(config).await.unwrap();
    assert_eq!(recovery.tasks, 0);
    assert!(storage.list().is_empty());
    assert!(!content_path(dir.path(), 1).exists());
}

#[tokio::test]
async fn a_directory_of_an_unknown_format_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 2, 2).await;
    std::fs::write(dir.path().join("storage/format"), "7\n").unwrap();
    let error = Storage::open(config(dir.path())).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Version { found, known: 1, .. } if found == "7"));
    assert!(error.to_string().contains("keep=false"), "{error}");
    assert!(content_path(dir.path(), 1).exists());
}

#[tokio::test]
async fn another_programs_cache_in_the_directory_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("storage/content/tasks/abc");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::create_dir_all(dir.path().join("storage/metadata")).unwrap();
    std::fs::write(foreign.join("x"), "x").unwrap();
    std::fs::write(dir.path().join("storage/metadata/CURRENT"), "MANIFEST-000005").unwrap();
    std::fs::write(dir.path().join("storage/unrelated"), "mine").unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&pin, 1).await;
    assert!(!foreign.exists());
    assert_eq!(
        std::fs::read_to_string(dir.path().join("storage/unrelated")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn damage_in_the_journal_costs_no_record_before_it() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 4, 5).await;
    // In the last record, which is the fourth piece's.
    let journal = journals(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap();
    bytes[end - 20] ^= 0x55;
    std::fs::write(&journal, bytes).unwrap();

    let (storage, recovery) = open(dir.path()).await;
    // Whether the store notices or takes it for the end.
    assert_ne!(recovery.metadata, Soundness::Lost);
    let pin = storage.pin(&id(1)).unwrap();
    assert_eq!(pin.pieces().iter().map(|n| n.0).collect::<Vec<_>>(), [0, 1, 2]);
    put_all_missing(&pin).await;
    assert_eq!(read_all(&pin).await, content(1, 0, 5 * PIECE));
}

fn journals(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir.join("storage/metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jnl"))
        .collect()
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    crashed_with(dir.path(), 1, 2).await;
    // The last thing that a first start writes.
    std::fs::remove_file(dir.path().join("storage/format")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("storage/metadata")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == "version" {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (storage, recovery) = open(dir.path()).await;
    assert_eq!(recovery.tasks, 0);
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&pin, 1).await;
}

#[tokio::test]
async fn when_a_task_was_used_outlives_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    let created = pin.record().used_at;
    while pin.record().used_at <= created {
        pin.touch();
    }
    let touched = pin.record().used_at;
    storage.flush().await.unwrap();
    // A change of the record doesn't set it back.
    put_all(&pin, 1).await;
    assert_eq!(pin.record().used_at, touched);
    drop((pin, storage));
    let (storage, _) = open(dir.path()).await;
    assert_eq!(storage.pin(&id(1)).unwrap().record().used_at, touched);
}

#[tokio::test]
async fn a_finished_content_is_delivered_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage
        .pin_or_create(&id(1), new_task(PIECE, Some(3 * PIECE + 7)))
        .unwrap();
    let to = dir.path().join("out");
    let early = pin.export(&to, Export::Copy, false).await;
    assert!(matches!(early, Err(Error::Incomplete { missing: 4 })));
    put_all(&pin, 1).await;

    for how in [Export::Copy, Export::Reflink, Export::HardLink] {
        let to = dir.path().join(format!("out-{how:?}"));
        pin.export(&to, how, false).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), content(1, 0, 3 * PIECE + 7), "{how:?}");
        let again = pin.export(&to, how, false).await;
        assert!(matches!(again, Err(Error::Exists { .. })), "{how:?}");
        std::fs::write(dir.path().join("old"), "old").unwrap();
        std::fs::rename(dir.path().join("old"), &to).unwrap();
        pin.export(&to, how, true).await.unwrap();
        pin.export(&to, how, true).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), content(1, 0, 3 * PIECE + 7), "{how:?}");
    }
    let leftovers: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("dragonfly-part"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    // A copy is its owner's to change; a hard link is the cache itself.
    let inode = |path: &Path| path.metadata().unwrap().ino();
    assert_eq!(
        inode(&dir.path().join("out-HardLink")),
        inode(&content_path(dir.path(), 1))
    );
    assert_ne!(
        inode(&dir.path().join("out-Reflink")),
        inode(&content_path(dir.path(), 1))
    );
}

#[tokio::test]
async fn a_failed_export_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(dir.path()).await;
    let pin = storage.pin_or_create(&id(1), new_task(PIECE, Some(PIECE))).unwrap();
    put_all(&pin, 1).await;
    let nowhere = dir.path().join("missing/out");
    assert!(matches!(
        pin.export(&nowhere, Export::Copy, false).await,
        Err(Error::Io { .. })
    ));
    let target = dir.path().join("target");
    std::fs::create_dir(&target).unwrap();
    assert!(pin.export(&target, Export::Copy, true).await.is_err());
    assert!(!dir.path().join(".target.dragonfly-part").exists());
    // Links at the destination are replaced, not followed.
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("link")).unwrap();
    assert!(matches!(
        pin.export(&dir.path().join("link"), Export::Copy, false).await,
        Err(Error::Exists { .. })
    ));
    pin.export(&dir.path().join("link"), Export::Copy, true).await.unwrap();
    assert!(!dir.path().join("elsewhere").exists());
}

#[tokio::test]
async fn an_unwritable_directory_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("storage"), "a file").unwrap();
    let error = Storage::open(config(dir.path())).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("storage"), "{error}");
    let mode = std::fs::metadata(dir.path().join("storage"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o170_000, 0o100_000);
}
