use super::*;
use crate::members::{self, schedulers};
use crate::store::entity::scheduler::{Entity, Model};
use crate::store::seed::{self, FirstPassword};
use dragonfly_api::rest::{CreateScheduler, MemberState, SchedulerConfig};

const START: Time = Time(1_000_000);
const INTERVAL: Duration = Duration::from_secs(5);

struct Room {
    store: Store,
    _dir: tempfile::TempDir,
}

async fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&dir.path().join("manager.db")).await.unwrap();
    let password = FirstPassword {
        hash: String::new(),
        must_change: true,
    };
    seed::run(&store, password, START).await.unwrap();
    Room { store, _dir: dir }
}

fn scheduler(port: u16) -> CreateScheduler {
    CreateScheduler {
        host_name: "scheduler-1".into(),
        ip: "10.0.0.1".parse().unwrap(),
        port,
        scheduler_cluster_id: 1,
        idc: String::new(),
        location: String::new(),
        features: Vec::new(),
        config: SchedulerConfig {
            manager_keep_alive_interval: 5_000_000_000,
        },
    }
}

fn identity() -> Identity {
    Identity {
        host_name: "scheduler-1".into(),
        ip: Some("10.0.0.1".into()),
        cluster: 1,
    }
}

impl Room {
    async fn register(&self, port: u16, now: Time) -> Model {
        schedulers::register(&self.store, scheduler(port), now).await.unwrap()
    }

    async fn take(&self, now: Time) -> Lease {
        take::<Entity>(&self.store, &identity(), now).await.unwrap()
    }

    async fn state(&self, now: Time) -> MemberState {
        let row = members::find::<Entity>(self.store.db(), &identity()).await.unwrap();
        members::state(row.lease_until, now)
    }
}

#[tokio::test]
async fn a_member_is_active_from_its_first_sign_of_life_until_three_intervals_after_the_last() {
    let room = room().await;
    room.register(8002, START).await;
    assert_eq!(room.state(START).await, MemberState::Inactive);
    let lease = room.take(START).await;
    assert_eq!(room.state(START).await, MemberState::Active);
    let last = START.plus(INTERVAL);
    renew::<Entity>(&room.store, lease, last).await.unwrap();
    let end = last.plus(INTERVAL * 3);
    assert_eq!(room.state(Time(end.0 - 1)).await, MemberState::Active);
    assert_eq!(room.state(end).await, MemberState::Inactive);
}

#[tokio::test]
async fn the_end_of_the_newest_stream_ends_the_lease_at_once() {
    let room = room().await;
    room.register(8002, START).await;
    let lease = room.take(START).await;
    end::<Entity>(&room.store, lease, START.plus(INTERVAL)).await.unwrap();
    assert_eq!(room.state(START.plus(INTERVAL)).await, MemberState::Inactive);
}

#[tokio::test]
async fn an_old_streams_end_cannot_end_a_newer_lease() {
    let room = room().await;
    room.register(8002, START).await;
    let old = room.take(START).await;
    let new = room.take(START.plus(INTERVAL)).await;
    end::<Entity>(&room.store, old, START.plus(INTERVAL)).await.unwrap();
    assert_eq!(room.state(START.plus(INTERVAL)).await, MemberState::Active);
    // And the newer one goes on to be renewed and to end.
    renew::<Entity>(&room.store, new, START.plus(INTERVAL * 2))
        .await
        .unwrap();
    assert_eq!(room.state(START.plus(INTERVAL * 4)).await, MemberState::Active);
    end::<Entity>(&room.store, new, START.plus(INTERVAL * 4)).await.unwrap();
    assert_eq!(room.state(START.plus(INTERVAL * 4)).await, MemberState::Inactive);
}

#[tokio::test]
async fn the_stream_of_an_earlier_instance_cannot_end_what_a_registration_began() {
    let room = room().await;
    room.register(8002, START).await;
    let old = room.take(START).await;
    let row = room.register(8003, START.plus(INTERVAL)).await;
    assert_eq!(row.port, 8003);
    end::<Entity>(&room.store, old, START.plus(INTERVAL)).await.unwrap();
    assert_eq!(room.state(START.plus(INTERVAL)).await, MemberState::Active);
}

#[tokio::test]
async fn a_restarted_manager_knows_who_is_alive() {
    let room = room().await;
    room.register(8002, START).await;
    let lease = room.take(START).await;
    let path = room._dir.path().join("manager.db");
    let store = Store::open_sqlite(&path).await.unwrap();
    let row = members::find::<Entity>(store.db(), &identity()).await.unwrap();
    assert_eq!(members::state(row.lease_until, START), MemberState::Active);
    renew::<Entity>(&store, lease, START.plus(INTERVAL)).await.unwrap();
}

#[tokio::test]
async fn a_removed_or_unknown_member_is_told_that_it_does_not_exist() {
    let room = room().await;
    let error = take::<Entity>(&room.store, &identity(), START).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let row = room.register(8002, START).await;
    let lease = room.take(START).await;
    members::delete::<Entity>(room.store.db(), crate::error::wire_id(row.id))
        .await
        .unwrap();
    let error = renew::<Entity>(&room.store, lease, START).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_member_without_an_address_is_found_by_its_name_unless_two_bear_it() {
    let room = room().await;
    room.register(8002, START).await;
    let nameless = Identity { ip: None, ..identity() };
    take::<Entity>(&room.store, &nameless, START).await.unwrap();
    let twin = CreateScheduler {
        ip: "10.0.0.2".parse().unwrap(),
        ..scheduler(8002)
    };
    schedulers::register(&room.store, twin, START).await.unwrap();
    let error = take::<Entity>(&room.store, &nameless, START).await.unwrap_err();
    assert!(error.to_string().contains("ambiguous"), "{error}");
}
