//! Hosts and everything beside conversations: lists, deletions, restarts, health, reflection, metrics.

use crate::sim::peer::{SimPeer, download, task};
use crate::sim::{Lab, raw, soon};
use dragonfly_api::common::Download;
use dragonfly_api::scheduler::*;
use dragonfly_scheduler::{BuildError, Config, Scheduler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

async fn names(lab: &Lab, kind: Option<u32>) -> Vec<String> {
    let listed = lab.client.clone().list_hosts(ListHostsRequest { r#type: kind }).await;
    listed
        .unwrap()
        .into_inner()
        .hosts
        .into_iter()
        .map(|host| host.name)
        .collect()
}

async fn health(lab: &Lab) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", lab.addr)).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

async fn get(addr: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn hosts_are_listed_by_type_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "seed1", "gone"]).await;
    let left = DeleteHostRequest {
        host_id: "gone".to_owned(),
    };
    lab.client.clone().delete_host(left).await.unwrap();
    assert_eq!(names(&lab, None).await, ["a", "seed1"]);
    lab.stop().await.unwrap();

    let lab = Lab::start(raw(dir.path())).await;
    assert_eq!(names(&lab, Some(0)).await, ["a"]);
    assert_eq!(names(&lab, Some(1)).await, ["seed1"]);
    // A host of the table is a parent before it announced itself anew.
    let held = Download {
        metadata_only: true,
        ..download("")
    };
    let mut a = SimPeer::register(&lab.client, "a", held).await;
    a.next().await.unwrap();
    a.finish(false).await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    assert_eq!(b.parent_ids().await, ["a"]);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_deleted_copy_is_no_parent_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b"]).await;
    SimPeer::fetch_from_origin(&lab.client, "a", download("")).await;
    let mut client = lab.client.clone();
    let deleted = DeleteTaskRequest {
        host_id: "a".to_owned(),
        task_id: task(),
    };
    client.delete_task(deleted).await.unwrap();
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    b.back_to_source().await;
    let peer = DeletePeerRequest {
        host_id: "b".to_owned(),
        task_id: task(),
        peer_id: "b".to_owned(),
    };
    client.delete_peer(peer).await.unwrap();
    assert_eq!(b.next().await.unwrap_err().code(), Code::Aborted);
    let unknown = StatPeerRequest {
        host_id: "b".to_owned(),
        task_id: task(),
        peer_id: "b".to_owned(),
    };
    assert_eq!(client.stat_peer(unknown).await.unwrap_err().code(), Code::NotFound);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn calls_that_are_not_served_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut client = lab.client.clone();
    let stat = client
        .stat_cache_task(StatCacheTaskRequest::default())
        .await
        .unwrap_err();
    assert_eq!(stat.code(), Code::Unimplemented);
    assert!(stat.message().contains("stat_cache_task"), "{stat}");
    let stream = futures::stream::empty::<AnnounceCachePeerRequest>();
    let cached = client.announce_cache_peer(stream).await.unwrap_err();
    assert_eq!(cached.code(), Code::Unimplemented);
    let nobody = AnnounceHostRequest::default();
    assert_eq!(
        client.announce_host(nobody).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a"]).await;
    SimPeer::fetch_from_origin(&lab.client, "a", download("")).await;
    let mut health = health(&lab).await;
    for service in ["", "scheduler.v2.Scheduler"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    assert!(get(lab.metrics, "/healthy").await.ends_with("OK"));
    let metrics = get(lab.metrics, "/metrics").await;
    for line in [
        "dragonfly_scheduler_announce_host_total 1\n",
        "dragonfly_scheduler_register_peer_total{priority=\"LEVEL0\",task_type=\"STANDARD\",host_type=\"normal\"} 1\n",
        "dragonfly_scheduler_download_piece_finished_total{traffic_type=\"BACK_TO_SOURCE\",task_type=\"STANDARD\",host_type=\"normal\"} 4\n",
        "dragonfly_scheduler_traffic{type=\"BACK_TO_SOURCE\",task_type=\"STANDARD\",host_type=\"normal\"} 16777216\n",
        "dragonfly_scheduler_decisions_total{decision=\"back_to_source\",reason=\"no_seed\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_scheduler_on_the_same_data_or_port_fails_with_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let build = |raw| async { Scheduler::build(Config::try_from(raw).unwrap()).await.unwrap_err() };
    let same_data = build(raw(dir.path())).await;
    assert!(matches!(same_data, BuildError::DataDir(_)), "{same_data}");
    let other = tempfile::tempdir().unwrap();
    let mut same_port = raw(other.path());
    same_port.server.port = lab.addr.port();
    let same_port = build(same_port).await;
    assert!(
        same_port.to_string().contains(&lab.addr.port().to_string()),
        "{same_port}"
    );
    assert_eq!(same_port.exit_code(), 1);
    assert!(!same_port.to_string().contains('\n') && !same_data.to_string().contains('\n'));
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn health_says_not_serving_while_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut health = health(&lab).await;
    let request = HealthCheckRequest::default();
    let mut watch = health.watch(request).await.unwrap().into_inner();
    let first = soon("a status", watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let stopping = lab.stop();
    let seeing = async {
        let next = soon("a status", watch.message()).await;
        assert_eq!(next.unwrap().unwrap().status(), ServingStatus::NotServing);
        drop(watch);
    };
    let (stopped, ()) = tokio::join!(stopping, seeing);
    stopped.unwrap();
}
