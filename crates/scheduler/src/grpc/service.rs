//! The calls of `scheduler.v2`.

use super::Grpc;
use super::conversation::{Conversation, Responses};
use super::kept::{cached_peer, cached_task, stored_peer, stored_task};
use super::kept_stream::{self, Cached, Stored};
use super::unserved::unserved;
use crate::brain::task_state;
use crate::kept::{Keeping, TaskState};
use crate::translate;
use dragonfly_api::common::{self, Host, Peer, Task};
use dragonfly_api::scheduler::scheduler_server::Scheduler;
use dragonfly_api::scheduler::*;
use dragonfly_api::{Invalid, PeerIds, duration, timestamp};
use dragonfly_model::{HostId, TaskId};
use dragonfly_scheduling::{Event, PeerKey};
use dragonfly_service::Workers;
use futures::stream::{BoxStream, Empty};
use std::time::{Duration, SystemTime};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// Serves peers.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) grpc: Grpc,
    pub(super) workers: Workers,
    started: (std::time::Instant, SystemTime),
}

impl Service {
    pub(super) fn new(grpc: Grpc, workers: Workers) -> Self {
        Self {
            grpc,
            workers,
            started: (std::time::Instant::now(), SystemTime::now()),
        }
    }

    /// The time of day of a time since the start.
    fn time(&self, since_start: Duration) -> prost_types::Timestamp {
        timestamp(self.started.1 + since_start)
    }

    async fn peer_of(&self, request: StatPeerRequest) -> Result<Peer, Status> {
        let ids = PeerIds::parse(&request.host_id, &request.task_id, &request.peer_id)?;
        let key = translate::peer_key(&ids);
        let view = self.grpc.brain.peer(key.clone()).await?;
        let view = view.ok_or_else(|| Status::not_found(format!("no peer {}", key.peer)))?;
        Ok(Peer {
            id: key.peer.to_string(),
            state: view.stage.name().to_owned(),
            task: Some(self.task_of(&key.task).await?),
            host: self.grpc.hosts.get(&view.host).map(|host| (*host).clone()),
            cost: Some(duration(view.updated.saturating_sub(view.created))),
            created_at: Some(self.time(view.created)),
            updated_at: Some(self.time(view.updated)),
            ..Default::default()
        })
    }

    async fn task_of(&self, id: &TaskId) -> Result<Task, Status> {
        let known = self.grpc.brain.task(id.clone()).await?;
        let known = known.ok_or_else(|| Status::not_found(format!("no task {id}")))?;
        let view = known.view;
        Ok(Task {
            state: task_state(&view).to_owned(),
            peer_count: u32::try_from(view.peers).unwrap_or(u32::MAX),
            has_available_peer: view.has_available_peer,
            created_at: Some(self.time(view.created)),
            updated_at: Some(self.time(view.updated)),
            ..known.described.unwrap_or_else(|| Task {
                id: id.to_string(),
                ..Task::default()
            })
        })
    }

    async fn take_in(&self, request: AnnounceHostRequest) -> Result<(), Status> {
        let host = request.host.ok_or(Invalid::Missing("host"))?;
        let id = HostId::parse(&host.id).map_err(Invalid::from)?;
        let facts = translate::host_facts(&host, request.interval)?;
        let announced = self
            .grpc
            .hosts
            .announce(id.clone(), host, facts.interval, SystemTime::now());
        announced.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        Ok(self.grpc.brain.tell(Event::HostAnnounced { host: id, facts }).await?)
    }

    async fn drop_host(&self, request: DeleteHostRequest) -> Result<(), Status> {
        let host = HostId::parse(&request.host_id).map_err(Invalid::from)?;
        // The graph first: it must not name a host of which nothing is known any more.
        self.grpc.brain.tell(Event::HostLeft { host: host.clone() }).await?;
        self.grpc.hosts.remove(&host);
        Ok(())
    }

    async fn drop_task(&self, request: DeleteTaskRequest) -> Result<(), Status> {
        let event = Event::TaskDeleted {
            host: HostId::parse(&request.host_id).map_err(Invalid::from)?,
            task: TaskId::parse(&request.task_id).map_err(Invalid::from)?,
        };
        Ok(self.grpc.brain.tell(event).await?)
    }

    async fn drop_peer(&self, request: DeletePeerRequest) -> Result<(), Status> {
        let ids = PeerIds::parse(&request.host_id, &request.task_id, &request.peer_id)?;
        let peer: PeerKey = translate::peer_key(&ids);
        Ok(self.grpc.brain.tell(Event::PeerDeleted { peer }).await?)
    }

    fn listed(&self, kind: Option<u32>) -> Vec<Host> {
        let hosts = self.grpc.hosts.all().into_iter().map(|(_, entry)| entry.host);
        let listed = hosts.filter(|host| kind.is_none_or(|kind| kind == host.r#type));
        listed.map(|host| (*host).clone()).collect()
    }
}

#[tonic::async_trait]
impl Scheduler for Service {
    type AnnouncePeerStream = Responses;
    type AnnounceCachePeerStream = Empty<Result<AnnounceCachePeerResponse, Status>>;
    type AnnouncePersistentPeerStream = BoxStream<'static, Result<AnnouncePersistentPeerResponse, Status>>;
    type AnnouncePersistentCachePeerStream = BoxStream<'static, Result<AnnouncePersistentCachePeerResponse, Status>>;

    async fn announce_peer(
        &self,
        request: Request<Streaming<AnnouncePeerRequest>>,
    ) -> Result<Response<Responses>, Status> {
        // The headers go out at once: some peers wait only seconds for them, and minutes for the first answer.
        let listens = request.metadata().contains_key(dragonfly_api::LISTENS);
        let (conversation, responses) = Conversation::new(self.grpc.clone(), listens);
        let counts = self.grpc.counts.clone();
        self.workers.spawn("conversation with a peer", async move {
            // What went wrong was told to the peer.
            counts
                .announce_peer
                .count(conversation.hold(request.into_inner()).await)
                .ok();
        });
        let mut response = Response::new(responses);
        response
            .metadata_mut()
            .insert(dragonfly_api::PATIENT, MetadataValue::from_static("true"));
        Ok(response)
    }

    async fn stat_peer(&self, request: Request<StatPeerRequest>) -> Result<Response<Peer>, Status> {
        let peer = self.peer_of(request.into_inner()).await;
        self.grpc.counts.stat_peer.count(peer).map(Response::new)
    }

    async fn delete_peer(&self, request: Request<DeletePeerRequest>) -> Result<Response<()>, Status> {
        let dropped = self.drop_peer(request.into_inner()).await;
        self.grpc.counts.leave_peer.count(dropped).map(Response::new)
    }

    async fn stat_task(&self, request: Request<StatTaskRequest>) -> Result<Response<Task>, Status> {
        let id = TaskId::parse(&request.into_inner().task_id).map_err(Invalid::from)?;
        let task = self.task_of(&id).await;
        self.grpc.counts.stat_task.count(task).map(Response::new)
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        let dropped = self.drop_task(request.into_inner()).await;
        self.grpc.counts.leave_task.count(dropped).map(Response::new)
    }

    async fn announce_host(&self, request: Request<AnnounceHostRequest>) -> Result<Response<()>, Status> {
        let taken = self.take_in(request.into_inner()).await;
        self.grpc.counts.announce_host.count(taken).map(Response::new)
    }

    async fn list_hosts(&self, request: Request<ListHostsRequest>) -> Result<Response<ListHostsResponse>, Status> {
        let hosts = self.listed(request.into_inner().r#type);
        let listed: Result<_, Status> = Ok(ListHostsResponse { hosts });
        self.grpc.counts.list_hosts.count(listed).map(Response::new)
    }

    async fn delete_host(&self, request: Request<DeleteHostRequest>) -> Result<Response<()>, Status> {
        let dropped = self.drop_host(request.into_inner()).await;
        self.grpc.counts.leave_host.count(dropped).map(Response::new)
    }

    async fn preheat_image(&self, request: Request<PreheatImageRequest>) -> Result<Response<()>, Status> {
        let begun = self.begin_image(request).await;
        self.grpc.counts.preheat_image.count(begun).map(Response::new)
    }

    async fn preheat_file(&self, request: Request<PreheatFileRequest>) -> Result<Response<()>, Status> {
        let begun = self.begin_file(request).await;
        self.grpc.counts.preheat_file.count(begun).map(Response::new)
    }

    async fn stat_image(&self, request: Request<StatImageRequest>) -> Result<Response<StatImageResponse>, Status> {
        let told = self.image_told(request).await;
        self.grpc.counts.stat_image.count(told).map(Response::new)
    }

    async fn stat_file(&self, request: Request<StatFileRequest>) -> Result<Response<StatFileResponse>, Status> {
        let told = self.file_told(request).await;
        self.grpc.counts.stat_file.count(told).map(Response::new)
    }

    async fn announce_persistent_peer(
        &self,
        request: Request<Streaming<AnnouncePersistentPeerRequest>>,
    ) -> Result<Response<Self::AnnouncePersistentPeerStream>, Status> {
        let told = kept_stream::hold::<Stored>(self.grpc.kept.clone(), request.into_inner());
        Ok(Response::new(told))
    }

    async fn stat_persistent_peer(
        &self,
        request: Request<StatPersistentPeerRequest>,
    ) -> Result<Response<common::PersistentPeer>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        let (view, peer) = self.kept_peer(Keeping::Persistent, ids)?;
        Ok(Response::new(stored_peer(&view, peer)))
    }

    async fn delete_persistent_peer(
        &self,
        request: Request<DeletePersistentPeerRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        self.drop_kept_peer(Keeping::Persistent, ids).map(Response::new)
    }

    async fn upload_persistent_task_started(
        &self,
        request: Request<UploadPersistentTaskStartedRequest>,
    ) -> Result<Response<()>, Status> {
        self.begin_stored(request.into_inner()).map(Response::new)
    }

    async fn upload_persistent_task_finished(
        &self,
        request: Request<UploadPersistentTaskFinishedRequest>,
    ) -> Result<Response<common::PersistentTask>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        let view = self.end_upload(Keeping::Persistent, ids, TaskState::Succeeded)?;
        Ok(Response::new(stored_task(&view)))
    }

    async fn upload_persistent_task_failed(
        &self,
        request: Request<UploadPersistentTaskFailedRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        self.end_upload(Keeping::Persistent, ids, TaskState::Failed)?;
        Ok(Response::new(()))
    }

    async fn stat_persistent_task(
        &self,
        request: Request<StatPersistentTaskRequest>,
    ) -> Result<Response<common::PersistentTask>, Status> {
        let view = self.kept_task(Keeping::Persistent, &request.into_inner().task_id)?;
        Ok(Response::new(stored_task(&view)))
    }

    async fn delete_persistent_task(
        &self,
        request: Request<DeletePersistentTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let task = request.into_inner().task_id;
        self.drop_kept(Keeping::Persistent, &task).await.map(Response::new)
    }

    async fn announce_persistent_cache_peer(
        &self,
        request: Request<Streaming<AnnouncePersistentCachePeerRequest>>,
    ) -> Result<Response<Self::AnnouncePersistentCachePeerStream>, Status> {
        let told = kept_stream::hold::<Cached>(self.grpc.kept.clone(), request.into_inner());
        Ok(Response::new(told))
    }

    async fn stat_persistent_cache_peer(
        &self,
        request: Request<StatPersistentCachePeerRequest>,
    ) -> Result<Response<common::PersistentCachePeer>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        let (view, peer) = self.kept_peer(Keeping::PersistentCache, ids)?;
        Ok(Response::new(cached_peer(&view, peer)))
    }

    async fn delete_persistent_cache_peer(
        &self,
        request: Request<DeletePersistentCachePeerRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        self.drop_kept_peer(Keeping::PersistentCache, ids).map(Response::new)
    }

    async fn upload_persistent_cache_task_started(
        &self,
        request: Request<UploadPersistentCacheTaskStartedRequest>,
    ) -> Result<Response<()>, Status> {
        self.begin_cached(request.into_inner()).map(Response::new)
    }

    async fn upload_persistent_cache_task_finished(
        &self,
        request: Request<UploadPersistentCacheTaskFinishedRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        let view = self.end_upload(Keeping::PersistentCache, ids, TaskState::Succeeded)?;
        Ok(Response::new(cached_task(&view)))
    }

    async fn upload_persistent_cache_task_failed(
        &self,
        request: Request<UploadPersistentCacheTaskFailedRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let ids = [&*request.host_id, &request.task_id, &request.peer_id];
        self.end_upload(Keeping::PersistentCache, ids, TaskState::Failed)?;
        Ok(Response::new(()))
    }

    async fn stat_persistent_cache_task(
        &self,
        request: Request<StatPersistentCacheTaskRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let view = self.kept_task(Keeping::PersistentCache, &request.into_inner().task_id)?;
        Ok(Response::new(cached_task(&view)))
    }

    async fn delete_persistent_cache_task(
        &self,
        request: Request<DeletePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let task = request.into_inner().task_id;
        self.drop_kept(Keeping::PersistentCache, &task).await.map(Response::new)
    }

    unserved! {
        announce_cache_peer(Streaming<AnnounceCachePeerRequest>) -> Self::AnnounceCachePeerStream;
        stat_cache_peer(StatCachePeerRequest) -> common::CachePeer;
        delete_cache_peer(DeleteCachePeerRequest) -> ();
        stat_cache_task(StatCacheTaskRequest) -> common::CacheTask;
        delete_cache_task(DeleteCacheTaskRequest) -> ();
    }
}
