//! The power goes at every moment of a recorded life of the storage, and whatever the disk may hold then is opened.
//!
//! What must hold: it opens; no piece is claimed that isn't there, nor a content that was ended; nothing is lost that
//! was promised to outlive a power cut (finished before a flush, or there before a close).

mod disk;
mod promises;
mod recording;
mod workload;

use disk::{Op, Tree};
use dragonfly_storage::Storage;
use dragonfly_testkit::packages;
use promises::Promises;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use workload::Saying;

/// How many violations are told of.
const TOLD: usize = 10;

#[test]
fn whatever_a_power_cut_leaves_is_opened_and_true() {
    packages::require(&[packages::STRACE]).unwrap();
    let base = tempfile::tempdir().unwrap();
    let ops = recording::record("powercut::workload::everyday", base.path());
    assert_eq!(disk::after(&ops).differences(base.path()), Vec::<String>::new());

    let cuts = Cuts::new(&ops);
    let workers = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| cuts.work());
        }
    });
    println!(
        "{} operations, {} different states after a power cut",
        ops.len(),
        cuts.seen.lock().unwrap().len(),
    );
    let violations = cuts.violations.into_inner().unwrap();
    assert!(
        violations.is_empty(),
        "{} violations: {violations:#?}",
        violations.len()
    );
}

/// The crash points, which the workers take one after the other.
struct Cuts<'a> {
    ops: &'a [Op],
    /// What was promised before each operation, and after the last.
    promises: Vec<Promises>,
    next: AtomicUsize,
    seen: Mutex<HashSet<u64>>,
    violations: Mutex<Vec<String>>,
}

impl<'a> Cuts<'a> {
    fn new(ops: &'a [Op]) -> Self {
        let mut promises = vec![Promises::default()];
        for op in ops {
            let mut next = promises.last().unwrap().clone();
            if let Op::Say(words) = op {
                next.hear(Saying::parse(words));
            }
            promises.push(next);
        }
        Self {
            ops,
            promises,
            next: AtomicUsize::new(0),
            seen: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    fn work(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        loop {
            let count = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(promises) = self.promises.get(count) else {
                return;
            };
            for state in disk::after_a_power_cut(self.ops, count) {
                if !self.is_new(&state.tree, promises) {
                    continue;
                }
                if let Some(violation) = runtime.block_on(violation(&state.tree, promises)) {
                    let mut violations = self.violations.lock().unwrap();
                    let story = state.story(self.ops);
                    violations.push(format!("after operation {count} {violation}; {story}"));
                    if violations.len() >= TOLD {
                        return;
                    }
                }
            }
        }
    }

    fn is_new(&self, state: &Tree, promises: &Promises) -> bool {
        let mut hasher = DefaultHasher::new();
        (state.fingerprint(), promises).hash(&mut hasher);
        self.seen.lock().unwrap().insert(hasher.finish())
    }
}

/// What is wrong with the storage that is opened in this state of the disk.
async fn violation(state: &Tree, promises: &Promises) -> Option<String> {
    let base = scratch();
    state.write_to(base.path());
    if let Some(violation) = opened(base.path(), promises).await {
        return Some(violation);
    }
    // What was repaired stays repaired.
    opened(base.path(), promises)
        .await
        .map(|violation| format!("opened again: {violation}"))
}

async fn opened(base: &Path, promises: &Promises) -> Option<String> {
    match Storage::open(workload::config_of(base)).await {
        Ok((storage, _)) => promises.broken_by(&storage).await,
        Err(error) => Some(format!("it does not open: {error:?}")),
    }
}

/// A directory in memory where the system has one: syncing is no part of what is tried.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}
