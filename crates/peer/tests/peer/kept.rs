//! Contents that the cluster keeps: put in by one peer, fetched from those that have them.

use super::api::channel_of;
use super::rig::{MIB, Options, PATIENCE, TestPeer, whole};
use super::scheduler::{Book, TestScheduler};
use dragonfly_api::common::{Download, PersistentCacheTask};
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::dfdaemon::download_persistent_cache_task_response::Response as Part;
use dragonfly_api::dfdaemon::*;
use dragonfly_api::ext::dfdaemon_client::DfdaemonClient;
use dragonfly_api::ext::import_persistent_cache_task_request::Part as Sent;
use dragonfly_api::ext::{ImportHeader, ImportPersistentCacheTaskRequest};
use dragonfly_api::kept::CONTENT_DIGEST;
use dragonfly_model::CachedContent;
use dragonfly_service::grpc::{Timeouts, connect_unix};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const HOUR: Duration = Duration::from_secs(3600);

fn bytes(seed: u64, length: u64) -> Vec<u8> {
    Content::new(seed, length).bytes(0, length as usize)
}

fn id_of(bytes: &[u8], tag: Option<&str>) -> String {
    let mut content = CachedContent::default();
    content.update(bytes);
    content.task_id(tag, None, None).to_string()
}

fn upload() -> UploadPersistentCacheTaskRequest {
    UploadPersistentCacheTaskRequest {
        persistent_replica_count: 2,
        ttl: Some(dragonfly_api::duration(HOUR)),
        ..Default::default()
    }
}

fn header(bytes: &[u8]) -> ImportHeader {
    ImportHeader {
        upload: Some(upload()),
        content_length: bytes.len() as u64,
        task_id: Some(id_of(bytes, None)),
    }
}

/// The header of bytes with a tag, and the id that they make.
pub(crate) fn tagged(bytes: &[u8], tag: &str) -> (ImportHeader, String) {
    let id = id_of(bytes, Some(tag));
    let upload = UploadPersistentCacheTaskRequest {
        tag: Some(tag.to_owned()),
        ..upload()
    };
    let header = ImportHeader {
        upload: Some(upload),
        task_id: Some(id.clone()),
        ..header(bytes)
    };
    (header, id)
}

/// The messages of an import.
fn parts(header: ImportHeader, bytes: &[u8]) -> Vec<ImportPersistentCacheTaskRequest> {
    let content = bytes.chunks(MIB as usize).map(|chunk| Sent::Content(chunk.to_vec()));
    let parts = std::iter::once(Sent::Header(header)).chain(content);
    parts
        .map(|part| ImportPersistentCacheTaskRequest { part: Some(part) })
        .collect()
}

impl TestPeer {
    async fn tools(&self) -> DfdaemonClient<tonic::transport::Channel> {
        let timeouts = Timeouts {
            request: None,
            ..Timeouts::default()
        };
        DfdaemonClient::new(connect_unix(&self.addresses.socket, timeouts).await.unwrap())
    }

    pub(crate) async fn import(&self, header: ImportHeader, bytes: &[u8]) -> Result<PersistentCacheTask, Status> {
        let sending = tokio_stream::iter(parts(header, bytes));
        let mut tools = self.tools().await;
        let put = tokio::time::timeout(PATIENCE, tools.import_persistent_cache_task(sending)).await;
        put.expect("it hangs").map(tonic::Response::into_inner)
    }

    pub(crate) async fn export(&self, task: &str) -> Result<Vec<u8>, Status> {
        let request = DownloadPersistentCacheTaskRequest {
            task_id: task.to_owned(),
            need_piece_content: true,
            ..Default::default()
        };
        let mut client = self.client().await;
        let fetching = async {
            let mut parts = client.download_persistent_cache_task(request).await?.into_inner();
            let mut content = Vec::new();
            while let Some(part) = parts.message().await? {
                match part.response.unwrap() {
                    Part::DownloadPersistentCacheTaskStartedResponse(started) => {
                        content = vec![0; started.content_length as usize];
                    }
                    Part::DownloadPieceFinishedResponse(finished) => {
                        let piece = finished.piece.unwrap();
                        let (at, bytes) = (piece.offset as usize, piece.content.unwrap());
                        content[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                }
            }
            Ok(content)
        };
        tokio::time::timeout(PATIENCE, fetching).await.expect("it hangs")
    }

    /// What it keeps, and whether it must.
    async fn keeps(&self) -> Vec<(String, bool)> {
        let request = ListLocalPersistentCacheTasksRequest::default();
        let listed = self
            .client()
            .await
            .list_local_persistent_cache_tasks(request)
            .await
            .unwrap();
        let tasks = listed.into_inner().tasks.into_iter();
        tasks.map(|task| (task.task_id, task.persistent)).collect()
    }

    /// What of the task is on its disk.
    async fn stat(&self, task: &str) -> Result<StatLocalTaskResponse, Status> {
        let request = StatLocalTaskRequest {
            task_id: task.to_owned(),
            remote_ip: None,
        };
        let stat = self.client().await.stat_local_task(request).await;
        stat.map(tonic::Response::into_inner)
    }

    async fn has(&self, task: &str) -> bool {
        self.stat(task).await.is_ok()
    }

    /// Waits until nothing of the task is on its disk.
    async fn until_without(&self, task: &str) {
        let gone = async {
            while self.has(task).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("it stays");
    }
}

/// Peers that their scheduler knows.
async fn cluster<const N: usize>(names: [&'static str; N]) -> (TestScheduler, [TestPeer; N]) {
    let scheduler = TestScheduler::start().await;
    let peers = names.map(|name| TestPeer::start(Options::peer(name).of(&[scheduler.addr])));
    let peers = futures::future::join_all(peers).await;
    scheduler.has_hosts(N).await;
    (scheduler, peers.try_into().unwrap_or_else(|_| panic!("{N} peers")))
}

#[tokio::test]
async fn a_file_is_put_in_replicated_and_fetched_by_another_when_the_first_is_gone() {
    let (scheduler, [a, b, c]) = cluster(["a", "b", "c"]).await;
    let bytes = bytes(1, 9 * MIB + 5);
    let task = a.import(header(&bytes), &bytes).await.unwrap();
    let id = task.id.clone();
    assert_eq!(id, id_of(&bytes, None));
    assert_eq!(
        (task.state.as_str(), task.content_length),
        ("Succeeded", bytes.len() as u64)
    );
    assert_eq!(a.keeps().await, [(id.clone(), true)]);

    scheduler.replicate(&id, "b").await.unwrap();
    assert_eq!(b.keeps().await, [(id.clone(), true)]);
    a.stop().await;

    assert_eq!(c.export(&id).await.unwrap(), bytes);
    assert_eq!(c.keeps().await, [(id.clone(), false)]);
    // It has checked the whole by the digest that the importer found, from parent to child.
    let digest = format!("sha256:{}", Content::new(1, bytes.len() as u64).sha256());
    assert_eq!(c.stat(&id).await.unwrap().response_header[CONTENT_DIGEST], digest);
    scheduler.hears_of(&id, "c").await;
    // What it has as a cache becomes an obligation, by either way in which a scheduler says so.
    scheduler.oblige(&id, "c").await.unwrap();
    assert_eq!(c.keeps().await, [(id.clone(), true)]);
    scheduler.replicate(&id, "c").await.unwrap();
    let all = ["127.0.0.1-a", "127.0.0.1-b", "127.0.0.1-c"];
    let must = |book: &Book| book.kept[&id].obliged() == all;
    scheduler.until("all three must keep it", must).await;
    c.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_file_of_no_bytes_is_a_file() {
    let (scheduler, [a, b]) = cluster(["a", "b"]).await;
    let id = a.import(header(b""), b"").await.unwrap().id;
    assert_eq!(a.export(&id).await.unwrap(), b"");
    scheduler.replicate(&id, "b").await.unwrap();
    assert_eq!(b.keeps().await, [(id.clone(), true)]);
    assert_eq!(b.export(&id).await.unwrap(), b"");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_peer_that_restarts_still_keeps_what_it_must() {
    let (scheduler, [a, b]) = cluster(["a", "b"]).await;
    let bytes = bytes(2, 5 * MIB);
    let id = a.import(header(&bytes), &bytes).await.unwrap().id;
    let dir = a.stop().await;
    assert!(b.export(&id).await.is_err());
    let a = TestPeer::start_in(dir, Options::peer("a").of(&[scheduler.addr])).await;
    assert_eq!(a.keeps().await, [(id.clone(), true)]);
    let port = i32::from(a.addresses.upload.port());
    let is_back = |book: &Book| book.hosts.get("127.0.0.1-a").is_some_and(|host| host.port == port);
    scheduler.until("it is back", is_back).await;
    assert_eq!(b.export(&id).await.unwrap(), bytes);
    // The scheduler is away: what is here is here.
    scheduler.kill().await;
    assert_eq!(a.export(&id).await.unwrap(), bytes);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_deleted_task_is_dropped_by_all_who_have_it() {
    let (scheduler, [a, b]) = cluster(["a", "b"]).await;
    let bytes = bytes(3, MIB);
    let id = a.import(header(&bytes), &bytes).await.unwrap().id;
    scheduler.replicate(&id, "b").await.unwrap();
    scheduler.hears_of(&id, "b").await;
    let again = a.import(header(&bytes), &bytes).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists, "{again}");
    let request = DeletePersistentCacheTaskRequest {
        task_id: id.clone(),
        remote_ip: None,
    };
    b.tools()
        .await
        .delete_persistent_cache_task(request.clone())
        .await
        .unwrap();
    for peer in [&a, &b] {
        assert!(!peer.has(&id).await && peer.keeps().await.is_empty());
        assert_eq!(peer.export(&id).await.unwrap_err().code(), Code::NotFound);
    }
    let again = a.tools().await.delete_persistent_cache_task(request).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
    // Now it may be put in anew.
    a.import(header(&bytes), &bytes).await.unwrap();
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_task_ends_when_its_time_is_over() {
    let scheduler = TestScheduler::start().await;
    let often = Options {
        change: |raw| raw.gc.interval = Duration::from_millis(50),
        ..Options::peer("b")
    };
    let a = TestPeer::start(Options::peer("a").of(&[scheduler.addr])).await;
    let b = TestPeer::start(often.of(&[scheduler.addr])).await;
    scheduler.has_hosts(2).await;
    let bytes = bytes(4, MIB);
    let id = a.import(header(&bytes), &bytes).await.unwrap().id;
    // Its time is soon over. Whether it comes before that does not matter: then it must not stay.
    scheduler.age(&id, HOUR - Duration::from_secs(2), HOUR);
    scheduler.replicate(&id, "b").await.ok();
    b.until_without(&id).await;
    scheduler.age(&id, HOUR, HOUR);
    let over = b.export(&id).await.unwrap_err();
    assert_eq!(over.code(), Code::NotFound, "{over}");
    // Only that: one whose time is not over stays.
    assert_eq!(a.keeps().await, [(id, true)]);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn what_is_removed_here_is_taken_off_the_schedulers_books() {
    let (scheduler, [a, b]) = cluster(["a", "b"]).await;
    let bytes = bytes(5, MIB);
    let id = a.import(header(&bytes), &bytes).await.unwrap().id;
    b.export(&id).await.unwrap();
    scheduler.hears_of(&id, "b").await;
    let request = DeleteLocalTaskRequest {
        task_id: id.clone(),
        remote_ip: None,
    };
    b.client().await.delete_local_task(request).await.unwrap();
    assert!(!b.has(&id).await);
    let hosts = scheduler.read(|book| book.kept[&id].hosts().join(" "));
    assert_eq!(hosts, "127.0.0.1-a");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_id_leave_nothing_behind() {
    let (scheduler, [a]) = cluster(["a"]).await;
    let good = bytes(6, 5 * MIB);
    let id = id_of(&good, None);
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    let longer = [&good[..], b"x"].concat();
    for sent in [&bad[..], &good[..good.len() - 1], &longer] {
        let error = a.import(header(&good), sent).await.unwrap_err();
        assert!(error.message().contains("changed"), "{error}");
        assert!(!a.has(&id).await);
        assert_eq!(scheduler.read(|book| book.kept[&id].task.state.clone()), "Failed");
    }
    // What failed may be tried again.
    a.import(header(&good), &good).await.unwrap();
    a.stop().await;
}

#[tokio::test]
async fn an_import_whose_caller_goes_is_taken_back() {
    let (scheduler, [a]) = cluster(["a"]).await;
    let bytes = bytes(7, 5 * MIB);
    let id = id_of(&bytes, None);
    let (send, queue) = mpsc::channel(1);
    let mut tools = a.tools().await;
    let mut importing = JoinSet::new();
    importing.spawn(async move { tools.import_persistent_cache_task(ReceiverStream::new(queue)).await });
    for part in parts(header(&bytes), &bytes[..2 * MIB as usize]) {
        send.send(part).await.unwrap();
    }
    scheduler.until("it began", |book| book.kept.contains_key(&id)).await;
    importing.shutdown().await;
    scheduler
        .until("it failed", |book| book.kept[&id].task.state == "Failed")
        .await;
    assert!(!a.has(&id).await);
    a.stop().await;
}

#[tokio::test]
async fn a_content_with_an_origin_and_a_kept_one_do_not_take_each_others_place() {
    let (_scheduler, [a]) = cluster(["a"]).await;
    let origin = Origin::start().unwrap();
    let url = origin.put("/file", Resource::file(Content::new(8, MIB)));
    let kept = bytes(9, MIB);
    let named = |text: &str| ImportHeader {
        upload: Some(UploadPersistentCacheTaskRequest {
            content_for_calculating_task_id: Some(text.to_owned()),
            ..upload()
        }),
        task_id: None,
        ..header(&kept)
    };
    let id = a.import(named("v1"), &kept).await.unwrap().id;
    let same = Download {
        content_for_calculating_task_id: Some("v1".to_owned()),
        ..whole(&url)
    };
    let error = a.get(same).await.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    assert_eq!(a.export(&id).await.unwrap(), kept);
    // Nobody vouches for another origin's blob.
    let text = format!("sha256:{}\nhttps://registry.example:443", "a".repeat(64));
    assert_eq!(
        a.import(named(&text), &kept).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    // The standard ones are told apart in the list.
    let listed = a
        .client()
        .await
        .list_local_tasks(ListLocalTasksRequest::default())
        .await;
    assert!(listed.unwrap().into_inner().tasks.is_empty());
    a.stop().await;
}

/// Dragonfly's own call for a file with these bytes.
fn of_path(peer: &TestPeer, bytes: &[u8]) -> UploadPersistentCacheTaskRequest {
    let path = peer.output("file");
    std::fs::write(&path, bytes).unwrap();
    UploadPersistentCacheTaskRequest {
        path: path.to_str().unwrap().to_owned(),
        tag: Some("v1".to_owned()),
        ..upload()
    }
}

#[tokio::test]
async fn a_path_or_a_wish_that_makes_no_sense_is_refused_by_its_name() {
    let (_scheduler, [a]) = cluster(["a"]).await;
    let request = of_path(&a, &bytes(10, MIB));
    let mut client = a.client().await;
    for (wrong, word) in [
        (
            UploadPersistentCacheTaskRequest {
                path: "file".to_owned(),
                ..request.clone()
            },
            "absolute",
        ),
        (
            UploadPersistentCacheTaskRequest {
                path: a.dir().to_str().unwrap().to_owned(),
                ..request.clone()
            },
            "regular",
        ),
        (
            UploadPersistentCacheTaskRequest {
                ttl: Some(dragonfly_api::duration(Duration::from_secs(299))),
                ..request.clone()
            },
            "5 minutes",
        ),
        (
            UploadPersistentCacheTaskRequest {
                persistent_replica_count: 0,
                ..request.clone()
            },
            "persistent_replica_count",
        ),
    ] {
        let error = client.upload_persistent_cache_task(wrong).await.unwrap_err();
        assert!(error.message().contains(word), "{error}");
    }
    a.stop().await;
}

#[tokio::test]
async fn dragonflys_own_tool_names_a_path_if_it_runs_as_the_daemon_does() {
    let (_scheduler, [a]) = cluster(["a"]).await;
    let bytes = bytes(10, 2 * MIB);
    let request = of_path(&a, &bytes);
    let mut client = a.client().await;
    let task = client
        .upload_persistent_cache_task(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(task.id, id_of(&bytes, Some("v1")));
    // Another user names none, whoever may read the file, but has its own bytes taken.
    let other = channel_of(65_534, &a.addresses.socket).await;
    let named = UploadPersistentCacheTaskRequest {
        tag: Some("v2".to_owned()),
        ..request.clone()
    };
    let status = DfdaemonDownloadClient::new(other.clone())
        .upload_persistent_cache_task(named)
        .await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    let sending = tokio_stream::iter(parts(header(&bytes), &bytes));
    DfdaemonClient::new(other)
        .import_persistent_cache_task(sending)
        .await
        .unwrap();
    // And may have it written to one.
    let output = a.output("copy");
    let request = DownloadPersistentCacheTaskRequest {
        task_id: task.id,
        output_path: Some(output.to_str().unwrap().to_owned()),
        ..Default::default()
    };
    let mut parts = client
        .download_persistent_cache_task(request)
        .await
        .unwrap()
        .into_inner();
    while parts.message().await.unwrap().is_some() {}
    assert_eq!(std::fs::read(output).unwrap(), bytes);
    a.stop().await;
}
