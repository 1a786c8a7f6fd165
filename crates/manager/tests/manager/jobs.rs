//! Jobs: made by REST, handed to schedulers, reported on, ended. The schedulers are tests' own and speak real gRPC.

use crate::access::{token, user};
use crate::attendant::{Attendant, failure, target};
use crate::room::{Api, Engine, Room, eventually, on_every_engine};
use dragonfly_api::ext::{Pieces, Target, TargetState, task_query, work};
use dragonfly_api::scheduler::{Image, Layer, PeerImage, StatImageResponse};
use dragonfly_manager::Config;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "https://origin.example/a";
const B: &str = "https://origin.example/b";

/// Nothing but what a test does makes something happen soon.
pub(crate) fn quick(config: &mut Config) {
    config.look_after = Duration::from_millis(50);
    config.work_lease = Duration::from_secs(3600);
}

/// Makes a preheat of these files on all peers of cluster 1, and returns its id.
pub(crate) async fn preheat(api: &Api, urls: &[&str]) -> u64 {
    let body = json!({"type": "preheat", "args": {"type": "file", "urls": urls, "scope": "all_peers"},
        "scheduler_cluster_ids": [1]});
    made(api.post("/api/v1/jobs", body).await.ok())
}

pub(crate) fn made(job: Value) -> u64 {
    assert_eq!(job["state"], "PENDING", "{job}");
    job["id"].as_u64().unwrap()
}

pub(crate) async fn job(api: &Api, id: u64) -> Value {
    api.get(&format!("/api/v1/jobs/{id}")).await.ok()
}

pub(crate) async fn ends(api: &Api, id: u64, state: &str) -> Value {
    eventually(|| async { job(api, id).await["state"] != "PENDING" }).await;
    let job = job(api, id).await;
    assert_eq!(job["state"], state, "{job}");
    job
}

/// What Harbor's driver sends, field by field, and all that it reads.
async fn harbor_preheats_an_image_and_reads_what_it_knows(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (_, harbor) = token(&root, "harbor", json!(["job"])).await;
    let sent = json!({
        "type": "preheat",
        "args": {
            "type": "image", "url": "https://harbor.example/v2/library/busybox/manifests/1.36", "tag": "",
            "filtered_query_params": "", "headers": {"Authorization": "Bearer hunter2"}, "scope": "",
            "concurrent_count": 0, "timeout": 0,
        },
        "scheduler_cluster_ids": null,
    });
    let made = harbor.post("/oapi/v1/jobs", sent).await.ok();
    let id = made["id"].as_i64().unwrap();
    assert!(made["created_at"].is_string() && made["updated_at"].is_string());
    assert_eq!(
        (&made["state"], &made["args"]["headers"]),
        (&json!("PENDING"), &json!({"Authorization": "redacted"}))
    );
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let work = scheduler.work().await;
    let Some(work::Task::PreheatImage(image)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(image.url, "https://harbor.example/v2/library/busybox/manifests/1.36");
    assert_eq!(image.header["Authorization"], "Bearer hunter2");
    assert_eq!(
        (image.scope.as_str(), &image.tag, image.concurrent_peer_count),
        ("single_seed_peer", &None, None)
    );
    assert!(image.enable_task_id_based_blob_digest);
    scheduler.report(&work, vec![target(A, 1, TargetState::Running)]).await;
    let path = format!("/oapi/v1/jobs/{id}");
    eventually(|| async { harbor.get(&path).await.ok()["result"]["progress"]["finished_length"] == 4 }).await;
    let running = harbor.get(&path).await.ok();
    assert_eq!(
        (&running["state"], &running["result"]["job_states"][0]["state"]),
        (&json!("PENDING"), &json!("STARTED"))
    );
    scheduler.succeed(&work, vec![target(A, 1, TargetState::Done)]).await;
    let done = harbor.get(&path).await.ok();
    assert_eq!(
        (&done["state"], &done["result"]["state"]),
        (&json!("SUCCESS"), &json!("SUCCESS"))
    );
    assert_eq!(done["result"]["group_uuid"], done["task_id"]);
    let state = &done["result"]["job_states"][0];
    assert_eq!(
        (&state["task_name"], &state["error"], &state["ttl"]),
        (&json!("preheat"), &json!(""), &json!(0))
    );
    let result = json!({"success_tasks": [{"url": A, "hostname": "h1", "ip": "10.0.1.1"}], "failure_tasks": [],
        "scheduler_cluster_id": 1});
    assert_eq!(state["results"], json!([result]));
    assert_eq!(done["user"], json!({"id": 1, "name": "root"}));
    assert_eq!(
        (&done["scheduler_clusters"][0]["id"], &done["seed_peer_clusters"]),
        (&json!(1), &json!([]))
    );
}

/// A job of two clusters, in the first of which one host lacks one file; and the first's scheduler.
async fn half_done(room: &Room, root: &Api) -> (u64, Attendant) {
    let two = root.add_cluster("two", json!({})).await;
    let args = json!({"type": "file", "url": A, "urls": [B], "scope": "all_peers", "count": 2});
    let body = json!({"type": "preheat", "bio": "nightly", "args": args});
    let id = made(root.post("/api/v1/jobs", body).await.ok());
    let mut first = Attendant::register(room, "s1", 1).await;
    let mut second = Attendant::register(room, "s2", two).await;
    let work = first.work().await;
    let targets = vec![
        target(A, 1, TargetState::Done),
        target(A, 2, TargetState::Done),
        target(B, 1, TargetState::Done),
        target(B, 2, TargetState::Failed),
    ];
    first.end(&work, targets, failure("1 of 4 failed")).await;
    assert_eq!(job(root, id).await["state"], "PENDING", "the other cluster works on");
    let other = second.work().await;
    let targets = vec![target(A, 3, TargetState::Done), target(B, 3, TargetState::Done)];
    second.succeed(&other, targets).await;
    (id, first)
}

async fn a_job_fails_if_one_target_of_one_cluster_does_and_says_which(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (id, _) = half_done(&room, &root).await;
    let failed = job(&root, id).await;
    assert_eq!(failed["state"], "FAILURE");
    let states = failed["result"]["job_states"].as_array().unwrap();
    assert_eq!(
        (&states[0]["state"], &states[1]["state"]),
        (&json!("FAILURE"), &json!("SUCCESS"))
    );
    assert_eq!(states[0]["error"], "1 of 4 failed");
    let result = &states[0]["results"][0];
    let lacking = json!([{"url": B, "hostname": "h2", "ip": "10.0.1.2", "description": "no space left"}]);
    assert_eq!(result["failure_tasks"], lacking);
    assert_eq!(result["success_tasks"].as_array().unwrap().len(), 3);
    let progress = &failed["result"]["progress"];
    let counts = json!({"waiting": 0, "running": 0, "done": 5, "failed": 1, "cancelled": 0});
    assert_eq!(progress["targets"], counts);
    assert_eq!(
        (&progress["finished_length"], &progress["content_length"]),
        (&json!(54), &json!(60))
    );
    // Page by page, and only some.
    let path = format!("/api/v1/jobs/{id}/targets");
    let page = root.get(&format!("{path}?per_page=4&page=2")).await;
    assert_eq!(page.headers["x-total-count"], "6");
    assert_eq!(page.body.as_array().unwrap().len(), 2);
    let some = root
        .get(&format!("{path}?state=failed&scheduler_cluster_id=1"))
        .await
        .ok();
    assert_eq!(
        (some.as_array().unwrap().len(), &some[0]["hostname"]),
        (1, &json!("h2"))
    );
}

async fn only_what_failed_is_tried_again(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (id, mut first) = half_done(&room, &root).await;
    let path = format!("/api/v1/jobs/{id}/retry");
    let again = root.post(&path, json!({})).await.ok();
    assert_eq!((&again["state"], &again["bio"]), (&json!("PENDING"), &json!("nightly")));
    let work = first.work().await;
    let Some(work::Task::PreheatFiles(files)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!((files.files.len(), files.files[0].url.as_str()), (1, B));
    assert_eq!(files.files[0].ips, ["10.0.1.2"]);
    first.succeed(&work, vec![target(B, 2, TargetState::Done)]).await;
    let done = ends(&root, id, "SUCCESS").await;
    assert_eq!(done["result"]["progress"]["targets"]["done"], 6);
    root.post(&path, json!({})).await.refused(StatusCode::CONFLICT);
}

async fn a_scheduler_s_success_is_not_taken_for_one_while_a_target_lacks_it(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let id = preheat(&root, &[A]).await;
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let work = scheduler.work().await;
    scheduler
        .succeed(
            &work,
            vec![target(A, 1, TargetState::Done), target(A, 2, TargetState::Running)],
        )
        .await;
    let failed = ends(&root, id, "FAILURE").await;
    let lacking = &failed["result"]["job_states"][0]["results"][0]["failure_tasks"];
    assert_eq!(
        (&lacking[0]["hostname"], lacking.as_array().unwrap().len()),
        (&json!("h2"), 1)
    );
}

async fn a_cancelled_job_is_taken_from_its_scheduler_and_a_removed_one_too(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (one, two) = (preheat(&root, &[A]).await, preheat(&root, &[B]).await);
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let (first, second) = (scheduler.work().await, scheduler.work().await);
    scheduler.report(&first, vec![target(A, 1, TargetState::Running)]).await;
    eventually(|| async { job(&root, one).await["result"]["progress"]["targets"]["running"] == 1 }).await;
    let cancelled = root
        .send(Method::POST, &format!("/api/v1/jobs/{one}/cancel"), None)
        .await
        .ok();
    assert_eq!(
        (&cancelled["state"], &cancelled["result"]["job_states"][0]["error"]),
        (&json!("FAILURE"), &json!("cancelled by root"))
    );
    assert_eq!(cancelled["result"]["progress"]["targets"]["cancelled"], 1);
    assert_eq!(scheduler.cancelled().await.id, first.id);
    // What it reports all the same changes nothing.
    scheduler.succeed(&first, vec![target(A, 1, TargetState::Done)]).await;
    assert_eq!(job(&root, one).await["state"], "FAILURE");
    root.send(Method::POST, &format!("/api/v1/jobs/{one}/cancel"), None)
        .await
        .refused(StatusCode::CONFLICT);
    assert_eq!(root.delete(&format!("/api/v1/jobs/{two}")).await.status, StatusCode::OK);
    assert_eq!(scheduler.cancelled().await.id, second.id);
    root.get(&format!("/api/v1/jobs/{two}"))
        .await
        .refused(StatusCode::NOT_FOUND);
    assert_eq!(room.data.number("SELECT COUNT(*) FROM job_work").await, 1);
}

async fn no_secret_of_a_job_is_seen_by_anybody_but_its_scheduler(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let url = "https://bucket.example/f?X-Amz-Signature=hunter2&part=1";
    let args = json!({
        "type": "file", "url": url, "headers": {"Cookie": "hunter2"}, "username": "ada", "password": "hunter2",
        "object_storage": {"region": "r", "access_key_id": "hunter2", "access_key_secret": "hunter2"},
        "hdfs": {"delegation_token": "hunter2"},
    });
    let id = made(
        root.post("/api/v1/jobs", json!({"type": "preheat", "args": args}))
            .await
            .ok(),
    );
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let work = scheduler.work().await;
    let Some(work::Task::PreheatFiles(files)) = &work.task else {
        panic!("{work:?}");
    };
    let file = &files.files[0];
    assert_eq!((file.url.as_str(), file.header["Cookie"].as_str()), (url, "hunter2"));
    assert_eq!(
        file.object_storage.as_ref().unwrap().access_key_secret.as_deref(),
        Some("hunter2")
    );
    assert_eq!(file.hdfs.as_ref().unwrap().delegation_token.as_deref(), Some("hunter2"));
    scheduler
        .report(&work, vec![target(url, 1, TargetState::Running)])
        .await;
    eventually(|| async { job(&root, id).await["result"]["progress"]["targets"]["running"] == 1 }).await;
    let nowhere = async |when: &str| {
        for path in [
            "jobs",
            &format!("jobs/{id}"),
            &format!("jobs/{id}/targets"),
            "audits?per_page=100",
        ] {
            let answer = root.get(&format!("/api/v1/{path}")).await.ok().to_string();
            assert!(!answer.contains("hunter2"), "{when}: {path}: {answer}");
        }
        assert_eq!(room.data.rows_with("hunter2").await, Vec::<String>::new(), "{when}");
    };
    nowhere("while it runs").await;
    assert_eq!(
        room.data
            .number("SELECT COUNT(*) FROM job WHERE sealed IS NOT NULL")
            .await,
        1
    );
    let failed = Target {
        description: format!("GET {url}: 503"),
        ..target(url, 1, TargetState::Failed)
    };
    scheduler
        .end(&work, vec![failed], failure(&format!("GET {url}: 503")))
        .await;
    assert_eq!(
        room.data
            .number("SELECT COUNT(*) FROM job WHERE sealed IS NOT NULL")
            .await,
        0
    );
    nowhere("when it has ended").await;
}

async fn a_job_whose_secrets_are_forgotten_is_tried_again_with_new_ones(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let args = json!({"type": "image", "url": "ghcr.io/x/y:1", "username": "ada", "password": "hunter2"});
    let id = made(
        root.post("/api/v1/jobs", json!({"type": "preheat", "args": args}))
            .await
            .ok(),
    );
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let work = scheduler.work().await;
    scheduler.end(&work, Vec::new(), failure("401")).await;
    let failed = ends(&root, id, "FAILURE").await;
    let result = &failed["result"]["job_states"][0]["results"][0];
    let unreached =
        json!([{"url": "https://ghcr.io/v2/x/y/manifests/1", "hostname": "", "ip": "", "description": "401"}]);
    assert_eq!(result["failure_tasks"], unreached);
    let path = format!("/api/v1/jobs/{id}/retry");
    let refused = root.send(Method::POST, &path, None).await.refused(StatusCode::CONFLICT);
    assert!(refused.contains("give its password again"), "{refused}");
    root.post(&path, json!({"password": "swordfish"})).await.ok();
    let work = scheduler.work().await;
    let Some(work::Task::PreheatImage(image)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(
        (image.username.as_deref(), image.password.as_deref()),
        (Some("ada"), Some("swordfish"))
    );
}

async fn jobs_are_listed_changed_and_removed_when_they_are_old(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (one, two) = (preheat(&root, &[A]).await, preheat(&root, &[B]).await);
    root.send(Method::POST, &format!("/api/v1/jobs/{one}/cancel"), None)
        .await
        .ok();
    let all = root.get("/api/v1/jobs?type=preheat&page=1&per_page=10000000").await;
    assert_eq!(all.headers["x-total-count"], "2");
    assert_eq!((&all.body[0]["id"], &all.body[1]["id"]), (&json!(two), &json!(one)));
    for (query, found) in [("state=PENDING", json!(two)), ("state=FAILURE&user_id=1", json!(one))] {
        let some = root.get(&format!("/api/v1/jobs?{query}")).await.ok();
        assert_eq!((some.as_array().unwrap().len(), &some[0]["id"]), (1, &found), "{query}");
    }
    assert_eq!(root.get("/api/v1/jobs?type=gc").await.ok(), json!([]));
    root.get("/api/v1/jobs?state=WAITING")
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    let changed = root
        .patch(&format!("/api/v1/jobs/{two}"), json!({"bio": "later", "user_id": 0}))
        .await
        .ok();
    assert_eq!((&changed["bio"], &changed["user_id"]), (&json!("later"), &json!(1)));
    root.patch(&format!("/api/v1/jobs/{two}"), json!({"user_id": 77}))
        .await
        .refused(StatusCode::NOT_FOUND);
    let gc = root.get("/api/v1/configs?name=gc").await.ok();
    let ttl = json!({"value": "{\"job\":{\"ttl\":0},\"audit\":{\"ttl\":0}}"});
    root.patch(&format!("/api/v1/configs/{}", gc[0]["id"]), ttl).await.ok();
    eventually(|| async {
        let done = root
            .post("/api/v1/jobs", json!({"type": "gc", "args": {"type": "job"}}))
            .await
            .ok();
        assert_eq!(done["state"], "SUCCESS", "{done}");
        root.get(&format!("/api/v1/jobs/{one}")).await.status == StatusCode::NOT_FOUND
    })
    .await;
    assert_eq!(
        job(&root, two).await["state"],
        "PENDING",
        "what has not ended is not old"
    );
    let audits = || async { room.data.number("SELECT COUNT(*) FROM audit").await };
    let before = audits().await;
    let done = root
        .post("/api/v1/jobs", json!({"type": "gc", "args": {"type": "audit"}}))
        .await
        .ok();
    assert_eq!(done["state"], "SUCCESS", "{done}");
    assert!(audits().await < before);
}

async fn a_cluster_takes_only_so_many_jobs_a_second_from_all_managers_together(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let two = root.add_cluster("two", json!({})).await;
    preheat(&root, &[A]).await;
    // An account that is full for a long time, whatever this machine does meanwhile.
    room.data
        .sql("UPDATE job_rate SET free_at_us = 9000000000000000 WHERE scheduler_cluster_id = 1")
        .await;
    let body = |clusters: Value| json!({"type": "preheat", "args": {"type": "file", "url": A}, "scheduler_cluster_ids": clusters});
    for clusters in [json!([1]), json!([]), json!([1, two])] {
        let answer = root.post("/api/v1/jobs", body(clusters)).await;
        assert!(answer.headers.contains_key("retry-after"));
        let refused = answer.refused(StatusCode::TOO_MANY_REQUESTS);
        assert!(
            refused.contains("cluster 1 (cluster-1) takes 10 jobs a second"),
            "{refused}"
        );
    }
    root.post("/api/v1/jobs", body(json!([two]))).await.ok();
    let jobs = root.get("/api/v1/jobs").await.ok();
    assert_eq!(jobs.as_array().unwrap().len(), 2, "what was refused left nothing");
}

async fn a_cluster_without_scheduler_fails_when_the_time_is_over_and_is_named(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let args = json!({"type": "file", "url": A, "timeout": 1_000_000_000});
    let id = made(
        root.post("/api/v1/jobs", json!({"type": "preheat", "args": args}))
            .await
            .ok(),
    );
    let failed = ends(&root, id, "FAILURE").await;
    let state = &failed["result"]["job_states"][0];
    let error = state["error"].as_str().unwrap();
    assert!(
        error.starts_with("cluster 1 had no active scheduler with the feature preheat within 1 s"),
        "{error}"
    );
    assert_eq!(state["results"][0]["failure_tasks"][0]["url"], A);
}

on_every_engine! {
    harbor_preheats_an_image_and_reads_what_it_knows
    a_job_fails_if_one_target_of_one_cluster_does_and_says_which
    only_what_failed_is_tried_again
    a_scheduler_s_success_is_not_taken_for_one_while_a_target_lacks_it
    a_cancelled_job_is_taken_from_its_scheduler_and_a_removed_one_too
    no_secret_of_a_job_is_seen_by_anybody_but_its_scheduler
    a_job_whose_secrets_are_forgotten_is_tried_again_with_new_ones
    jobs_are_listed_changed_and_removed_when_they_are_old
    a_cluster_takes_only_so_many_jobs_a_second_from_all_managers_together
    a_cluster_without_scheduler_fails_when_the_time_is_over_and_is_named
}

#[tokio::test]
async fn tasks_are_asked_for_and_removed_by_id_or_by_what_they_are_made_of() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let get = json!({"type": "get_task", "args": {"url": A, "tag": "t", "filtered_query_params": "x&y"}});
    let id = made(root.post("/api/v1/jobs", get).await.ok());
    let work = scheduler.work().await;
    let Some(work::Task::GetTask(query)) = &work.task else {
        panic!("{work:?}");
    };
    let Some(task_query::Task::Download(download)) = &query.task else {
        panic!("{query:?}");
    };
    assert_eq!((download.url.as_str(), download.tag.as_deref()), (A, Some("t")));
    assert_eq!(download.filtered_query_params, ["x", "y"]);
    let part = |host, total, held: &[u32]| Target {
        finished_length: 4,
        pieces: Some(Pieces {
            total,
            held: held.to_vec(),
        }),
        ..target(A, host, TargetState::Done)
    };
    // Of the last is said what can't be.
    let targets = vec![
        target(A, 1, TargetState::Done),
        part(2, 3, &[0, 1, 1]),
        part(3, 2, &[7]),
    ];
    scheduler.succeed(&work, targets).await;
    let found = job(&root, id).await;
    let result = &found["result"]["job_states"][0]["results"][0];
    assert_eq!(result["scheduler_cluster_id"], 1);
    let of = |host: &str| {
        let peers = result["peers"].as_array().unwrap();
        let peer = peers.iter().find(|peer| peer["hostname"] == host).unwrap();
        assert_eq!(peer["host_type"], "normal");
        (peer["task_finished"].clone(), peer.get("pieces").cloned())
    };
    assert_eq!(of("h1"), (json!(true), None));
    assert_eq!(of("h2"), (json!(false), Some(json!({"total": 3, "held": [0, 1, 1]}))));
    assert_eq!(of("h3"), (json!(false), None));
    let delete = json!({"type": "delete_task", "args": {"task_id": "abc", "timeout": 60_000_000_000u64}});
    let id = made(root.post("/api/v1/jobs", delete).await.ok());
    let work = scheduler.work().await;
    let Some(work::Task::DeleteTask(query)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(query.task, Some(task_query::Task::TaskId("abc".into())));
    assert!((1..=60).contains(&work.timeout.unwrap().seconds));
    scheduler.succeed(&work, Vec::new()).await;
    let done = job(&root, id).await;
    assert_eq!(
        done["result"]["job_states"][0]["results"][0]["success_tasks"],
        json!([])
    );
    assert_eq!(done["state"], "SUCCESS", "what nobody has is gone");
}

#[tokio::test]
async fn the_distribution_of_an_image_is_the_answer_itself() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let asked = json!({"type": "get_image_distribution", "args": {"url": "nginx:1.27", "concurrent_layer_count": 3}});
    let answering = async {
        let work = scheduler.work().await;
        let Some(work::Task::StatImage(image)) = &work.task else {
            panic!("{work:?}");
        };
        assert_eq!(
            image.url,
            "https://registry-1.docker.io/v2/library/nginx/manifests/1.27"
        );
        assert_eq!(image.concurrent_layer_count, Some(3));
        let layer = |is_finished| Layer {
            url: A.into(),
            is_finished,
        };
        let image = StatImageResponse {
            image: Some(Image {
                layers: vec![layer(None)],
            }),
            peers: vec![PeerImage {
                ip: "10.0.1.1".into(),
                hostname: "h1".into(),
                cached_layers: vec![layer(Some(true))],
            }],
        };
        let outcome = dragonfly_api::ext::WorkOutcome {
            succeeded: true,
            image: Some(image),
            ..Default::default()
        };
        scheduler.end(&work, Vec::new(), outcome).await;
    };
    let (answer, ()) = tokio::join!(root.post("/api/v1/jobs", asked), answering);
    let peer = json!({"ip": "10.0.1.1", "hostname": "h1", "cached_layers": [{"url": A, "is_finished": true}],
        "scheduler_cluster_id": 1});
    assert_eq!(answer.ok(), json!({"image": {"layers": [{"url": A}]}, "peers": [peer]}));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_says_which() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    for (body, word) in [
        (json!({"type": "nap"}), "unknown variant"),
        (json!({"type": "preheat"}), "args.url must name an image"),
        (
            json!({"type": "preheat", "args": {"url": "https://r/X"}}),
            "args.url must name an image",
        ),
        (
            json!({"type": "preheat", "args": {"url": "x", "scope": "everybody"}}),
            "unknown variant",
        ),
        (
            json!({"type": "preheat", "args": {"type": "file", "url": A, "count": 201}}),
            "args.count must be 1 to 200",
        ),
        (
            json!({"type": "preheat", "args": {"type": "file", "url": "https://u:hunter2@h/"}}),
            "must not hold a user",
        ),
        (json!({"type": "get_task", "args": {}}), "args.task_id must be given"),
        (json!({"type": "gc", "args": {"type": "all"}}), "unknown variant"),
        (
            json!({"type": "get_task", "args": {"task_id": "x"}, "user_id": 7}),
            "user_id must be the caller's",
        ),
        (
            json!({"type": "get_task", "args": {"task_id": "x"}, "bio": "x".repeat(1001)}),
            "bio must have",
        ),
    ] {
        let errors = root
            .post("/api/v1/jobs", body.clone())
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
        assert!(errors.contains(word), "{body}: {errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let nowhere = json!({"type": "get_task", "args": {"task_id": "x"}, "scheduler_cluster_ids": [1, 77]});
    let refused = root.post("/api/v1/jobs", nowhere).await.refused(StatusCode::NOT_FOUND);
    assert_eq!(refused, "there is no cluster 77");
}

/// CVE-2026-24124: who is nobody may do nothing with jobs. And who is somebody, only what he may.
#[tokio::test]
async fn jobs_and_peers_need_a_right() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let id = preheat(&root, &[A]).await;
    let routes = [
        (Method::GET, String::new()),
        (Method::POST, String::new()),
        (Method::GET, format!("/{id}")),
        (Method::PATCH, format!("/{id}")),
        (Method::DELETE, format!("/{id}")),
        (Method::POST, format!("/{id}/cancel")),
        (Method::POST, format!("/{id}/retry")),
        (Method::GET, format!("/{id}/targets")),
        (Method::GET, format!("/{id}/events")),
    ];
    let (_, guest) = user(&room, &root, "ada").await;
    let (_, other) = token(&root, "clusters", json!(["cluster"])).await;
    let (_, reader) = token(&root, "reader", json!(["jobs:read"])).await;
    for base in ["/api/v1/jobs", "/oapi/v1/jobs"] {
        for (method, rest) in &routes {
            let (path, body) = (format!("{base}{rest}"), Some(json!({})));
            let nobody = room.anonymous().send(method.clone(), &path, body.clone()).await;
            nobody.refused(StatusCode::UNAUTHORIZED);
            for api in [&guest, &other] {
                let refused = api.send(method.clone(), &path, body.clone()).await;
                refused.refused(StatusCode::FORBIDDEN);
            }
            if *method != Method::GET {
                let refused = reader.send(method.clone(), &path, body).await;
                refused.refused(StatusCode::FORBIDDEN);
            }
        }
        reader.get(base).await.ok();
    }
    assert_eq!(job(&root, id).await["state"], "PENDING");
    room.anonymous()
        .get("/api/v1/peers")
        .await
        .refused(StatusCode::UNAUTHORIZED);
    guest.get("/api/v1/peers").await.ok();
    guest.delete("/api/v1/peers/1").await.refused(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn progress_is_told_as_it_comes_to_those_who_listen() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let id = preheat(&root, &[A]).await;
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let work = scheduler.work().await;
    let url = format!("{}/api/v1/jobs/{id}/events", root.base);
    let request = root.client.get(url).bearer_auth(root.token.as_ref().unwrap());
    let mut events = request.send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut read = async |until: &str, text: &mut String| {
        while !text.contains(until) {
            let chunk = events.chunk().await.unwrap().expect("more comes");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    read("event: progress", &mut text).await;
    scheduler.report(&work, vec![target(A, 1, TargetState::Running)]).await;
    read("\"running\":1", &mut text).await;
    scheduler.succeed(&work, vec![target(A, 1, TargetState::Done)]).await;
    read("event: ended", &mut text).await;
    read("\"state\":\"SUCCESS\"", &mut text).await;
    root.get("/api/v1/jobs/77/events").await.refused(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn jobs_and_those_who_attend_are_counted() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    preheat(&root, &[A]).await;
    root.post("/api/v1/jobs", json!({"type": "preheat"})).await;
    assert_eq!(
        root.post("/api/v1/jobs", json!({"type": "sync_peers"})).await.ok(),
        json!("OK")
    );
    let refused = json!({"type": "sync_peers", "scheduler_cluster_ids": [1]});
    root.post("/api/v1/jobs", refused)
        .await
        .refused(StatusCode::SERVICE_UNAVAILABLE);
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    scheduler.work().await;
    let metrics = room.metrics().await;
    for line in [
        "dragonfly_manager_create_job_total{name=\"preheat\"} 2\n",
        "dragonfly_manager_create_job_success_total{name=\"preheat\"} 1\n",
        "dragonfly_manager_create_job_success_total{name=\"sync_peers\"} 1\n",
        "dragonfly_manager_attending_schedulers 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    drop(scheduler);
    eventually(|| async {
        room.metrics()
            .await
            .contains("dragonfly_manager_attending_schedulers 0\n")
    })
    .await;
}
