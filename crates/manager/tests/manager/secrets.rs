//! Works that hold secrets are for schedulers that proved who they are.

use crate::attendant::{Attendant, hello, target};
use crate::jobs::{ends, job, made, preheat, quick};
use crate::room::{Api, Engine, Room, on_every_engine, scheduler};
use crate::tls::Authority;
use dragonfly_api::ext::{TargetState, work};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_manager::Config;
use dragonfly_manager::config::TellSecretsTo;
use dragonfly_service::tls::ClientTls;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

const A: &str = "https://origin.example/a";
const B: &str = "https://origin.example/b";

/// As if every caller came from another host.
fn strict(config: &mut Config) {
    quick(config);
    config.grpc.tell_secrets_to = TellSecretsTo::Certified;
}

async fn secret_preheat(api: &Api, more: serde_json::Value) -> u64 {
    let mut args = json!({"type": "file", "url": A, "headers": {"X-Token": "hunter2"}});
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    made(
        api.post("/api/v1/jobs", json!({"type": "preheat", "args": args}))
            .await
            .ok(),
    )
}

async fn who_proved_nothing_gets_the_other_works_and_the_job_says_why(engine: Engine) {
    let room = Room::start_with(engine, strict).await;
    let root = room.root().await;
    let mut stranger = Attendant::register(&room, "s", 1).await;
    let secret = secret_preheat(&root, json!({"timeout": 2_000_000_000})).await;
    let open = preheat(&root, &[B]).await;
    let work = stranger.work().await;
    let Some(work::Task::PreheatFiles(files)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(files.files[0].url, B, "the older one holds a secret");
    stranger.succeed(&work, vec![target(B, 7, TargetState::Done)]).await;
    ends(&root, open, "SUCCESS").await;
    let failed = ends(&root, secret, "FAILURE").await;
    let error = failed["result"]["job_states"][0]["error"].as_str().unwrap();
    assert!(error.contains("server.grpc.tellSecretsTo"), "{error}");
    assert!(!failed.to_string().contains("hunter2"), "{failed}");
}

async fn over_tls(room: &Room, authority: &Authority) -> Channel {
    let known = ClientTls::load(&authority.files("scheduler")).unwrap();
    let url = format!("https://localhost:{}", room.addresses.grpc.port());
    let endpoint = Endpoint::from_shared(url).unwrap().tls_config(known.tonic()).unwrap();
    endpoint.connect().await.unwrap()
}

async fn who_shows_a_certificate_is_told(engine: Engine) {
    let authority = Authority::new();
    let files = authority.files("grpc");
    let room = Room::start_with(engine, |config| {
        strict(config);
        config.grpc.tls = Some(files);
    })
    .await;
    let root = room.root().await;
    let channel = over_tls(&room, &authority).await;
    let mut client = ManagerClient::new(channel.clone());
    client.update_scheduler(scheduler("s", 1)).await.unwrap();
    let id = secret_preheat(&root, json!({})).await;
    let mut known = Attendant::on(channel, hello("s", 1)).await;
    let work = known.work().await;
    let Some(work::Task::PreheatFiles(files)) = &work.task else {
        panic!("{work:?}");
    };
    assert_eq!(files.files[0].header["X-Token"], "hunter2");
    assert_eq!(job(&root, id).await["state"], "PENDING");
}

async fn who_calls_from_the_managers_host_is_told(engine: Engine) {
    let room = Room::start_with(engine, quick).await;
    let root = room.root().await;
    secret_preheat(&root, json!({})).await;
    let mut neighbour = Attendant::register(&room, "s", 1).await;
    let work = neighbour.work().await;
    assert!(format!("{:?}", work.task).contains("hunter2"));
}

on_every_engine! {
    who_proved_nothing_gets_the_other_works_and_the_job_says_why
    who_shows_a_certificate_is_told
    who_calls_from_the_managers_host_is_told
}
