//! The local API: output files, lists, deletion, and what is not served.

use crate::rig::{MIB, Options, TestPeer, get, whole};
use dragonfly_api::common::Download;
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::dfdaemon::{DeleteTaskRequest, ListLocalTasksRequest, StatCacheTaskRequest, StatLocalTaskRequest};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use hyper_util::rt::TokioIo;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

fn to_file(url: &str, path: &Path) -> Download {
    Download {
        need_piece_content: false,
        output_path: Some(path.display().to_string()),
        ..whole(url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_writes_a_file_for_its_own_user() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 5 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let path = peer.output("out");
    peer.get(to_file(&url, &path)).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == content.bytes(0, content.length() as usize));
    let again = peer.get(to_file(&url, &path)).await.err().unwrap();
    assert_eq!(again.code(), Code::AlreadyExists);
    let over = Download {
        overwrite: true,
        ..to_file(&url, &path)
    };
    peer.get(over).await.unwrap();
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expectation_leaves_no_file_and_the_cache_as_it_was() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(2, 5 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let path = peer.output("out");
    let wrong = Download {
        digest: Some(format!("sha256:{}", "0".repeat(64))),
        ..to_file(&url, &path)
    };
    assert_eq!(peer.get(wrong).await.err().unwrap().code(), Code::DataLoss);
    let parent = path.parent().unwrap();
    let names: Vec<_> = std::fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names.iter().any(|name| name.to_string_lossy().contains("out")),
        "{names:?}"
    );
    let right = Download {
        digest: Some(format!("sha256:{}", content.sha256())),
        ..to_file(&url, &path)
    };
    peer.get(right).await.unwrap();
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    peer.stop().await;
}

async fn as_user(uid: u32, socket: &Path) -> DfdaemonDownloadClient<Channel> {
    DfdaemonDownloadClient::new(channel_of(uid, socket).await)
}

/// A channel that the kernel knows as another user's: a thread changes its own user, connects, and hands the connection on.
pub(crate) async fn channel_of(uid: u32, socket: &Path) -> Channel {
    let path = socket.to_owned();
    let connect = move || {
        // The raw call changes this thread alone; libc's would change them all.
        rustix::thread::set_thread_res_uid(
            rustix::process::Uid::from_raw(uid),
            rustix::process::Uid::from_raw(uid),
            rustix::process::Uid::from_raw(uid),
        )
        .unwrap();
        UnixStream::connect(path).unwrap()
    };
    let stream = std::thread::spawn(connect).join().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut stream = Some(tokio::net::UnixStream::from_std(stream).unwrap());
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream
            .take()
            .ok_or_else(|| std::io::Error::other("only one connection"));
        async move { stream.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost:1");
    endpoint.connect_with_connector(connector).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_names_no_output_path_but_gets_the_bytes() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(3, MIB);
    let url = origin.put("/file", Resource::file(content));
    let path = peer.output("out");
    let client = as_user(65_534, &peer.addresses.socket).await;
    let status = get(client.clone(), to_file(&url, &path)).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(!path.exists());
    let got = get(client, whole(&url)).await.unwrap();
    assert!(got.bytes == content.bytes(0, content.length() as usize));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_described_and_deleted() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let url = origin.put("/file", Resource::file(Content::new(4, MIB)));
    let got = peer.get(whole(&url)).await.unwrap();
    let mut client = peer.client().await;
    let question = StatLocalTaskRequest {
        task_id: got.task_id.clone(),
        remote_ip: None,
    };
    let stat = client.stat_local_task(question.clone()).await.unwrap();
    assert_eq!(stat.metadata().get(dragonfly_api::PIECES).unwrap(), "1");
    let stat = stat.into_inner();
    assert_eq!((stat.content_length, stat.piece_length), (Some(MIB), Some(4 * MIB)));
    assert!(stat.finished_at.is_some());
    let list = client
        .list_local_tasks(ListLocalTasksRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(list.tasks.len(), 1);
    let deletion = DeleteTaskRequest {
        task_id: got.task_id,
        remote_ip: None,
    };
    client.delete_task(deletion.clone()).await.unwrap();
    assert_eq!(client.delete_task(deletion).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        client.stat_local_task(question).await.unwrap_err().code(),
        Code::NotFound
    );
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_said_and_kills_nobody() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let mut client = peer.client().await;
    let status = client
        .stat_cache_task(StatCacheTaskRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    for task_id in ["", "x", "../../etc/passwd"] {
        let question = StatLocalTaskRequest {
            task_id: task_id.to_owned(),
            remote_ip: None,
        };
        assert_eq!(
            client.stat_local_task(question).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    peer.stop().await;
}
