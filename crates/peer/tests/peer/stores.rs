//! Origins that are opened by keys: who gets what, and who is told the key.

use crate::rig::{MIB, Options, PATIENCE, TestPeer, get, whole};
use crate::scheduler::TestScheduler;
use dragonfly_api::backend_error_of;
use dragonfly_api::common::{Download, HuggingFace, ObjectStorage};
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::dfdaemon::{DownloadTaskRequest, ListTaskEntriesRequest};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::hub::{Hub, TOKEN};
use dragonfly_testkit::s3::{Key, ObjectStore};
use sha2::{Digest, Sha256};
use std::path::Path;

const URL: &str = "s3://models/dir/a.bin";

async fn store() -> ObjectStore {
    let started = ObjectStore::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
    started.unwrap_or_else(|error| panic!("{error:?}"))
}

fn content() -> Vec<u8> {
    Content::new(9, 5 * MIB).bytes(0, 5 * MIB as usize)
}

fn opened_by(store: &ObjectStore, key: Option<&Key>) -> ObjectStorage {
    ObjectStorage {
        endpoint: Some(store.endpoint()),
        access_key_id: key.map(|key| key.id.clone()),
        access_key_secret: key.map(|key| key.secret.clone()),
        ..ObjectStorage::default()
    }
}

fn object(store: &ObjectStore, key: Option<&Key>) -> Download {
    Download {
        object_storage: Some(opened_by(store, key)),
        ..whole(URL)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_opened_is_given_to_nobody_without_one() {
    let store = store().await;
    store.put("dir/a.bin", content(), false).await.unwrap();
    let key = store.guard().await.unwrap();
    let peer = TestPeer::start(Options::peer("alone")).await;

    let got = peer.get(object(&store, Some(&key))).await.unwrap();
    assert!(got.bytes == content());
    // Upstream's formula: neither endpoint nor keys are part of it.
    assert_eq!(got.task_id, hex::encode(Sha256::digest(format!("{URL}STANDARD"))));
    let asked = store.gets("dir/a.bin").unwrap();
    assert!(peer.get(object(&store, Some(&key))).await.unwrap().started.is_finished);
    // Only whether it is still the same, by its first byte.
    assert_eq!(store.gets("dir/a.bin").unwrap(), asked + 1);

    let other = Key {
        secret: "wr0ng".to_owned(),
        ..key.clone()
    };
    for key in [None, Some(&other)] {
        let status = peer.get(object(&store, key)).await.err().unwrap();
        assert_eq!(backend_error_of(&status).unwrap().status, Some(403), "{status}");
        assert!(!format!("{status:?}").contains("wr0ng"));
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_that_fetches_is_given_the_callers_key() {
    let store = store().await;
    store.put("dir/a.bin", content(), false).await.unwrap();
    let key = store.guard().await.unwrap();
    let scheduler = TestScheduler::start().await;
    let seed = TestPeer::start(Options::seed("seed").of(&[scheduler.addr])).await;
    let peer = TestPeer::start(Options::peer("child").of(&[scheduler.addr])).await;
    scheduler.has_hosts(2).await;
    // So it can only be the seed that asked the store.
    let from_others = Download {
        disable_back_to_source: true,
        ..object(&store, Some(&key))
    };
    assert!(peer.get(from_others).await.unwrap().bytes == content());
    peer.stop().await;
    seed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_listed_by_who_may_and_http_has_none() {
    let store = store().await;
    store.put("a.bin", "abc", false).await.unwrap();
    store.put("sub/b.bin", "defg", false).await.unwrap();
    let key = store.guard().await.unwrap();
    let peer = TestPeer::start(Options::peer("alone")).await;
    let mut client = peer.client().await;
    let mut list = async |url: &str, key| {
        let request = ListTaskEntriesRequest {
            url: url.to_owned(),
            object_storage: Some(opened_by(&store, key)),
            ..ListTaskEntriesRequest::default()
        };
        client.list_task_entries(request).await
    };
    let entries = list("s3://models/", Some(&key)).await.unwrap().into_inner().entries;
    let mut files: Vec<(&str, u64)> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .map(|entry| (entry.url.as_str(), entry.content_length))
        .collect();
    files.sort_unstable();
    assert_eq!(files, [("s3://models/a.bin", 3), ("s3://models/sub/b.bin", 4)]);

    let wrong = Key {
        secret: "wr0ng".to_owned(),
        ..key.clone()
    };
    let status = list("s3://models/", Some(&wrong)).await.unwrap_err();
    assert_eq!(backend_error_of(&status).unwrap().status, Some(403));
    let status = list("http://127.0.0.1:1/dir/", None).await.unwrap_err();
    assert!(backend_error_of(&status).unwrap().message.contains("no directories"));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_path_is_not_read_for_the_network() {
    let scheduler = TestScheduler::start().await;
    let peer = TestPeer::start(Options::peer("alone").of(&[scheduler.addr])).await;
    scheduler.has_hosts(1).await;
    let by_path = Download {
        object_storage: Some(ObjectStorage {
            credential_path: Some("/etc/passwd".to_owned()),
            ..ObjectStorage::default()
        }),
        ..whole("gs://models/a.bin")
    };
    let mut network = DfdaemonUploadClient::connect(format!("http://{}", peer.addresses.upload))
        .await
        .unwrap();
    let asked = DownloadTaskRequest {
        download: Some(by_path.clone()),
    };
    let status = network.download_task(asked).await.err().unwrap();
    assert!(status.message().contains("never taken from the network"), "{status}");
    // From this host, the daemon's own user may; the file is no credential.
    let status = peer.get(by_path).await.err().unwrap();
    assert!(status.message().contains("JSON of a service account"), "{status}");
    assert!(!format!("{status:?}").contains("root:"), "{status:?}");
    peer.stop().await;
}

const WEIGHTS: &str = "hf://lab/tiny-model/model.safetensors";

fn weights(hub: &Hub, token: &str) -> Download {
    Download {
        hugging_face: Some(HuggingFace {
            token: Some(token.to_owned()),
            revision: "v1".to_owned(),
            base_url: Some(hub.url()),
        }),
        ..whole(WEIGHTS)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_file_comes_by_the_seed_and_its_id_has_the_revision_in_it() {
    let hub = Hub::start(content()).unwrap();
    let scheduler = TestScheduler::start().await;
    let seed = TestPeer::start(Options::seed("seed").of(&[scheduler.addr])).await;
    let peer = TestPeer::start(Options::peer("child").of(&[scheduler.addr])).await;
    scheduler.has_hosts(2).await;
    let got = peer.get(weights(&hub, TOKEN)).await.unwrap();
    assert!(got.bytes == content());
    assert_eq!(got.task_id, hex::encode(Sha256::digest(format!("{WEIGHTS}v1STANDARD"))));
    let status = peer.get(weights(&hub, "wr0ng")).await.err().unwrap();
    assert_eq!(backend_error_of(&status).unwrap().status, Some(401));
    peer.stop().await;
    seed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_a_download_that_its_own_token_does_not_open() {
    let hub = Hub::start(content()).unwrap();
    hub.hold(true);
    let peer = TestPeer::start(Options::peer("alone")).await;
    let client = peer.client().await;
    let first = get(client, weights(&hub, TOKEN));
    let others = async {
        hub.until_read(PATIENCE).await.unwrap();
        let status = peer.get(weights(&hub, "wr0ng")).await.err().unwrap();
        hub.hold(false);
        status
    };
    let (first, status) = tokio::join!(first, others);
    assert_eq!(backend_error_of(&status).unwrap().status, Some(401));
    assert!(first.unwrap().bytes == content());
    peer.stop().await;
}
