//! Images that are fetched ahead, to two isolated clusters, and then pulled by each node's own containerd.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use anyhow::Result;
use dragonfly_e2e::article::{self, Standing};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::lab::{Blueprint, Node, Rate, until};
use dragonfly_testkit::registry::Registry;
use dragonfly_testkit::up::binary;
use futures::future::try_join_all;

const REPOSITORY: &str = "team/ahead";

async fn standing() -> Standing {
    let blueprint = Blueprint {
        binary: binary().unwrap(),
        nodes: 2,
        rate: None,
        origin_rate: Some(Rate::mbit(200)),
    };
    article::stand(&blueprint, |step| eprintln!("{step}")).await.unwrap()
}

fn nodes(standing: &Standing) -> Vec<&Node> {
    let clusters = standing.lab.clusters.iter();
    clusters.flat_map(|cluster| &cluster.nodes).collect()
}

/// GETs of blobs that the registry has answered.
fn blob_gets(registry: &Registry) -> usize {
    let requests = registry.requests().unwrap();
    let gets = requests
        .iter()
        .filter(|one| one.method == "GET" && one.uri.contains("/blobs/"));
    gets.count()
}

/// Every node's containerd pulls the image, exactly, and the registry is asked for no blob.
async fn pulls_cost_no_blob(standing: &Standing, image: &Image, reference: &str) -> Result<()> {
    let registry = &standing.lab.registry;
    let before = blob_gets(registry);
    let nodes = nodes(standing);
    try_join_all(nodes.iter().map(|node| node.containerd.pull(reference, None))).await?;
    for node in &nodes {
        assert_eq!(node.containerd.digest(reference).await?, image.manifest().digest);
        assert!(node.containerd.is_complete(reference).await?, "{}", node.name());
    }
    assert_eq!(blob_gets(registry), before, "a blob was asked for");
    for blob in image.blobs() {
        let served = registry.blob_bytes_served(&blob.digest)?;
        assert_eq!(served, 2 * blob.size, "once for each cluster: {blob:?}");
    }
    Ok(())
}

#[tokio::test]
async fn schedulers_fetch_an_image_ahead_and_pulls_then_cost_the_registry_no_blob() {
    let standing = standing().await;
    let image = Image::five_layers(201).unwrap();
    let registry = &standing.lab.registry;
    let reference = registry.push(&image, REPOSITORY, "by-scheduler").await.unwrap();
    let url = format!("{}/v2/{REPOSITORY}/manifests/by-scheduler", registry.url());
    for cluster in &standing.lab.clusters {
        cluster.preheat(&url, "all_peers").await.unwrap();
    }
    let blobs = image.blobs().count();
    for cluster in &standing.lab.clusters {
        until("every node has every blob", async || {
            let holders = cluster.holders(&url).await?;
            let whole = |node: &Node| holders.get(node.name()) == Some(&blobs);
            Ok(cluster.nodes.iter().all(whole))
        })
        .await
        .unwrap();
    }
    pulls_cost_no_blob(&standing, &image, &reference).await.unwrap();

    // Once more: what is there is not fetched again.
    let before = blob_gets(registry);
    for cluster in &standing.lab.clusters {
        cluster.preheat(&url, "all_seed_peers").await.unwrap();
        cluster.preheat(&url, "all_peers").await.unwrap();
        until("the seed peer has every blob", async || {
            Ok(cluster.holders(&url).await?.get(&cluster.names.seed()) == Some(&blobs))
        })
        .await
        .unwrap();
    }
    assert_eq!(blob_gets(registry), before);
}
