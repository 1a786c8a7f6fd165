//! The halves of clusters, one by one, and their members.

use crate::room::{Api, Engine, Room, living_scheduler, on_every_engine};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn half(name: &str) -> Value {
    json!({"name": name, "config": {}, "client_config": {}, "seed_client_config": {"load_limit": 7}})
}

async fn put(api: &Api, path: &str) -> crate::room::Answer {
    api.send(Method::PUT, path, None).await
}

async fn a_scheduler_cluster_comes_with_its_seed_half_or_takes_a_free_one(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let made = root.post("/api/v1/scheduler-clusters", half("two")).await.ok();
    assert_eq!(
        (&made["id"], &made["config"]["filter_parent_limit"]),
        (&json!(2), &json!(15))
    );
    let whole = root.get("/api/v1/clusters/2").await.ok();
    assert_eq!(whole["seed_peer_cluster_config"]["load_limit"], 7);
    let seed = json!({"name": "seeds", "config": {"load_limit": 9}});
    let free = root.post("/api/v1/seed-peer-clusters", seed.clone()).await.ok();
    root.post("/api/v1/seed-peer-clusters", seed)
        .await
        .refused(StatusCode::CONFLICT);
    let mut three = half("three");
    three["seed_peer_cluster_id"] = whole["seed_peer_cluster_id"].clone();
    let message = root
        .post("/api/v1/scheduler-clusters", three.clone())
        .await
        .refused(StatusCode::CONFLICT);
    assert!(message.contains("belongs to cluster 2"), "{message}");
    three["seed_peer_cluster_id"] = json!(99);
    root.post("/api/v1/scheduler-clusters", three.clone())
        .await
        .refused(StatusCode::NOT_FOUND);
    three["seed_peer_cluster_id"] = free["id"].clone();
    let made = root.post("/api/v1/scheduler-clusters", three).await.ok();
    let whole = root.get(&format!("/api/v1/clusters/{}", made["id"])).await.ok();
    assert_eq!(whole["seed_peer_cluster_id"], free["id"]);
    assert_eq!(whole["seed_peer_cluster_config"]["load_limit"], 7);
    let errors = root
        .post("/api/v1/scheduler-clusters", json!({"name": "x"}))
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(errors.contains("config"), "{errors}");
}

async fn a_change_of_one_half_leaves_the_other(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root.add_cluster("two", json!({})).await;
    let seed = root.get(&format!("/api/v1/clusters/{id}")).await.ok()["seed_peer_cluster_id"].clone();
    let changed = root
        .patch(
            &format!("/api/v1/scheduler-clusters/{id}"),
            json!({"name": "twice", "scopes": {"idc": "e"}, "seed_client_config": {"load_limit": 5}}),
        )
        .await
        .ok();
    assert_eq!(
        (&changed["name"], &changed["scopes"]["idc"]),
        (&json!("twice"), &json!("e"))
    );
    let half = format!("/api/v1/seed-peer-clusters/{seed}");
    let other = root.get(&half).await.ok();
    assert_eq!(
        (&other["name"], &other["config"]["load_limit"]),
        (&json!("two"), &json!(5))
    );
    let other = root.patch(&half, json!({"bio": "b", "name": "half"})).await.ok();
    assert_eq!((&other["name"], &other["bio"]), (&json!("half"), &json!("b")));
    root.patch(&half, json!({"name": "cluster-1"}))
        .await
        .refused(StatusCode::CONFLICT);
    root.patch("/api/v1/scheduler-clusters/1", json!({"is_default": false}))
        .await
        .refused(StatusCode::CONFLICT);
    assert_eq!(root.get(&format!("/api/v1/clusters/{id}")).await.ok()["name"], "twice");
}

async fn a_seed_half_is_given_and_removed_only_while_it_is_free(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root.add_cluster("two", json!({})).await;
    let before = root.get(&format!("/api/v1/clusters/{id}")).await.ok()["seed_peer_cluster_id"].clone();
    let made = root
        .post("/api/v1/seed-peer-clusters", json!({"name": "free", "config": {}}))
        .await
        .ok();
    let give = |half: &Value, cluster: u64| format!("/api/v1/seed-peer-clusters/{half}/scheduler-clusters/{cluster}");
    put(&root, &give(&before, 1)).await.refused(StatusCode::CONFLICT);
    put(&root, &give(&json!(99), 1)).await.refused(StatusCode::NOT_FOUND);
    put(&root, &give(&made["id"], 99)).await.refused(StatusCode::NOT_FOUND);
    for _ in 0..2 {
        assert_eq!(put(&root, &give(&made["id"], id)).await.status, StatusCode::OK);
    }
    let whole = root.get(&format!("/api/v1/clusters/{id}")).await.ok();
    assert_eq!(whole["seed_peer_cluster_id"], made["id"]);
    let taken = format!("/api/v1/seed-peer-clusters/{}", made["id"]);
    root.delete(&taken).await.refused(StatusCode::CONFLICT);
    let freed = format!("/api/v1/seed-peer-clusters/{before}");
    assert_eq!(root.delete(&freed).await.status, StatusCode::OK);
    let cluster = format!("/api/v1/scheduler-clusters/{id}");
    assert_eq!(root.delete(&cluster).await.status, StatusCode::OK);
    root.get(&format!("/api/v1/clusters/{id}"))
        .await
        .refused(StatusCode::NOT_FOUND);
    assert_eq!(root.delete(&taken).await.status, StatusCode::OK);
    root.delete("/api/v1/scheduler-clusters/1")
        .await
        .refused(StatusCode::CONFLICT);
}

async fn members_are_moved_between_clusters(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root.add_cluster("two", json!({})).await;
    let (scheduler, alive) = living_scheduler(&room, "s", 1).await;
    let path = format!("/api/v1/scheduler-clusters/{id}/schedulers/{scheduler}");
    assert_eq!(put(&root, &path).await.status, StatusCode::OK);
    let moved = root.get(&format!("/api/v1/schedulers/{scheduler}")).await.ok();
    assert_eq!(moved["scheduler_cluster_id"], id);
    root.delete(&format!("/api/v1/scheduler-clusters/{id}"))
        .await
        .refused(StatusCode::CONFLICT);
    let absent = format!("/api/v1/scheduler-clusters/99/schedulers/{scheduler}");
    put(&root, &absent).await.refused(StatusCode::NOT_FOUND);
    let absent = format!("/api/v1/scheduler-clusters/{id}/schedulers/99");
    put(&root, &absent).await.refused(StatusCode::NOT_FOUND);
    alive.goodbye().await.unwrap();
    let seed = json!({"host_name": "h", "type": "super", "ip": "10.0.0.1", "port": 1, "download_port": 2, "seed_peer_cluster_id": 1});
    let seed = root.post("/api/v1/seed-peers", seed).await.ok()["id"].clone();
    let path = format!("/api/v1/seed-peer-clusters/2/seed-peers/{seed}");
    assert_eq!(put(&root, &path).await.status, StatusCode::OK);
    let moved = root.get(&format!("/api/v1/seed-peers/{seed}")).await.ok();
    assert_eq!(moved["seed_peer_cluster_id"], 2);
    let features = root.get("/api/v1/scheduler-features").await.ok();
    assert_eq!(features, json!(["schedule", "preheat"]));
}

on_every_engine! {
    a_scheduler_cluster_comes_with_its_seed_half_or_takes_a_free_one
    a_change_of_one_half_leaves_the_other
    a_seed_half_is_given_and_removed_only_while_it_is_free
    members_are_moved_between_clusters
}
