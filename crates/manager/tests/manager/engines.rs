//! Database servers and Redis as they fail and are configured in earnest: each test has its own, which it may kill.

use crate::room::{Data, Engine, PASSWORD, Room, eventually, parsed, peer, scheduler};
use dragonfly_manager::{Config, Manager};
use dragonfly_service::tls;
use dragonfly_testkit::mariadb::{self, MariaDb};
use dragonfly_testkit::pki::Authority;
use dragonfly_testkit::place::Place;
use dragonfly_testkit::postgres::{self, Postgres};
use dragonfly_testkit::process::{free_port, own_loopback};
use reqwest::StatusCode;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// The settings that a database section needs beside its address.
const MARIADB: &str = "mysql";
const POSTGRES: &str = "postgres";

pub(crate) fn address() -> SocketAddr {
    let ip = own_loopback().into();
    SocketAddr::new(ip, free_port(ip).unwrap())
}

/// A manager of the database `manager` on a server of its own; `more` completes its section.
fn config(section: &str, server: SocketAddr, more: &str) -> Config {
    let password = if section == MARIADB {
        mariadb::PASSWORD
    } else {
        postgres::PASSWORD
    };
    assert_eq!((mariadb::USER, postgres::USER), ("root", "root"));
    parsed(&format!(
        "server:\n  grpc: {{listenIP: 127.0.0.1, port: {{start: 0}}}}\n  rest: {{addr: '127.0.0.1:0'}}\ndatabase:\n  \
         startTimeout: 30s\n  {section}: {{host: {}, port: {}, user: root, password: '{password}'{more}}}\n",
        server.ip(),
        server.port(),
    ))
}

/// Data on which nothing is kept: the manager's are on a server that the test has.
async fn elsewhere() -> Arc<Data> {
    Arc::new(Data::new(Engine::Sqlite).await)
}

async fn works(room: &Room) {
    let root = room.root().await;
    root.add_cluster("made", json!({"cidrs": ["10.2.0.0/16"]})).await;
    let mut client = room.grpc().await;
    let status = client.list_schedulers(peer("p", "10.2.0.9")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("10.2.0.0/16"), "{status}");
}

#[tokio::test]
async fn mariadb_is_reached_by_tls_of_a_private_authority_and_by_no_other() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path()).unwrap();
    let server = MariaDb::start_tls(&Place::Here, &dir.path().join("m"), address(), &authority)
        .await
        .unwrap();
    server.create_database("manager").await.unwrap();
    let trusting = format!(", tls: {{caCert: {}}}", authority.certificate().display());
    let room = Room::of(&elsewhere().await, config(MARIADB, server.address(), &trusting)).await;
    works(&room).await;
    let error = Manager::build(config(MARIADB, server.address(), ", tlsConfig: 'true'"))
        .await
        .unwrap_err();
    let text = dragonfly_service::chain(&error).to_string();
    assert!(text.contains("certificate"), "{text}");
    assert!(!text.contains(mariadb::PASSWORD), "{text}");
    let skipping = config(MARIADB, server.address(), ", tlsConfig: skip-verify");
    Room::of(&elsewhere().await, skipping).await.root().await;
}

#[tokio::test]
async fn postgres_is_reached_by_tls_of_a_private_authority_and_by_no_other() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path()).unwrap();
    let server = Postgres::start_tls(&Place::Here, &dir.path().join("p"), address(), &authority)
        .await
        .unwrap();
    server.create_database("manager").await.unwrap();
    let ca = authority.certificate();
    let trusting = format!(", sslMode: verify-full, tls: {{caCert: {}}}", ca.display());
    let room = Room::of(&elsewhere().await, config(POSTGRES, server.address(), &trusting)).await;
    works(&room).await;
    for (more, word) in [
        (", sslMode: verify-full", "certificate"),
        (", sslMode: disable", "no encryption"),
    ] {
        let error = Manager::build(config(POSTGRES, server.address(), more))
            .await
            .unwrap_err();
        let text = dragonfly_service::chain(&error).to_string();
        assert!(text.contains(word), "{text}");
        assert!(!text.contains(postgres::PASSWORD), "{text}");
    }
}

#[tokio::test]
async fn a_manager_that_starts_before_its_database_waits_for_it() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let mut server = MariaDb::start(&Place::Here, dir.path(), address()).await.unwrap();
    server.create_database("manager").await.unwrap();
    server.kill().await.unwrap();
    let mut impatient = config(MARIADB, server.address(), "");
    set_start_timeout(&mut impatient, Duration::ZERO);
    let error = Manager::build(impatient).await.unwrap_err();
    let text = dragonfly_service::chain(&error).to_string();
    assert!(text.contains(&format!("manager at {}", server.address())), "{text}");
    assert_eq!(error.exit_code(), 1);
    let data = elsewhere().await;
    let patient = config(MARIADB, server.address(), "");
    let (room, started) = tokio::join!(Room::of(&data, patient), server.start_again());
    started.unwrap();
    works(&room).await;
}

fn set_start_timeout(config: &mut Config, timeout: Duration) {
    if let dragonfly_manager::config::DatabaseConfig::MySql(server) = &mut config.database {
        server.start_timeout = timeout;
    }
}

#[tokio::test]
async fn a_database_that_refuses_is_not_waited_for() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let server = MariaDb::start(&Place::Here, dir.path(), address()).await.unwrap();
    for more in ["", ", dbname: nowhere"] {
        let mut config = config(MARIADB, server.address(), more);
        set_start_timeout(&mut config, Duration::from_secs(100_000));
        let error = Manager::build(config).await.unwrap_err();
        assert!(
            dragonfly_service::chain(&error)
                .to_string()
                .contains("Unknown database")
        );
    }
}

async fn outage(room: &Room, client: &mut crate::room::Client) {
    room.anonymous()
        .get("/healthy")
        .await
        .refused(StatusCode::SERVICE_UNAVAILABLE);
    let status = client.update_scheduler(scheduler("s", 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    room.anonymous()
        .sign_in("root", PASSWORD)
        .await
        .refused(StatusCode::SERVICE_UNAVAILABLE);
}

async fn recovery(room: &Room, client: &mut crate::room::Client) {
    eventually(|| async { room.anonymous().get("/healthy").await.status == StatusCode::OK }).await;
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    works(room).await;
}

#[tokio::test]
async fn a_manager_outlives_the_kill_of_its_mariadb_and_says_meanwhile_that_it_is_away() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let mut server = MariaDb::start(&Place::Here, dir.path(), address()).await.unwrap();
    server.create_database("manager").await.unwrap();
    let room = Room::of(&elsewhere().await, config(MARIADB, server.address(), "")).await;
    let mut client = room.grpc().await;
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    server.kill().await.unwrap();
    outage(&room, &mut client).await;
    server.start_again().await.unwrap();
    recovery(&room, &mut client).await;
}

#[tokio::test]
async fn a_manager_outlives_the_kill_of_its_postgres_and_says_meanwhile_that_it_is_away() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let mut server = Postgres::start(&Place::Here, dir.path(), address()).await.unwrap();
    server.create_database("manager").await.unwrap();
    let room = Room::of(&elsewhere().await, config(POSTGRES, server.address(), "")).await;
    let mut client = room.grpc().await;
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    server.kill().await.unwrap();
    outage(&room, &mut client).await;
    server.start_again().await.unwrap();
    recovery(&room, &mut client).await;
}

/// Starts three managers at the same moment on one empty database; each must serve.
async fn three_at_once(configs: [Config; 3]) -> Vec<Room> {
    let data = [elsewhere().await, elsewhere().await, elsewhere().await];
    let [one, two, three] = configs;
    let (one, two, three) = tokio::join!(
        Room::of(&data[0], one),
        Room::of(&data[1], two),
        Room::of(&data[2], three)
    );
    vec![one, two, three]
}

/// What the first start writes is there once, and the database goes on numbering behind it. `rows` counts those of a table.
async fn seeded_once(rooms: &[Room], rows: impl AsyncFn(&str) -> u32) {
    for room in rooms {
        let clusters = room.root().await.get("/api/v1/clusters").await.ok();
        assert_eq!(clusters.as_array().unwrap().len(), 1);
        assert_eq!(clusters[0]["id"], 1);
    }
    let next = rooms[1].root().await.add_cluster("next", json!({})).await;
    assert_eq!(
        rooms[2]
            .root()
            .await
            .get(&format!("/api/v1/clusters/{next}"))
            .await
            .ok()["name"],
        "next"
    );
    let token = rooms[0].root().await.token;
    for room in rooms {
        let api = crate::room::Api {
            token: token.clone(),
            ..room.anonymous()
        };
        api.get("/api/v1/clusters").await.ok();
    }
    assert_eq!(
        (rows("user").await, rows("role").await, rows("config").await),
        (1, 2, 1)
    );
    // A key each for sessions, jobs and identity providers.
    assert_eq!(rows("secret").await, 3);
}

#[tokio::test]
async fn three_managers_that_start_at_once_on_an_empty_mariadb_seed_it_once() {
    tls::install_provider();
    let server = MariaDb::shared().await.unwrap();
    let name = format!("three_{}", uuid::Uuid::new_v4().simple());
    server.create_database(&name).await.unwrap();
    let more = format!(", dbname: {name}");
    let rooms = three_at_once(std::array::from_fn(|_| config(MARIADB, server.address(), &more))).await;
    let rows = async |table: &str| {
        let sql = format!("SELECT COUNT(*) FROM `{name}`.`{table}`");
        server.query(&sql).await.unwrap().trim().parse::<u32>().unwrap()
    };
    seeded_once(&rooms, rows).await;
}

#[tokio::test]
async fn three_managers_that_start_at_once_on_an_empty_postgres_seed_it_once() {
    tls::install_provider();
    let server = Postgres::shared().await.unwrap();
    let name = format!("three_{}", uuid::Uuid::new_v4().simple());
    server.create_database(&name).await.unwrap();
    let more = format!(", dbname: {name}");
    let rooms = three_at_once(std::array::from_fn(|_| config(POSTGRES, server.address(), &more))).await;
    let rows = async |table: &str| {
        let sql = format!("SELECT COUNT(*) FROM \"{table}\"");
        server.query(&name, &sql).await.unwrap().trim().parse::<u32>().unwrap()
    };
    seeded_once(&rooms, rows).await;
}

/// A first start that was cut off between two tables, which MySQL can't undo.
#[tokio::test]
async fn a_start_that_was_cut_off_between_two_tables_is_finished_by_the_next() {
    tls::install_provider();
    let server = MariaDb::shared().await.unwrap();
    let name = format!("cut_{}", uuid::Uuid::new_v4().simple());
    server.create_database(&name).await.unwrap();
    let more = format!(", dbname: {name}");
    let room = Room::of(&elsewhere().await, config(MARIADB, server.address(), &more)).await;
    room.stop().await;
    let cut = format!(
        "USE `{name}`; DELETE FROM seaql_migrations; DROP TABLE secret; DROP TABLE config; DROP TABLE application; \
         DROP TABLE seed_peer; DROP TABLE user_role; DELETE FROM `user`; DELETE FROM role; DELETE FROM scheduler_cluster; \
         DELETE FROM seed_peer_cluster"
    );
    server.query(&cut).await.unwrap();
    let room = Room::of(&elsewhere().await, config(MARIADB, server.address(), &more)).await;
    works(&room).await;
}
