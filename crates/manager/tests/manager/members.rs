//! Schedulers and seed peers through REST.

use crate::room::{Engine, Room, living_scheduler, on_every_engine, seed_peer};
use reqwest::StatusCode;
use serde_json::{Value, json};

fn body(host: &str, ip: &str) -> Value {
    json!({"host_name": host, "ip": ip, "port": 8002, "scheduler_cluster_id": 1, "idc": "east", "location": "a|b"})
}

async fn a_scheduler_is_made_read_changed_and_deleted(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let made = root.post("/api/v1/schedulers", body("s", "10.0.0.1")).await.ok();
    assert_eq!(made["state"], "inactive");
    assert_eq!(made["features"], json!(["schedule", "preheat"]));
    assert_eq!(made["config"]["manager_keep_alive_interval"], 5_000_000_000_u64);
    assert_eq!(
        (&made["is_del"], &made["last_keep_alive_at"]),
        (&json!(0), &Value::Null)
    );
    root.post("/api/v1/schedulers", body("s", "10.0.0.1"))
        .await
        .refused(StatusCode::CONFLICT);
    let path = format!("/api/v1/schedulers/{}", made["id"]);
    let changed = root
        .patch(&path, json!({"port": 9000, "features": ["schedule"], "idc": ""}))
        .await
        .ok();
    assert_eq!(
        (
            &changed["port"],
            &changed["features"],
            &changed["idc"],
            &changed["location"]
        ),
        (&json!(9000), &json!(["schedule"]), &json!(""), &json!("a|b"))
    );
    let errors = root
        .patch(&path, json!({"port": 0, "features": [""]}))
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(errors.contains("port") && errors.contains("features"), "{errors}");
    root.patch(&path, json!({"scheduler_cluster_id": 9}))
        .await
        .refused(StatusCode::NOT_FOUND);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
    root.delete(&path).await.refused(StatusCode::NOT_FOUND);
}

async fn schedulers_are_filtered_by_each_field_and_by_life(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.post("/api/v1/schedulers", body("s1", "10.0.0.2")).await.ok();
    let (living, _alive) = living_scheduler(&room, "s2", 1).await;
    let hosts = async |query: &str| -> Vec<String> {
        let rows = root.get(&format!("/api/v1/schedulers?{query}")).await.ok();
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["host_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(hosts("").await, ["s1", "s2"]);
    assert_eq!(hosts("state=active").await, ["s2"]);
    assert_eq!(hosts("state=inactive").await, ["s1"]);
    assert_eq!(hosts("host_name=s2&state=").await, ["s2"]);
    assert_eq!(hosts("ip=10.0.0.2").await, ["s1"]);
    assert_eq!(hosts("idc=east&location=a%7Cb").await, ["s1"]);
    assert_eq!(hosts("scheduler_cluster_id=2").await, [""; 0]);
    root.get("/api/v1/schedulers?state=asleep")
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    let row = root.get(&format!("/api/v1/schedulers/{living}")).await.ok();
    assert!(row["last_keep_alive_at"].as_str().unwrap().starts_with("20"));
}

async fn a_seed_peer_is_made_listed_changed_and_deleted(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let body = json!({"host_name": "seed", "type": "super", "ip": "10.0.0.9", "port": 4000, "download_port": 4001,
        "seed_peer_cluster_id": 1, "idc": "east"});
    let made = root.post("/api/v1/seed-peers", body.clone()).await.ok();
    assert_eq!(
        (&made["state"], &made["type"], &made["object_storage_port"]),
        (&json!("inactive"), &json!("super"), &json!(0))
    );
    root.post("/api/v1/seed-peers", body)
        .await
        .refused(StatusCode::CONFLICT);
    room.grpc()
        .await
        .update_seed_peer(seed_peer("living", 1))
        .await
        .unwrap();
    for (query, count) in [
        ("", 2),
        ("state=active", 1),
        ("state=inactive&idc=east", 1),
        ("type=super&port=4000", 2),
        ("host_name=living&ip=10.0.0.1&seed_peer_cluster_id=1", 1),
        ("location=nowhere", 0),
    ] {
        let rows = root.get(&format!("/api/v1/seed-peers?{query}")).await.ok();
        assert_eq!(rows.as_array().unwrap().len(), count, "{query}");
    }
    let path = format!("/api/v1/seed-peers/{}", made["id"]);
    let changed = root
        .patch(&path, json!({"download_port": 5001, "idc": "west"}))
        .await
        .ok();
    assert_eq!(
        (&changed["download_port"], &changed["idc"]),
        (&json!(5001), &json!("west"))
    );
    root.patch(&path, json!({"seed_peer_cluster_id": 7}))
        .await
        .refused(StatusCode::NOT_FOUND);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
}

on_every_engine! {
    a_scheduler_is_made_read_changed_and_deleted
    schedulers_are_filtered_by_each_field_and_by_life
    a_seed_peer_is_made_listed_changed_and_deleted
}
