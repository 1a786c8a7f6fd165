//! Many small files for many peers: where one request too many is a thousand.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dragonfly_testkit::client;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::lab::{Blueprint, Lab, Membership, Says};
use dragonfly_testkit::nginx::Nginx;
use dragonfly_testkit::up::binary;
use futures::future::join_all;
use futures::{StreamExt, stream};

const FILES: u64 = 1000;
const PEERS: usize = 8;
/// Files that one peer's caller fetches at a time.
const AT_A_TIME: usize = 8;
const ORIGIN: &str = "origin";
const PROXY: u16 = 4001;

fn file(number: u64) -> Content {
    Content::new(number + 1, (number % 64 + 1) << 10)
}

fn path(file: Content) -> String {
    format!("/v2/small/blobs/sha256:{}", file.sha256())
}

#[tokio::test]
async fn a_thousand_small_files_leave_their_origin_once_for_eight_peers() {
    let blueprint = Blueprint {
        binary: binary().unwrap(),
        nodes: PEERS,
        rate: None,
        origin_rate: None,
    };
    let mut lab = Lab::start(blueprint).await.unwrap();
    let console = lab.first_sign_in().await.unwrap();
    let membership = Membership::of(console.first_cluster().await.unwrap(), Says::Nothing);
    lab.start_cluster("a", &membership, &console).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    for content in (0..FILES).map(file) {
        let at = root.path().join(path(content).trim_start_matches('/'));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, content.bytes(0, content.length() as usize)).unwrap();
    }
    let host = lab.network.host(ORIGIN).unwrap();
    let address = SocketAddr::from((host.ip, 8081));
    let origin = Nginx::start_in(&host.place(), address, root.path()).await.unwrap();

    let client = client::builder().unwrap().build().unwrap();
    let registry = origin.url("");
    let callers = lab.clusters[0].nodes.iter().enumerate().map(|(peer, node)| {
        let proxy = format!("http://{}:{PROXY}", node.peer.host().ip);
        // Each begins elsewhere, so any of them may be the first to ask for a file.
        let first = FILES / PEERS as u64 * peer as u64;
        let fetches = (first..first + FILES).map({
            let (client, registry) = (&client, &registry);
            move |number| {
                let content = file(number % FILES);
                let asked = client
                    .get(format!("{proxy}{}", path(content)))
                    .header("X-Dragonfly-Registry", registry);
                async move {
                    let bytes = asked
                        .send()
                        .await
                        .unwrap()
                        .error_for_status()
                        .unwrap()
                        .bytes()
                        .await
                        .unwrap();
                    let is_right = bytes == content.bytes(0, content.length() as usize);
                    assert!(is_right, "{}", path(content));
                }
            }
        });
        stream::iter(fetches).buffer_unordered(AT_A_TIME).collect::<()>()
    });
    join_all(callers).await;

    let mut given: BTreeMap<String, u64> = (0..FILES).map(|number| (path(file(number)), 0)).collect();
    let mut permissions = 0;
    for one in origin.served().unwrap() {
        match one.method.as_str() {
            "GET" => *given.get_mut(&one.uri).unwrap() += 1,
            "HEAD" => permissions += 1,
            other => panic!("the origin was asked to {other} {}", one.uri),
        }
    }
    let often: Vec<_> = given.iter().filter(|(_, times)| **times != 1).collect();
    assert!(often.is_empty(), "not once: {often:?}");
    println!(
        "{FILES} files for {PEERS} peers: {FILES} fetched from the origin, which was asked {permissions} times who may"
    );
}
