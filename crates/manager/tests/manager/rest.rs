//! Clusters and the manners of the API.

use crate::room::{Engine, Room, cluster, living_scheduler, on_every_engine};
use reqwest::{Method, StatusCode};
use serde_json::json;

async fn add_cluster_answers_the_ids_that_the_next_values_file_needs(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let made = root
        .post("/api/v1/clusters", cluster("cluster-2", json!({"idc": "cluster-2"})))
        .await
        .ok();
    assert_eq!(
        (
            &made["id"],
            &made["scheduler_cluster_id"],
            &made["seed_peer_cluster_id"]
        ),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!(made["scopes"]["idc"], "cluster-2");
    assert_eq!(made["is_default"], false);
    assert_eq!(root.get("/api/v1/clusters/2").await.ok(), made);
    let half = root.get("/api/v1/scheduler-clusters/2").await.ok();
    assert_eq!(half["config"]["candidate_parent_limit"], 4);
    assert_eq!(half["seed_client_config"]["load_limit"], 2000);
    let half = root.get("/api/v1/seed-peer-clusters/2").await.ok();
    assert_eq!(
        (&half["name"], &half["config"]["load_limit"]),
        (&json!("cluster-2"), &json!(2000))
    );
}

async fn a_name_that_is_taken_is_a_conflict(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let message = root
        .post("/api/v1/clusters", cluster("cluster-1", json!({})))
        .await
        .refused(StatusCode::CONFLICT);
    assert_eq!(message, "there is a cluster cluster-1 already");
    let id = root.add_cluster("cluster-2", json!({})).await;
    root.patch(&format!("/api/v1/clusters/{id}"), json!({"name": "cluster-1"}))
        .await
        .refused(StatusCode::CONFLICT);
    let after = root.get(&format!("/api/v1/clusters/{id}")).await.ok();
    assert_eq!(after["name"], "cluster-2");
}

async fn everything_wrong_with_a_cluster_is_told_at_once(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let mut body = cluster(
        "",
        json!({"cidrs": ["10.0.0.0/33"], "hostnames": ["("], "location": "a|b|c|d|e|f", "idc": "a||b"}),
    );
    body["scheduler_cluster_config"]["filter_parent_limit"] = json!(9);
    body["seed_peer_cluster_config"]["load_limit"] = json!(0);
    body["peer_cluster_config"]["block_list"] = json!({"task": {"download": {"urls": ["["], "tags": null}}});
    let errors = root
        .post("/api/v1/clusters", body)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "name must have",
        "10.0.0.0/33",
        "\"(\"",
        "scopes.location",
        "scopes.idc",
        "filter_parent_limit must be 10 to 1000, not 9",
        "seed_peer_cluster_config.load_limit",
        "peer_cluster_config.block_list.task.download.urls has \"[\"",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let lacking = root.post("/api/v1/clusters", json!({"name": "x"})).await;
    let errors = lacking.refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(errors.contains("scheduler_cluster_config"), "{errors}");
    assert_eq!(root.get("/api/v1/clusters").await.ok().as_array().unwrap().len(), 1);
}

async fn a_change_touches_what_it_names_and_may_empty_it(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root
        .add_cluster("cluster-2", json!({"idc": "east", "cidrs": ["10.0.0.0/8"]}))
        .await;
    let path = format!("/api/v1/clusters/{id}");
    let block_list = json!({"task": {"download": {"urls": ["^http:"], "applications": null}}});
    root.patch(&path, json!({"bio": "for the east"})).await.ok();
    let changed = root
        .patch(
            &path,
            json!({"scopes": {"idc": ""}, "peer_cluster_config": {"load_limit": 7, "block_list": block_list}}),
        )
        .await
        .ok();
    assert_eq!(changed["bio"], "for the east");
    assert_eq!(
        changed["scopes"],
        json!({"idc": "", "location": "", "cidrs": [], "hostnames": []})
    );
    assert_eq!(changed["peer_cluster_config"]["load_limit"], 7);
    let blocked = &changed["peer_cluster_config"]["block_list"];
    assert_eq!(blocked["task"]["download"]["applications"], json!([]));
    assert_eq!(blocked["persistent_task"]["upload"]["urls"], json!([]));
    assert_eq!(changed["scheduler_cluster_config"]["candidate_parent_limit"], 4);
    assert_eq!(root.patch(&path, json!({"bio": ""})).await.ok()["bio"], "");
    root.patch("/api/v1/clusters/9", json!({}))
        .await
        .refused(StatusCode::NOT_FOUND);
}

async fn there_is_always_exactly_one_default_cluster(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.patch("/api/v1/clusters/1", json!({"is_default": false}))
        .await
        .refused(StatusCode::CONFLICT);
    root.delete("/api/v1/clusters/1").await.refused(StatusCode::CONFLICT);
    let mut body = cluster("cluster-2", json!({}));
    body["is_default"] = json!(true);
    root.post("/api/v1/clusters", body).await.ok();
    let defaults = |clusters: serde_json::Value| -> Vec<u64> {
        let clusters = clusters.as_array().unwrap().clone();
        let defaults = clusters.into_iter().filter(|cluster| cluster["is_default"] == true);
        defaults.map(|cluster| cluster["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(defaults(root.get("/api/v1/clusters").await.ok()), [2]);
    root.patch("/api/v1/clusters/1", json!({"is_default": true})).await.ok();
    assert_eq!(defaults(root.get("/api/v1/clusters").await.ok()), [1]);
    assert_eq!(root.delete("/api/v1/clusters/2").await.status, StatusCode::OK);
    root.get("/api/v1/clusters/2").await.refused(StatusCode::NOT_FOUND);
    root.get("/api/v1/seed-peer-clusters/2")
        .await
        .refused(StatusCode::NOT_FOUND);
}

async fn a_cluster_with_living_members_is_not_deleted_and_goes_with_its_dead_ones(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root.add_cluster("cluster-2", json!({})).await;
    let (scheduler, alive) = living_scheduler(&room, "s", id).await;
    let path = format!("/api/v1/clusters/{id}");
    let message = root.delete(&path).await.refused(StatusCode::CONFLICT);
    assert!(
        message.contains("cluster-2") && message.contains("1 active schedulers"),
        "{message}"
    );
    alive.goodbye().await.unwrap();
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&format!("/api/v1/schedulers/{scheduler}"))
        .await
        .refused(StatusCode::NOT_FOUND);
}

async fn lists_come_in_pages_with_links_and_a_total(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    for n in 2..=5 {
        root.add_cluster(&format!("cluster-{n}"), json!({})).await;
    }
    let answer = root.get("/api/v1/clusters?page=2&per_page=2&name=").await;
    assert_eq!(answer.headers["x-total-count"], "5");
    let links = answer.headers["link"].to_str().unwrap();
    assert!(links.contains("page=3&per_page=2>;rel=next,"), "{links}");
    assert!(links.starts_with("</api/v1/clusters?"), "{links}");
    let ids: Vec<_> = answer
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].clone())
        .collect();
    assert_eq!(ids, [3, 4]);
    let named = root.get("/api/v1/clusters?name=cluster-4").await;
    assert_eq!(named.headers["x-total-count"], "1");
    assert_eq!(named.body[0]["id"], 4);
    assert_eq!(root.get("/api/v1/clusters?name=nobody").await.ok(), json!([]));
    let all = root.get("/api/v1/seed-peer-clusters?per_page=10000000").await.ok();
    assert_eq!(all.as_array().unwrap().len(), 5);
    for query in ["page=0", "per_page=0", "per_page=10000001", "page=x"] {
        root.get(&format!("/api/v1/clusters?{query}"))
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

async fn what_does_not_exist_is_a_404_in_json_and_never_a_redirect(engine: Engine) {
    let room = Room::start(engine).await;
    // What is no page of the console, which stands at the root.
    for path in ["/api/v2/clusters", "/x"] {
        room.anonymous().get(path).await.refused(StatusCode::NOT_FOUND);
    }
    let root = room.root().await;
    for path in ["/api/v1/nothing", "/api/v1/", "/oapi/v1/nothing", "/oapi/v1/schedulers"] {
        root.get(path).await.refused(StatusCode::NOT_FOUND);
    }
    root.get("/api/v1/clusters/x").await.refused(StatusCode::NOT_FOUND);
    root.get("/api/v1/clusters/18446744073709551615")
        .await
        .refused(StatusCode::NOT_FOUND);
    root.send(Method::PUT, "/api/v1/clusters", None)
        .await
        .refused(StatusCode::METHOD_NOT_ALLOWED);
}

async fn bodies_have_a_limit_and_requests_an_id(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let answer = root
        .post("/api/v1/clusters", json!({"name": "x".repeat(2 << 20)}))
        .await;
    assert!(answer.headers.contains_key("x-request-id"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.refused(StatusCode::PAYLOAD_TOO_LARGE);
    let url = format!("{}/healthy", root.base);
    let named = root
        .client
        .get(url)
        .header("x-request-id", "abc-1")
        .send()
        .await
        .unwrap();
    assert_eq!(named.headers()["x-request-id"], "abc-1");
}

on_every_engine! {
    add_cluster_answers_the_ids_that_the_next_values_file_needs
    a_name_that_is_taken_is_a_conflict
    everything_wrong_with_a_cluster_is_told_at_once
    a_change_touches_what_it_names_and_may_empty_it
    there_is_always_exactly_one_default_cluster
    a_cluster_with_living_members_is_not_deleted_and_goes_with_its_dead_ones
    lists_come_in_pages_with_links_and_a_total
    what_does_not_exist_is_a_404_in_json_and_never_a_redirect
    bodies_have_a_limit_and_requests_an_id
}
