//! The table of peers follows what schedulers report.

use crate::attendant::Attendant;
use crate::jobs::quick;
use crate::room::{Api, Engine, Room, eventually, living_scheduler, on_every_engine};
use dragonfly_api::common::{Build, Host, Network};
use dragonfly_api::ext::HostsReport;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn host(number: u32) -> Host {
    Host {
        id: format!("10.1.{}.{}-p{number}", number / 256, number % 256),
        r#type: u32::from(number == 0),
        hostname: format!("p{number}"),
        ip: format!("10.1.{}.{}", number / 256, number % 256),
        port: 4000,
        download_port: 4005,
        proxy_port: 4001,
        os: "linux".into(),
        platform: "debian".into(),
        network: Some(Network {
            idc: Some("idc-1".into()),
            location: Some("eu|de".into()),
            ..Network::default()
        }),
        build: Some(Build {
            git_version: "2.5.0".into(),
            git_commit: Some("abc".into()),
            ..Build::default()
        }),
        scheduler_cluster_id: 1,
        ..Host::default()
    }
}

fn whole(hosts: Vec<Host>) -> HostsReport {
    HostsReport {
        whole_begins: true,
        whole_ends: true,
        hosts,
        gone: Vec::new(),
    }
}

async fn listed(api: &Api, query: &str) -> Vec<Value> {
    let peers = api.get(&format!("/api/v1/peers?per_page=100&{query}")).await.ok();
    peers.as_array().unwrap().clone()
}

async fn number(api: &Api, query: &str) -> String {
    let page = api.get(&format!("/api/v1/peers?per_page=1&{query}")).await;
    page.headers["x-total-count"].to_str().unwrap().to_owned()
}

async fn a_peer_is_active_as_long_as_a_scheduler_that_lives_knows_it(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (_, alive) = living_scheduler(&room, "s1", 1).await;
    let (_, _other) = living_scheduler(&room, "s2", 1).await;
    let one = Attendant::open(&room, "s1", 1).await;
    let two = Attendant::open(&room, "s2", 1).await;
    one.hosts(whole(vec![host(0), host(1), host(2)])).await;
    two.hosts(whole(vec![host(0), host(1)])).await;
    eventually(|| async {
        listed(&root, "state=active").await.len() == 3
            && room.data.number("SELECT COUNT(*) FROM peer_sighting").await == 5
    })
    .await;
    let peer = &listed(&root, "host_name=p0").await[0];
    for (field, value) in [
        ("type", json!("super")),
        ("ip", json!("10.1.0.0")),
        ("port", json!(4000)),
        ("download_port", json!(4005)),
        ("proxy_port", json!(4001)),
        ("object_storage_port", json!(0)),
        ("idc", json!("idc-1")),
        ("location", json!("eu|de")),
        ("os", json!("linux")),
        ("git_version", json!("2.5.0")),
        ("git_commit", json!("abc")),
        ("scheduler_cluster_id", json!(1)),
        ("state", json!("active")),
        ("is_del", json!(0)),
    ] {
        assert_eq!(peer[field], value, "{field}");
    }
    assert_eq!(peer["scheduler_cluster"]["name"], "cluster-1");
    // The first forgets all; what the second knows stays as it is.
    one.hosts(whole(vec![host(1)])).await;
    eventually(|| async { listed(&root, "state=inactive").await.len() == 1 }).await;
    assert_eq!(listed(&root, "state=inactive").await[0]["host_name"], "p2");
    assert_eq!(listed(&root, "state=active&type=super").await.len(), 1);
    let delta = HostsReport {
        hosts: vec![Host {
            os: "bsd".into(),
            ..host(2)
        }],
        gone: vec![host(1).id],
        ..HostsReport::default()
    };
    one.hosts(delta).await;
    eventually(|| async { listed(&root, "state=active&os=bsd").await.len() == 1 }).await;
    assert_eq!(
        listed(&root, "state=active").await.len(),
        3,
        "the second still knows p1"
    );
    // The first ends: what only it knew is not known any more.
    alive.goodbye().await.unwrap();
    assert_eq!(listed(&root, "state=inactive").await[0]["host_name"], "p2");
}

async fn ten_thousand_hosts_are_reported_in_parts_and_only_changes_are_written_again(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    let (_, _alive) = living_scheduler(&room, "s", 1).await;
    let scheduler = Attendant::open(&room, "s", 1).await;
    let report = async |last: Option<Host>| {
        let hosts: Vec<Host> = (0..10_000).map(host).chain(last).collect();
        let parts = hosts.chunks(1000).count();
        for (number, part) in hosts.chunks(1000).enumerate() {
            scheduler
                .hosts(HostsReport {
                    whole_begins: number == 0,
                    whole_ends: number + 1 == parts,
                    hosts: part.to_vec(),
                    gone: Vec::new(),
                })
                .await;
        }
    };
    report(None).await;
    eventually(|| async { number(&root, "state=active").await == "10000" }).await;
    let latest = room.data.number("SELECT MAX(updated_at) FROM peer").await;
    report(Some(host(10_000))).await;
    eventually(|| async { number(&root, "state=active").await == "10001" }).await;
    let written = format!("SELECT COUNT(*) FROM peer WHERE updated_at > {latest}");
    assert_eq!(room.data.number(&written).await, 1);
    let page = root.get("/api/v1/peers?per_page=10&page=1001").await;
    assert_eq!(page.body.as_array().unwrap().len(), 1);
}

on_every_engine! {
    a_peer_is_active_as_long_as_a_scheduler_that_lives_knows_it
    ten_thousand_hosts_are_reported_in_parts_and_only_changes_are_written_again
}

#[tokio::test]
async fn a_peer_is_written_down_by_hand_and_removed() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let root = room.root().await;
    let body = json!({"host_name": "p1", "type": "normal", "ip": "10.1.0.1", "port": 4000, "download_port": 4005,
        "proxy_port": 4001, "scheduler_cluster_id": 1});
    let made = root.post("/api/v1/peers", body.clone()).await.ok();
    assert_eq!((&made["state"], &made["host_name"]), (&json!("inactive"), &json!("p1")));
    root.post("/api/v1/peers", body).await.refused(StatusCode::CONFLICT);
    let wrong = json!({"host_name": "", "type": "normal", "ip": "10.1.0.1", "port": 0, "download_port": 1,
        "scheduler_cluster_id": 1});
    let errors = root
        .post("/api/v1/peers", wrong)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(errors.contains("host_name") && errors.contains("port must"), "{errors}");
    let path = format!("/api/v1/peers/{}", made["id"]);
    assert_eq!(root.get(&path).await.ok(), made);
    // A scheduler reports the same host: it is the same peer.
    let (_, _alive) = living_scheduler(&room, "s", 1).await;
    let scheduler = Attendant::open(&room, "s", 1).await;
    scheduler.hosts(whole(vec![host(1)])).await;
    eventually(|| async { root.get(&path).await.ok()["state"] == "active" }).await;
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn too_many_hosts_in_one_message_are_refused() {
    let room = Room::start_with(Engine::Sqlite, quick).await;
    let scheduler = Attendant::register(&room, "s", 1).await;
    scheduler.hosts(whole((0..2001).map(host).collect())).await;
    let status = scheduler.ended().await;
    assert!(status.message().contains("at most 2000 hosts, not 2001"), "{status}");
}
