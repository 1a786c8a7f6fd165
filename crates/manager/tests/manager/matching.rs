//! "Why this cluster?": 40 hosts and 6 clusters through REST, and what the answer says of every other cluster.

use crate::room::{Engine, Room, living_scheduler, on_every_engine, peer, seed_peer};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The default cluster 1, and clusters 2 to 6, older first. 2 and 3 share a network, an IDC and a place.
async fn six_clusters(room: &Room) {
    let root = room.root().await;
    for (name, scopes) in [
        (
            "west",
            json!({"cidrs": ["10.2.0.0/16", "2001:db8:2::/48", "192.0.2.7"], "idc": "shared|west", "location": "eu|west"}),
        ),
        (
            "west-gpu",
            json!({"cidrs": ["10.2.3.0/24", "2001:db8:2:3::/64"], "hostnames": ["^gpu-[0-9]+$"], "idc": "SHARED", "location":
                   "eu|west|gpu"}),
        ),
        (
            "twin-a",
            json!({"cidrs": ["10.4.0.0/16"], "hostnames": ["twin"], "location": "asia"}),
        ),
        (
            "twin-b",
            json!({"cidrs": ["10.4.0.0/16"], "hostnames": ["^twin-"], "location": "ASIA"}),
        ),
        ("bare", json!({})),
    ] {
        root.add_cluster(name, scopes).await;
    }
}

/// A host by its query, the cluster that serves it, and the rule.
type Row = (&'static str, u64, &'static str);

const TABLE: [Row; 40] = [
    // Nothing, or nothing that anybody wants.
    ("", 1, "default"),
    ("ip=&hostname=&idc=&location=", 1, "default"),
    ("ip=10.9.0.1", 1, "default"),
    ("ip=2001:db8:9::1", 1, "default"),
    ("hostname=cpu-1", 1, "default"),
    ("idc=nowhere", 1, "default"),
    ("location=eu", 1, "default"),
    ("location=africa%7Cwest", 1, "default"),
    ("ip=10.9.0.1&hostname=cpu-1&idc=nowhere&location=mars", 1, "default"),
    // Networks; the longest prefix wins.
    ("ip=10.2.0.1", 2, "cidr"),
    ("ip=10.2.255.255", 2, "cidr"),
    ("ip=10.2.3.1", 3, "cidr"),
    ("ip=10.2.4.0", 2, "cidr"),
    ("ip=192.0.2.7", 2, "cidr"),
    ("ip=192.0.2.8", 1, "default"),
    ("ip=10.3.0.0", 1, "default"),
    ("ip=2001:db8:2::1", 2, "cidr"),
    ("ip=2001:db8:2:3::1", 3, "cidr"),
    ("ip=2001:db8:2:4::1", 2, "cidr"),
    ("ip=::ffff:10.2.3.4", 3, "cidr"),
    // Two clusters match equally: the older one wins.
    ("ip=10.4.0.1", 4, "cidr"),
    ("hostname=twin-1", 4, "hostname"),
    ("location=asia%7Ctokyo", 4, "location"),
    ("idc=shared", 2, "idc"),
    // Hostnames.
    ("hostname=gpu-7", 3, "hostname"),
    ("hostname=gpu-x", 1, "default"),
    ("hostname=my-twin", 4, "hostname"),
    ("hostname=GPU-7", 1, "default"),
    // IDCs, in any case, several on either side.
    ("idc=West", 2, "idc"),
    ("idc=east%7Cwest", 2, "idc"),
    // Places: the longest that holds the host's.
    ("location=eu%7Cwest", 2, "location"),
    ("location=eu%7Cwest%7Cgpu%7Crack-1", 3, "location"),
    ("location=EU%7CWest%7Ccpu", 2, "location"),
    // The order of the rules.
    ("ip=10.2.0.1&hostname=gpu-7&idc=shared&location=asia", 2, "cidr"),
    ("ip=10.9.0.1&hostname=gpu-7&idc=west&location=asia", 3, "hostname"),
    ("ip=10.9.0.1&hostname=cpu-1&idc=west&location=asia", 2, "idc"),
    ("ip=10.9.0.1&hostname=cpu-1&idc=nowhere&location=asia", 4, "location"),
    // Pins, whatever else is said; 0 is none.
    ("scheduler_cluster_id=6", 6, "pinned"),
    ("scheduler_cluster_id=5&ip=10.2.3.1&hostname=gpu-7", 5, "pinned"),
    ("scheduler_cluster_id=0&ip=10.2.3.1", 3, "cidr"),
];

async fn forty_hosts_are_served_by_six_clusters_as_the_order_says(engine: Engine) {
    let room = Room::start(engine).await;
    six_clusters(&room).await;
    let root = room.root().await;
    for (query, cluster, reason) in TABLE {
        let found = root.get(&format!("/api/v1/clusters/match?{query}")).await.ok();
        assert_eq!(
            (found["cluster_id"].as_u64(), found["reason"].as_str()),
            (Some(cluster), Some(reason)),
            "{query}: {found}"
        );
        let verdicts = found["clusters"].as_array().unwrap();
        assert_eq!(verdicts.len(), 6, "{query}");
        assert_eq!(
            (&verdicts[0]["id"], &verdicts[0]["verdict"]),
            (&json!(cluster), &json!("chosen"))
        );
        for other in &verdicts[1..] {
            assert_ne!(other["verdict"], "chosen", "{query}");
            assert!(!other["explanation"].as_str().unwrap().is_empty(), "{query}: {other}");
        }
    }
}

fn verdict(found: &Value, id: u64) -> (&str, &str) {
    let verdicts = found["clusters"].as_array().unwrap();
    let verdict = verdicts.iter().find(|one| one["id"] == id).unwrap();
    (
        verdict["verdict"].as_str().unwrap(),
        verdict["explanation"].as_str().unwrap(),
    )
}

async fn the_answer_says_what_each_other_cluster_lacked(engine: Engine) {
    let room = Room::start(engine).await;
    six_clusters(&room).await;
    let root = room.root().await;
    let found = root.get("/api/v1/clusters/match?ip=10.2.3.1&location=asia").await.ok();
    assert_eq!(found["cluster_name"], "west-gpu");
    assert!(
        found["explanation"].as_str().unwrap().contains("10.2.3.0/24"),
        "{found}"
    );
    let (word, why) = verdict(&found, 2);
    assert_eq!(word, "less_specific");
    assert!(why.contains("10.2.0.0/16") && why.contains("cluster 3"), "{why}");
    let (word, why) = verdict(&found, 4);
    assert_eq!(word, "outranked");
    assert!(
        why.contains("\"asia\"") && why.contains("the address comes first"),
        "{why}"
    );
    assert_eq!(
        verdict(&found, 1),
        ("outranked", "it is the default, but the address comes first")
    );
    assert_eq!(
        verdict(&found, 6),
        ("no_match", "it has no scopes and is not the default")
    );

    let tie = root.get("/api/v1/clusters/match?ip=10.4.0.1").await.ok();
    assert!(
        tie["explanation"]
            .as_str()
            .unwrap()
            .contains("[5] match as well, the older one won"),
        "{tie}"
    );
    let (word, why) = verdict(&tie, 5);
    assert_eq!(word, "younger");
    assert!(why.contains("cluster 4 matches as well and is older"), "{why}");

    let nothing = root.get("/api/v1/clusters/match?hostname=cpu-1&idc=east").await.ok();
    let (word, why) = verdict(&nothing, 2);
    assert_eq!(word, "no_match");
    for lack in [
        "says no address",
        "IDC east is not in its IDCs shared, west",
        "says no location for its location eu|west",
    ] {
        assert!(why.contains(lack), "{lack} in {why}");
    }
    let (_, why) = verdict(&nothing, 3);
    assert!(
        why.contains("hostname cpu-1 is not in its patterns ^gpu-[0-9]+$"),
        "{why}"
    );
}

async fn the_answer_is_what_a_peer_is_told_and_says_when_nobody_is_there(engine: Engine) {
    let room = Room::start(engine).await;
    six_clusters(&room).await;
    let root = room.root().await;
    let (_, _alive) = living_scheduler(&room, "s3", 3).await;
    let mut client = room.grpc().await;
    let answer = client.list_schedulers(peer("p", "10.2.3.1")).await.unwrap();
    assert_eq!(answer.metadata().get("dragonfly-cluster-reason").unwrap(), "cidr");
    assert_eq!(answer.into_inner().schedulers[0].scheduler_cluster_id, 3);
    let found = root.get("/api/v1/clusters/match?ip=10.2.3.1&hostname=p").await.ok();
    assert_eq!(
        (&found["cluster_id"], &found["active_schedulers"]),
        (&json!(3), &json!(1))
    );
    let found = root.get("/api/v1/clusters/match?ip=10.2.0.1").await.ok();
    assert_eq!(
        (&found["cluster_id"], &found["active_schedulers"]),
        (&json!(2), &json!(0))
    );
    client.update_seed_peer(seed_peer("seed", 6)).await.unwrap();
    let seed = "/api/v1/clusters/match?ip=10.0.0.1&hostname=seed";
    let found = root.get(&format!("{seed}&seed_peer=true")).await.ok();
    assert_eq!(
        (&found["cluster_id"], &found["reason"]),
        (&json!(6), &json!("seed_peer"))
    );
    assert_eq!(root.get(seed).await.ok()["reason"], "default");
}

async fn a_question_that_makes_no_sense_is_refused_with_what_is_wrong(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    for (query, word) in [
        ("ip=10.0.0", "\"10.0.0\""),
        ("ip=host", "\"host\""),
        ("scheduler_cluster_id=two", "scheduler_cluster_id"),
    ] {
        let errors = root
            .get(&format!("/api/v1/clusters/match?{query}"))
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
        assert!(errors.contains(word), "{word} in {errors}");
    }
    root.get("/api/v1/clusters/match?scheduler_cluster_id=9")
        .await
        .refused(StatusCode::NOT_FOUND);
    room.anonymous()
        .get("/api/v1/clusters/match?ip=10.0.0.1")
        .await
        .refused(StatusCode::UNAUTHORIZED);
}

async fn scopes_that_are_no_networks_or_patterns_are_refused_by_their_value(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let made = root.add_cluster("c", json!({})).await;
    for (scopes, value) in [
        (json!({"cidrs": ["10.0.0.0/33"]}), "10.0.0.0/33"),
        (json!({"cidrs": ["10.0.0.0/8", "ten"]}), "ten"),
        (json!({"cidrs": ["2001:db8::/129"]}), "2001:db8::/129"),
        (json!({"cidrs": [""]}), "\"\""),
        (json!({"hostnames": ["ok", "gpu-("]}), "gpu-("),
    ] {
        let create = crate::room::cluster("d", scopes.clone());
        let change = json!({"scopes": scopes});
        for errors in [
            root.post("/api/v1/clusters", create).await,
            root.patch(&format!("/api/v1/clusters/{made}"), change).await,
        ] {
            let errors = errors.refused(StatusCode::UNPROCESSABLE_ENTITY);
            assert!(errors.contains(value), "{value} in {errors}");
        }
    }
    let clusters = root.get("/api/v1/clusters").await.ok();
    assert_eq!(clusters.as_array().unwrap().len(), 2);
    assert_eq!(clusters[1]["scopes"]["cidrs"], json!([]));
}

on_every_engine! {
    forty_hosts_are_served_by_six_clusters_as_the_order_says
    the_answer_says_what_each_other_cluster_lacked
    the_answer_is_what_a_peer_is_told_and_says_when_nobody_is_there
    a_question_that_makes_no_sense_is_refused_with_what_is_wrong
    scopes_that_are_no_networks_or_patterns_are_refused_by_their_value
}
