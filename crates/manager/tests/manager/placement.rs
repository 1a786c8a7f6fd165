//! Which cluster's schedulers a peer is given.

use crate::room::{Alive, Engine, Room, living_scheduler, on_every_engine, peer, seed_peer};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{ListSchedulersRequest, SourceType};
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

/// The hostnames of the schedulers that are answered, and why.
async fn placed(client: &mut ManagerClient<Channel>, request: ListSchedulersRequest) -> (Vec<String>, String) {
    let answer = client.list_schedulers(request).await.unwrap();
    let reason = answer.metadata().get("dragonfly-cluster-reason").unwrap();
    let reason = reason.to_str().unwrap().to_owned();
    let hosts = answer.into_inner().schedulers.into_iter().map(|s| s.hostname);
    (hosts.collect(), reason)
}

fn said(hosts: &[&str], reason: &str) -> (Vec<String>, String) {
    (hosts.iter().map(|host| (*host).to_owned()).collect(), reason.to_owned())
}

/// The default cluster 1 and clusters 2 to 5 with one scope each; `s1` to `s5` live in them.
async fn five_clusters(room: &Room) -> Vec<Alive> {
    let root = room.root().await;
    for (name, scopes) in [
        ("cluster-2", json!({"cidrs": ["10.2.0.0/16"]})),
        ("cluster-3", json!({"hostnames": ["^gpu-"]})),
        ("cluster-4", json!({"idc": "idc-4|idc-four"})),
        ("cluster-5", json!({"location": "asia|china"})),
    ] {
        root.add_cluster(name, scopes).await;
    }
    let mut alive = Vec::new();
    for cluster in 1..=5 {
        alive.push(living_scheduler(room, &format!("s{cluster}"), cluster).await.1);
    }
    alive
}

async fn a_peer_is_placed_by_cidr_before_hostname_before_idc_before_location_before_default(engine: Engine) {
    let room = Room::start(engine).await;
    let _alive = five_clusters(&room).await;
    let mut client = room.grpc().await;
    let everything = ListSchedulersRequest {
        idc: Some("IDC-Four".into()),
        location: Some("asia|china|hangzhou".into()),
        ..peer("gpu-1", "10.2.0.9")
    };
    let table = [
        (everything.clone(), said(&["s2"], "cidr")),
        (
            ListSchedulersRequest {
                ip: "10.3.0.9".into(),
                ..everything.clone()
            },
            said(&["s3"], "hostname"),
        ),
        (
            ListSchedulersRequest {
                ip: "10.3.0.9".into(),
                hostname: "cpu-1".into(),
                ..everything.clone()
            },
            said(&["s4"], "idc"),
        ),
        (
            ListSchedulersRequest {
                location: Some("Asia|China|Hangzhou".into()),
                ..peer("cpu-1", "10.3.0.9")
            },
            said(&["s5"], "location"),
        ),
        (peer("cpu-1", "10.3.0.9"), said(&["s1"], "default")),
        (
            ListSchedulersRequest {
                scheduler_cluster_id: 4,
                ..everything
            },
            said(&["s4"], "pinned"),
        ),
    ];
    for (request, expected) in table {
        assert_eq!(placed(&mut client, request.clone()).await, expected, "{request:?}");
    }
}

async fn a_peer_is_never_given_another_clusters_schedulers(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.add_cluster("cluster-2", json!({"cidrs": ["10.2.0.0/16"]})).await;
    let (_, _alive) = living_scheduler(&room, "s1", 1).await;
    let mut client = room.grpc().await;
    let status = client.list_schedulers(peer("p", "10.2.0.9")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("cluster 2 (cluster-2)"), "{status}");
    assert!(status.message().contains("10.2.0.0/16"), "{status}");
    let unknown = ListSchedulersRequest {
        scheduler_cluster_id: 9,
        ..peer("p", "10.1.0.9")
    };
    assert_eq!(
        client.list_schedulers(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
}

async fn a_seed_peer_is_placed_where_it_is_registered_and_a_peer_of_its_host_is_not(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.add_cluster("cluster-2", json!({"idc": "cluster-2"})).await;
    let (_, _one) = living_scheduler(&room, "s1", 1).await;
    let (_, _two) = living_scheduler(&room, "s2", 2).await;
    let mut client = room.grpc().await;
    client.update_seed_peer(seed_peer("seed", 2)).await.unwrap();
    let as_seed = ListSchedulersRequest {
        source_type: SourceType::SeedPeerSource.into(),
        ..peer("seed", "10.0.0.1")
    };
    assert_eq!(placed(&mut client, as_seed.clone()).await, said(&["s2"], "seed_peer"));
    assert_eq!(
        placed(&mut client, peer("seed", "10.0.0.1")).await,
        said(&["s1"], "default")
    );
    let pinned = ListSchedulersRequest {
        scheduler_cluster_id: 1,
        ..as_seed
    };
    assert_eq!(placed(&mut client, pinned).await, said(&["s1"], "pinned"));
}

async fn a_change_of_scopes_moves_peers_at_once(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.add_cluster("cluster-2", json!({})).await;
    let (_, _one) = living_scheduler(&room, "s1", 1).await;
    let (_, _two) = living_scheduler(&room, "s2", 2).await;
    let mut client = room.grpc().await;
    let request = peer("p", "10.2.0.9");
    assert_eq!(placed(&mut client, request.clone()).await, said(&["s1"], "default"));
    root.patch("/api/v1/clusters/2", json!({"scopes": {"cidrs": ["10.2.0.0/16"]}}))
        .await
        .ok();
    assert_eq!(placed(&mut client, request.clone()).await, said(&["s2"], "cidr"));
    root.patch("/api/v1/clusters/2", json!({"scopes": {}, "is_default": true}))
        .await
        .ok();
    assert_eq!(placed(&mut client, request).await, said(&["s2"], "default"));
}

async fn the_answer_carries_what_peers_need_of_their_cluster_and_only_schedulers_that_schedule(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let block_list = json!({"task": {"download": {"tags": ["t"]}}});
    root.patch(
        "/api/v1/clusters/1",
        json!({"peer_cluster_config": {"block_list": block_list}}),
    )
    .await
    .ok();
    let (_, _one) = living_scheduler(&room, "s1", 1).await;
    let (other, _two) = living_scheduler(&room, "s2", 1).await;
    root.patch(&format!("/api/v1/schedulers/{other}"), json!({"features": ["preheat"]}))
        .await
        .ok();
    let mut client = room.grpc().await;
    let answer = client
        .list_schedulers(peer("p", "10.0.0.9"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.schedulers.len(), 1);
    assert_eq!(answer.schedulers[0].hostname, "s1");
    let cluster = answer.schedulers[0].scheduler_cluster.clone().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&cluster.client_config).unwrap();
    assert_eq!(config["block_list"]["task"]["download"]["tags"], json!(["t"]));
    assert_eq!(config["block_list"]["task"]["download"]["urls"], json!([]));
}

on_every_engine! {
    a_peer_is_placed_by_cidr_before_hostname_before_idc_before_location_before_default
    a_peer_is_never_given_another_clusters_schedulers
    a_seed_peer_is_placed_where_it_is_registered_and_a_peer_of_its_host_is_not
    a_change_of_scopes_moves_peers_at_once
    the_answer_carries_what_peers_need_of_their_cluster_and_only_schedulers_that_schedule
}
