//! `dfctl task` and `dfctl persistent-cache-task`: what this host has, from its own dfdaemon.

use super::output::{self, Output};
use crate::failure::Failure;
use crate::local::{Endpoint, Local, refused};
use dragonfly_api::dfdaemon::*;
use dragonfly_api::timestamp_of;
use jiff::Timestamp;
use serde::Serialize;
use std::time::{Duration, SystemTime};
use tonic::Status;

const TASK_EXAMPLES: &str = "\
Examples:
  dfctl task ls
  dfctl task stat 5e884898da28047151d0e56f8dc62927… --output json
  dfctl task rm 5e884898da28047151d0e56f8dc62927…";

const KEPT_EXAMPLES: &str = "\
Examples:
  dfctl persistent-cache-task ls
  dfctl persistent-cache-task stat 5e884898da28047151d0e56f8dc62927… --output json
  dfctl persistent-cache-task rm 5e884898da28047151d0e56f8dc62927…

What is removed here stays on the other hosts, and the cluster makes another replica if this one was counted on;
`dfcache rm` removes a task everywhere. `dfctl kept` asks the manager about all hosts.";

/// What it is about.
#[derive(clap::Subcommand)]
pub(crate) enum Noun {
    /// Tasks with an origin that this host has in its cache
    #[command(after_help = TASK_EXAMPLES)]
    Task {
        #[command(subcommand)]
        verb: Verb,
    },
    /// Tasks that the cluster keeps by itself, as far as this host has them
    #[command(after_help = KEPT_EXAMPLES)]
    PersistentCacheTask {
        #[command(subcommand)]
        verb: Verb,
    },
}

/// What about them.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List them
    Ls {
        #[command(flatten)]
        of: Endpoint,
    },
    /// Show one
    Stat {
        /// Its id
        id: String,
        #[command(flatten)]
        of: Endpoint,
    },
    /// Remove one from this host
    Rm {
        /// Its id
        id: String,
        #[command(flatten)]
        of: Endpoint,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standard,
    PersistentCache,
}

/// A task that this host has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    id: String,
    state: &'static str,
    content_length: Option<u64>,
    piece_length: Option<u64>,
    /// Whether this host must keep it; absent if the cluster does not keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    persistent: Option<bool>,
    /// Until when it is kept; absent if the cluster does not keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

pub(super) async fn run(noun: Noun, output: Output) -> Result<String, Failure> {
    let (kind, verb) = match noun {
        Noun::Task { verb } => (Kind::Standard, verb),
        Noun::PersistentCacheTask { verb } => (Kind::PersistentCache, verb),
    };
    match verb {
        Verb::Ls { of } => listed(&held(&mut Local::connect(&of.socket).await?, kind).await?, output),
        Verb::Stat { id, of } => {
            let task = stat(&mut Local::connect(&of.socket).await?, kind, &id).await?;
            match output {
                Output::Table => listed(&[task], output),
                Output::Json => output::json(&task),
            }
        }
        Verb::Rm { id, of } => {
            let mut local = Local::connect(&of.socket).await?;
            // There is one call for both kinds; a mistaken one must not remove the other.
            stat(&mut local, kind, &id).await?;
            let request = DeleteLocalTaskRequest {
                task_id: id.clone(),
                remote_ip: None,
            };
            let removed = local.dfdaemon.delete_local_task(request).await;
            removed.map_err(|status| refused(&id, &status))?;
            Ok(String::new())
        }
    }
}

/// What this host has of what the cluster keeps.
pub(crate) async fn kept(local: &mut Local) -> Result<Vec<Held>, Failure> {
    held(local, Kind::PersistentCache).await
}

async fn held(local: &mut Local, kind: Kind) -> Result<Vec<Held>, Failure> {
    let failed = |status: Status| refused("the tasks", &status);
    let tasks = match kind {
        Kind::Standard => {
            let request = ListLocalTasksRequest::default();
            let answer = local.dfdaemon.list_local_tasks(request).await.map_err(failed)?;
            answer.into_inner().tasks.into_iter().map(Held::of_task).collect()
        }
        Kind::PersistentCache => {
            let request = ListLocalPersistentCacheTasksRequest::default();
            let answer = local.dfdaemon.list_local_persistent_cache_tasks(request).await;
            let tasks = answer.map_err(failed)?.into_inner().tasks;
            tasks.into_iter().map(Held::of_kept).collect()
        }
    };
    Ok(tasks)
}

async fn stat(local: &mut Local, kind: Kind, id: &str) -> Result<Held, Failure> {
    let failed = |status: Status| refused(id, &status);
    let task_id = id.to_owned();
    match kind {
        Kind::Standard => {
            let request = StatLocalTaskRequest {
                task_id,
                remote_ip: None,
            };
            let answer = local.dfdaemon.stat_local_task(request).await.map_err(failed)?;
            Ok(Held::of_task(answer.into_inner()))
        }
        Kind::PersistentCache => {
            let request = StatLocalPersistentCacheTaskRequest {
                task_id,
                remote_ip: None,
            };
            let answer = local.dfdaemon.stat_local_persistent_cache_task(request).await;
            Ok(Held::of_kept(answer.map_err(failed)?.into_inner()))
        }
    }
}

impl Held {
    fn of_task(task: StatLocalTaskResponse) -> Self {
        Self {
            id: task.task_id,
            state: match (task.finished_at, task.failed_at) {
                (_, Some(_)) => "failed",
                (Some(_), None) => "complete",
                (None, None) => "partial",
            },
            content_length: task.content_length,
            piece_length: task.piece_length,
            persistent: None,
            until: None,
            created_at: task.created_at.as_ref().map(timestamp_of).and_then(at),
            updated_at: task.updated_at.as_ref().map(timestamp_of).and_then(at),
        }
    }

    fn of_kept(task: StatLocalPersistentCacheTaskResponse) -> Self {
        let ttl = task.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
        let until = until(task.created_at.as_ref().map(timestamp_of), ttl);
        let persistent = Some(task.persistent);
        let task = StatLocalTaskResponse {
            task_id: task.task_id,
            piece_length: task.piece_length,
            content_length: task.content_length,
            created_at: task.created_at,
            updated_at: task.updated_at,
            failed_at: task.failed_at,
            finished_at: task.finished_at,
            ..StatLocalTaskResponse::default()
        };
        Self {
            persistent,
            until,
            ..Self::of_task(task)
        }
    }
}

/// A time as it is printed.
pub(crate) fn at(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}

/// The end of a time that begins with a task.
pub(crate) fn until(created: Option<SystemTime>, ttl: Option<Duration>) -> Option<Timestamp> {
    at(created?.checked_add(ttl?)?)
}

pub(crate) fn listed(tasks: &[Held], output: Output) -> Result<String, Failure> {
    if output == Output::Json {
        return output::json(&tasks);
    }
    let size = |bytes: Option<u64>| {
        bytes
            .map(|bytes| bytesize::ByteSize::b(bytes).to_string())
            .unwrap_or_default()
    };
    let time = |at: Option<Timestamp>| at.map(output::time).unwrap_or_default();
    let rows = tasks.iter().map(|task| {
        let kind = match task.persistent {
            None => "cache",
            Some(true) => "keeps",
            Some(false) => "caches",
        };
        [
            task.id.clone(),
            task.state.to_owned(),
            kind.to_owned(),
            size(task.content_length),
            size(task.piece_length),
            time(task.until),
            time(task.created_at),
        ]
    });
    let headings = ["ID", "STATE", "KIND", "SIZE", "PIECE", "UNTIL", "SINCE"];
    Ok(output::table(headings, rows))
}
