//! Images that are fetched ahead, to two isolated clusters, and then pulled by each node's own containerd.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use anyhow::{Context, Result};
use dragonfly_e2e::article::{self, Standing};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::lab::{Blueprint, Console, Node, Rate, until};
use dragonfly_testkit::registry::Registry;
use dragonfly_testkit::up::binary;
use futures::future::try_join_all;
use serde_json::{Value, json};

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

/// Has the manager preheat an image in all clusters, to all peers; the job's id.
async fn job(console: &Console, url: &str) -> Result<u64> {
    let job = json!({
        "type": "preheat",
        "args": { "type": "image", "url": url, "scope": "all_peers" },
    });
    let made = console.post("jobs", &job).await?;
    made["id"].as_u64().context("a job has an id")
}

/// The job, once it has ended.
async fn ended(console: &Console, id: u64) -> Result<Value> {
    let mut last = Value::Null;
    until("the job has ended", async || {
        last = console.get(&format!("jobs/{id}")).await?;
        Ok(last["state"] != "PENDING")
    })
    .await?;
    Ok(last)
}

#[tokio::test]
async fn a_job_survives_the_kill_of_the_manager_and_of_a_scheduler_and_names_a_peer_that_is_gone() {
    let mut standing = standing().await;
    let image = Image::five_layers(202).unwrap();
    let registry = &standing.lab.registry;
    let reference = registry.push(&image, REPOSITORY, "by-job").await.unwrap();
    let url = format!("{}/v2/{REPOSITORY}/manifests/by-job", registry.url());
    let id = job(&standing.console, &url).await.unwrap();
    until(
        "bytes are under way",
        async || Ok(blob_gets(&standing.lab.registry) > 0),
    )
    .await
    .unwrap();
    standing.lab.managers[0].kill().await.unwrap();
    standing.lab.clusters[0].scheduler.kill().await.unwrap();
    standing.lab.managers[0].start_again().await.unwrap();
    standing.lab.clusters[0].scheduler.start_again().await.unwrap();
    let job_ended = ended(&standing.console, id).await.unwrap();
    assert_eq!(job_ended["state"], "SUCCESS", "{job_ended}");
    pulls_cost_no_blob(&standing, &image, &reference).await.unwrap();

    let other = Image::tiny(203).unwrap();
    standing.lab.registry.push(&other, REPOSITORY, "other").await.unwrap();
    let lost = &mut standing.lab.clusters[1].nodes[0].peer;
    let name = lost.host().name.clone();
    lost.kill().await.unwrap();
    let url = url.replace("by-job", "other");
    let id = job(&standing.console, &url).await.unwrap();
    let job_ended = ended(&standing.console, id).await.unwrap();
    assert_eq!(job_ended["state"], "FAILURE", "{job_ended}");
    assert!(job_ended["result"].to_string().contains(&name), "{job_ended}");
    // The others have it all the same.
    for node in nodes(&standing).into_iter().filter(|node| node.name() != name) {
        let reference = standing.lab.registry.reference(REPOSITORY, "other");
        node.containerd.pull(&reference, None).await.unwrap();
    }
    for blob in other.blobs() {
        let served = standing.lab.registry.blob_bytes_served(&blob.digest).unwrap();
        assert_eq!(served, 2 * blob.size, "{blob:?}");
    }
}
