//! containerd pulls images through peers.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use dragonfly_e2e::Caller;
use dragonfly_testkit::containerd::Containerd;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::registry::{Login, Registry, Transport};
use dragonfly_testkit::up::{Options, Up};

const REPOSITORY: &str = "team/app";

/// Two containerds on two peers pull at the same moment; then the registry goes away.
async fn two_pull_at_once(image: &Image) {
    let mut registry = Registry::start(Login::Open, Transport::Plain).await.unwrap();
    let reference = registry.push(image, REPOSITORY, "v1").await.unwrap();
    let up = Up::start(Options::with_peers(2)).await.unwrap();
    let containerds = [Containerd::start().await.unwrap(), Containerd::start().await.unwrap()];
    for (peer, containerd) in containerds.iter().enumerate() {
        // The peer is the only way: what arrived came through it.
        containerd.pull_through(&registry, &up.proxy(peer)).unwrap();
    }

    let [one, other] = &containerds;
    tokio::try_join!(one.pull(&reference, None), other.pull(&reference, None)).unwrap();

    for containerd in &containerds {
        assert_eq!(containerd.digest(&reference).await.unwrap(), image.manifest().digest);
        assert!(containerd.is_complete(&reference).await.unwrap());
        let content = containerd.content().await.unwrap();
        for blob in image.blobs().chain([image.manifest()]) {
            assert!(content.contains(&blob.digest), "{blob:?}");
        }
    }

    registry.stop().await.unwrap();
    for blob in image.blobs() {
        assert_eq!(
            registry.blob_bytes_served(&blob.digest).unwrap(),
            blob.size,
            "the origin gave {blob:?} once"
        );
    }
    let caller = Caller::new(None).unwrap();
    for peer in 0..containerds.len() {
        for blob in image.blobs() {
            let answer = caller
                .blob(&up.proxy(peer), &registry, REPOSITORY, &blob.digest)
                .await
                .unwrap();
            let got = (answer.status, answer.digest.as_str(), answer.length);
            assert_eq!(got, (200, blob.digest.as_str(), blob.size), "peer {peer}");
        }
    }
}

#[tokio::test]
async fn two_containerds_pull_five_layers_at_once_and_the_origin_serves_each_byte_once() {
    two_pull_at_once(&Image::five_layers(11).unwrap()).await;
}

#[tokio::test]
async fn two_containerds_pull_one_layer_of_500_mib_at_once_and_the_origin_serves_each_byte_once() {
    two_pull_at_once(&Image::one_large_layer(12).unwrap()).await;
}
