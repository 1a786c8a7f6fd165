//! The API is as it is described, whatever is sent to it. Schemathesis makes up the calls: a few of each operation here,
//! a thousand by `cargo xtask contract`.

use crate::access::{self, user};
use crate::room::{Engine, PASSWORD, Room};
use dragonfly_testkit::schemathesis::{Schemathesis, Trial};
use std::path::Path;

/// How many calls of each operation `cargo xtask contract` wants, and by which seed.
const CASES: &str = "DRAGONFLY_CONTRACT_CASES";
const SEED: &str = "DRAGONFLY_CONTRACT_SEED";
/// What takes a minute.
const FEW: u32 = 10;

async fn judged(room: &Room, name: &str, password: &str) {
    let number = |name: &str| std::env::var_os(name).map(|text| text.to_str().unwrap().parse::<u32>().unwrap());
    let base = format!("http://{}", room.addresses.rest);
    let (name, password) = (name.to_owned(), password.to_owned());
    let report = tokio::task::spawn_blocking(move || {
        let schemathesis = Schemathesis::get(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        schemathesis.judge(&Trial {
            document: format!("{base}/api/v1/openapi.json"),
            rules: &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis"),
            cases: number(CASES).unwrap_or(FEW),
            seed: number(SEED).unwrap_or(1).into(),
            told: &[
                ("MANAGER", &base),
                ("MANAGER_USER", &name),
                ("MANAGER_PASSWORD", &password),
            ],
        })
    });
    match report.await.unwrap() {
        Ok(report) => println!("{report}"),
        Err(error) => panic!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_root_is_as_described() {
    let room = Room::start(Engine::Sqlite).await;
    judged(&room, "root", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_a_guest_is_as_described() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    user(&room, &root, "guest").await;
    judged(&room, "guest", access::OWN).await;
}
