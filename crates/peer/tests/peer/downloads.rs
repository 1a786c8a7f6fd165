//! Contents of all shapes arrive whole, and each byte leaves its origin once.

use crate::rig::{MIB, Options, TestPeer, get, whole};
use crate::scheduler::{Book, TestScheduler};
use dragonfly_api::common::{Download, Range};
use dragonfly_api::dfdaemon::StatLocalTaskRequest;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use tonic::Code;

/// A scheduler, a seed and two peers that have joined it.
struct Swarm {
    scheduler: TestScheduler,
    seed: TestPeer,
    first: TestPeer,
    second: TestPeer,
}

impl Swarm {
    async fn start() -> Self {
        let scheduler = TestScheduler::start().await;
        let of = [scheduler.addr];
        let swarm = Self {
            seed: TestPeer::start(Options::seed("seed").of(&of)).await,
            first: TestPeer::start(Options::peer("first").of(&of)).await,
            second: TestPeer::start(Options::peer("second").of(&of)).await,
            scheduler,
        };
        swarm.scheduler.has_hosts(3).await;
        swarm
    }

    async fn stop(self) {
        for peer in [self.first, self.second, self.seed] {
            peer.stop().await;
        }
        self.scheduler.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_leaves_the_origin_once_and_travels_by_the_seed() {
    let swarm = Swarm::start().await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 20 * MIB + 17);
    let url = origin.put("/file", Resource::file(content));
    let (one, two) = tokio::join!(swarm.first.get_url(&url), swarm.second.get_url(&url));
    let expected = content.bytes(0, content.length() as usize);
    assert!(one.unwrap() == expected && two.unwrap() == expected);
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    let finished = |book: &Book| {
        book.words
            .iter()
            .filter(|word| word.ends_with(": DownloadPeerFinishedRequest"))
            .count()
            == 2
    };
    swarm.scheduler.until("both are done", finished).await;
    let words = swarm.scheduler.read(|book| book.words.clone());
    for host in ["127.0.0.1-first", "127.0.0.1-second"] {
        let said = |word: &str| words.contains(&format!("{host}: {word}"));
        assert!(said("DownloadPeerFinishedRequest"), "{words:#?}");
        assert!(!said("DownloadPeerBackToSourceStartedRequest"), "{words:#?}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_is_shared_too() {
    let swarm = Swarm::start().await;
    let origin = Origin::start().unwrap();
    for (path, length) in [("/byte", 1), ("/small", 64 * 1024), ("/piece", 4 * MIB)] {
        let content = Content::new(length, length);
        let url = origin.put(path, Resource::file(content));
        let expected = content.bytes(0, length as usize);
        assert!(swarm.first.get_url(&url).await.unwrap() == expected, "{path}");
        assert!(swarm.second.get_url(&url).await.unwrap() == expected, "{path}");
        assert_eq!(origin.served(path).unwrap().bytes, length, "{path}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_away_by_a_busy_parent_comes_again_instead_of_giving_it_up() {
    let scheduler = TestScheduler::start().await;
    let of = [scheduler.addr];
    let busy = Options {
        // The scheduler's call is the one that it takes in this second.
        change: |raw| {
            raw.upload.server.request_rate_limit = 1;
            raw.upload.server.request_buffer_size = 0;
        },
        ..Options::seed("seed").of(&of)
    };
    let seed = TestPeer::start(busy).await;
    let child = TestPeer::start(Options::peer("child").of(&of)).await;
    scheduler.has_hosts(2).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(6, 64 * 1024);
    let url = origin.put("/small", Resource::file(content));
    assert!(child.get_url(&url).await.unwrap() == content.bytes(0, 64 * 1024));
    assert_eq!(origin.served("/small").unwrap().bytes, content.length());
    let words = scheduler.read(|book| book.words.clone());
    assert!(!words.iter().any(|word| word.contains("Reschedule")), "{words:#?}");
    for peer in [child, seed] {
        peer.stop().await;
    }
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_without_length_travels_by_the_seed() {
    let swarm = Swarm::start().await;
    let origin = Origin::start().unwrap();
    let content = Content::new(3, 9 * MIB + 1);
    let resource = Resource::File {
        content,
        ranges: false,
        announces_length: false,
    };
    let url = origin.put("/chunked", resource);
    let expected = content.bytes(0, content.length() as usize);
    assert!(swarm.first.get_url(&url).await.unwrap() == expected);
    assert!(swarm.second.get_url(&url).await.unwrap() == expected);
    assert_eq!(origin.served("/chunked").unwrap().bytes, content.length());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_of_all_shapes_arrive_without_any_scheduler() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    for length in [0, 1, 4 * MIB, 4 * MIB + 1, 33 * MIB] {
        for (ranges, announces_length) in [(true, true), (false, true), (false, false)] {
            let content = Content::new(length + 9, length);
            let path = format!("/{length}-{ranges}-{announces_length}");
            let resource = Resource::File {
                content,
                ranges,
                announces_length,
            };
            let url = origin.put(&path, resource);
            let got = peer.get_url(&url).await.unwrap();
            assert!(got == content.bytes(0, length as usize), "{path}");
        }
    }
    let moved = origin.put("/moved", Resource::Redirect("/1-true-true".to_owned()));
    assert_eq!(peer.get_url(&moved).await.unwrap(), Content::new(10, 1).bytes(0, 1));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_cost_one_download() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(5, 12 * MIB);
    let url = origin.put("/file", Resource::file(content));
    // Nobody is done before everybody has come.
    origin.hold_at("/file", MIB).unwrap();
    let client = peer.client().await;
    let without_bytes = Download {
        need_piece_content: false,
        ..whole(&url)
    };
    let calls = (0..100).map(|_| get(client.clone(), without_bytes.clone()));
    let release = async {
        origin.wait_served("/file", MIB, crate::rig::PATIENCE).await.unwrap();
        origin.release("/file").unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(calls), release);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_fetches_only_what_it_touches_and_the_rest_follows_when_it_is_wanted() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(6, 24 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let part = Download {
        range: Some(Range {
            start: 9 * MIB,
            length: 1000,
        }),
        ..whole(&url)
    };
    let got = peer.get(part.clone()).await.unwrap();
    assert!(got.bytes == content.bytes(9 * MIB, 1000));
    assert_eq!(origin.served("/file").unwrap().bytes, 4 * MIB);
    assert!(!got.started.is_finished);
    let question = StatLocalTaskRequest {
        task_id: got.task_id,
        remote_ip: None,
    };
    let stat = peer.client().await.stat_local_task(question).await.unwrap();
    assert_eq!(stat.metadata().get(dragonfly_api::PIECES).unwrap(), "0,0,1,0,0,0");
    // What is here needs no origin.
    let before = origin.served("/file").unwrap();
    assert!(peer.get(part).await.unwrap().bytes == content.bytes(9 * MIB, 1000));
    assert_eq!(origin.served("/file").unwrap(), before);
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_the_content_answers_when_the_origin_is_gone() {
    let swarm = Swarm::start().await;
    let origin = Origin::start().unwrap();
    let content = Content::new(7, 6 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let expected = content.bytes(0, content.length() as usize);
    assert!(swarm.first.get_url(&url).await.unwrap() == expected);
    drop(origin);
    assert!(swarm.second.get_url(&url).await.unwrap() == expected);
    assert!(swarm.first.get(whole(&url)).await.unwrap().started.is_finished);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_refusal_reaches_the_caller() {
    let peer = TestPeer::start(Options::peer("alone")).await;
    let origin = Origin::start().unwrap();
    let status = peer.get_url(&origin.url("/nothing")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let answer = dragonfly_api::backend_error_of(&status).expect("the origin's answer is in the details");
    assert_eq!(answer.status, Some(404));
    let only_peers = Download {
        disable_back_to_source: true,
        ..whole(&origin.url("/nothing"))
    };
    assert_eq!(peer.get(only_peers).await.err().unwrap().code(), Code::NotFound);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_with_wrong_bytes_is_never_delivered() {
    let swarm = Swarm::start().await;
    let origin = Origin::start().unwrap();
    let content = Content::new(8, 5 * MIB);
    let good = format!("/v2/lab/blobs/sha256:{}", content.sha256());
    let url = origin.put(&good, Resource::file(content));
    assert!(swarm.first.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    let wrong = format!("/v2/lab/blobs/sha256:{}", "0".repeat(64));
    let url = origin.put(&wrong, Resource::file(content));
    let status = swarm.first.get_url(&url).await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss, "{status}");
    swarm.stop().await;
}
