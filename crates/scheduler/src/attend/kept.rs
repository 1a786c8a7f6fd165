//! Telling the manager which tasks the cluster keeps: all of them first, then what changes.

use super::{Words, say};
use crate::grpc::told_task;
use crate::kept::{Kept, Key};
use dragonfly_api::ext::attend_request::Message as Word;
use dragonfly_api::ext::{Keeping, KeptTaskKey, KeptTasksReport};
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;
use tonic::Status;

/// Tasks in one message.
const PART: usize = 100;
/// How long changes are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// Tells until the stream breaks.
pub(super) async fn report(kept: &Kept, words: &Words) -> Result<Infallible, Status> {
    let mut changes = kept.changes();
    let mut told = HashMap::new();
    let mut whole = true;
    loop {
        changes.borrow_and_update();
        for part in parts(kept, &mut told, whole) {
            say(words, Word::KeptTasks(part)).await?;
        }
        whole = false;
        let changed = changes.changed().await;
        changed.map_err(|_| Status::unavailable("the ledger of kept tasks is closed"))?;
        tokio::time::sleep(GATHER).await;
    }
}

/// What is to be told, in parts; at least one if it is the whole.
fn parts(kept: &Kept, told: &mut HashMap<Key, u64>, whole: bool) -> Vec<KeptTasksReport> {
    let (changed, gone) = kept.news(told);
    let mut parts: Vec<KeptTasksReport> = changed
        .chunks(PART)
        .map(|views| KeptTasksReport {
            tasks: views.iter().map(|view| told_task(kept, view)).collect(),
            ..KeptTasksReport::default()
        })
        .collect();
    parts.extend(gone.chunks(PART).map(|gone| KeptTasksReport {
        gone: gone.iter().map(told_key).collect(),
        ..KeptTasksReport::default()
    }));
    if whole {
        if parts.is_empty() {
            parts.push(KeptTasksReport::default());
        }
        if let Some(first) = parts.first_mut() {
            first.whole_begins = true;
        }
        if let Some(last) = parts.last_mut() {
            last.whole_ends = true;
        }
    }
    parts
}

fn told_key(key: &Key) -> KeptTaskKey {
    KeptTaskKey {
        keeping: Keeping::from(key.keeping).into(),
        id: key.id.to_string(),
    }
}
