//! The lab itself, without a peer: containerd pulls straight from each kind of registry.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeSet;

use dragonfly_testkit::containerd::Containerd;
use dragonfly_testkit::content::sha256_of;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::registry::{Login, Registry, Transport, USER};
use dragonfly_testkit::{User, client};

/// Pushes an image, pulls it with containerd and compares what came with what was made.
async fn pulls(login: Login, transport: Transport) {
    let image = Image::tiny(1).unwrap();
    let mut registry = Registry::start(login, transport).await.unwrap();
    let reference = registry.push(&image, "team/app", "v1").await.unwrap();
    let containerd = Containerd::start().await.unwrap();
    containerd.pull_directly(&registry).unwrap();

    if registry.user().is_some() {
        let stranger = User {
            name: USER.name,
            password: "wrong",
        };
        for user in [None, Some(stranger)] {
            containerd.pull(&reference, user).await.unwrap_err();
        }
    }
    containerd.pull(&reference, registry.user()).await.unwrap();

    assert_eq!(containerd.digest(&reference).await.unwrap(), image.manifest().digest);
    assert!(containerd.is_complete(&reference).await.unwrap());
    let expected: BTreeSet<String> = image
        .blobs()
        .chain([image.manifest()])
        .map(|blob| blob.digest.clone())
        .collect();
    assert_eq!(containerd.content().await.unwrap(), expected);

    registry.stop().await.unwrap();
    for blob in image.blobs() {
        assert_eq!(registry.blob_bytes_served(&blob.digest).unwrap(), blob.size, "{blob:?}");
    }
    containerd.forget(&reference).await.unwrap();
}

#[tokio::test]
async fn containerd_pulls_from_an_open_registry() {
    pulls(Login::Open, Transport::Plain).await;
}

#[tokio::test]
async fn containerd_pulls_with_a_password_over_tls_of_a_private_authority() {
    pulls(Login::Basic, Transport::Tls).await;
}

#[tokio::test]
async fn containerd_pulls_with_a_bearer_token() {
    pulls(Login::Bearer, Transport::Plain).await;
}

#[tokio::test]
async fn a_registry_answers_its_user_and_nobody_else_and_keeps_its_store_over_a_restart() {
    let image = Image::tiny(2).unwrap();
    for (login, transport) in [(Login::Basic, Transport::Tls), (Login::Bearer, Transport::Plain)] {
        let mut registry = Registry::start(login, transport).await.unwrap();
        registry.push(&image, "team/app", "v1").await.unwrap();
        registry.stop().await.unwrap();
        registry.start_again().await.unwrap();

        let client = match registry.ca() {
            Some(ca) => client::trusting(&ca).unwrap(),
            None => client::builder().unwrap().build().unwrap(),
        };
        let blob = image.largest();
        let url = format!("{}/v2/team/app/blobs/{}", registry.url(), blob.digest);
        assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
        let authorization = registry.authorization("team/app").await.unwrap().unwrap();
        let answer = client
            .get(&url)
            .header("authorization", authorization)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.bytes().await.unwrap();
        assert_eq!(format!("sha256:{}", sha256_of(&body[..]).unwrap().0), blob.digest);

        registry.stop().await.unwrap();
        assert_eq!(registry.blob_bytes_served(&blob.digest).unwrap(), blob.size);
        let pushed = registry
            .requests()
            .unwrap()
            .iter()
            .any(|request| request.method == "PUT");
        assert!(pushed, "the requests before the restart are still known");
    }
}
