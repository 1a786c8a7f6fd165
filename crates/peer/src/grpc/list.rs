//! `ListTaskEntries`: what a directory of an origin holds.

use super::{Context, request, status_of};
use crate::{access, engine};
use dragonfly_api::common::Download;
use dragonfly_api::dfdaemon::{Entry, ListTaskEntriesRequest, ListTaskEntriesResponse};
use dragonfly_source::{self as source, Caller};
use tonic::Status;

impl Context {
    /// Asks the origin, as the caller.
    pub(super) async fn list(
        &self,
        asked: ListTaskEntriesRequest,
        caller: Caller,
    ) -> Result<ListTaskEntriesResponse, Status> {
        let found = async {
            let found = self.engine.list(&question(asked, caller)?).await;
            found.map_err(|error| status_of(&engine::Error::from(error)))
        };
        let found = self.metrics.calls.list_task_entries.count(found.await)?;
        Ok(ListTaskEntriesResponse {
            status_code: Some(200),
            entries: found.into_iter().map(entry).collect(),
            ..ListTaskEntriesResponse::default()
        })
    }
}

fn question(asked: ListTaskEntriesRequest, caller: Caller) -> Result<source::Request, Status> {
    let download = Download {
        url: asked.url,
        request_header: asked.request_header,
        timeout: asked.timeout,
        object_storage: asked.object_storage,
        hdfs: asked.hdfs,
        hugging_face: asked.hugging_face,
        model_scope: asked.model_scope,
        open_csg: asked.open_csg,
        ..Download::default()
    };
    let url = request::url(&download)?;
    Ok(source::Request {
        headers: request::headers(&download)?,
        timeout: request::timeout(&download)?,
        access: access::of(&download, &url)?,
        ..source::Request::new(url, caller)
    })
}

fn entry(found: source::Entry) -> Entry {
    Entry {
        url: found.url.into(),
        content_length: found.content_length.unwrap_or(0),
        is_dir: found.is_dir,
    }
}
