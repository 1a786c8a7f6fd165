//! Joining, being forgotten, leaving, and who is let in.

use crate::rig::{MIB, Options, TestPeer};
use crate::scheduler::TestScheduler;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::dfdaemon::{DownloadTaskRequest, StatLocalTaskRequest};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use tokio::net::TcpListener;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_joins_a_scheduler_that_appears_later_and_takes_its_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let peer = TestPeer::start(Options::peer("early").of(&[addr])).await;
    let scheduler = TestScheduler::start_on(TcpListener::bind(addr).await.unwrap());
    scheduler.has_hosts(1).await;
    let host = scheduler.read(|book| book.hosts["127.0.0.1-early"].clone());
    assert_eq!(host.port, i32::from(peer.addresses.upload.port()));
    assert_eq!(host.proxy_port, i32::from(peer.addresses.proxy.port()));
    assert!(host.memory.is_some_and(|memory| memory.total > 0));
    peer.stop().await;
    assert!(scheduler.read(|book| book.hosts.is_empty()));
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_forgot_this_host_is_told_again() {
    let scheduler = TestScheduler::start().await;
    let peer = TestPeer::start(Options::peer("known").of(&[scheduler.addr])).await;
    scheduler.has_hosts(1).await;
    scheduler.read(|book| book.hosts.clear());
    let origin = Origin::start().unwrap();
    let content = Content::new(1, MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    scheduler
        .until("the download was finished there", |book| {
            book.words
                .contains(&"127.0.0.1-known: DownloadPeerBackToSourceFinishedRequest".to_owned())
        })
        .await;
    peer.stop().await;
    scheduler.kill().await;
}

/// An address of this machine that is not its loopback: to a peer that advertises the loopback, a stranger's.
fn other_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").expect("these tests need a route");
    let ip = socket.local_addr().unwrap().ip();
    assert!(!ip.is_loopback());
    ip
}

#[tokio::test(flavor = "multi_thread")]
async fn only_hosts_that_a_scheduler_has_named_are_let_in() {
    let scheduler = TestScheduler::start().await;
    let everywhere = Options {
        change: |raw| raw.upload.server.ip = Some(Ipv4Addr::UNSPECIFIED.into()),
        ..Options::peer("guarded")
    };
    let peer = TestPeer::start(everywhere.of(&[scheduler.addr])).await;
    scheduler.has_hosts(1).await;
    let ip = other_address();
    let addr = SocketAddr::new(ip, peer.addresses.upload.port());
    let mut stranger = DfdaemonUploadClient::connect(format!("http://{addr}")).await.unwrap();
    let question = StatLocalTaskRequest {
        task_id: "a".repeat(64),
        remote_ip: None,
    };
    let status = stranger.stat_local_task(question.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    scheduler.read(|book| {
        let mut host = book.hosts["127.0.0.1-guarded"].clone();
        (host.id, host.ip) = ("neighbour".to_owned(), ip.to_string());
        book.hosts.insert(host.id.clone(), host);
    });
    let status = stranger.stat_local_task(question).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    peer.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_path_is_never_taken_from_the_network() {
    let peer = TestPeer::start(Options::peer("target")).await;
    let path = peer.output("stolen");
    let addr = peer.addresses.upload;
    let mut client = DfdaemonUploadClient::connect(format!("http://{addr}")).await.unwrap();
    let download = dragonfly_api::common::Download {
        output_path: Some(path.display().to_string()),
        overwrite: true,
        ..crate::rig::whole("http://127.0.0.1:1/file")
    };
    let request = DownloadTaskRequest {
        download: Some(download),
    };
    let status = client.download_task(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(!path.exists());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_from_another_host_does_not_reach_this_hosts_loopback() {
    let peer = TestPeer::start(Options::peer("target")).await;
    let origin = Origin::start().unwrap();
    let url = origin.put("/secret", Resource::file(Content::new(1, 100)));
    let addr = peer.addresses.upload;
    let mut client = DfdaemonUploadClient::connect(format!("http://{addr}")).await.unwrap();
    let download = dragonfly_api::common::Download {
        need_back_to_source: true,
        remote_ip: Some("10.9.8.7".to_owned()),
        ..crate::rig::whole(&url)
    };
    let request = DownloadTaskRequest {
        download: Some(download),
    };
    let status = client.download_task(request).await.unwrap_err();
    assert!(status.message().contains("not allowed"), "{status}");
    assert_eq!(origin.served("/secret").unwrap().requests, 0);
    peer.stop().await;
}
