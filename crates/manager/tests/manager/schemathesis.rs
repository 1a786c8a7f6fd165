//! The API is as it is described, whatever is sent to it. Schemathesis makes up the calls: a few of each operation here,
//! a thousand of each class by `cargo xtask contract`.

use crate::access::{self, user};
use crate::room::{Engine, PASSWORD, Room};
use dragonfly_testkit::schemathesis::{Schemathesis, Trial};
use std::path::Path;

/// How many calls of each operation `cargo xtask contract` wants, of each class of them at least, and by which seed.
const CASES: &str = "DRAGONFLY_CONTRACT_CASES";
const AT_LEAST: &str = "DRAGONFLY_CONTRACT_AT_LEAST";
const SEED: &str = "DRAGONFLY_CONTRACT_SEED";
/// What takes a minute.
const FEW: u32 = 5;
const ALL_PHASES: &str = "examples,coverage,fuzzing,stateful";

/// Who calls.
struct Caller {
    name: &'static str,
    password: &'static str,
    /// Where a few calls are enough.
    phases: &'static str,
}

async fn judged(room: &Room, caller: Caller) {
    let number = |name: &str| std::env::var_os(name).map(|text| text.to_str().unwrap().parse::<u32>().unwrap());
    let base = format!("http://{}", room.addresses.rest);
    let report = tokio::task::spawn_blocking(move || {
        let schemathesis = Schemathesis::get(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        schemathesis.judge(&Trial {
            document: format!("{base}/api/v1/openapi.json"),
            rules: &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis"),
            phases: number(CASES).map_or(caller.phases, |_| ALL_PHASES),
            cases: number(CASES).unwrap_or(FEW),
            seed: number(SEED).unwrap_or(1).into(),
            told: &[
                ("MANAGER", &base),
                ("MANAGER_USER", caller.name),
                ("MANAGER_PASSWORD", caller.password),
                ("MANAGER_CALLS_AT_LEAST", &number(AT_LEAST).unwrap_or(0).to_string()),
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
    let root = Caller {
        name: "root",
        password: PASSWORD,
        phases: ALL_PHASES,
    };
    judged(&room, root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_a_guest_is_as_described() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    user(&room, &root, "guest").await;
    let guest = Caller {
        name: "guest",
        password: access::OWN,
        // What he may not do, he may not do in any form.
        phases: "fuzzing",
    };
    judged(&room, guest).await;
}
