//! The databases of the lab, without a manager: they keep their data through a kill, and they are found from elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::SocketAddr;

use dragonfly_testkit::mariadb::MariaDb;
use dragonfly_testkit::pki::Authority;
use dragonfly_testkit::place::Place;
use dragonfly_testkit::postgres::Postgres;
use dragonfly_testkit::process::{free_port, own_loopback};
use dragonfly_testkit::redis::{Access, Redis, Role, Sentinel};

fn address() -> SocketAddr {
    let ip = own_loopback().into();
    SocketAddr::new(ip, free_port(ip).unwrap())
}

#[tokio::test]
async fn mariadb_keeps_what_it_said_it_has_through_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = MariaDb::start(&Place::Here, dir.path(), address()).await.unwrap();
    database.create_database("a").await.unwrap();
    database
        .query("CREATE TABLE a.t (n INT); INSERT INTO a.t VALUES (7)")
        .await
        .unwrap();
    database.kill().await.unwrap();
    database.query("SELECT 1").await.unwrap_err();
    database.start_again().await.unwrap();
    assert_eq!(database.query("SELECT n FROM a.t").await.unwrap().trim(), "7");
}

#[tokio::test]
async fn postgres_keeps_what_it_said_it_has_through_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = Postgres::start(&Place::Here, dir.path(), address()).await.unwrap();
    database.create_database("a").await.unwrap();
    for sql in ["CREATE TABLE t (n INT)", "INSERT INTO t VALUES (7)"] {
        database.query("a", sql).await.unwrap();
    }
    database.kill().await.unwrap();
    database.query("a", "SELECT 1").await.unwrap_err();
    database.start_again().await.unwrap();
    assert_eq!(database.query("a", "SELECT n FROM t").await.unwrap().trim(), "7");
}

#[tokio::test]
async fn databases_are_reached_by_tls_when_they_are_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path()).unwrap();
    let at = |name: &str| dir.path().join(name);
    let home = at("m");
    let mariadb = MariaDb::start_tls(&Place::Here, &home, address(), &authority);
    let cipher = mariadb
        .await
        .unwrap()
        .query("SHOW STATUS LIKE 'Ssl_cipher'")
        .await
        .unwrap();
    assert!(cipher.contains("TLS"), "{cipher}");
    let home = at("p");
    let postgres = Postgres::start_tls(&Place::Here, &home, address(), &authority);
    let tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(
        postgres.await.unwrap().query("postgres", tls).await.unwrap().trim(),
        "t"
    );
    let access = Access {
        password: Some("p@ss"),
        tls: Some(&authority),
    };
    let home = at("r");
    let redis = Redis::start_with(&Place::Here, &home, address(), (Role::Master, access));
    assert_eq!(redis.await.unwrap().command(&["PING"]).await.unwrap().trim(), "PONG");
}

#[tokio::test]
async fn a_sentinel_replaces_a_killed_redis_by_its_replica() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Redis::start(&Place::Here, &dir.path().join("m"), address(), Role::Master)
        .await
        .unwrap();
    let of = master.address();
    let replica = Redis::start(&Place::Here, &dir.path().join("r"), address(), Role::Replica { of })
        .await
        .unwrap();
    replica.in_step(0).await.unwrap();
    let sentinel = Sentinel::start(&Place::Here, &dir.path().join("s"), address(), ("lab", &master, 1))
        .await
        .unwrap();
    sentinel.knows_replicas(1).await.unwrap();
    assert_eq!(sentinel.master().await.unwrap(), of);
    master.command(&["SET", "kept", "7"]).await.unwrap();
    master.command(&["WAIT", "1", "20000"]).await.unwrap();
    master.kill().await.unwrap();
    while sentinel.master().await.unwrap() != replica.address() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(replica.command(&["GET", "kept"]).await.unwrap().trim(), "7");
}
