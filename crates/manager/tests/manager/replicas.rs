//! Two managers on one database behave as one: with Redis at once, without it within the time after which they look
//! for themselves. Where Redis is the question, that time is an hour, so that nothing else can be the reason.

use crate::engines::address;
use crate::room::{
    Alive, Api, Data, Engine, PASSWORD, Room, eventually, living_scheduler, on_every_engine, peer, scheduler,
};
use dragonfly_manager::Config;
use dragonfly_manager::config::{HostPort, Level, Login, RedisConfig, Security};
use dragonfly_testkit::pki::Authority;
use dragonfly_testkit::place::Place;
use dragonfly_testkit::redis::{Access, Redis, Role, Sentinel};
use reqwest::StatusCode;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Two managers on the same data. SQLite's file belongs to one manager, so there are none on it.
pub(crate) async fn two(engine: Engine, change: impl Fn(&mut Config)) -> Option<(Room, Room)> {
    if engine == Engine::Sqlite {
        return None;
    }
    let data = Arc::new(Data::new(engine).await);
    let one = Room::start_on(&data, &change).await;
    let other = Room::start_on(&data, &change).await;
    Some((one, other))
}

/// Which cluster a host is told, by this manager.
async fn told(api: &Api, ip: &str) -> u64 {
    let found = api.get(&format!("/api/v1/clusters/match?ip={ip}")).await.ok();
    found["cluster_id"].as_u64().unwrap()
}

/// A change at one manager is followed by the other.
async fn follows(one: &Room, other: &Room, network: u8) {
    let ip = format!("10.{network}.0.9");
    let api = other.root().await;
    assert_eq!(told(&api, &ip).await, 1);
    let scopes = json!({"cidrs": [format!("10.{network}.0.0/16")]});
    let id = one.root().await.add_cluster(&format!("of-{network}"), scopes).await;
    eventually(|| async { told(&api, &ip).await == id }).await;
}

async fn a_change_at_one_manager_is_seen_at_the_other(engine: Engine) {
    let look_after = match engine {
        Engine::MariaDbAndRedis => HOUR,
        _ => Duration::from_millis(50),
    };
    let change = |config: &mut Config| config.look_after = look_after;
    let Some((one, other)) = two(engine, change).await else {
        return;
    };
    if engine == Engine::MariaDbAndRedis {
        redis_is(&one, true).await;
        redis_is(&other, true).await;
    }
    follows(&one, &other, 1).await;
    follows(&other, &one, 2).await;
}

async fn a_scheduler_that_is_alive_at_one_manager_is_active_at_the_other(engine: Engine) {
    let Some((one, other)) = two(engine, |_| {}).await else {
        return;
    };
    let (id, alive) = living_scheduler(&one, "s", 1).await;
    let there = other.root().await;
    assert_eq!(there.state_of_scheduler(id).await, "active");
    let listed = other.grpc().await.list_schedulers(peer("p", "10.0.0.9")).await.unwrap();
    assert_eq!(listed.into_inner().schedulers[0].hostname, "s");
    // It comes back to the other manager before the first has noticed that it went: the newer lease counts.
    let again = Alive::open(other.grpc().await, "s", 1).await;
    again.beat().await;
    eventually(|| async { lease(&other).await >= 2 }).await;
    alive.goodbye().await.unwrap();
    assert_eq!(there.state_of_scheduler(id).await, "active");
    again.goodbye().await.unwrap();
    assert_eq!(one.root().await.state_of_scheduler(id).await, "inactive");
}

/// Number of the newest lease of scheduler `s`, which each stream's first sign of life raises.
async fn lease(room: &Room) -> i64 {
    room.data
        .number("SELECT lease FROM scheduler WHERE host_name = 's'")
        .await
}

async fn a_session_of_one_manager_is_good_at_the_other_until_its_user_ends_it(engine: Engine) {
    let Some((one, other)) = two(engine, |_| {}).await else {
        return;
    };
    let root = one.root().await;
    let there = Api {
        token: root.token.clone(),
        ..other.anonymous()
    };
    there.get("/api/v1/clusters").await.ok();
    let reset = json!({"old_password": PASSWORD, "new_password": "battery staple"});
    there.post("/api/v1/users/1/reset_password", reset).await.ok();
    root.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    one.signed_in("root", "battery staple")
        .await
        .get("/api/v1/clusters")
        .await
        .ok();
}

async fn registered_often(room: &Room, number: usize) {
    let mut client = room.grpc().await;
    for _ in 0..4 {
        let request = scheduler(&format!("s{number}"), 1);
        client.update_scheduler(request).await.unwrap();
    }
}

async fn many_that_register_at_both_managers_at_once_are_all_there(engine: Engine) {
    let Some((one, other)) = two(engine, |_| {}).await else {
        return;
    };
    let registering = (0..8).flat_map(|number| [registered_often(&one, number), registered_often(&other, number)]);
    futures::future::join_all(registering).await;
    let listed = one.root().await.get("/api/v1/schedulers?per_page=100").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 8);
}

async fn two_defaults_that_are_chosen_at_once_leave_one(engine: Engine) {
    let Some((one, other)) = two(engine, |_| {}).await else {
        return;
    };
    let (here, there) = (one.root().await, other.root().await);
    let (two, three) = (
        here.add_cluster("two", json!({})).await,
        here.add_cluster("three", json!({})).await,
    );
    let default = json!({"is_default": true});
    for _ in 0..5 {
        let (first, second) = (format!("/api/v1/clusters/{two}"), format!("/api/v1/clusters/{three}"));
        let (first, second) = tokio::join!(
            here.patch(&first, default.clone()),
            there.patch(&second, default.clone())
        );
        first.ok();
        second.ok();
        let clusters = here.get("/api/v1/clusters").await.ok();
        let defaults = clusters
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["is_default"] == true);
        assert_eq!(defaults.count(), 1, "{clusters}");
    }
}

on_every_engine! {
    a_change_at_one_manager_is_seen_at_the_other
    a_scheduler_that_is_alive_at_one_manager_is_active_at_the_other
    a_session_of_one_manager_is_good_at_the_other_until_its_user_ends_it
    many_that_register_at_both_managers_at_once_are_all_there
    two_defaults_that_are_chosen_at_once_leave_one
}

/// Waits until a manager's metrics say that Redis is there, or that it is not.
pub(crate) async fn redis_is(room: &Room, up: bool) {
    let line = format!("dragonfly_manager_redis_up {}\n", u8::from(up));
    eventually(|| async { room.metrics().await.contains(&line) }).await;
}

fn redis(addrs: &[SocketAddr]) -> RedisConfig {
    let addrs = addrs.iter().map(|addr| HostPort {
        host: addr.ip().to_string(),
        port: addr.port(),
    });
    RedisConfig {
        addrs: addrs.collect(),
        master_name: None,
        login: Login::default(),
        sentinel_login: Login::default(),
        db: 0,
        tls: None,
    }
}

/// Two managers that hear of each other's changes by this Redis and not otherwise.
async fn two_with(redis: RedisConfig, look_after: Duration) -> (Room, Room) {
    let change = |config: &mut Config| {
        config.redis = Some(redis.clone());
        config.look_after = look_after;
    };
    two(Engine::MariaDb, change).await.unwrap()
}

#[tokio::test]
async fn managers_go_on_without_their_redis_and_use_it_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Redis::start(&Place::Here, dir.path(), address(), Role::Master)
        .await
        .unwrap();
    let (one, other) = two_with(redis(&[server.address()]), Duration::from_millis(50)).await;
    redis_is(&other, true).await;
    server.kill().await.unwrap();
    redis_is(&one, false).await;
    redis_is(&other, false).await;
    assert_eq!(one.anonymous().get("/healthy").await.status, StatusCode::OK);
    follows(&one, &other, 1).await;
    server.start_again().await.unwrap();
    redis_is(&one, true).await;
    redis_is(&other, true).await;
    follows(&other, &one, 2).await;
}

#[tokio::test]
async fn what_changes_while_redis_is_away_is_told_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Redis::start(&Place::Here, dir.path(), address(), Role::Master)
        .await
        .unwrap();
    let (one, other) = two_with(redis(&[server.address()]), HOUR).await;
    redis_is(&one, true).await;
    redis_is(&other, true).await;
    let there = other.root().await;
    assert_eq!(told(&there, "10.1.0.9").await, 1);
    server.kill().await.unwrap();
    redis_is(&one, false).await;
    let id = one
        .root()
        .await
        .add_cluster("b", json!({"cidrs": ["10.1.0.0/16"]}))
        .await;
    assert_eq!(
        told(&there, "10.1.0.9").await,
        1,
        "nobody has told it, and its hour is not over"
    );
    server.start_again().await.unwrap();
    eventually(|| async { told(&there, "10.1.0.9").await == id }).await;
}

#[tokio::test]
async fn managers_follow_the_sentinels_to_the_replica_that_became_the_master() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut master = Redis::start(&Place::Here, &at("m"), address(), Role::Master)
        .await
        .unwrap();
    let of = master.address();
    let replica = Redis::start(&Place::Here, &at("r"), address(), Role::Replica { of })
        .await
        .unwrap();
    replica.in_step(0).await.unwrap();
    let sentinel = Sentinel::start(&Place::Here, &at("s"), address(), ("lab", &master, 1))
        .await
        .unwrap();
    sentinel.knows_replicas(1).await.unwrap();
    // The first sentinel is not there: the next is asked.
    let config = RedisConfig {
        master_name: Some("lab".into()),
        ..redis(&[address(), sentinel.address()])
    };
    let (one, other) = two_with(config, HOUR).await;
    redis_is(&one, true).await;
    redis_is(&other, true).await;
    follows(&one, &other, 1).await;
    master.kill().await.unwrap();
    eventually(|| async { sentinel.master().await.unwrap() == replica.address() }).await;
    // Both are with the new master when it has heard from them: an entry of each that the other follows.
    follows(&one, &other, 2).await;
    follows(&other, &one, 3).await;
}

#[tokio::test]
async fn redis_is_reached_by_tls_and_with_a_password_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path()).unwrap();
    let access = Access {
        password: Some("p@ss/w:rd#1%"),
        tls: Some(&authority),
    };
    let server = Redis::start_with(&Place::Here, &dir.path().join("r"), address(), (Role::Master, access))
        .await
        .unwrap();
    let security = Security {
        level: Level::Host,
        ca: Some(authority.certificate()),
        identity: None,
    };
    let right = RedisConfig {
        login: Login {
            user: None,
            password: Some("p@ss/w:rd#1%".into()),
        },
        tls: Some(security.clone()),
        ..redis(&[server.address()])
    };
    let (one, other) = two_with(right.clone(), HOUR).await;
    redis_is(&one, true).await;
    redis_is(&other, true).await;
    follows(&one, &other, 1).await;
    let stranger = Security { ca: None, ..security };
    for wrong in [
        RedisConfig {
            login: Login::default(),
            ..right.clone()
        },
        RedisConfig {
            tls: Some(stranger),
            ..right
        },
    ] {
        let (third, _) = two_with(wrong, HOUR).await;
        redis_is(&third, false).await;
        assert_eq!(told(&third.root().await, "10.0.0.9").await, 1);
    }
}
