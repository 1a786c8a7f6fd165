//! Tasks that are kept with replicas.

use crate::manager::with_manager;
use crate::sim::manager::FakeManager;
use crate::sim::seed::{KeptCall, Seed};
use crate::sim::{Lab, raw, soon};
use dragonfly_api::common::{ObjectStorage, PersistentCachePeer, PersistentCacheTask};
use dragonfly_api::ext::attend_request::Message as Word;
use dragonfly_api::ext::work::Task;
use dragonfly_api::ext::{TargetState, TaskQuery, task_query};
use dragonfly_api::manager::SchedulerCluster;
use dragonfly_api::scheduler::announce_persistent_cache_peer_request::Request;
use dragonfly_api::scheduler::announce_persistent_cache_peer_response::Response;
use dragonfly_api::scheduler::announce_persistent_peer_request::Request as StoredRequest;
use dragonfly_api::scheduler::announce_persistent_peer_response::Response as StoredResponse;
use dragonfly_api::scheduler::*;
use dragonfly_api::{PeerIds, duration};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

const TASK: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

fn started(host: &str, replicas: u64) -> UploadPersistentCacheTaskStartedRequest {
    UploadPersistentCacheTaskStartedRequest {
        host_id: host.to_owned(),
        task_id: TASK.to_owned(),
        peer_id: format!("{host}-peer"),
        persistent_replica_count: replicas,
        tag: Some("v1".to_owned()),
        application: None,
        piece_length: 4 << 20,
        content_length: 9 << 20,
        piece_count: 3,
        ttl: Some(duration(Duration::from_secs(3600))),
    }
}

/// A host puts the task in.
async fn put_in(lab: &Lab, host: &str, replicas: u64) -> PersistentCacheTask {
    let mut client = lab.client.clone();
    client
        .upload_persistent_cache_task_started(started(host, replicas))
        .await
        .unwrap();
    let finished = UploadPersistentCacheTaskFinishedRequest {
        host_id: host.to_owned(),
        task_id: TASK.to_owned(),
        peer_id: format!("{host}-peer"),
    };
    let done = client.upload_persistent_cache_task_finished(finished).await;
    done.unwrap().into_inner()
}

async fn stat(lab: &Lab) -> Result<PersistentCacheTask, Status> {
    let request = StatPersistentCacheTaskRequest {
        host_id: "a".to_owned(),
        task_id: TASK.to_owned(),
    };
    let told = lab.client.clone().stat_persistent_cache_task(request).await;
    told.map(tonic::Response::into_inner)
}

/// A peer that fetches the task.
struct Child {
    ids: PeerIds,
    said: mpsc::Sender<AnnouncePersistentCachePeerRequest>,
    told: Streaming<AnnouncePersistentCachePeerResponse>,
}

impl Child {
    async fn register(lab: &Lab, host: &str, persistent: bool) -> Self {
        let (said, queue) = mpsc::channel(16);
        let mut client = lab.client.clone();
        let told = client.announce_persistent_cache_peer(ReceiverStream::new(queue)).await;
        let child = Self {
            ids: PeerIds::parse(host, TASK, &format!("{host}-peer")).unwrap(),
            said,
            told: told.unwrap().into_inner(),
        };
        let register = RegisterPersistentCachePeerRequest {
            persistent,
            ..Default::default()
        };
        child.say(Request::RegisterPersistentCachePeerRequest(register)).await;
        child
    }

    async fn say(&self, request: Request) {
        let request = AnnouncePersistentCachePeerRequest {
            host_id: self.ids.host.to_string(),
            task_id: TASK.to_owned(),
            peer_id: self.ids.peer.to_string(),
            request: Some(request),
        };
        self.said.send(request).await.unwrap();
    }

    async fn parents(&mut self) -> Result<Vec<PersistentCachePeer>, Status> {
        let told = soon("an answer", self.told.message()).await?;
        match told.unwrap().response.unwrap() {
            Response::NormalPersistentCacheTaskResponse(normal) => Ok(normal.candidate_cache_parents),
            other => panic!("{other:?}"),
        }
    }

    /// Says that it has it, and waits for the end.
    async fn finish(mut self) {
        let begun = DownloadPersistentCachePeerStartedRequest {};
        self.say(Request::DownloadPersistentCachePeerStartedRequest(begun))
            .await;
        let done = DownloadPersistentCachePeerFinishedRequest {};
        self.say(Request::DownloadPersistentCachePeerFinishedRequest(done))
            .await;
        assert!(soon("the end", self.told.message()).await.unwrap().is_none());
    }
}

fn names(parents: &[PersistentCachePeer]) -> Vec<&str> {
    let mut names: Vec<&str> = parents
        .iter()
        .map(|parent| &*parent.host.as_ref().unwrap().hostname)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_task_is_put_in_fetched_by_others_and_dropped_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut a = Seed::start(&lab, "a").await;
    let mut b = Seed::start(&lab, "b").await;
    let _c = Seed::start(&lab, "c").await;
    let task = put_in(&lab, "a", 1).await;
    assert_eq!((task.state.as_str(), task.tag.as_deref()), ("Succeeded", Some("v1")));
    assert_eq!(
        (task.current_persistent_replica_count, task.current_replica_count),
        (1, 1)
    );
    let again = lab
        .client
        .clone()
        .upload_persistent_cache_task_started(started("b", 1))
        .await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);

    let mut child = Child::register(&lab, "b", false).await;
    let parents = child.parents().await.unwrap();
    assert_eq!(names(&parents), ["a"]);
    assert!(parents[0].persistent && parents[0].task.as_ref().unwrap().content_length == 9 << 20);
    child.finish().await;
    let task = stat(&lab).await.unwrap();
    assert_eq!(
        (task.current_persistent_replica_count, task.current_replica_count),
        (1, 2)
    );

    let mut child = Child::register(&lab, "c", false).await;
    let parents = child.parents().await.unwrap();
    assert_eq!(names(&parents), ["a", "b"]);
    let again = ReschedulePersistentCachePeerRequest {
        candidate_parents: parents
            .into_iter()
            .filter(|parent| parent.id.starts_with('a'))
            .collect(),
        description: None,
    };
    child.say(Request::ReschedulePersistentCachePeerRequest(again)).await;
    assert_eq!(names(&child.parents().await.unwrap()), ["b"]);
    drop(child);

    let drop_it = DeletePersistentCacheTaskRequest {
        host_id: "a".to_owned(),
        task_id: TASK.to_owned(),
    };
    lab.client.clone().delete_persistent_cache_task(drop_it).await.unwrap();
    for seed in [&mut a, &mut b] {
        assert!(matches!(seed.told().await, KeptCall::Drop(task) if task == TASK));
    }
    assert_eq!(stat(&lab).await.unwrap_err().code(), Code::NotFound);
    let mut late = Child::register(&lab, "c", false).await;
    assert_eq!(late.parents().await.unwrap_err().code(), Code::NotFound);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn replicas_are_kept_who_has_it_is_obliged_first_and_a_lost_one_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let _a = Seed::start(&lab, "a").await;
    put_in(&lab, "a", 2).await;
    // Nobody else is there; then there is.
    let mut b = Seed::start(&lab, "b").await;
    let KeptCall::Fetch(request, under_way) = b.told().await else {
        panic!("it has to fetch");
    };
    assert_eq!(
        (request.task_id.as_str(), request.persistent, request.tag.as_deref()),
        (TASK, true, Some("v1"))
    );
    let mut child = Child::register(&lab, "b", true).await;
    assert_eq!(names(&child.parents().await.unwrap()), ["a"]);
    child.finish().await;
    drop(under_way);
    assert_eq!(stat(&lab).await.unwrap().current_persistent_replica_count, 2);
    // Another has it as a cache; then a host that keeps it dies.
    let mut c = Seed::start(&lab, "c").await;
    let mut child = Child::register(&lab, "c", false).await;
    child.parents().await.unwrap();
    child.finish().await;
    let left = DeleteHostRequest {
        host_id: "b".to_owned(),
    };
    lab.client.clone().delete_host(left).await.unwrap();
    assert!(matches!(c.told().await, KeptCall::Oblige(task) if task == TASK));
    let two = async {
        while stat(&lab).await.unwrap().current_persistent_replica_count < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("two replicas", two).await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_scheduler_that_was_killed_knows_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b"]).await;
    put_in(&lab, "a", 1).await;
    lab.stop().await.unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b"]).await;
    assert_eq!(stat(&lab).await.unwrap().current_persistent_replica_count, 1);
    let mut child = Child::register(&lab, "b", false).await;
    assert_eq!(names(&child.parents().await.unwrap()), ["a"]);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_stored_task_comes_from_its_store_where_no_peer_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b"]).await;
    let mut client = lab.client.clone();
    let begun = UploadPersistentTaskStartedRequest {
        host_id: "a".to_owned(),
        task_id: TASK.to_owned(),
        peer_id: "a-peer".to_owned(),
        url: "s3://bucket/key".to_owned(),
        object_storage: Some(ObjectStorage::default()),
        persistent_replica_count: 1,
        content_length: 5,
        piece_count: 1,
        ttl: Some(duration(Duration::from_secs(600))),
    };
    client.upload_persistent_task_started(begun).await.unwrap();
    let (said, queue) = mpsc::channel(16);
    let mut told = client
        .announce_persistent_peer(ReceiverStream::new(queue))
        .await
        .unwrap()
        .into_inner();
    let say = |request| AnnouncePersistentPeerRequest {
        host_id: "b".to_owned(),
        task_id: TASK.to_owned(),
        peer_id: "b-peer".to_owned(),
        request: Some(request),
    };
    let register = RegisterPersistentPeerRequest {
        url: "s3://bucket/key".to_owned(),
        ..Default::default()
    };
    said.send(say(StoredRequest::RegisterPersistentPeerRequest(register)))
        .await
        .unwrap();
    let answer = soon("an answer", told.message())
        .await
        .unwrap()
        .unwrap()
        .response
        .unwrap();
    assert!(
        matches!(answer, StoredResponse::NeedBackToSourceResponse(_)),
        "{answer:?}"
    );
    let done = DownloadPersistentPeerBackToSourceFinishedRequest {};
    said.send(say(StoredRequest::DownloadPersistentPeerBackToSourceFinishedRequest(
        done,
    )))
    .await
    .unwrap();
    assert!(soon("the end", told.message()).await.unwrap().is_none());
    let request = StatPersistentTaskRequest {
        host_id: "b".to_owned(),
        task_id: TASK.to_owned(),
    };
    let task = client.stat_persistent_task(request).await.unwrap().into_inner();
    assert_eq!((task.state.as_str(), task.current_replica_count), ("Uploading", 1));
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a"]).await;
    let mut client = lab.client.clone();
    for (request, code, word) in [
        (
            UploadPersistentCacheTaskStartedRequest {
                ttl: Some(duration(Duration::from_secs(299))),
                ..started("a", 1)
            },
            Code::InvalidArgument,
            "ttl",
        ),
        (started("a", 0), Code::InvalidArgument, "persistent_replica_count"),
        (started("nobody", 1), Code::FailedPrecondition, "announce"),
        (
            UploadPersistentCacheTaskStartedRequest {
                task_id: "../etc".to_owned(),
                ..started("a", 1)
            },
            Code::InvalidArgument,
            "../etc",
        ),
    ] {
        let error = client.upload_persistent_cache_task_started(request).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn the_manager_is_told_what_is_kept_and_has_it_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut manager = FakeManager::start(([127, 0, 0, 1], 0).into(), SchedulerCluster::default(), Vec::new()).await;
    let lab = Lab::start(with_manager(&dir, manager.addr)).await;
    let mut attention = manager.attended().await;
    let whole = attention.kept().await;
    assert!(whole.whole_begins && whole.whole_ends && whole.tasks.is_empty());
    let mut a = Seed::start(&lab, "a").await;
    put_in(&lab, "a", 1).await;
    let told = loop {
        let told = attention.kept().await.tasks;
        if told[0].task.as_ref().unwrap().state == "Succeeded" {
            break told;
        }
    };
    assert_eq!(told[0].peers[0].host.as_ref().unwrap().hostname, "a");
    assert!(told[0].peers[0].task.is_none());
    let query = TaskQuery {
        task: Some(task_query::Task::TaskId(TASK.to_owned())),
        concurrent_peer_count: None,
    };
    attention.hand_out(5, 1, Task::DeleteTask(query)).await;
    assert!(matches!(a.told().await, KeptCall::Drop(task) if task == TASK));
    let (mut gone, mut outcome, mut dropped) = (Vec::new(), None, Vec::new());
    while gone.is_empty() || outcome.is_none() {
        match attention.word().await {
            Word::KeptTasks(kept) => gone.extend(kept.gone),
            Word::Work(report) => {
                dropped.extend(report.targets);
                outcome = outcome.or(report.outcome);
            }
            _ => {}
        }
    }
    assert_eq!(gone[0].id, TASK);
    assert!(outcome.unwrap().succeeded);
    let dropped = dropped.last().unwrap();
    assert_eq!((dropped.hostname.as_str(), dropped.state()), ("a", TargetState::Done));
    lab.stop().await.unwrap();
}
