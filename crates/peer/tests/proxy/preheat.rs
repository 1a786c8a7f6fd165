//! What a scheduler has fetched ahead is what the proxy gives.

use super::client::{get, same, send};
use super::origin::{File, Habit, OWNER, Origin, STRANGER, blob_path, content};
use super::peer::{PATIENCE, TestPeer};
use dragonfly_api::common::Download;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::dfdaemon::{DownloadTaskRequest, DownloadTaskResponse};
use dragonfly_peer::config::Raw;
use dragonfly_service::grpc::{self, Timeouts};
use std::sync::Arc;
use tokio::sync::Notify;
use tonic::{Code, Request, Status, Streaming};

const MIB: usize = 1 << 20;

/// Makes a registry at an address more or less trusted.
type Change = fn(&mut Raw, String);

/// Asks for a download as a scheduler does that preheats.
async fn preheat(peer: &TestPeer, download: Download) -> Result<Streaming<DownloadTaskResponse>, Status> {
    let addr = peer.addresses.upload.to_string();
    let channel = grpc::connect(&addr, None, Timeouts::default()).await.unwrap();
    let mut request = Request::new(DownloadTaskRequest {
        download: Some(download),
    });
    let yes = "1".parse().unwrap();
    request.metadata_mut().insert(dragonfly_api::PREHEATS, yes);
    let answers = DfdaemonUploadClient::new(channel).download_task(request).await?;
    Ok(answers.into_inner())
}

/// The id of the task, once all of it is there.
async fn preheated(peer: &TestPeer, download: Download) -> Result<String, Status> {
    let mut answers = preheat(peer, download).await?;
    let mut id = String::new();
    let ending = async {
        while let Some(answer) = answers.message().await? {
            id = answer.task_id;
        }
        Ok::<_, Status>(id)
    };
    tokio::time::timeout(PATIENCE, ending).await.expect("it hangs")
}

fn download(url: String) -> Download {
    Download {
        url,
        // As one who asks on the peer's own host: the origin is on its loopback.
        remote_ip: Some("127.0.0.1".to_owned()),
        request_header: [("authorization".to_owned(), OWNER.to_owned())].into(),
        ..Download::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheated_blob_is_found_by_the_proxy_whatever_the_caller_says_of_ids() {
    let changes: [(Change, bool); 3] = [
        (|raw, addr| raw.proxy.registry_mirror.addr = addr, false),
        (|_, _| {}, true),
        (
            |raw, _| raw.proxy.registry_mirror.enable_task_id_based_blob_digest = false,
            true,
        ),
    ];
    for (number, (change, says)) in changes.into_iter().enumerate() {
        let origin = Origin::start().await;
        let blob = content(5 * MIB, number as u64);
        let path = blob_path("lab/private", &blob);
        let private = File {
            bytes: blob.clone(),
            is_private: true,
            ..File::default()
        };
        origin.put(&path, private);
        let registry = origin.url();
        let peer = TestPeer::start(|raw| change(raw, registry.clone())).await;
        let asked = Download {
            enable_task_id_based_blob_digest: says,
            ..download(format!("{registry}{path}"))
        };
        let id = preheated(&peer, asked).await.unwrap();
        let given = origin.given(&path);
        assert_eq!(given, blob.len());

        let ask = async |authorization: &str| {
            let headers = [("x-dragonfly-registry", &*registry), ("authorization", authorization)];
            send(peer.proxy(), get(&path, &headers)).await
        };
        // The origin is asked who may read it, and for nothing more.
        assert_eq!(ask(STRANGER).await.status, 401);
        let answer = ask(OWNER).await;
        assert_eq!(answer.header("x-dragonfly-task-id"), Some(&*id), "{number}");
        assert_eq!(answer.header("x-dragonfly-task-download-finished"), Some("true"));
        same(answer, &blob);
        assert_eq!(origin.given(&path), given);
        peer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_ends_with_its_call_and_goes_on_where_it_was() {
    let origin = Origin::start().await;
    let blob = content(9 * MIB, 7);
    let path = blob_path("lab/image", &blob);
    let rest = Arc::new(Notify::new());
    let paused = File {
        bytes: blob.clone(),
        habit: Habit::Pauses(rest.clone()),
        ..File::default()
    };
    origin.put(&path, paused);
    let peer = TestPeer::start(|_| {}).await;
    let url = format!("{}{path}", origin.url());
    let mut answers = preheat(&peer, download(url.clone())).await.unwrap();
    let first = tokio::time::timeout(PATIENCE, answers.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    drop(answers);
    // Nobody wants it any more, so its end is awaited before another begins; the rest is not.
    let honest = File {
        bytes: blob.clone(),
        ..File::default()
    };
    origin.put(&path, honest);
    let id = preheated(&peer, download(url)).await.unwrap();
    assert_eq!(id, first.task_id);
    rest.notify_one();
    let answer = send(peer.proxy(), get(&path, &[("x-dragonfly-registry", &origin.url())])).await;
    same(answer, &blob);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_writes_no_file_and_believes_no_authority_for_what_has_no_digest() {
    let peer = TestPeer::start(|_| {}).await;
    let to_file = Download {
        output_path: Some("/tmp/x".to_owned()),
        ..download("http://127.0.0.1:1/x".to_owned())
    };
    assert_eq!(
        preheat(&peer, to_file).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let with_authority = Download {
        certificate_chain: vec![b"x".to_vec()],
        ..download("https://127.0.0.1:1/x".to_owned())
    };
    let refused = preheat(&peer, with_authority).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    peer.stop().await;
}
