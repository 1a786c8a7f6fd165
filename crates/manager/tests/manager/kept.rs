//! The lists of kept tasks follow what schedulers report.

use crate::access::user;
use crate::attendant::{Attendant, target};
use crate::jobs::quick;
use crate::room::{Api, Engine, Room, eventually, living_scheduler, on_every_engine};
use dragonfly_api::common::{Host, PersistentCachePeer, PersistentCacheTask};
use dragonfly_api::ext::{Keeping, KeptTask, KeptTaskKey, KeptTasksReport, TargetState, WorkOutcome, task_query, work};
use reqwest::StatusCode;
use serde_json::{Value, json};

const CACHED: &str = "/api/v1/persistent-cache-tasks";
const STORED: &str = "/api/v1/persistent-tasks";

fn id(number: u32) -> String {
    format!("{number:064x}")
}

fn task(keeping: Keeping, number: u32) -> KeptTask {
    let peer = PersistentCachePeer {
        id: format!("peer-{number}"),
        persistent: true,
        state: "Succeeded".into(),
        host: Some(Host {
            id: "h".into(),
            r#type: 1,
            hostname: "gpu-7".into(),
            ip: "10.0.0.7".into(),
            port: 4000,
            ..Host::default()
        }),
        ..PersistentCachePeer::default()
    };
    KeptTask {
        keeping: keeping.into(),
        task: Some(PersistentCacheTask {
            id: id(number),
            persistent_replica_count: 2,
            current_persistent_replica_count: 1,
            current_replica_count: 1,
            application: Some("training".into()),
            piece_length: 4 << 20,
            content_length: 9 << 20,
            piece_count: 3,
            state: "Succeeded".into(),
            ttl: Some(prost_types::Duration {
                seconds: 3600,
                nanos: 5,
            }),
            ..PersistentCacheTask::default()
        }),
        peers: vec![peer],
    }
}

fn whole(tasks: Vec<KeptTask>) -> KeptTasksReport {
    KeptTasksReport {
        whole_begins: true,
        whole_ends: true,
        tasks,
        gone: Vec::new(),
    }
}

async fn ids(api: &Api, path: &str, cluster: u64) -> Vec<Value> {
    let listed = api.get(&format!("{path}?scheduler_cluster_id={cluster}")).await.ok();
    let mut ids: Vec<Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].clone())
        .collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

async fn a_cluster_keeps_what_the_last_word_of_its_schedulers_says(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (one_id, _alive) = living_scheduler(&room, "s1", 1).await;
    let (_, _other) = living_scheduler(&room, "s2", 1).await;
    let one = Attendant::open(&room, "s1", 1).await;
    let two = Attendant::open(&room, "s2", 1).await;
    let cached = |number| task(Keeping::PersistentCache, number);
    one.kept(whole(vec![cached(1), cached(2), task(Keeping::Persistent, 1)]))
        .await;
    eventually(|| async { ids(&root, CACHED, 1).await == [id(1), id(2)] }).await;
    assert_eq!(ids(&root, STORED, 1).await, [id(1)]);
    let told = root
        .get(&format!("{CACHED}/{}?scheduler_cluster_id=1", id(2)))
        .await
        .ok();
    for (field, value) in [
        ("persistent_replica_count", json!(2)),
        ("current_persistent_replica_count", json!(1)),
        ("application", json!("training")),
        ("tag", json!("")),
        ("content_length", json!(9 << 20)),
        ("total_piece_count", json!(3)),
        ("ttl", json!(3_600_000_000_005_u64)),
        ("state", json!("Succeeded")),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let peer = &told["peers"][0];
    assert_eq!(
        (&peer["persistent"], &peer["host"]["hostname"]),
        (&json!(true), &json!("gpu-7"))
    );
    assert_eq!(peer["host"]["type"], "super");
    // Another scheduler answers for one of them now; what the first then leaves out stays.
    two.kept(whole(vec![cached(2)])).await;
    eventually(|| async {
        room.data
            .number("SELECT COUNT(DISTINCT scheduler_id) FROM kept_task")
            .await
            == 2
    })
    .await;
    one.kept(whole(vec![cached(3)])).await;
    eventually(|| async { ids(&root, CACHED, 1).await == [id(2), id(3)] }).await;
    assert_eq!(ids(&root, STORED, 1).await, [] as [Value; 0]);
    let gone = KeptTasksReport {
        gone: vec![KeptTaskKey {
            keeping: Keeping::PersistentCache.into(),
            id: id(2),
        }],
        ..KeptTasksReport::default()
    };
    two.kept(gone).await;
    eventually(|| async { ids(&root, CACHED, 1).await == [id(3)] }).await;
    // With a scheduler goes its word.
    root.delete(&format!("/api/v1/schedulers/{one_id}")).await.ok();
    assert_eq!(ids(&root, CACHED, 1).await, [] as [Value; 0]);
}

async fn a_kept_task_is_removed_by_a_job_of_its_cluster(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (_, _alive) = living_scheduler(&room, "s", 1).await;
    let mut scheduler = Attendant::open(&room, "s", 1).await;
    scheduler.kept(whole(vec![task(Keeping::PersistentCache, 7)])).await;
    eventually(|| async { ids(&root, CACHED, 1).await == [id(7)] }).await;
    let path = format!("{CACHED}/{}?scheduler_cluster_id=1", id(7));
    let job = root.delete(&path).await.ok();
    assert_eq!(
        (&job["type"], &job["args"]["task_id"]),
        (&json!("delete_task"), &json!(id(7)))
    );
    let work = scheduler.work().await;
    let Some(work::Task::DeleteTask(query)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(query.task, Some(task_query::Task::TaskId(id(7))));
    scheduler.kept(whole(Vec::new())).await;
    let outcome = WorkOutcome {
        succeeded: true,
        ..WorkOutcome::default()
    };
    let target = target("", 7, TargetState::Done);
    scheduler.end(&work, vec![target], outcome).await;
    eventually(|| async { root.get(&path).await.status == StatusCode::NOT_FOUND }).await;
    assert_eq!(root.delete(&path).await.status, StatusCode::NOT_FOUND);
}

async fn kept_tasks_need_a_cluster_and_a_right(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    assert_eq!(root.get(CACHED).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let nowhere = format!("{STORED}?scheduler_cluster_id=99");
    assert_eq!(root.get(&nowhere).await.status, StatusCode::NOT_FOUND);
    let (_, guest) = user(&room, &root, "guest").await;
    let path = format!("{CACHED}?scheduler_cluster_id=1");
    assert_eq!(guest.get(&path).await.status, StatusCode::FORBIDDEN);
}

on_every_engine! {
    a_cluster_keeps_what_the_last_word_of_its_schedulers_says
    a_kept_task_is_removed_by_a_job_of_its_cluster
    kept_tasks_need_a_cluster_and_a_right
}
