//! Applications and settings.

use crate::access::user;
use crate::room::{Engine, Room, on_every_engine};
use dragonfly_api::manager::ListApplicationsRequest;
use reqwest::StatusCode;
use serde_json::json;

async fn an_application_that_rest_makes_is_what_schedulers_are_told(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let priority = json!({"value": 3, "urls": [{"regex": "blobs", "value": 6}]});
    let create = json!({"name": "train", "url": "https://train.example", "priority": priority, "user_id": 1});
    let made = root.post("/api/v1/applications", create.clone()).await.ok();
    assert_eq!((&made["priority"], &made["user_id"]), (&priority, &json!(1)));
    root.post("/api/v1/applications", create)
        .await
        .refused(StatusCode::CONFLICT);
    let path = format!("/api/v1/applications/{}", made["id"]);
    let changed = root.patch(&path, json!({"bio": "at night"})).await.ok();
    assert_eq!((&changed["bio"], &changed["priority"]), (&json!("at night"), &priority));
    let mut client = room.grpc().await;
    let told = client
        .list_applications(ListApplicationsRequest::default())
        .await
        .unwrap();
    assert_eq!(
        told.get_ref().applications[0].priority.as_ref().unwrap().urls[0].value,
        6
    );
    let listed = root.get("/api/v1/applications?name=train").await;
    assert_eq!(listed.headers["x-total-count"], "1");
    assert_eq!(root.get("/api/v1/applications?name=other").await.ok(), json!([]));
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
    root.delete(&path).await.refused(StatusCode::NOT_FOUND);
    let told = client
        .list_applications(ListApplicationsRequest::default())
        .await
        .unwrap();
    assert_eq!(told.get_ref().applications.len(), 0);
}

async fn an_application_whose_priorities_make_no_sense_is_refused(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let priority = json!({"value": 21, "urls": [{"regex": "(", "value": -1}]});
    let errors = root
        .post(
            "/api/v1/applications",
            json!({"name": "", "url": "x", "priority": priority}),
        )
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "name must",
        "priority.value must",
        "has \"(\"",
        "priority.urls.value must",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
}

async fn a_setting_is_changed_and_what_the_manager_reads_must_be_readable(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let gc = root.get("/api/v1/configs?name=gc").await.ok();
    let path = format!("/api/v1/configs/{}", gc[0]["id"]);
    for value in ["7 days", r#"{"audit":{"ttl":-1}}"#, r#"{"audit":{}}"#] {
        root.patch(&path, json!({"value": value}))
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(root.get(&path).await.ok(), gc[0]);
    let value = r#"{"audit":{"ttl":1}}"#;
    let changed = root.patch(&path, json!({"value": value})).await.ok();
    assert_eq!(changed["value"], value);
    // What was recorded until now is older than a nanosecond.
    room.data.sql("UPDATE duty SET taken_until = 0").await;
    let room = Room::start_on(&room.stop().await, |_| {}).await;
    assert_eq!(room.data.number("SELECT COUNT(*) FROM audit").await, 0);
}

async fn settings_are_made_found_and_removed_by_who_has_the_right(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let create = json!({"name": "motd", "value": "hello", "bio": "", "user_id": 1});
    let made = root.post("/api/v1/configs", create.clone()).await.ok();
    root.post("/api/v1/configs", create).await.refused(StatusCode::CONFLICT);
    let found = root.get("/api/v1/configs?value=hello&user_id=1").await.ok();
    assert_eq!(found, json!([made]));
    let (_, guest) = user(&room, &root, "ada").await;
    guest.get("/api/v1/configs").await.refused(StatusCode::FORBIDDEN);
    guest.get("/api/v1/applications").await.refused(StatusCode::FORBIDDEN);
    let path = format!("/api/v1/configs/{}", made["id"]);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
}

on_every_engine! {
    an_application_that_rest_makes_is_what_schedulers_are_told
    an_application_whose_priorities_make_no_sense_is_refused
    a_setting_is_changed_and_what_the_manager_reads_must_be_readable
    settings_are_made_found_and_removed_by_who_has_the_right
}
