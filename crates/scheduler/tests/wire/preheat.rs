//! Preheating by callers of the scheduler, and what they are told of the cluster.

use crate::sim::seed::{Call, Seed};
use crate::sim::{Lab, raw, soon};
use dragonfly_api::common::ObjectStorage;
use dragonfly_api::ext::scheduler_client::SchedulerClient as ExtClient;
use dragonfly_api::ext::{
    PreheatFiles, PreheatReport, PreheatRequest, Target, TargetState, WorkOutcome, preheat_request,
};
use dragonfly_api::scheduler::*;
use dragonfly_api::{ApiError, backend_error};
use dragonfly_model::TaskId;
use dragonfly_testkit::image::Image;
use dragonfly_testkit::registry::{Login, Registry, Transport};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tonic::{Code, Status, Streaming};

fn image(registry: &Registry, scope: &str) -> PreheatImageRequest {
    let user = registry.user();
    PreheatImageRequest {
        url: format!("{}/team/app:v1", registry.url()),
        username: user.map(|user| user.name.to_owned()),
        password: user.map(|user| user.password.to_owned()),
        scope: scope.to_owned(),
        enable_task_id_based_blob_digest: true,
        certificate_chain: registry.ca().iter().map(|ca| std::fs::read(ca).unwrap()).collect(),
        ..Default::default()
    }
}

fn file(scope: &str) -> PreheatFileRequest {
    PreheatFileRequest {
        url: "http://origin.test/blob".to_owned(),
        scope: scope.to_owned(),
        ..Default::default()
    }
}

fn authorization(call: &Call) -> String {
    call.download
        .request_header
        .get("authorization")
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn every_peer_of_the_scope_is_asked_for_every_blob_of_an_image_and_a_refused_token_is_renewed() {
    let made = Image::tiny(40).unwrap();
    let registry = Registry::start(Login::Bearer, Transport::Plain).await.unwrap();
    registry.push(&made, "team/app", "v1").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut peers = [Seed::start(&lab, "a").await, Seed::start(&lab, "b").await];
    let mut seed = Seed::start(&lab, "seed1").await;
    let mut client = lab.client.clone();
    client.preheat_image(image(&registry, "all_peers")).await.unwrap();
    for peer in &mut peers {
        let mut urls = BTreeSet::new();
        for number in 0..2 {
            let call = peer.called().await;
            assert!(call.preheats && call.download.enable_task_id_based_blob_digest);
            assert!(!call.download.need_back_to_source && call.download.output_path.is_none());
            assert!(authorization(&call).starts_with("Bearer "), "{}", authorization(&call));
            urls.insert(call.download.url.clone());
            if number == 0 {
                // Its token has ended, says the origin.
                let old = authorization(&call);
                let ended = ApiError {
                    status: Some(401),
                    message: String::new(),
                    headers: HashMap::new(),
                };
                call.failed(backend_error(&ended));
                let mut again = peer.called().await;
                while authorization(&again) == old {
                    // The other blob's call, made before.
                    urls.insert(again.download.url.clone());
                    again.done(None);
                    again = peer.called().await;
                }
                urls.insert(again.download.url.clone());
                again.done(None);
                if urls.len() == 2 {
                    break;
                }
            } else {
                call.done(None);
            }
        }
        let made: BTreeSet<String> = made
            .blobs()
            .map(|blob| format!("{}/v2/team/app/blobs/{}", registry.url(), blob.digest))
            .collect();
        assert_eq!(urls, made);
    }
    assert!(seed.is_idle());
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn an_image_behind_a_private_authority_is_resolved_with_its_certificate() {
    let made = Image::tiny(41).unwrap();
    let registry = Registry::start(Login::Basic, Transport::Tls).await.unwrap();
    registry.push(&made, "team/app", "v1").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut seed = Seed::start(&lab, "seed1").await;
    let mut client = lab.client.clone();
    client.preheat_image(image(&registry, "")).await.unwrap();
    for _ in 0..2 {
        let call = seed.called().await;
        assert!(authorization(&call).starts_with("Basic "));
        // The authority travels as what peers can read.
        assert_eq!(call.download.certificate_chain.len(), 1);
        assert_eq!(call.download.certificate_chain[0][0], 0x30, "it is DER");
        call.done(None);
    }
    let untrusted = PreheatImageRequest {
        certificate_chain: Vec::new(),
        ..image(&registry, "")
    };
    let error = client.preheat_image(untrusted.clone()).await.unwrap_err();
    assert!(error.message().contains("secure connection"), "{error}");
    let insecure = PreheatImageRequest {
        insecure_skip_verify: true,
        ..untrusted
    };
    client.preheat_image(insecure).await.unwrap();
    seed.called().await.done(None);
    let wrong = PreheatImageRequest {
        password: Some("wrong".to_owned()),
        ..image(&registry, "")
    };
    let error = client.preheat_image(wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert!(
        error.message().contains("check user and password") && !error.message().contains("wrong"),
        "{error}"
    );
    let absent = PreheatImageRequest {
        url: format!("{}/team/app:v2", registry.url()),
        ..image(&registry, "")
    };
    assert_eq!(client.preheat_image(absent).await.unwrap_err().code(), Code::NotFound);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn one_seed_peer_is_asked_for_a_file_and_the_next_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut one = Seed::start(&lab, "seed1").await;
    let mut two = Seed::start(&lab, "seed2").await;
    let mut peer = Seed::start(&lab, "a").await;
    let mut client = lab.client.clone();
    client.preheat_file(file("single_seed_peer")).await.unwrap();
    let (first, other) = tokio::select! {
        call = one.called() => (call, &mut two),
        call = two.called() => (call, &mut one),
    };
    assert!(other.is_idle());
    // What passes is tried there again; what does not is another's turn.
    first.failed(Status::unimplemented("no such origins here"));
    let second = other.called().await;
    second.failed(Status::unavailable("for a moment"));
    other.called().await.done(None);
    assert!(peer.is_idle() && one.is_idle() && two.is_idle());
    lab.stop().await.unwrap();
}

/// What is said of a preheat, to its end: the last word of each target, and the outcome.
async fn followed(mut told: Streaming<PreheatReport>) -> (Vec<Target>, WorkOutcome) {
    let mut targets = BTreeMap::new();
    loop {
        let report = told.message().await.unwrap().expect("the outcome is the last word");
        for target in report.targets {
            targets.insert(target.hostname.clone(), target);
        }
        if let Some(outcome) = report.outcome {
            assert!(told.message().await.unwrap().is_none());
            return (targets.into_values().collect(), outcome);
        }
    }
}

fn followable(file: PreheatFileRequest) -> PreheatRequest {
    PreheatRequest {
        task: Some(preheat_request::Task::PreheatFiles(PreheatFiles { files: vec![file] })),
    }
}

#[tokio::test]
async fn who_follows_a_preheat_is_told_of_every_target_and_of_the_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut a = Seed::start(&lab, "a").await;
    let mut b = Seed::start(&lab, "b").await;
    let mut client = ExtClient::connect(format!("http://{}", lab.addr)).await.unwrap();
    let told = client
        .preheat(followable(file("all_peers")))
        .await
        .unwrap()
        .into_inner();
    a.called().await.done(None);
    b.called().await.failed(Status::unimplemented("no such origins here"));
    let (targets, outcome) = followed(told).await;
    let states: Vec<TargetState> = targets.iter().map(Target::state).collect();
    assert_eq!(states, [TargetState::Done, TargetState::Failed]);
    assert!(
        targets[1].description.contains("no such origins"),
        "{}",
        targets[1].description
    );
    assert!(
        !outcome.succeeded && outcome.description.contains("1 of 2"),
        "{outcome:?}"
    );
    let error = client.preheat(followable(file("everyone"))).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(
        client.preheat(PreheatRequest::default()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn who_leaves_a_preheat_that_is_followed_gives_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut a = Seed::start(&lab, "a").await;
    let mut client = ExtClient::connect(format!("http://{}", lab.addr)).await.unwrap();
    let told = client
        .preheat(followable(file("all_peers")))
        .await
        .unwrap()
        .into_inner();
    let call = a.called().await;
    drop(told);
    call.given_up().await;
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn addresses_choose_peers() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut a = Seed::start_at(&lab, "a", [127, 0, 0, 2].into(), None).await;
    let mut b = Seed::start_at(&lab, "b", [127, 0, 0, 3].into(), None).await;
    let mut client = lab.client.clone();
    let by_address = PreheatFileRequest {
        ips: vec!["127.0.0.3".to_owned()],
        count: Some(1),
        ..file("all_peers")
    };
    client.preheat_file(by_address.clone()).await.unwrap();
    b.called().await.done(None);
    assert!(a.is_idle());
    client
        .preheat_file(PreheatFileRequest {
            ips: Vec::new(),
            ..by_address
        })
        .await
        .unwrap();
    a.called().await.done(None);
    assert!(b.is_idle());
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_of_an_object_store_is_the_files_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut a = Seed::start(&lab, "a").await;
    let directory = PreheatFileRequest {
        url: "s3://bucket/models/".to_owned(),
        object_storage: Some(ObjectStorage::default()),
        ..file("all_peers")
    };
    lab.client.clone().preheat_file(directory).await.unwrap();
    let mut urls = BTreeSet::new();
    for _ in 0..2 {
        let call = a.called().await;
        urls.insert(call.download.url.clone());
        call.done(None);
    }
    let expected = ["s3://bucket/models/one", "s3://bucket/models/two"];
    assert_eq!(urls, expected.map(str::to_owned).into());
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let mut client = lab.client.clone();
    let nobody = client.preheat_file(file("all_peers")).await.unwrap_err();
    assert_eq!(nobody.code(), Code::FailedPrecondition);
    assert!(nobody.message().contains("no peer"), "{nobody}");
    lab.announce_all(&["a", "seed1"]).await;
    for (request, word) in [
        (
            PreheatFileRequest {
                output_path: Some("/etc/passwd".to_owned()),
                ..file("all_peers")
            },
            "output_path",
        ),
        (file("everyone"), "all_seed_peers"),
        (
            PreheatFileRequest {
                url: "no url".to_owned(),
                ..file("")
            },
            "scheme://",
        ),
        (
            PreheatFileRequest {
                concurrent_peer_count: Some(-1),
                ..file("")
            },
            "concurrent_peer_count",
        ),
        (
            PreheatFileRequest {
                certificate_chain: vec![b"x".to_vec()],
                ..file("")
            },
            "certificate_chain",
        ),
    ] {
        let error = client.preheat_file(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    let nameless = client.preheat_image(PreheatImageRequest::default()).await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
    let nameless = client.stat_image(StatImageRequest::default()).await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
    let nameless = client.stat_file(StatFileRequest::default()).await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
    lab.stop().await.unwrap();
}

#[tokio::test]
async fn who_has_an_image_or_a_file_is_told_whatever_id_it_has_there() {
    let made = Image::tiny(42).unwrap();
    let registry = Registry::start(Login::Open, Transport::Plain).await.unwrap();
    registry.push(&made, "team/app", "v1").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    let trusting = Seed::start(&lab, "a").await;
    let wary = Seed::start(&lab, "b").await;
    let _empty = Seed::start(&lab, "c").await;
    let layer = &made.largest().digest;
    let hex = layer.strip_prefix("sha256:").unwrap();
    trusting.holds(hex, true);
    // As a peer names it that does not trust the registry to vouch for others.
    let own = sha256(&format!("{layer}\n{}", registry.url()));
    wary.holds(&own, false);
    let request = StatImageRequest {
        url: format!("{}/team/app:v1", registry.url()),
        enable_task_id_based_blob_digest: true,
        ..Default::default()
    };
    let mut client = lab.client.clone();
    let told = client.stat_image(request).await.unwrap().into_inner();
    assert_eq!(told.image.unwrap().layers.len(), made.blobs().count());
    let peers: Vec<(String, usize, Option<bool>)> = told
        .peers
        .into_iter()
        .map(|peer| {
            (
                peer.hostname,
                peer.cached_layers.len(),
                peer.cached_layers[0].is_finished,
            )
        })
        .collect();
    assert_eq!(
        peers,
        [("a".to_owned(), 1, Some(true)), ("b".to_owned(), 1, Some(false))]
    );

    let id = sha256("http://origin.test/blobSTANDARD");
    wary.holds(&id, true);
    let request = StatFileRequest {
        url: "http://origin.test/blob?X-Amz-Signature=1".to_owned(),
        ..Default::default()
    };
    let told = client.stat_file(request).await.unwrap().into_inner();
    assert_eq!(told.peers.len(), 1);
    assert_eq!(told.peers[0].hostname, "b");
    assert_eq!(told.peers[0].cached_files[0].is_finished, Some(true));
    soon("the end", lab.stop()).await.unwrap();
}

/// The task id that a text makes.
fn sha256(text: &str) -> String {
    let url = url::Url::parse("http://x/").unwrap();
    let identity = dragonfly_model::TaskIdentity {
        url: &url,
        content: Some(text),
        tag: None,
        application: None,
        revision: None,
        piece_length: None,
        filtered_query_params: &[],
        blob_trust: dragonfly_model::BlobTrust::Ignored,
    };
    let id: TaskId = identity.task_id();
    id.to_string()
}
