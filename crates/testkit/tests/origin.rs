//! The fake origin, asked by a real client.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::time::Duration;

use dragonfly_testkit::client;
use dragonfly_testkit::content::{Content, sha256_of};
use dragonfly_testkit::origin::{Origin, Resource, Served};
use futures::StreamExt;

const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn ranges_and_lengths_are_answered_as_switched() {
    let origin = Origin::start().unwrap();
    let client = client::builder().unwrap().build().unwrap();
    let content = Content::new(1, 1_000_000);
    for (ranges, announces_length) in [(true, true), (true, false), (false, true), (false, false)] {
        let url = origin.put(
            "/file",
            Resource::File {
                content,
                ranges,
                announces_length,
            },
        );
        let answer = client.get(&url).header("range", "bytes=10-19").send().await.unwrap();
        assert_eq!(answer.status(), if ranges { 206 } else { 200 });
        assert_eq!(answer.headers().contains_key("content-length"), announces_length);
        assert_eq!(answer.headers().contains_key("transfer-encoding"), !announces_length);
        let (from, length) = if ranges { (10, 10) } else { (0, 1_000_000) };
        assert_eq!(answer.bytes().await.unwrap(), content.bytes(from, length));
        let served = origin.served("/file").unwrap();
        assert_eq!(
            served,
            Served {
                requests: 1,
                gets: 1,
                bytes: length as u64
            }
        );
    }
}

#[tokio::test]
async fn a_redirect_leads_to_the_content_and_an_unknown_path_to_404() {
    let origin = Origin::start().unwrap();
    let client = client::builder().unwrap().build().unwrap();
    let content = Content::new(2, 77);
    let _url = origin.put("/file", Resource::file(content));
    let url = origin.put("/old", Resource::Redirect("/file".to_owned()));
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.url().path(), "/file");
    assert_eq!(answer.bytes().await.unwrap(), content.bytes(0, 77));
    assert_eq!(
        client.head(&url).send().await.unwrap().headers()["content-length"],
        "77"
    );
    assert_eq!(
        origin.served("/old").unwrap(),
        Served {
            requests: 2,
            gets: 1,
            bytes: 0
        }
    );
    assert_eq!(client.get(origin.url("/none")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_held_content_stops_and_flows_again_when_released() {
    let origin = Origin::start().unwrap();
    let client = client::builder().unwrap().build().unwrap();
    let content = Content::new(3, 64 << 20);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 1 << 20).unwrap();
    let answer = client.get(&url).send().await.unwrap();
    let held = origin.wait_served("/file", 1 << 20, WITHIN).await.unwrap();
    assert_eq!(held.bytes, 1 << 20);
    origin.release("/file").unwrap();
    let mut body = answer.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend(chunk.unwrap());
    }
    assert_eq!(sha256_of(&bytes[..]).unwrap(), (content.sha256(), 64 << 20));
}
