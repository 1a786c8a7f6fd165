//! Which cluster a peer lands in, in whatever way its installation says it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use dragonfly_testkit::lab::{Blueprint, Cluster, Lab, Membership, Says, until};
use dragonfly_testkit::up::binary;
use serde_json::json;

const NODES: usize = 4;

fn all_of(cluster: &Cluster) -> BTreeSet<String> {
    let names = cluster.names.nodes();
    names.into_iter().chain([cluster.names.seed()]).collect()
}

async fn known(cluster: &Cluster) -> BTreeSet<String> {
    cluster.known_hosts().await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn peers_land_by_idc_location_address_or_pin_and_follow_when_their_scopes_change() {
    let blueprint = Blueprint {
        binary: binary().unwrap(),
        nodes: NODES,
        rate: None,
        origin_rate: None,
    };
    let mut lab = Lab::start(blueprint).await.unwrap();
    let console = lab.first_sign_in().await.unwrap();
    let first = Membership::of(console.first_cluster().await.unwrap(), Says::Nothing);
    lab.start_cluster("a", &first, &console).await.unwrap();
    let by_address = lab.network.host("b-4").unwrap().ip;
    let scopes = json!({
        "idc": "hall-1|hall-2",
        "location": "asia|tokyo",
        "cidrs": [format!("{by_address}/32")],
    });
    let second = Membership {
        ids: console.add_cluster("second", &scopes).await.unwrap(),
        says: vec![
            Says::Idc("hall-2".to_owned()),
            Says::Location("asia|tokyo|ward-3".to_owned()),
            Says::Cluster,
            Says::Nothing,
        ],
        refresh: Some(Duration::from_secs(1)),
    };

    // It is up only when its scheduler knows every one of its peers.
    lab.start_cluster("b", &second, &console).await.unwrap();

    let [a, b] = lab.clusters.as_slice() else {
        panic!("there are two clusters");
    };
    assert_eq!(
        known(a).await,
        all_of(a),
        "the default cluster has those who say nothing"
    );
    assert_eq!(known(b).await, all_of(b));

    // The scheduler of the cluster that they will be in must be in their reach.
    lab.network.open().unwrap();
    let elsewhere = json!({ "idc": "hall-9" });
    console.set_scopes(b.ids.id, &elsewhere).await.unwrap();

    let moved = ["b-1", "b-2", "b-4"].map(str::to_owned);
    a.until_joined(&moved).await.unwrap();
    until("who has moved has left", async || {
        Ok(known(b).await == BTreeSet::from(["b-3", "b-seed"].map(str::to_owned)))
    })
    .await
    .unwrap();
}
