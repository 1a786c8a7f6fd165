//! Any sequence of operations leaves the storage as it leaves a few maps in memory.

use crate::support::*;
use dragonfly_model::{PieceLayout, PieceNumber, TrafficType};
use dragonfly_storage::{BeginError, Error, Pin, Storage};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TASKS: u32 = 3;
const PIECES: u32 = 4;
/// Length of every content in the end, though a task may not know it yet: the last piece is short.
const LENGTH: u64 = 3 * PIECE + 321;

#[derive(Debug, Clone)]
enum Op {
    Create { task: u32, length_known: bool },
    Write { task: u32, piece: u32, how: How },
    LearnLength { task: u32 },
    Finish { task: u32 },
    Remove { task: u32 },
    Quarantine { task: u32 },
    Restart { clean: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Whole,
    WrongChecksum,
    Short,
    Dropped,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct ModelTask {
    pieces: BTreeSet<u32>,
    length: Option<u64>,
    finished: bool,
    quarantined: bool,
    /// Which incarnation of the task this is: each has other bytes.
    seed: u32,
}

impl ModelTask {
    fn layout(&self) -> Option<PieceLayout> {
        PieceLayout::new(PIECE, self.length?)
    }

    fn bytes(&self) -> u64 {
        let length = |piece: &u32| {
            let full = u64::from(*piece) * PIECE + PIECE;
            full.min(LENGTH) - u64::from(*piece) * PIECE
        };
        self.pieces.iter().map(length).sum()
    }
}

struct World<'a> {
    dir: &'a Path,
    storage: Option<Storage>,
    model: BTreeMap<u32, ModelTask>,
    incarnations: u32,
}

fn op() -> impl Strategy<Value = Op> {
    let task = 0..TASKS;
    let how = prop_oneof![
        6 => Just(How::Whole),
        1 => Just(How::WrongChecksum),
        1 => Just(How::Short),
        1 => Just(How::Dropped),
    ];
    prop_oneof![
        3 => (task.clone(), any::<bool>()).prop_map(|(task, length_known)| Op::Create { task, length_known }),
        12 => (task.clone(), 0..PIECES, how).prop_map(|(task, piece, how)| Op::Write { task, piece, how }),
        1 => task.clone().prop_map(|task| Op::LearnLength { task }),
        2 => task.clone().prop_map(|task| Op::Finish { task }),
        1 => task.clone().prop_map(|task| Op::Remove { task }),
        1 => task.prop_map(|task| Op::Quarantine { task }),
        2 => any::<bool>().prop_map(|clean| Op::Restart { clean }),
    ]
}

impl World<'_> {
    fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    /// The pin of a task that can be used, which is there exactly if the model has it.
    fn pin(&self, task: u32) -> Option<Pin> {
        let pin = self.storage().pin(&id(task));
        let known = self.model.get(&task).is_some_and(|model| !model.quarantined);
        assert_eq!(pin.is_some(), known);
        pin
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Create { task, length_known } => self.create(task, length_known),
            Op::Write { task, piece, how } => self.write(task, piece, how).await,
            Op::LearnLength { task } => self.learn_length(task),
            Op::Finish { task } => self.finish(task).await,
            Op::Remove { task } => {
                let removed = self.storage().remove(&id(task)).await.unwrap();
                assert_eq!(removed, self.model.remove(&task).is_some());
            }
            Op::Quarantine { task } => {
                if let Some(pin) = self.pin(task) {
                    pin.quarantine("wrong").await.unwrap();
                    let seed = self.model[&task].seed;
                    let quarantined = ModelTask {
                        quarantined: true,
                        length: self.model[&task].length,
                        seed,
                        ..ModelTask::default()
                    };
                    self.model.insert(task, quarantined);
                }
            }
            Op::Restart { clean } => self.restart(clean).await,
        }
    }

    fn create(&mut self, task: u32, length_known: bool) {
        let length = length_known.then_some(LENGTH);
        drop(
            self.storage()
                .pin_or_create(&id(task), new_task(PIECE, length))
                .unwrap(),
        );
        if self.model.get(&task).is_none_or(|model| model.quarantined) {
            self.incarnations += 1;
            let fresh = ModelTask {
                length,
                seed: self.incarnations,
                ..ModelTask::default()
            };
            self.model.insert(task, fresh);
        }
    }

    async fn write(&mut self, task: u32, piece: u32, how: How) {
        let Some(pin) = self.pin(task) else {
            return;
        };
        let model = self.model.get_mut(&task).unwrap();
        let begun = pin.begin_piece(span(&pin, piece), TrafficType::BackToSource, None);
        if model.pieces.contains(&piece) {
            assert!(matches!(begun, Err(BeginError::Present)));
            return;
        }
        let mut writer = begun.unwrap();
        let is_last = piece == PIECES - 1;
        let begin = u64::from(piece) * PIECE;
        let whole = content(model.seed, begin, PIECE.min(LENGTH - begin));
        match how {
            How::Whole => {
                writer.write(whole.slice(..100)).await.unwrap();
                writer.write(whole.slice(100..)).await.unwrap();
                if is_last && model.length.is_none() {
                    writer.commit_as_last().await.unwrap();
                    model.length = Some(LENGTH);
                } else {
                    writer.commit(Some(crc32fast::hash(&whole))).await.unwrap();
                }
                model.pieces.insert(piece);
            }
            How::WrongChecksum if is_last && model.length.is_none() => drop(writer),
            How::WrongChecksum => {
                writer.write(whole.clone()).await.unwrap();
                let wrong = writer.commit(Some(!crc32fast::hash(&whole))).await;
                assert!(matches!(wrong, Err(Error::Crc { .. })));
            }
            How::Short => {
                writer.write(whole.slice(..10)).await.unwrap();
                assert!(matches!(writer.commit(None).await, Err(Error::Length { .. })));
            }
            How::Dropped => {
                writer.write(whole.slice(..10)).await.unwrap();
                drop(writer);
            }
        }
        until(&pin, |pin| pin.arriving(PieceNumber(piece)).is_none()).await;
    }

    fn learn_length(&mut self, task: u32) {
        if let Some(pin) = self.pin(task) {
            pin.set_content_length(LENGTH).unwrap();
            assert!(matches!(
                pin.set_content_length(LENGTH + 1),
                Err(Error::LengthConflict { .. })
            ));
            self.model.get_mut(&task).unwrap().length = Some(LENGTH);
        }
    }

    async fn finish(&mut self, task: u32) {
        let Some(pin) = self.pin(task) else {
            return;
        };
        let model = self.model.get_mut(&task).unwrap();
        let finished = pin.finish().await;
        match model.layout() {
            None => assert!(matches!(finished, Err(Error::LengthUnknown))),
            Some(layout) if model.pieces.len() == layout.count() as usize => {
                finished.unwrap();
                model.finished = true;
            }
            Some(_) => assert!(matches!(finished, Err(Error::Incomplete { .. }))),
        }
    }

    async fn restart(&mut self, clean: bool) {
        if clean {
            self.storage().close().await.unwrap();
        }
        self.storage = None;
        let (storage, recovery) = open(self.dir).await;
        assert_eq!(recovery.clean, clean);
        assert_eq!(recovery.tasks, self.model.len());
        assert_eq!((recovery.pieces_dropped, recovery.tasks_dropped), (0, 0));
        assert_eq!(recovery.files_removed, 0);
        self.storage = Some(storage);
    }

    async fn compare(&self) {
        let storage = self.storage();
        assert_eq!(storage.usage().tasks, self.model.len());
        let bytes: u64 = self.model.values().map(ModelTask::bytes).sum();
        assert_eq!(storage.usage().content_bytes, bytes);
        for record in storage.list() {
            let task = (0..TASKS).find(|n| id(*n) == record.id).unwrap();
            let model = &self.model[&task];
            assert_eq!(record.content_length, model.length);
            assert_eq!(record.is_finished(), model.finished);
            assert_eq!(record.is_quarantined(), model.quarantined);
        }
        for (task, model) in &self.model {
            let Some(pin) = self.pin(*task) else {
                continue;
            };
            let present: BTreeSet<u32> = pin.pieces().iter().map(|n| n.0).collect();
            assert_eq!(present, model.pieces);
            for piece in &present {
                let span = pin.piece(PieceNumber(*piece)).unwrap().span;
                let bytes = pin.read(span.offset, span.length as usize).await.unwrap();
                assert_eq!(bytes, content(model.seed, span.offset, span.length));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_storage_behaves_like_maps_in_memory(ops in proptest::collection::vec(op(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (storage, _) = open(dir.path()).await;
            let mut world = World { dir: dir.path(), storage: Some(storage), model: BTreeMap::new(), incarnations: 0 };
            for op in ops {
                world.apply(op).await;
                world.compare().await;
            }
        });
    }
}
