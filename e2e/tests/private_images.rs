//! Images that not everybody may read stay private, though peers hold them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::io::Read;

use dragonfly_e2e::{Answer, Caller};
use dragonfly_testkit::User;
use dragonfly_testkit::containerd::Containerd;
use dragonfly_testkit::image::{Blob, Image};
use dragonfly_testkit::registry::{Login, Registry, Transport, USER};
use dragonfly_testkit::up::{Options, Up};

const REPOSITORY: &str = "secret/app";
const PEERS: usize = 2;

/// A registry with a private image, and a cluster that has pulled it on two peers.
struct Lab {
    registry: Registry,
    image: Image,
    up: Up,
}

impl Lab {
    async fn start(login: Login, transport: Transport) -> Self {
        let image = Image::five_layers(21).unwrap();
        let registry = Registry::start(login, transport).await.unwrap();
        let reference = registry.push(&image, REPOSITORY, "v1").await.unwrap();
        let options = Options::with_peers(PEERS);
        let options = match registry.ca() {
            Some(ca) => options.with_config(&format!("proxy:\n  registryMirror:\n    cert: {}\n", ca.display())),
            None => options,
        };
        let up = Up::start(options).await.unwrap();
        let containerds = [Containerd::start().await.unwrap(), Containerd::start().await.unwrap()];
        for (peer, containerd) in containerds.iter().enumerate() {
            containerd.pull_through(&registry, &up.proxy(peer)).unwrap();
        }
        let [one, other] = &containerds;
        for stranger in [
            None,
            Some(User {
                name: USER.name,
                password: "wrong",
            }),
        ] {
            one.pull(&reference, stranger).await.unwrap_err();
        }
        let user = registry.user();
        tokio::try_join!(one.pull(&reference, user), other.pull(&reference, user)).unwrap();
        for containerd in &containerds {
            assert_eq!(containerd.digest(&reference).await.unwrap(), image.manifest().digest);
        }
        Self { registry, image, up }
    }

    /// The caller reads every blob from every peer.
    async fn is_answered(&self, caller: &Caller) {
        for peer in 0..PEERS {
            for blob in self.image.blobs() {
                let answer = self.ask(caller, peer, blob).await;
                let got = (answer.status, answer.digest.as_str(), answer.length);
                assert_eq!(got, (200, blob.digest.as_str(), blob.size), "peer {peer}");
            }
        }
    }

    /// The caller gets no byte of any blob from any peer, and one of these statuses.
    async fn is_refused(&self, caller: &Caller, statuses: &[u16]) {
        for peer in 0..PEERS {
            for blob in self.image.blobs() {
                let answer = self.ask(caller, peer, blob).await;
                assert!(statuses.contains(&answer.status), "peer {peer}: {answer:?}");
                let mut start = vec![0; answer.head.len()];
                let mut content = self.image.open(&blob.digest).unwrap();
                let read = content.read(&mut start).unwrap();
                let shows_content = read > 0 && start[..read] == answer.head[..];
                assert!(!shows_content && answer.length < 1024, "peer {peer}: {answer:?}");
            }
        }
    }

    async fn ask(&self, caller: &Caller, peer: usize, blob: &Blob) -> Answer {
        caller
            .blob(&self.up.proxy(peer), &self.registry, REPOSITORY, &blob.digest)
            .await
            .unwrap()
    }

    fn origin_served_each_byte_once(&self) {
        for blob in self.image.blobs() {
            let served = self.registry.blob_bytes_served(&blob.digest).unwrap();
            assert_eq!(served, blob.size, "the origin gave {blob:?} once");
        }
    }
}

#[tokio::test]
async fn a_registry_with_passwords_and_a_private_authority_is_pulled_by_its_user_and_by_nobody_else() {
    let mut lab = Lab::start(Login::Basic, Transport::Tls).await;
    let user = Caller::new(Some(&USER.basic())).unwrap();
    let nobody = Caller::new(None).unwrap();
    let stranger = Caller::new(Some(
        &User {
            name: USER.name,
            password: "wrong",
        }
        .basic(),
    ))
    .unwrap();

    lab.is_refused(&nobody, &[401, 403]).await;
    lab.is_refused(&stranger, &[401, 403]).await;
    lab.is_answered(&user).await;

    lab.registry.stop().await.unwrap();
    lab.origin_served_each_byte_once();
    lab.is_answered(&user).await;
    lab.is_refused(&nobody, &[401, 403, 503]).await;
    lab.is_refused(&stranger, &[401, 403, 503]).await;
}

#[tokio::test]
async fn a_registry_with_bearer_tokens_is_pulled_with_them_and_by_nobody_else() {
    let mut lab = Lab::start(Login::Bearer, Transport::Plain).await;
    let token = lab.registry.authorization(REPOSITORY).await.unwrap().unwrap();
    let for_another = lab.registry.authorization("public/other").await.unwrap().unwrap();
    let never_seen = lab.registry.authorization(REPOSITORY).await.unwrap().unwrap();
    let user = Caller::new(Some(&token)).unwrap();
    let nobody = Caller::new(None).unwrap();
    let forger = Caller::new(Some(&format!("{token}x"))).unwrap();
    let of_another = Caller::new(Some(&for_another)).unwrap();

    lab.is_refused(&nobody, &[401, 403]).await;
    lab.is_refused(&forger, &[401, 403]).await;
    lab.is_refused(&of_another, &[401, 403]).await;
    lab.is_answered(&user).await;

    lab.registry.stop().await.unwrap();
    lab.origin_served_each_byte_once();
    lab.is_answered(&user).await;
    let unknown = Caller::new(Some(&never_seen)).unwrap();
    for caller in [&nobody, &forger, &of_another, &unknown] {
        lab.is_refused(caller, &[401, 403, 503]).await;
    }
}
