//! Who attends a manager, and what becomes of works when schedulers and managers come and go.

use crate::attendant::{Attendant, target};
use crate::jobs::{ends, job, preheat, quick};
use crate::room::{Api, Data, Engine, Room, eventually, on_every_engine};
use dragonfly_api::ext::{TargetState, WorkReport, attend_request, attend_response};
use std::sync::Arc;
use tonic::Code;

const A: &str = "https://origin.example/a";

/// Ends all leases.
async fn time_passes(room: &Room) {
    room.data.sql("UPDATE job_work SET free_at = 0").await;
}

/// Waits until so many schedulers attend.
async fn attended_by(room: &Room, number: usize) {
    let line = format!("dragonfly_manager_attending_schedulers {number}\n");
    eventually(|| async { room.metrics().await.contains(&line) }).await;
}

async fn a_work_of_a_scheduler_that_is_lost_goes_to_another_and_the_first_is_told(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let id = preheat(&root, &[A]).await;
    let mut first = Attendant::register(&room, "s1", 1).await;
    let lost = first.work().await;
    first
        .report(
            &lost,
            vec![target(A, 1, TargetState::Done), target(A, 2, TargetState::Running)],
        )
        .await;
    eventually(|| async { job(&root, id).await["result"]["progress"]["targets"]["done"] == 1 }).await;
    drop(first);
    attended_by(&room, 0).await;
    time_passes(&room).await;
    let mut second = Attendant::register(&room, "s2", 1).await;
    let work = second.work().await;
    assert_eq!((work.id, work.lease), (lost.id, lost.lease + 1));
    let state = &job(&root, id).await["result"]["job_states"][0];
    assert_eq!(
        (
            &state["attempts"],
            &state["targets"]["running"],
            &state["targets"]["done"]
        ),
        (&2.into(), &0.into(), &1.into())
    );
    // The first is back, and goes on with what is not its any more.
    let mut back = Attendant::open(&room, "s1", 1).await;
    back.succeed(&lost, vec![target(A, 2, TargetState::Done)]).await;
    assert_eq!(job(&root, id).await["state"], "PENDING");
    second.succeed(&work, vec![target(A, 2, TargetState::Done)]).await;
    let done = ends(&root, id, "SUCCESS").await;
    assert_eq!(done["result"]["progress"]["targets"]["done"], 2);
}

async fn a_work_that_is_lost_again_and_again_fails_at_last(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let id = preheat(&root, &[A]).await;
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    for lease in 1..=5 {
        assert_eq!(scheduler.work().await.lease, lease);
        time_passes(&room).await;
    }
    let failed = ends(&root, id, "FAILURE").await;
    assert_eq!(
        failed["result"]["job_states"][0]["error"],
        "its schedulers were lost 5 times while they had it"
    );
}

/// The manager that handed a work out is gone; the work goes on under its lease at another one, or at the same when it is back.
async fn a_work_outlives_the_manager_that_handed_it_out(engine: Engine) {
    let data = Arc::new(Data::new(engine).await);
    let one = Room::start_on(&data, quick).await;
    let id = preheat(&one.root().await, &[A]).await;
    let mut scheduler = Attendant::register(&one, "s", 1).await;
    let work = scheduler.work().await;
    scheduler.report(&work, vec![target(A, 1, TargetState::Running)]).await;
    let root = one.root().await;
    eventually(|| async { job(&root, id).await["result"]["progress"]["targets"]["running"] == 1 }).await;
    one.stop().await;
    assert_eq!(scheduler.ended().await.code(), Code::Unavailable);
    let other = Room::start_on(&data, quick).await;
    let mut scheduler = Attendant::open(&other, "s", 1).await;
    scheduler.succeed(&work, vec![target(A, 1, TargetState::Done)]).await;
    ends(&other.root().await, id, "SUCCESS").await;
}

async fn any_manager_hands_out_what_another_was_asked_for(engine: Engine) {
    if engine == Engine::Sqlite {
        return;
    }
    let data = Arc::new(Data::new(engine).await);
    let one = Room::start_on(&data, quick).await;
    let other = Room::start_on(&data, quick).await;
    let mut scheduler = Attendant::register(&other, "s", 1).await;
    let root = one.root().await;
    let id = preheat(&root, &[A]).await;
    let work = scheduler.work().await;
    scheduler.report(&work, vec![target(A, 1, TargetState::Running)]).await;
    eventually(|| async { job(&root, id).await["result"]["progress"]["targets"]["running"] == 1 }).await;
    // A newer stream at the other manager: the older one ends, whatever manager it is at.
    let mut newer = Attendant::open(&one, "s", 1).await;
    assert_eq!(scheduler.ended().await.code(), Code::Aborted);
    newer.succeed(&work, vec![target(A, 1, TargetState::Done)]).await;
    ends(&other.root().await, id, "SUCCESS").await;
    // Many at once, and two that take: each work is one scheduler's.
    let second = Attendant::register(&other, "s2", 1).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(preheat(&root, &[A]).await);
    }
    let (mine, theirs) = tokio::join!(works_of(newer, &root, &ids), works_of(second, &root, &ids));
    let mut all: Vec<u64> = mine.into_iter().chain(theirs).collect();
    all.sort_unstable();
    assert_eq!(all.len(), 6);
    all.dedup();
    assert_eq!(all.len(), 6);
}

/// Does what a scheduler is given until these jobs have succeeded, and returns the works that it did.
async fn works_of(mut scheduler: Attendant, root: &Api, jobs: &[u64]) -> Vec<u64> {
    let mut done = Vec::new();
    let all = async {
        for id in jobs {
            ends(root, *id, "SUCCESS").await;
        }
    };
    tokio::pin!(all);
    loop {
        tokio::select! {
            () = &mut all => return done,
            message = scheduler.next() => {
                if let attend_response::Message::Work(work) = message.unwrap() {
                    scheduler.succeed_quietly(&work).await;
                    done.push(work.id);
                }
            }
        }
    }
}

on_every_engine! {
    a_work_of_a_scheduler_that_is_lost_goes_to_another_and_the_first_is_told
    a_work_that_is_lost_again_and_again_fails_at_last
    a_work_outlives_the_manager_that_handed_it_out
    any_manager_hands_out_what_another_was_asked_for
}

#[tokio::test]
async fn only_who_is_on_the_list_attends_and_says_hello_first() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let stranger = Attendant::open(&room, "s", 1).await.ended().await;
    assert_eq!(stranger.code(), Code::PermissionDenied, "{stranger}");
    assert!(stranger.message().contains("s (10.0.0.1) in cluster 1"), "{stranger}");
    Attendant::register(&room, "s", 1).await;
    let elsewhere = Attendant::open(&room, "s", 2).await.ended().await;
    assert_eq!(elsewhere.code(), Code::PermissionDenied, "{elsewhere}");
    let report = attend_request::Message::Work(WorkReport::default());
    let rude = Attendant::saying(&room, report).await.ended().await;
    assert_eq!(rude.code(), Code::InvalidArgument, "{rude}");
}

#[tokio::test]
async fn a_scheduler_that_is_removed_or_has_a_newer_stream_does_not_attend_any_more() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let older = Attendant::register(&room, "s", 1).await;
    eventually(|| async { room.data.number("SELECT COUNT(*) FROM attendance").await == 1 }).await;
    let mut newer = Attendant::open(&room, "s", 1).await;
    assert_eq!(older.ended().await.code(), Code::Aborted);
    preheat(&root, &[A]).await;
    newer.work().await;
    let schedulers = root.get("/api/v1/schedulers").await.ok();
    root.delete(&format!("/api/v1/schedulers/{}", schedulers[0]["id"]))
        .await;
    assert_eq!(newer.ended().await.code(), Code::Aborted);
}

#[tokio::test]
async fn a_scheduler_has_eight_works_at_a_time_the_oldest_first_and_none_without_the_feature() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(preheat(&root, &[A]).await);
    }
    let mut scheduler = Attendant::register(&room, "s", 1).await;
    let mut works = Vec::new();
    for _ in 0..8 {
        works.push(scheduler.work().await);
    }
    let last = ids[8];
    assert_eq!(job(&root, last).await["result"]["job_states"][0]["state"], "PENDING");
    assert!(works.is_sorted_by_key(|work| work.id));
    scheduler.succeed(&works[0], Vec::new()).await;
    let ninth = scheduler.work().await;
    assert!(ninth.id > works[7].id);
    let mut without = crate::room::scheduler("s2", 1);
    without.features = vec!["schedule".into()];
    room.grpc().await.update_scheduler(without).await.unwrap();
    drop(scheduler);
    let id = preheat(&root, &[A]).await;
    let _second = Attendant::open(&room, "s2", 1).await;
    eventually(|| async { room.data.number("SELECT COUNT(*) FROM attendance").await == 2 }).await;
    assert_eq!(job(&root, id).await["result"]["job_states"][0]["state"], "PENDING");
}
