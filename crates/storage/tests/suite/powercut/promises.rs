//! What a storage owes to whoever used it until the power went, and whether it pays.

use super::workload::{Content, LENGTH, Saying, kept};
use crate::support::{PIECE, content};
use dragonfly_model::PieceNumber;
use dragonfly_storage::{Pin, Storage};
use std::collections::{BTreeMap, BTreeSet};

/// What may not be lost of a content.
#[derive(Debug, Clone, Default, Hash)]
struct Owed {
    finished: bool,
    pieces: BTreeSet<u32>,
    kept: bool,
}

/// What was said until the power went.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Promises {
    /// Contents that were begun and may be there.
    begun: BTreeSet<(u32, u32)>,
    /// Contents that may not be there any more.
    ended: BTreeSet<(u32, u32)>,
    /// Acknowledged, and not necessarily on the disk.
    acknowledged: BTreeMap<(u32, u32), Owed>,
    /// Promised to outlive a power cut.
    durable: BTreeMap<(u32, u32), Owed>,
}

impl Promises {
    pub(super) fn hear(&mut self, saying: Saying) {
        let key = |content: Content| (content.task, content.seed);
        match saying {
            Saying::Begins(content) => {
                self.begun.insert(key(content));
                self.acknowledged.entry(key(content)).or_default();
            }
            Saying::Piece(content, number) => {
                let owed = self.acknowledged.entry(key(content)).or_default();
                owed.pieces.insert(number);
            }
            Saying::Finished(content) => self.acknowledged.entry(key(content)).or_default().finished = true,
            Saying::Kept(content) => {
                let mut owed = self.acknowledged.get(&key(content)).cloned().unwrap_or_default();
                owed.kept = true;
                self.durable.insert(key(content), owed);
            }
            Saying::Ends(content) => {
                self.acknowledged.remove(&key(content));
                self.durable.remove(&key(content));
            }
            Saying::Ended(content) => {
                self.ended.insert(key(content));
            }
            // The bytes of what is unfinished may be lost, and their pieces with them.
            Saying::Flushed => self.promise(|owed| owed.finished),
            Saying::Closed => self.promise(|_| true),
        }
    }

    fn promise(&mut self, which: impl Fn(&Owed) -> bool) {
        for (content, owed) in self.acknowledged.iter().filter(|(_, owed)| which(owed)) {
            let kept = self.durable.get(content).is_some_and(|durable| durable.kept);
            self.durable.insert(*content, Owed { kept, ..owed.clone() });
        }
    }

    /// What is wrong with a storage that was opened after the power came back.
    pub(super) async fn broken_by(&self, storage: &Storage) -> Option<String> {
        let mut found = BTreeMap::new();
        for record in storage.list() {
            let known = self.begun.iter().map(|(task, seed)| Content {
                task: *task,
                seed: *seed,
            });
            let Some(content) = known.into_iter().find(|c| c.id() == record.id && c.url() == record.url) else {
                return Some(format!("{record:?} was never begun"));
            };
            let Some(pin) = storage.pin(&record.id) else {
                if record.is_quarantined() {
                    continue;
                }
                return Some(format!("{content:?} is listed and can't be had"));
            };
            if self.ended.contains(&(content.task, content.seed)) {
                return Some(format!("{content:?} was removed or quarantined and is back"));
            }
            if let Some(lie) = lie(&pin, content).await {
                return Some(lie);
            }
            found.insert((content.task, content.seed), pin);
        }
        let lost = |(content, owed): (&(u32, u32), &Owed)| {
            let lost = match found.get(content) {
                Some(pin) => owed.lost_in(pin),
                None => Some("all of it".to_owned()),
            };
            lost.map(|lost| format!("{content:?} lost {lost}"))
        };
        self.durable.iter().find_map(lost)
    }
}

impl Owed {
    fn lost_in(&self, pin: &Pin) -> Option<String> {
        let record = pin.record();
        if self.finished && !record.is_finished() {
            return Some("its end".to_owned());
        }
        if self.kept && record.policy != kept() {
            return Some("its policy".to_owned());
        }
        let present = pin.pieces();
        let lost = self
            .pieces
            .iter()
            .find(|number| !present.contains(PieceNumber(**number)))?;
        Some(format!("piece {lost}"))
    }
}

/// What a task claims and doesn't have.
async fn lie(pin: &Pin, of: Content) -> Option<String> {
    for number in pin.pieces().iter() {
        let piece = pin.piece(number).unwrap();
        let begin = u64::from(number.0) * PIECE;
        let expected = content(of.seed, begin, PIECE.min(LENGTH - begin));
        let bytes = pin.read(piece.span.offset, expected.len()).await;
        if piece.span.length != expected.len() as u64 || bytes.ok().as_ref() != Some(&expected) {
            return Some(format!("{of:?} claims piece {}", number.0));
        }
    }
    let whole = pin.pieces().len() == 4 && pin.content_length() == Some(LENGTH);
    (pin.record().is_finished() && !whole).then(|| format!("{of:?} claims to be whole"))
}
