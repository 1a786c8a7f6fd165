//! Members through gRPC.

use crate::room::{Alive, Engine, Room, eventually, living_scheduler, on_every_engine, peer, scheduler, seed_peer};
use dragonfly_api::manager::{
    DeleteSeedPeerRequest, GetSchedulerRequest, GetSeedPeerRequest, KeepAliveRequest, ListApplicationsRequest,
    ListSeedPeersRequest, SourceType, UpdateSchedulerRequest,
};
use serde_json::{Value, json};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

fn get(host: &str) -> GetSchedulerRequest {
    GetSchedulerRequest {
        source_type: SourceType::SchedulerSource.into(),
        hostname: host.into(),
        scheduler_cluster_id: 1,
        ip: String::new(),
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

async fn a_scheduler_is_active_with_its_first_sign_of_life_and_inactive_after_its_goodbye(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let registered = client.update_scheduler(scheduler("s", 1)).await.unwrap().into_inner();
    assert_eq!(registered.state, "inactive");
    assert_eq!(parsed(&registered.features), json!(["schedule", "preheat"]));
    let status = client.list_schedulers(peer("p", "10.1.1.1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let alive = Alive::open(client.clone(), "s", 1).await;
    let root = room.root().await;
    eventually(|| async { root.state_of_scheduler(registered.id).await == "active" }).await;
    let listed = client
        .list_schedulers(peer("p", "10.1.1.1"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.schedulers.len(), 1);
    assert_eq!(
        (listed.schedulers[0].ip.as_str(), listed.schedulers[0].port),
        ("10.0.0.1", 8002)
    );
    alive.goodbye().await.unwrap();
    assert_eq!(root.state_of_scheduler(registered.id).await, "inactive");
}

async fn a_broken_stream_leaves_the_lease_and_an_old_streams_end_cannot_end_a_newer_one(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (id, old) = living_scheduler(&room, "s", 1).await;
    let (client, line) = room.grpc_on_a_line().await;
    let new = Alive::open(client, "s", 1).await;
    // The second stream has the newer lease as soon as the first sign of life on it was seen.
    let before = root.get(&format!("/api/v1/schedulers/{id}")).await.ok()["last_keep_alive_at"].clone();
    eventually(|| async {
        new.beat().await;
        root.get(&format!("/api/v1/schedulers/{id}")).await.ok()["last_keep_alive_at"] != before
    })
    .await;
    old.goodbye().await.unwrap();
    assert_eq!(root.state_of_scheduler(id).await, "active");
    line.cut();
    new.ended().await.unwrap_err();
    // A manager that has stopped has seen the end of all streams, and nobody said goodbye on this one.
    let room = Room::start_on(&room.stop().await, |_| {}).await;
    assert_eq!(room.root().await.state_of_scheduler(id).await, "active");
}

async fn a_scheduler_on_another_port_is_the_same_scheduler(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let first = client.update_scheduler(scheduler("s", 1)).await.unwrap().into_inner();
    let moved = UpdateSchedulerRequest {
        port: 8102,
        idc: Some("west".into()),
        features: vec!["schedule".into()],
        config: br#"{"manager_keep_alive_interval":1000000000}"#.to_vec(),
        ..scheduler("s", 1)
    };
    let second = client.update_scheduler(moved).await.unwrap().into_inner();
    assert_eq!((second.id, second.port), (first.id, 8102));
    let row = room
        .root()
        .await
        .get(&format!("/api/v1/schedulers/{}", first.id))
        .await
        .ok();
    assert_eq!(row["idc"], "west");
    assert_eq!(row["features"], json!(["schedule"]));
    assert_eq!(row["config"]["manager_keep_alive_interval"], 1_000_000_000);
}

async fn an_unknown_or_removed_member_is_told_to_register(engine: Engine) {
    let room = Room::start(engine).await;
    let unknown = Alive::open(room.grpc().await, "nobody", 1).await;
    assert_eq!(unknown.ended().await.unwrap_err().code(), Code::NotFound);
    let (id, alive) = living_scheduler(&room, "s", 1).await;
    room.root().await.delete(&format!("/api/v1/schedulers/{id}")).await;
    alive.beat().await;
    let status = alive.ended().await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
}

async fn a_scheduler_reads_its_clusters_configuration_as_it_is_now(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    client.update_seed_peer(seed_peer("seed", 1)).await.unwrap();
    let root = room.root().await;
    root.patch(
        "/api/v1/clusters/1",
        json!({
            "scheduler_cluster_config": {"candidate_parent_limit": 7},
            "seed_peer_cluster_config": {"load_limit": 99},
            "peer_cluster_config": {"load_limit": 11},
            "scopes": {"idc": "east"},
        }),
    )
    .await
    .ok();
    let answer = client.get_scheduler(get("s")).await.unwrap().into_inner();
    let cluster = answer.scheduler_cluster.unwrap();
    assert_eq!(parsed(&cluster.config)["candidate_parent_limit"], 7);
    assert_eq!(parsed(&cluster.client_config)["load_limit"], 11);
    assert_eq!(parsed(&cluster.seed_client_config)["load_limit"], 99);
    assert_eq!(parsed(&cluster.scopes)["idc"], "east");
    assert_eq!(answer.seed_peers.len(), 1);
    assert_eq!(answer.seed_peers[0].hostname, "seed");
    let status = client.get_scheduler(get("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

async fn a_seed_peer_is_active_when_it_registers_and_is_found_by_its_neighbours(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let seed = client
        .update_seed_peer(seed_peer("seed", 1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((seed.state.as_str(), seed.r#type.as_str()), ("active", "super"));
    let (_, _alive) = living_scheduler(&room, "s", 1).await;
    let found = client
        .get_seed_peer(GetSeedPeerRequest {
            source_type: SourceType::SeedPeerSource.into(),
            hostname: "seed".into(),
            seed_peer_cluster_id: 1,
            ip: "10.0.0.1".into(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.schedulers.len(), 1);
    assert_eq!(parsed(&found.seed_peer_cluster.unwrap().config)["load_limit"], 2000);
    let list = ListSeedPeersRequest {
        source_type: SourceType::SeedPeerSource.into(),
        hostname: "seed".into(),
        ip: "10.0.0.1".into(),
        ..ListSeedPeersRequest::default()
    };
    let listed = client.list_seed_peers(list.clone()).await.unwrap().into_inner();
    assert_eq!(listed.seed_peers.len(), 1);
    let leave = DeleteSeedPeerRequest {
        source_type: SourceType::SeedPeerSource.into(),
        hostname: "seed".into(),
        seed_peer_cluster_id: 1,
        ip: "10.0.0.1".into(),
    };
    client.delete_seed_peer(leave.clone()).await.unwrap();
    client.delete_seed_peer(leave).await.unwrap();
    assert_eq!(client.list_seed_peers(list).await.unwrap_err().code(), Code::NotFound);
}

async fn a_seed_peer_that_ends_its_stream_in_order_is_inactive(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let id = client
        .update_seed_peer(seed_peer("seed", 1))
        .await
        .unwrap()
        .into_inner()
        .id;
    let only_one = KeepAliveRequest {
        source_type: SourceType::SeedPeerSource.into(),
        hostname: "seed".into(),
        cluster_id: 1,
        ip: "10.0.0.1".into(),
    };
    client.keep_alive(tokio_stream::once(only_one)).await.unwrap();
    let row = room.root().await.get(&format!("/api/v1/seed-peers/{id}")).await.ok();
    assert_eq!(row["state"], "inactive");
}

async fn malformed_registrations_are_refused_with_the_field(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let table = [
        (
            UpdateSchedulerRequest {
                ip: "nowhere".into(),
                ..scheduler("s", 1)
            },
            Code::InvalidArgument,
            "ip",
        ),
        (
            UpdateSchedulerRequest {
                port: 70_000,
                ..scheduler("s", 1)
            },
            Code::InvalidArgument,
            "port",
        ),
        (
            UpdateSchedulerRequest {
                config: b"{".to_vec(),
                ..scheduler("s", 1)
            },
            Code::InvalidArgument,
            "config",
        ),
        (scheduler("two words", 1), Code::InvalidArgument, "host_name"),
        (scheduler("s", 9), Code::NotFound, "scheduler cluster 9"),
    ];
    for (request, code, field) in table {
        let status = client.update_scheduler(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(field), "{status}");
    }
    let peers_have_none = KeepAliveRequest {
        source_type: SourceType::PeerSource.into(),
        hostname: "p".into(),
        cluster_id: 1,
        ip: String::new(),
    };
    let status = client
        .keep_alive(tokio_stream::once(peers_have_none))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

async fn applications_with_a_priority_are_listed_and_none_is_no_error(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    let request = ListApplicationsRequest::default();
    let none = client.list_applications(request.clone()).await.unwrap().into_inner();
    assert_eq!(none.applications.len(), 0);
    room.data
        .sql(
            "INSERT INTO application (name, url, bio, priority, user_id, created_at, updated_at) VALUES \
         ('a', 'https://a', '', '{\"value\":3,\"urls\":[{\"regex\":\"blobs\",\"value\":6}]}', 1, 0, 0), \
         ('b', 'https://b', '', NULL, 1, 0, 0)",
        )
        .await;
    let listed = client.list_applications(request).await.unwrap().into_inner();
    assert_eq!(listed.applications.len(), 1);
    let priority = listed.applications[0].priority.clone().unwrap();
    assert_eq!((priority.value, priority.urls[0].value), (3, 6));
    assert_eq!(priority.urls[0].regex, "blobs");
}

async fn health_is_served_for_the_server_and_the_service(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = HealthClient::new(room.channel().await);
    for service in ["", "manager.v2.Manager"] {
        let answer = client
            .check(HealthCheckRequest {
                service: service.into(),
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            answer.status(),
            tonic_health::pb::health_check_response::ServingStatus::Serving
        );
    }
}

async fn reflection_names_the_services_that_are_served_and_no_others(engine: Engine) {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let room = Room::start(engine).await;
    let mut client = ServerReflectionClient::new(room.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let served = [
        "dragonfly.ext.v1.Manager",
        "grpc.health.v1.Health",
        "manager.v2.Manager",
    ];
    assert_eq!(names, served);
}

on_every_engine! {
    a_scheduler_is_active_with_its_first_sign_of_life_and_inactive_after_its_goodbye
    a_broken_stream_leaves_the_lease_and_an_old_streams_end_cannot_end_a_newer_one
    a_scheduler_on_another_port_is_the_same_scheduler
    an_unknown_or_removed_member_is_told_to_register
    a_scheduler_reads_its_clusters_configuration_as_it_is_now
    a_seed_peer_is_active_when_it_registers_and_is_found_by_its_neighbours
    a_seed_peer_that_ends_its_stream_in_order_is_inactive
    malformed_registrations_are_refused_with_the_field
    applications_with_a_priority_are_listed_and_none_is_no_error
    health_is_served_for_the_server_and_the_service
    reflection_names_the_services_that_are_served_and_no_others
}
