//! The audit log.

use crate::access::{token, user};
use crate::room::{Answer, Api, Engine, PASSWORD, Room, cluster, on_every_engine};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn records(root: &Api, query: &str) -> Vec<Value> {
    let answer = root.get(&format!("/api/v1/audits?per_page=100&{query}")).await;
    answer.ok().as_array().unwrap().clone()
}

async fn a_change_is_recorded_with_who_from_where_what_and_how_it_ended(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let id = root.add_cluster("cluster-2", json!({"idc": "east"})).await;
    let made = records(&root, "object=clusters").await;
    let record = &made[0];
    assert_eq!(made.len(), 1);
    for (field, value) in [
        ("actor_type", json!("USER")),
        ("actor_name", json!("root")),
        ("address", json!("127.0.0.1")),
        ("event_type", json!("API")),
        ("operation", json!("POST")),
        ("path", json!("/api/v1/clusters")),
        ("object_id", json!("")),
        ("state", json!("SUCCESS")),
        ("status_code", json!(200)),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(record["detail"]["scopes"]["idc"], "east");
    let (_, bearer) = token(&root, "script", json!(["cluster"])).await;
    let path = format!("/oapi/v1/clusters/{id}");
    bearer.patch(&path, json!({"bio": "by a script"})).await.ok();
    bearer
        .patch(&path, json!({"name": "cluster-1"}))
        .await
        .refused(StatusCode::CONFLICT);
    let by_token = records(&root, "actor_type=PAT").await;
    assert_eq!(by_token.len(), 2);
    assert_eq!(by_token[0]["actor_name"], "root/script");
    assert_eq!(by_token[0]["object_id"], id.to_string());
    assert_eq!(
        (&by_token[0]["state"], &by_token[0]["status_code"]),
        (&json!("FAILURE"), &json!(409))
    );
    assert_eq!(by_token[1]["detail"], json!({"bio": "by a script"}));
}

async fn who_is_refused_is_recorded_and_who_only_looks_is_not(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (_, guest) = user(&room, &root, "ada").await;
    let before = records(&root, "").await.len();
    guest.get("/api/v1/clusters").await.ok();
    guest.get("/api/v1/users").await.refused(StatusCode::FORBIDDEN);
    room.anonymous()
        .post("/api/v1/clusters", json!({}))
        .await
        .refused(StatusCode::UNAUTHORIZED);
    assert_eq!(records(&root, "").await.len(), before);
    guest.delete("/api/v1/clusters/1").await.refused(StatusCode::FORBIDDEN);
    let refused = records(&root, "actor_name=ada&state=FAILURE").await;
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (
            &refused[0]["operation"],
            &refused[0]["object_id"],
            &refused[0]["status_code"]
        ),
        (&json!("DELETE"), &json!("1"), &json!(403))
    );
    guest.get("/api/v1/audits").await.refused(StatusCode::FORBIDDEN);
}

async fn signing_in_is_recorded_and_no_record_has_a_secret(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    room.anonymous()
        .sign_in("root", "wrong horse")
        .await
        .refused(StatusCode::UNAUTHORIZED);
    let sign_ins = records(&root, "path=/api/v1/users/signin").await;
    let seen: Vec<_> = sign_ins.iter().map(|record| &record["status_code"]).collect();
    assert_eq!(seen, [401, 200]);
    assert_eq!(
        (&sign_ins[0]["actor_type"], &sign_ins[0]["actor_name"]),
        (&json!("UNKNOWN"), &json!("root"))
    );
    user(&room, &root, "ada").await;
    let (_, bearer) = token(&root, "script", json!([])).await;
    let all = json!(records(&root, "").await).to_string();
    assert!(all.contains("redacted"), "{all}");
    let text = bearer.token.unwrap();
    for secret in ["wrong horse", PASSWORD, "first horse", "battery staple", &text] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

async fn the_log_comes_in_pages_newest_first(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    for n in 2..=4 {
        root.add_cluster(&format!("cluster-{n}"), json!({})).await;
    }
    let Answer { headers, body, .. } = root.get("/api/v1/audits?object=clusters&page=2&per_page=2").await;
    assert_eq!(headers["x-total-count"], "3");
    assert_eq!(body.as_array().unwrap().len(), 1);
    assert_eq!(body[0]["detail"]["name"], "cluster-2");
    assert_eq!(records(&root, "event_type=OTHER").await, Vec::<Value>::new());
    root.get("/api/v1/audits?state=MAYBE")
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn nothing_is_changed_that_can_not_be_recorded(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    room.data.sql("DROP TABLE audit").await;
    let answer = root.post("/api/v1/clusters", cluster("unseen", json!({}))).await;
    assert!(answer.status.is_server_error(), "{:?}", answer.body);
    let clusters = root.get("/api/v1/clusters?name=unseen").await.ok();
    assert_eq!(clusters, json!([]));
}

async fn old_records_go_and_one_manager_at_a_time_sees_to_it(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.add_cluster("cluster-2", json!({})).await;
    room.data
        .sql("UPDATE audit SET operated_at = 1 WHERE object = 'clusters'")
        .await;
    let count = "SELECT COUNT(*) FROM audit WHERE object = 'clusters'";
    let room = Room::start_on(&room.stop().await, |_| {}).await;
    assert_eq!(
        room.data.number(count).await,
        1,
        "the first start had its turn just now"
    );
    room.data.sql("UPDATE duty SET taken_until = 0").await;
    let room = Room::start_on(&room.stop().await, |_| {}).await;
    assert_eq!(room.data.number(count).await, 0);
    let others = "SELECT COUNT(*) FROM audit WHERE object = 'users'";
    assert_eq!(room.data.number(others).await, 1);
}

/// The address of the last sign-in, tried with this header.
async fn recorded_address(room: &Room, forwarded: &str) -> Value {
    let api = room.anonymous();
    let attempt = api
        .client
        .post(format!("{}/api/v1/users/signin", api.base))
        .header("x-forwarded-for", forwarded)
        .body(json!({"name": "root", "password": "wrong horse"}).to_string());
    assert_eq!(attempt.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    records(&room.root().await, "state=FAILURE").await[0]["address"].clone()
}

async fn the_address_behind_a_trusted_proxy_is_recorded_and_nobody_else_is_believed(engine: Engine) {
    let room = Room::start(engine).await;
    assert_eq!(recorded_address(&room, "203.0.113.9").await, "127.0.0.1");
    let behind = |config: &mut dragonfly_manager::Config| {
        config.rest.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let room = Room::start_with(engine, behind).await;
    // What stands before the address that the proxy saw was written by the caller.
    assert_eq!(
        recorded_address(&room, "198.51.100.7, 203.0.113.9").await,
        "203.0.113.9"
    );
    assert_eq!(recorded_address(&room, "2001:db8::9").await, "2001:db8::9");
}

async fn attempts_are_counted_by_the_address_behind_a_trusted_proxy(engine: Engine) {
    let room = Room::start_with(engine, |config| {
        config.rest.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let api = room.anonymous();
    let attempt = async |from: &str, number: usize| {
        let body = json!({"name": format!("user-{number}"), "password": "wrong horse"}).to_string();
        let request = api.client.post(format!("{}/api/v1/users/signin", api.base));
        let answer = request.header("x-forwarded-for", from).body(body).send();
        answer.await.unwrap().status()
    };
    let mut number = 0;
    // Each with another name, so that the address alone can be the reason.
    loop {
        number += 1;
        assert!(number < 100, "attempts come back slower than they can be made");
        if attempt("203.0.113.9", number).await == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert!(number > 20, "{number}");
    assert_eq!(attempt("203.0.113.10", number).await, StatusCode::UNAUTHORIZED);
}

on_every_engine! {
    the_address_behind_a_trusted_proxy_is_recorded_and_nobody_else_is_believed
    attempts_are_counted_by_the_address_behind_a_trusted_proxy
    a_change_is_recorded_with_who_from_where_what_and_how_it_ended
    who_is_refused_is_recorded_and_who_only_looks_is_not
    signing_in_is_recorded_and_no_record_has_a_secret
    the_log_comes_in_pages_newest_first
    nothing_is_changed_that_can_not_be_recorded
    old_records_go_and_one_manager_at_a_time_sees_to_it
}
