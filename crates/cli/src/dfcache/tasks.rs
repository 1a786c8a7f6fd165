//! `dfcache stat`, `ls` and `rm`.

use crate::dfctl::local::{at, kept, listed, until};
use crate::dfctl::output::{self, Output};
use crate::failure::Failure;
use crate::local::{Endpoint, Local, refused};
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::dfdaemon::{DeletePersistentCacheTaskRequest, StatPersistentCacheTaskRequest};
use dragonfly_api::timestamp_of;
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// What the cluster knows of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known {
    id: String,
    state: String,
    content_length: u64,
    piece_length: u64,
    /// How many hosts shall keep it, how many do, and how many have it.
    persistent_replica_count: u64,
    current_persistent_replica_count: u64,
    current_replica_count: u64,
    tag: Option<String>,
    application: Option<String>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Known {
    pub(super) fn of(task: &PersistentCacheTask) -> Self {
        let created = task.created_at.as_ref().map(timestamp_of);
        let ttl = task.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
        Self {
            id: task.id.clone(),
            state: task.state.clone(),
            content_length: task.content_length,
            piece_length: task.piece_length,
            persistent_replica_count: task.persistent_replica_count,
            current_persistent_replica_count: task.current_persistent_replica_count,
            current_replica_count: task.current_replica_count,
            tag: task.tag.clone(),
            application: task.application.clone(),
            created_at: created.and_then(at),
            updated_at: task.updated_at.as_ref().map(timestamp_of).and_then(at),
            until: until(created, ttl),
        }
    }

    fn row(&self) -> [String; 9] {
        let size = |bytes| bytesize::ByteSize::b(bytes).to_string();
        let time = |at: Option<Timestamp>| at.map(output::time).unwrap_or_default();
        [
            self.id.clone(),
            self.state.clone(),
            format!(
                "{}/{}",
                self.current_persistent_replica_count, self.persistent_replica_count
            ),
            size(self.content_length),
            size(self.piece_length),
            time(self.until),
            time(self.created_at),
            self.application.clone().unwrap_or_default(),
            self.tag.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn stat(of: &Endpoint, id: &str, output: Output) -> Result<String, Failure> {
    let mut local = Local::connect(&of.socket).await?;
    let request = StatPersistentCacheTaskRequest {
        task_id: id.to_owned(),
        remote_ip: None,
    };
    let answer = local.dfdaemon.stat_persistent_cache_task(request).await;
    let task = Known::of(&answer.map_err(|status| refused(id, &status))?.into_inner());
    match output {
        Output::Json => output::json(&task),
        Output::Table => {
            let headings = [
                "ID",
                "STATE",
                "REPLICAS",
                "SIZE",
                "PIECE",
                "UNTIL",
                "CREATED",
                "APPLICATION",
                "TAG",
            ];
            Ok(output::table(headings, [task.row()]))
        }
    }
}

pub(super) async fn ls(of: &Endpoint, output: Output) -> Result<String, Failure> {
    let mut local = Local::connect(&of.socket).await?;
    listed(&kept(&mut local).await?, output)
}

pub(super) async fn rm(of: &Endpoint, id: &str) -> Result<String, Failure> {
    let mut local = Local::connect(&of.socket).await?;
    let request = DeletePersistentCacheTaskRequest {
        task_id: id.to_owned(),
        remote_ip: None,
    };
    let removed = local.ours.delete_persistent_cache_task(request).await;
    removed.map_err(|status| refused(id, &status))?;
    Ok(String::new())
}
