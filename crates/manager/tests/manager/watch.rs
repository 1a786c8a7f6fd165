//! Those who watch are told of what changes, and of nothing else.

use crate::replicas::{HOUR, redis_is, two};
use crate::room::{
    Alive, Client, Engine, PATIENCE, Room, eventually, living_scheduler, on_every_engine, peer, scheduler, seed_peer,
};
use dragonfly_api::ext::manager_client::ManagerClient;
use dragonfly_api::ext::{WatchRequest, WatchResponse};
use dragonfly_api::manager::SourceType;
use serde_json::json;
use std::time::Duration;
use tonic::Streaming;

/// One who watches.
struct Watcher(Streaming<WatchResponse>);

impl Watcher {
    /// Has heard the first word, which everybody hears.
    async fn of(room: &Room, source: SourceType) -> Self {
        let request = WatchRequest {
            source_type: source.into(),
            hostname: "h".into(),
            ip: "10.0.0.9".into(),
        };
        let stream = ManagerClient::new(room.channel().await).watch(request).await;
        let mut watcher = Self(stream.unwrap().into_inner());
        watcher.hears("the first word").await;
        watcher
    }

    async fn hears(&mut self, what: &str) {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        let message = message.unwrap_or_else(|_| panic!("nobody was told of {what}"));
        message.unwrap().expect("the stream goes on");
    }
}

/// A manager that looks for itself once an hour, so that only a wake-up can be the reason. What is there at the start is
/// its first news; it has been told.
async fn waking(engine: Engine) -> Room {
    let room = Room::start_with(engine, |config| config.look_after = HOUR).await;
    eventually(|| told(&room, 1)).await;
    room
}

async fn peers_and_schedulers_are_told_of_every_change_that_concerns_them(engine: Engine) {
    let room = waking(engine).await;
    let root = room.root().await;
    let mut watchers = [
        Watcher::of(&room, SourceType::PeerSource).await,
        Watcher::of(&room, SourceType::SchedulerSource).await,
        Watcher::of(&room, SourceType::SeedPeerSource).await,
    ];
    let limits = json!({"peer_cluster_config": {"load_limit": 11}});
    root.patch("/api/v1/clusters/1", limits).await.ok();
    for watcher in &mut watchers {
        watcher.hears("a limit").await;
    }
    let application = json!({"name": "games", "url": "https://games.test", "priority": {"value": 3, "urls": []}});
    root.post("/api/v1/applications", application).await.ok();
    for watcher in &mut watchers {
        watcher.hears("an application").await;
    }
    let (id, alive) = living_scheduler(&room, "s", 1).await;
    for watcher in &mut watchers {
        watcher.hears("a scheduler that is there").await;
    }
    alive.goodbye().await.unwrap();
    for watcher in &mut watchers {
        watcher.hears("a scheduler that has gone").await;
    }
    let (_, _alive) = living_scheduler(&room, "s", 1).await;
    for watcher in &mut watchers {
        watcher.hears("a scheduler that has come back").await;
    }
    root.delete(&format!("/api/v1/schedulers/{id}")).await.ok();
    for watcher in &mut watchers {
        watcher.hears("a scheduler that was removed").await;
    }
}

/// Whether the watchers were told so often.
async fn told(room: &Room, times: u32) -> bool {
    room.metrics()
        .await
        .contains(&format!("dragonfly_manager_news_total {times}\n"))
}

async fn a_sign_of_life_and_a_registration_that_changes_nothing_are_no_news(engine: Engine) {
    let room = waking(engine).await;
    let (_, alive) = living_scheduler(&room, "s", 1).await;
    eventually(|| told(&room, 2)).await;
    let mut watcher = Watcher::of(&room, SourceType::SchedulerSource).await;
    let mut client = room.grpc().await;
    alive.beat().await;
    // As schedulers and seed peers do again and again; this seed peer is not alive.
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    client.update_seed_peer(seed_peer("seed", 1)).await.unwrap();
    let limits = json!({"peer_cluster_config": {"load_limit": 12}});
    room.root().await.patch("/api/v1/clusters/1", limits).await.ok();
    watcher.hears("a limit").await;
    eventually(|| told(&room, 3)).await;
}

async fn a_lease_that_runs_out_is_news(engine: Engine) {
    let room = Room::start_with(engine, |config| config.look_after = Duration::from_millis(50)).await;
    let mut client = room.grpc().await;
    let mut short = scheduler("s", 1);
    short.config = br#"{"manager_keep_alive_interval":1000000000}"#.to_vec();
    client.update_scheduler(short).await.unwrap();
    let mut watcher = Watcher::of(&room, SourceType::PeerSource).await;
    let alive = Alive::open(client.clone(), "s", 1).await;
    // What is there at the start is news as well, and several news can be one: only who asks knows what they were.
    while listed(&mut client).await == 0 {
        watcher.hears("a scheduler that is there").await;
    }
    while listed(&mut client).await > 0 {
        watcher.hears("a scheduler that is silent").await;
    }
    drop(alive);
}

/// How many schedulers a peer is given.
async fn listed(client: &mut Client) -> usize {
    let given = client.list_schedulers(peer("p", "10.0.0.9")).await;
    given.map_or(0, |given| given.into_inner().schedulers.len())
}

async fn what_another_manager_changes_is_told_at_this_one_and_is_what_those_who_ask_then_are_given(engine: Engine) {
    let look_after = match engine {
        Engine::MariaDbAndRedis => HOUR,
        _ => Duration::from_millis(500),
    };
    let Some((one, other)) = two(engine, |config| config.look_after = look_after).await else {
        return;
    };
    if engine == Engine::MariaDbAndRedis {
        redis_is(&one, true).await;
        redis_is(&other, true).await;
    }
    let (_, _alive) = living_scheduler(&one, "s", 1).await;
    let mut client = other.grpc().await;
    let mut watcher = Watcher::of(&other, SourceType::PeerSource).await;
    client.list_schedulers(peer("p", "10.0.0.9")).await.unwrap();
    for limit in [21, 22, 23] {
        let limits = json!({"peer_cluster_config": {"load_limit": limit}});
        one.root().await.patch("/api/v1/clusters/1", limits).await.ok();
        watcher.hears("a limit").await;
        let listed = client.list_schedulers(peer("p", "10.0.0.9")).await.unwrap();
        let cluster = listed.into_inner().schedulers[0].scheduler_cluster.clone().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&cluster.client_config).unwrap();
        assert_eq!(told["load_limit"], limit);
    }
}

async fn a_manager_that_stops_ends_the_watches(engine: Engine) {
    let room = waking(engine).await;
    let mut watcher = Watcher::of(&room, SourceType::PeerSource).await;
    assert!(room.metrics().await.contains("dragonfly_manager_watchers 1\n"));
    let stopped = room.stop();
    let (_, ended) = tokio::join!(stopped, watcher.0.message());
    assert!(matches!(ended, Ok(None) | Err(_)), "{ended:?}");
}

on_every_engine! {
    peers_and_schedulers_are_told_of_every_change_that_concerns_them
    a_sign_of_life_and_a_registration_that_changes_nothing_are_no_news
    a_lease_that_runs_out_is_news
    what_another_manager_changes_is_told_at_this_one_and_is_what_those_who_ask_then_are_given
    a_manager_that_stops_ends_the_watches
}
