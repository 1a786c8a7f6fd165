//! The test scheduler's ledger of tasks that the cluster keeps. It names everybody who has begun as a parent, and makes no
//! replica by itself: tests tell it to.

use super::rig::PATIENCE;
use super::scheduler::{Book, Shared, TestScheduler};
use dragonfly_api::common::{Host, PersistentCachePeer, PersistentCacheTask};
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::dfdaemon::{
    DeletePersistentCacheTaskRequest as Drop, DownloadPersistentCacheTaskRequest, UpdatePersistentCacheTaskRequest,
};
use dragonfly_api::scheduler::announce_persistent_cache_peer_request::Request as Word;
use dragonfly_api::scheduler::announce_persistent_cache_peer_response::Response as Answer;
use dragonfly_api::scheduler::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// A task, and who has it.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) task: PersistentCacheTask,
    /// Host, and whether it is obliged, by peer.
    pub(crate) peers: BTreeMap<String, (String, bool)>,
}

impl Kept {
    /// Hosts that have it.
    pub(crate) fn hosts(&self) -> Vec<&str> {
        self.peers.values().map(|(host, _)| host.as_str()).collect()
    }

    /// Hosts that are obliged to keep it, in order.
    pub(crate) fn obliged(&self) -> Vec<&str> {
        let obliged = self.peers.values().filter(|(_, obliged)| *obliged);
        let hosts: BTreeSet<&str> = obliged.map(|(host, _)| host.as_str()).collect();
        hosts.into_iter().collect()
    }
}

fn found<'a>(book: &'a mut Book, task: &str) -> Result<&'a mut Kept, Status> {
    book.kept.get_mut(task).ok_or_else(|| Status::not_found("task"))
}

impl Book {
    pub(super) fn begin(&mut self, request: UploadPersistentCacheTaskStartedRequest) -> Result<(), Status> {
        if !self.hosts.contains_key(&request.host_id) {
            return Err(Status::failed_precondition("host"));
        }
        if self
            .kept
            .get(&request.task_id)
            .is_some_and(|kept| kept.task.state != "Failed")
        {
            return Err(Status::already_exists("it is there already"));
        }
        let task = PersistentCacheTask {
            id: request.task_id.clone(),
            persistent_replica_count: request.persistent_replica_count,
            tag: request.tag,
            application: request.application,
            piece_length: request.piece_length,
            content_length: request.content_length,
            piece_count: request.piece_count,
            state: "Uploading".to_owned(),
            ttl: request.ttl,
            created_at: Some(dragonfly_api::timestamp(SystemTime::now())),
            ..Default::default()
        };
        let peers = [(request.peer_id, (request.host_id, true))].into();
        self.kept.insert(request.task_id, Kept { task, peers });
        Ok(())
    }

    pub(super) fn end(&mut self, task: &str, state: &str) -> Result<PersistentCacheTask, Status> {
        let kept = found(self, task)?;
        state.clone_into(&mut kept.task.state);
        Ok(kept.task.clone())
    }

    pub(super) fn stat(&mut self, task: &str) -> Result<PersistentCacheTask, Status> {
        found(self, task).map(|kept| kept.task.clone())
    }

    pub(super) fn leave(&mut self, request: &DeletePersistentCachePeerRequest) -> Result<(), Status> {
        self.words
            .push(format!("{}: DeletePersistentCachePeer", request.host_id));
        let gone = found(self, &request.task_id)?.peers.remove(&request.peer_id);
        gone.map(drop).ok_or_else(|| Status::not_found("peer"))
    }

    fn parents(
        &self,
        message: &AnnouncePersistentCachePeerRequest,
        blocked: &BTreeSet<String>,
    ) -> Vec<PersistentCachePeer> {
        let Some(kept) = self.kept.get(&message.task_id) else {
            return Vec::new();
        };
        let able = kept
            .peers
            .iter()
            .filter(|(id, (host, _))| *host != message.host_id && !blocked.contains(*id));
        let named = able.filter_map(|(id, (host, persistent))| {
            Some(PersistentCachePeer {
                id: id.clone(),
                persistent: *persistent,
                state: "Succeeded".to_owned(),
                host: Some(self.hosts.get(host)?.clone()),
                ..Default::default()
            })
        });
        named.collect()
    }
}

impl Shared {
    /// Everybody who has the task is told to drop it.
    pub(super) async fn drop_kept(self: Arc<Self>, task: &str) -> Result<(), Status> {
        let hosts: Vec<Host> = self.change(|book| {
            let kept = book.kept.remove(task).ok_or_else(|| Status::not_found("task"))?;
            let hosts = kept
                .peers
                .values()
                .filter_map(|(host, _)| book.hosts.get(host).cloned());
            Ok::<_, Status>(hosts.collect())
        })?;
        for host in hosts {
            let request = Drop {
                task_id: task.to_owned(),
                remote_ip: None,
            };
            client(&host).await.delete_persistent_cache_task(request).await?;
        }
        Ok(())
    }

    /// The scheduler's half of a conversation about a task that is kept.
    pub(super) async fn keep_company(
        self: Arc<Self>,
        mut words: Streaming<AnnouncePersistentCachePeerRequest>,
        answers: mpsc::Sender<Result<AnnouncePersistentCachePeerResponse, Status>>,
    ) {
        let (mut blocked, mut persistent) = (BTreeSet::new(), false);
        while let Ok(Some(message)) = words.message().await {
            let word = message.request.clone().expect("a message says something");
            let name = format!("{word:?}").split('(').next().unwrap_or_default().to_owned();
            self.change(|book| book.words.push(format!("{}: {name}", message.host_id)));
            let asks = match word {
                Word::RegisterPersistentCachePeerRequest(register) => {
                    persistent = register.persistent;
                    true
                }
                Word::ReschedulePersistentCachePeerRequest(again) => {
                    blocked.extend(again.candidate_parents.into_iter().map(|parent| parent.id));
                    true
                }
                Word::DownloadPersistentCachePeerFinishedRequest(_) => {
                    self.change(|book| {
                        let who = (message.host_id.clone(), persistent);
                        found(book, &message.task_id)
                            .map(|kept| kept.peers.insert(message.peer_id.clone(), who))
                            .ok()
                    });
                    return;
                }
                Word::DownloadPersistentCachePeerFailedRequest(_) => return,
                _ => false,
            };
            if asks {
                if self
                    .change(|book| book.stat(&message.task_id))
                    .is_ok_and(|task| task.content_length == 0)
                {
                    let empty = Answer::EmptyPersistentCacheTaskResponse(EmptyPersistentCacheTaskResponse {});
                    let response = Some(empty);
                    answers
                        .send(Ok(AnnouncePersistentCachePeerResponse { response }))
                        .await
                        .ok();
                    continue;
                }
                let parents = self.change(|book| book.parents(&message, &blocked));
                if parents.is_empty() {
                    let nobody = Status::failed_precondition("no candidate parents found");
                    answers.send(Err(nobody)).await.ok();
                    return;
                }
                let normal = NormalPersistentCacheTaskResponse {
                    candidate_cache_parents: parents,
                };
                let response = Some(Answer::NormalPersistentCacheTaskResponse(normal));
                answers
                    .send(Ok(AnnouncePersistentCachePeerResponse { response }))
                    .await
                    .ok();
            }
        }
    }
}

async fn client(host: &Host) -> DfdaemonUploadClient<Channel> {
    DfdaemonUploadClient::connect(format!("http://{}:{}", host.ip, host.port))
        .await
        .unwrap()
}

impl TestScheduler {
    fn host(&self, name: &str) -> Host {
        self.read(|book| book.hosts.values().find(|host| host.hostname == name).cloned().unwrap())
    }

    /// Has a host fetch a replica, as a scheduler does, and waits for it.
    pub(crate) async fn replicate(&self, task: &str, name: &str) -> Result<(), Status> {
        let request = DownloadPersistentCacheTaskRequest {
            task_id: task.to_owned(),
            persistent: true,
            ..Default::default()
        };
        let mut client = client(&self.host(name)).await;
        let fetching = async {
            let mut parts = client.download_persistent_cache_task(request).await?.into_inner();
            while parts.message().await?.is_some() {}
            Ok(())
        };
        tokio::time::timeout(PATIENCE, fetching).await.expect("it hangs")
    }

    /// Has a host keep what it has as a cache.
    pub(crate) async fn oblige(&self, task: &str, name: &str) -> Result<(), Status> {
        let request = UpdatePersistentCacheTaskRequest {
            task_id: task.to_owned(),
            persistent: true,
            remote_ip: None,
        };
        let told = client(&self.host(name))
            .await
            .update_persistent_cache_task(request)
            .await;
        told.map(tonic::Response::into_inner)
    }

    /// Waits until a host has said that it has the task.
    pub(crate) async fn hears_of(&self, task: &str, name: &str) {
        let host = self.host(name).id;
        self.until("the host has it", |book| {
            book.kept[task].hosts().contains(&host.as_str())
        })
        .await;
    }

    /// The task was put in so long ago, and is kept for so long in all.
    pub(crate) fn age(&self, task: &str, age: Duration, ttl: Duration) {
        self.read(|book| {
            let kept = book.kept.get_mut(task).unwrap();
            kept.task.created_at = Some(dragonfly_api::timestamp(SystemTime::now() - age));
            kept.task.ttl = Some(dragonfly_api::duration(ttl));
        });
    }
}
