//! What this host tells of the tasks that it holds.

use dragonfly_api::dfdaemon::{
    ListLocalPersistentCacheTasksResponse, ListLocalTasksResponse, StatLocalPersistentCacheTaskResponse,
    StatLocalTaskResponse,
};
use dragonfly_api::kept::{self, CONTENT_DIGEST};
use dragonfly_api::{PIECES, timestamp};
use dragonfly_model::{Coverage, Policy};
use dragonfly_storage::{Pin, Storage, TaskRecord, TaskState};
use http::HeaderMap;
use std::collections::HashMap;
use std::time::SystemTime;
use tonic::Response;

fn of_record(record: TaskRecord) -> StatLocalTaskResponse {
    let (finished_at, failed_at) = match record.state {
        TaskState::Partial => (None, None),
        TaskState::Finished { at } => (Some(timestamp(at)), None),
        TaskState::Quarantined { at, .. } => (None, Some(timestamp(at))),
    };
    let mut response_header: HashMap<String, String> = record.response_headers.into_iter().collect();
    if record.policy.replica().is_some()
        && let Some(digest) = &record.digest
    {
        response_header.insert(CONTENT_DIGEST.to_owned(), digest.to_string());
    }
    StatLocalTaskResponse {
        task_id: record.id.to_string(),
        piece_length: Some(record.piece_length),
        content_length: record.content_length,
        response_header,
        uploading_count: 0,
        uploaded_count: 0,
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
        prefetched_at: None,
        failed_at,
        finished_at,
    }
}

/// A task, and which of its pieces are here.
pub(super) fn of_pin(pin: &Pin) -> Response<StatLocalTaskResponse> {
    let mut response = Response::new(of_record(pin.record()));
    let coverage = pin
        .layout()
        .map(|layout| Coverage::of(layout.count(), pin.pieces().iter()));
    if let Some(Ok(text)) = coverage.map(|coverage| coverage.to_string().parse()) {
        response.metadata_mut().insert(PIECES, text);
    }
    response
}

pub(super) fn list(storage: &Storage) -> ListLocalTasksResponse {
    ListLocalTasksResponse {
        tasks: listed(storage, |policy| matches!(policy, Policy::Standard))
            .map(of_record)
            .collect(),
    }
}

/// A task that the cluster keeps; nothing for one that has an origin, or whose time is over.
pub(super) fn of_kept(record: TaskRecord) -> Option<StatLocalPersistentCacheTaskResponse> {
    let now = SystemTime::now();
    let replica = record.policy.replica().filter(|replica| replica.ends_at > now)?;
    let (obliged, ttl) = (replica.obliged, replica.ends_at.duration_since(record.created_at));
    let ttl = dragonfly_api::duration(ttl.unwrap_or_default());
    Some(kept::held(of_record(record), obliged, ttl))
}

pub(super) fn list_kept(storage: &Storage) -> ListLocalPersistentCacheTasksResponse {
    ListLocalPersistentCacheTasksResponse {
        tasks: listed(storage, |policy| matches!(policy, Policy::PersistentCache(_)))
            .filter_map(of_kept)
            .collect(),
    }
}

/// The oldest first.
fn listed(storage: &Storage, is_wanted: impl Fn(&Policy) -> bool) -> impl Iterator<Item = TaskRecord> {
    let mut records = storage.list();
    records.retain(|record| is_wanted(&record.policy));
    records.sort_by_key(|record| record.created_at);
    records.into_iter()
}

/// Headers as a map of texts; of several values the first, and none that is no text.
pub(super) fn text_headers(headers: &HeaderMap) -> HashMap<String, String> {
    let mut texts = HashMap::with_capacity(headers.len());
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            texts.entry(name.to_string()).or_insert_with(|| value.to_owned());
        }
    }
    texts
}
