//! What this host tells of the tasks that it holds.

use dragonfly_api::dfdaemon::{ListLocalTasksResponse, StatLocalTaskResponse};
use dragonfly_api::timestamp;
use dragonfly_storage::{Storage, TaskRecord, TaskState};
use http::HeaderMap;
use std::collections::HashMap;

pub(super) fn of_record(record: TaskRecord) -> StatLocalTaskResponse {
    let (finished_at, failed_at) = match record.state {
        TaskState::Partial => (None, None),
        TaskState::Finished { at } => (Some(timestamp(at)), None),
        TaskState::Quarantined { at, .. } => (None, Some(timestamp(at))),
    };
    StatLocalTaskResponse {
        task_id: record.id.to_string(),
        piece_length: Some(record.piece_length),
        content_length: record.content_length,
        response_header: record.response_headers.into_iter().collect(),
        uploading_count: 0,
        uploaded_count: 0,
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
        prefetched_at: None,
        failed_at,
        finished_at,
    }
}

pub(super) fn list(storage: &Storage) -> ListLocalTasksResponse {
    let mut records = storage.list();
    records.sort_by_key(|record| record.created_at);
    ListLocalTasksResponse {
        tasks: records.into_iter().map(of_record).collect(),
    }
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
