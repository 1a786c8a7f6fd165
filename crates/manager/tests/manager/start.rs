//! Starting and stopping.

use crate::room::{self, Alive, Data, Engine, PASSWORD, Room, cluster, on_every_engine};
use dragonfly_manager::{BuildError, Manager};
use dragonfly_testkit::mariadb::PASSWORD as DATABASE_PASSWORD;
use reqwest::StatusCode;
use serde_json::json;
use tonic::Code;

async fn the_first_start_makes_the_default_cluster(engine: Engine) {
    let room = Room::start(engine).await;
    let clusters = room.root().await.get("/api/v1/clusters").await.ok();
    let cluster = &clusters[0];
    assert_eq!(clusters.as_array().unwrap().len(), 1);
    assert_eq!(cluster["name"], "cluster-1");
    assert_eq!(
        (
            &cluster["id"],
            &cluster["scheduler_cluster_id"],
            &cluster["seed_peer_cluster_id"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(cluster["is_default"], true);
    assert_eq!(
        cluster["scheduler_cluster_config"],
        json!({"candidate_parent_limit": 3, "filter_parent_limit": 15, "job_rate_limit": 10})
    );
    assert_eq!(cluster["seed_peer_cluster_config"]["load_limit"], 2000);
    assert_eq!(cluster["peer_cluster_config"]["load_limit"], 200);
    assert_eq!(
        cluster["scopes"],
        json!({"idc": "", "location": "", "cidrs": [], "hostnames": []})
    );
}

async fn a_second_start_seeds_nothing(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.patch("/api/v1/clusters/1", json!({"name": "renamed"})).await.ok();
    let data = room.stop().await;
    let room = Room::start_on(&data, |config| {
        config.initial_root_password = Some("another one".into())
    })
    .await;
    let clusters = room.root().await.get("/api/v1/clusters").await.ok();
    assert_eq!(clusters.as_array().unwrap().len(), 1);
    assert_eq!(clusters[0]["name"], "renamed");
    let answer = room.anonymous().sign_in("root", "another one").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

async fn a_session_outlives_a_restart(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let room = Room::start_on(&room.stop().await, |_| {}).await;
    let again = room::Api {
        token: root.token,
        ..room.anonymous()
    };
    again.get("/api/v1/clusters").await.ok();
}

#[tokio::test]
async fn a_second_manager_on_the_same_data_is_refused_in_one_line() {
    let room = Room::start(Engine::Sqlite).await;
    let error = Manager::build(room.data.config()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("is in use by another dragonfly"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    assert_eq!(error.exit_code(), 1);
    room.root().await.get("/api/v1/clusters").await.ok();
}

#[tokio::test]
async fn a_taken_port_is_named_and_no_database_is_made() {
    let room = Room::start(Engine::Sqlite).await;
    let data = Data::new(Engine::Sqlite).await;
    let mut config = data.config();
    config.rest.addr = room.addresses.rest;
    let error = Manager::build(config).await.unwrap_err();
    assert!(error.to_string().contains("is taken (manager REST)"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(!data.dir.path().join("manager.db").exists());
}

#[tokio::test]
async fn an_initial_password_that_nobody_could_sign_in_with_is_a_bad_configuration() {
    for password in ["short", "longer than twenty characters"] {
        let mut config = Data::new(Engine::Sqlite).await.config();
        config.initial_root_password = Some(password.into());
        let error = Manager::build(config).await.unwrap_err();
        assert!(matches!(error, BuildError::InitialPassword), "{error}");
        assert!(!format!("{error} {error:?}").contains(password));
        assert_eq!(error.exit_code(), 64);
    }
}

async fn stopping_tells_open_streams_to_come_back_and_closes_the_database(engine: Engine) {
    let room = Room::start(engine).await;
    let mut client = room.grpc().await;
    client.update_scheduler(room::scheduler("s", 1)).await.unwrap();
    let alive = Alive::open(client, "s", 1).await;
    let data = room.stop().await;
    let status = alive.ended().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let file = |name: &str| data.dir.path().join(name).exists();
    assert_eq!(file("manager.db"), engine == Engine::Sqlite);
    assert!(!file("manager.db-wal"));
}

async fn health_follows_the_database_and_metrics_have_no_series_for_what_callers_invent(engine: Engine) {
    let room = Room::start(engine).await;
    let anonymous = room.anonymous();
    let answer = anonymous.get("/healthy").await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!("OK")));
    let root = room.root().await;
    root.post("/api/v1/clusters", cluster("c", json!({}))).await.ok();
    root.get("/api/v1/clusters/2").await.ok();
    anonymous.get("/api/v1/clusters/made-up").await;
    anonymous.get("/invented").await;
    let text = room.metrics().await;
    for line in [
        r#"dragonfly_manager_requests_total{code="200",method="GET",handler="/api/v1/clusters/{id}"} 1"#,
        r#"dragonfly_manager_requests_total{code="401",method="GET",handler="/api/v1/clusters/{id}"} 1"#,
        r#"dragonfly_manager_requests_total{code="404",method="GET",handler="unknown"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("invented") && !text.contains("made-up"), "{text}");
}

async fn nothing_printed_of_a_built_manager_is_a_secret(engine: Engine) {
    let data = Data::new(engine).await;
    let mut config = data.config();
    config.auth.key = Some("a key of a known text".into());
    let shown = format!("{config:?}");
    let manager = Manager::build(config).await.unwrap();
    let shown = format!("{shown} {manager:?}");
    assert!(
        !shown.contains(PASSWORD)
            && !shown.contains(DATABASE_PASSWORD)
            && !shown.contains("known text")
            && !shown.contains("$argon2"),
        "{shown}"
    );
}

on_every_engine! {
    the_first_start_makes_the_default_cluster
    a_second_start_seeds_nothing
    a_session_outlives_a_restart
    stopping_tells_open_streams_to_come_back_and_closes_the_database
    health_follows_the_database_and_metrics_have_no_series_for_what_callers_invent
    nothing_printed_of_a_built_manager_is_a_secret
}
