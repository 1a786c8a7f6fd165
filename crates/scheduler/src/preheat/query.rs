//! What hosts have of tasks, asked of every host of the cluster: what a scheduler remembers is not all that there is.

use super::board::Board;
use super::content::{Content, ids};
use super::fetch::in_words;
use super::order::{self, Asker};
use super::run::Outcome;
use super::{Error, Preheat, content, resolve};
use crate::hosts::Entry;
use crate::reach::Failure;
use dragonfly_api::common::Host;
use dragonfly_api::dfdaemon::{DeleteTaskRequest, StatLocalTaskRequest, StatLocalTaskResponse};
use dragonfly_api::ext::{Pieces, Target, TargetState, TaskQuery, task_query};
use dragonfly_api::scheduler::{
    File, Image, Layer, PeerFile, PeerImage, StatFileRequest, StatFileResponse, StatImageRequest, StatImageResponse,
};
use dragonfly_api::{Invalid, PIECES};
use dragonfly_model::{Coverage, DEFAULT_FILTERED_QUERY_PARAMS, HostId, PieceLayout, TaskId};
use futures::StreamExt;
use futures::stream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use url::Url;

/// How long a host may take to say what it has, or to remove it.
const CALL: Duration = Duration::from_secs(10);

/// What is asked of all hosts about a task.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    url: String,
    /// The ids under which it may be held.
    ids: Vec<TaskId>,
    hosts_at_once: usize,
    timeout: Duration,
    verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Delete,
}

/// What a host has, or had.
enum Holding {
    Whole(Held),
    Part(Held),
    Nothing,
}

/// What is known of a content where it is held.
#[derive(Default)]
struct Held {
    content_length: Option<u64>,
    /// Bytes, or about so many of a part.
    finished_length: u64,
    pieces: Option<Coverage>,
}

impl Held {
    /// As a host tells it: its answer, and what it says of pieces.
    fn told(stat: &StatLocalTaskResponse, pieces: Option<&str>) -> Self {
        let layout = stat.piece_length.zip(stat.content_length);
        let layout = layout.and_then(|(piece, content)| PieceLayout::new(piece, content));
        let content_length = stat.content_length;
        if stat.finished_at.is_some() {
            return Self {
                content_length,
                finished_length: content_length.unwrap_or_default(),
                pieces: layout.map(|layout| Coverage::whole(layout.count())),
            };
        }
        let pieces = layout.zip(pieces).and_then(|(layout, text)| {
            let coverage = Coverage::parse(layout.count(), text);
            let refused = coverage.as_ref().err();
            refused.inspect(|reason| tracing::debug!(%reason, "what a host says of pieces is not understood"));
            coverage.ok()
        });
        // What is not finished is less than the whole, however full its last piece.
        let most = content_length.unwrap_or_default().saturating_sub(1);
        let held = pieces.as_ref().map_or(0, |pieces| u64::from(pieces.held()));
        Self {
            content_length,
            finished_length: held.saturating_mul(stat.piece_length.unwrap_or_default()).min(most),
            pieces,
        }
    }
}

impl Query {
    /// Who has a task?
    pub(crate) fn get(query: TaskQuery) -> Result<Self, Error> {
        Self::of(query, Verb::Get)
    }

    /// Nobody shall have a task.
    pub(crate) fn delete(query: TaskQuery) -> Result<Self, Error> {
        Self::of(query, Verb::Delete)
    }

    fn of(query: TaskQuery, verb: Verb) -> Result<Self, Error> {
        let (url, ids) = match query.task.ok_or(Invalid::Missing("task"))? {
            task_query::Task::TaskId(id) => (String::new(), vec![TaskId::parse(&id).map_err(Invalid::from)?]),
            task_query::Task::Download(mut download) => {
                let content = download.content_for_calculating_task_id.as_deref().unwrap_or_default();
                // A text alone decides the id, whatever the URL.
                let url = match (Url::parse(&download.url), content.is_empty()) {
                    (Ok(url), _) => url,
                    (Err(_), false) => Url::parse("http://content/").map_err(|_| Invalid::Missing("url"))?,
                    (Err(_), true) => return Err(Invalid::Missing("url").into()),
                };
                if download.filtered_query_params.is_empty() {
                    let usual = DEFAULT_FILTERED_QUERY_PARAMS.iter();
                    download.filtered_query_params = usual.map(|param| (*param).to_owned()).collect();
                }
                let ids = ids(&url, &download);
                (download.url, ids)
            }
        };
        Ok(Self {
            url,
            ids,
            hosts_at_once: order::hosts_at_once(query.concurrent_peer_count)?,
            timeout: order::timeout(None)?,
            verb,
        })
    }

    /// How long it may take.
    pub(crate) fn within(mut self, timeout: Option<prost_types::Duration>) -> Result<Self, Error> {
        self.timeout = order::timeout(timeout)?;
        Ok(self)
    }
}

impl Preheat {
    /// Asks every host; those that have the task, or had it, stand on the board, and those that did not answer.
    pub(crate) async fn query(&self, query: &Query, board: &Board, cancel: &CancellationToken) -> Outcome {
        let one = async |(id, entry): (HostId, Entry)| {
            for task in &query.ids {
                if !self.query_host(query, task, (&id, &entry.host), board).await {
                    break;
                }
            }
        };
        let each: Vec<_> = self.hosts.all().into_iter().map(one).collect();
        let asking = stream::iter(each).buffer_unordered(query.hosts_at_once).collect::<()>();
        let in_time = cancel
            .run_until_cancelled(tokio::time::timeout(query.timeout, asking))
            .await;
        let description = match in_time {
            Some(Ok(())) => board.failures(),
            Some(Err(_)) => format!("not every peer was asked within {:?}", query.timeout),
            None => "it was cancelled".to_owned(),
        };
        Outcome {
            succeeded: description.is_empty(),
            description,
        }
    }

    /// Whether the host answered.
    async fn query_host(&self, query: &Query, task: &TaskId, (id, host): (&HostId, &Host), board: &Board) -> bool {
        let target = Target {
            url: query.url.clone(),
            task_id: task.to_string(),
            host_id: id.to_string(),
            hostname: host.hostname.clone(),
            ip: host.ip.clone(),
            ..Target::default()
        };
        let told = |held: Held| {
            board.add(Target {
                state: TargetState::Done.into(),
                finished_length: held.finished_length,
                content_length: held.content_length,
                pieces: held.pieces.map(|pieces| Pieces {
                    total: pieces.total(),
                    held: pieces.stretches_held().to_vec(),
                }),
                ..target.clone()
            });
        };
        let answer = match query.verb {
            Verb::Get => self.holding(host, task).await,
            Verb::Delete => self.delete(host, task).await,
        };
        match answer {
            Ok(Holding::Nothing) => {}
            // The question is answered, whatever part of the content it is.
            Ok(Holding::Whole(held) | Holding::Part(held)) => told(held),
            Err(failure) => {
                let row = board.add(target.clone());
                board.ended(row, TargetState::Failed, &in_words(&failure));
                return false;
            }
        }
        true
    }

    async fn holding(&self, host: &Host, task: &TaskId) -> Result<Holding, Failure> {
        let request = StatLocalTaskRequest {
            task_id: task.to_string(),
            ..Default::default()
        };
        let mut client = self.reach.client(host)?;
        match self.timed(client.stat_local_task(request)).await {
            Ok(answer) => {
                let pieces = answer.metadata().get(PIECES).and_then(|text| text.to_str().ok());
                let held = Held::told(answer.get_ref(), pieces);
                Ok(match answer.get_ref().finished_at {
                    Some(_) => Holding::Whole(held),
                    None => Holding::Part(held),
                })
            }
            Err(Failure::Call(status)) if status.code() == Code::NotFound => Ok(Holding::Nothing),
            Err(failure) => Err(failure),
        }
    }

    /// What the host had and has no more.
    async fn delete(&self, host: &Host, task: &TaskId) -> Result<Holding, Failure> {
        let request = DeleteTaskRequest {
            task_id: task.to_string(),
            ..Default::default()
        };
        let mut client = self.reach.client(host)?;
        match self.timed(client.delete_task(request)).await {
            Ok(_) => Ok(Holding::Whole(Held::default())),
            Err(Failure::Call(status)) if status.code() == Code::NotFound => Ok(Holding::Nothing),
            Err(failure) => Err(failure),
        }
    }

    async fn timed<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<tonic::Response<T>, Failure> {
        let _place = self.calls.acquire().await.expect("the semaphore is never closed");
        let answer = tokio::time::timeout(CALL, call).await;
        Ok(answer.map_err(|_| Failure::Timeout(CALL))??)
    }

    /// Which hosts have which layers of an image.
    pub(crate) async fn stat_image(&self, request: StatImageRequest, asker: Asker) -> Result<StatImageResponse, Error> {
        let (order, (layers_at_once, hosts_at_once), timeout) = order::stat_image(request, asker)?;
        let asking = async {
            let registry = order.registry(self.sources.clone());
            let image = resolve(&registry, &order).await?;
            let contents = content::of_image(&order, &registry, &image);
            let found = self.holders(&contents, layers_at_once, hosts_at_once).await;
            let layer = |content: &Content, is_finished| Layer {
                url: content.url.to_string(),
                is_finished,
            };
            Ok(StatImageResponse {
                peers: found
                    .into_iter()
                    .map(|(host, held)| PeerImage {
                        ip: host.ip.clone(),
                        hostname: host.hostname.clone(),
                        cached_layers: held
                            .into_iter()
                            .map(|(at, whole)| layer(&contents[at], Some(whole)))
                            .collect(),
                    })
                    .collect(),
                image: Some(Image {
                    layers: contents.iter().map(|content| layer(content, None)).collect(),
                }),
            })
        };
        let in_time = tokio::time::timeout(timeout, asking).await;
        in_time.map_err(|_| Error::Timeout(timeout))?
    }

    /// Which hosts have a file.
    pub(crate) async fn stat_file(&self, request: StatFileRequest) -> Result<StatFileResponse, Error> {
        let (content, hosts_at_once, timeout) = order::stat_file(request)?;
        let contents = [content];
        let asking = self.holders(&contents, 1, hosts_at_once);
        let in_time = tokio::time::timeout(timeout, asking).await;
        let found = in_time.map_err(|_| Error::Timeout(timeout))?;
        let file = |whole| File {
            url: contents[0].url.to_string(),
            is_finished: Some(whole),
        };
        Ok(StatFileResponse {
            peers: found
                .into_iter()
                .map(|(host, held)| PeerFile {
                    ip: host.ip.clone(),
                    hostname: host.hostname.clone(),
                    cached_files: held.into_values().map(file).collect(),
                })
                .collect(),
        })
    }

    /// Per host that has any of the contents, which of them and whether whole, in the contents' order. A host that does not
    /// answer has nothing that can be told of.
    async fn holders(
        &self,
        contents: &[Content],
        contents_at_once: usize,
        hosts_at_once: usize,
    ) -> Vec<(Arc<Host>, BTreeMap<usize, bool>)> {
        let hosts = self.hosts.all();
        let found: Mutex<BTreeMap<usize, BTreeMap<usize, bool>>> = Mutex::default();
        let (hosts_here, found_here) = (&hosts, &found);
        stream::iter(contents.iter().enumerate())
            .for_each_concurrent(contents_at_once, |(at, content)| {
                stream::iter(hosts_here.iter().enumerate()).for_each_concurrent(
                    hosts_at_once,
                    move |(number, (_, entry))| async move {
                        if let Some(whole) = self.has(&entry.host, content).await {
                            let mut found = found_here.lock().unwrap_or_else(PoisonError::into_inner);
                            found.entry(number).or_default().insert(at, whole);
                        }
                    },
                )
            })
            .await;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let host = |number: usize| hosts[number].1.host.clone();
        found.into_iter().map(|(number, held)| (host(number), held)).collect()
    }

    /// Whether a host has a content whole, or a part of it, or nothing that it tells of.
    async fn has(&self, host: &Host, content: &Content) -> Option<bool> {
        let mut part = None;
        for task in &content.ids {
            match self.holding(host, task).await {
                Ok(Holding::Whole(_)) => return Some(true),
                Ok(Holding::Part(_)) => part = Some(false),
                Ok(Holding::Nothing) => {}
                Err(failure) => {
                    tracing::debug!(
                        host.id = host.id,
                        reason = in_words(&failure),
                        "a host did not say what it has"
                    );
                    return part;
                }
            }
        }
        part
    }
}
