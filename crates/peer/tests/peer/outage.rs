//! What a peer promises while others are away: schedulers, parents, and itself.

use crate::rig::{MIB, Options, PATIENCE, TestPeer, whole};
use crate::scheduler::TestScheduler;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use hashring::HashRing;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn download_completes_while_every_scheduler_is_down() {
    let peer = TestPeer::start(Options::peer("alone").of(&[nobody().await, nobody().await])).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, 9 * MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_under_way_survives_its_scheduler() {
    let scheduler = TestScheduler::start().await;
    let of = [scheduler.addr];
    let seed = TestPeer::start(Options::seed("seed").of(&of)).await;
    let child = TestPeer::start(Options::peer("child").of(&of)).await;
    scheduler.has_hosts(2).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(2, 24 * MIB);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 9 * MIB).unwrap();
    let death = async {
        scheduler
            .until("the child has a piece", |book| {
                book.words
                    .contains(&"127.0.0.1-child: DownloadPieceFinishedRequest".to_owned())
            })
            .await;
        scheduler.kill().await;
        origin.release("/file").unwrap();
    };
    let (got, ()) = tokio::join!(child.get_url(&url), death);
    assert!(got.unwrap() == content.bytes(0, content.length() as usize));
    // The seed goes on without it, and the child by the seed.
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    child.stop().await;
    seed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_under_way_survives_its_parent() {
    let scheduler = TestScheduler::start().await;
    let of = [scheduler.addr];
    let seed = TestPeer::start(Options::seed("seed").of(&of)).await;
    let child = TestPeer::start(Options::peer("child").of(&of)).await;
    scheduler.has_hosts(2).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(3, 24 * MIB);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 9 * MIB).unwrap();
    let death = async {
        scheduler
            .until("the child has a piece", |book| {
                book.words
                    .contains(&"127.0.0.1-child: DownloadPieceFinishedRequest".to_owned())
            })
            .await;
        seed.stop().await;
        origin.release("/file").unwrap();
    };
    let (got, ()) = tokio::join!(child.get_url(&url), death);
    assert!(got.unwrap() == content.bytes(0, content.length() as usize));
    child.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_its_parents_asks_for_others_and_leaves_the_origin_alone() {
    let scheduler = TestScheduler::start().await;
    scheduler.read(|book| book.patient = true);
    let of = [scheduler.addr];
    let seed = TestPeer::start(Options::seed("seed").of(&of)).await;
    let child = TestPeer::start(Options::peer("child").of(&of)).await;
    scheduler.has_hosts(2).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(3, 24 * MIB);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 9 * MIB).unwrap();
    let waiting = async {
        scheduler
            .until("the child asks", |book| {
                book.words
                    .contains(&"127.0.0.1-child: ReschedulePeerRequest".to_owned())
            })
            .await;
        origin.release("/file").unwrap();
    };
    let (got, ()) = tokio::join!(child.get_url(&url), waiting);
    assert!(got.unwrap() == content.bytes(0, content.length() as usize));
    // A child that had given its parent up would have asked the origin.
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
    child.stop().await;
    seed.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_goes_on_where_it_was() {
    let origin = Origin::start().unwrap();
    let content = Content::new(4, 40 * MIB);
    let url = origin.put("/file", Resource::file(content));
    origin.hold_at("/file", 17 * MIB).unwrap();
    let peer = TestPeer::start(Options::peer("alone")).await;
    let interrupt = async {
        origin.wait_served("/file", 17 * MIB, PATIENCE).await.unwrap();
    };
    let mut client = peer.client().await;
    let download = crate::rig::whole(&url);
    let request = dragonfly_api::dfdaemon::DownloadTaskRequest {
        download: Some(download),
    };
    let mut stream = client.download_task(request).await.unwrap().into_inner();
    interrupt.await;
    // The first message is the head; the second is a piece, so at least one is kept.
    for _ in 0..2 {
        stream.message().await.unwrap().unwrap();
    }
    let dir = peer.stop().await;
    let first = origin.served("/file").unwrap().bytes;
    origin.release("/file").unwrap();
    let peer = TestPeer::start_in(dir, Options::peer("alone")).await;
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    let again = origin.served("/file").unwrap().bytes - first;
    assert!(again <= content.length() - 4 * MIB, "{again} bytes were fetched again");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_scheduler_is_asked_again_after_a_while() {
    let scheduler = TestScheduler::start().await;
    let peer = TestPeer::start(Options::peer("alone").of(&[scheduler.addr])).await;
    scheduler.has_hosts(1).await;
    scheduler.read(|book| book.overloaded = 2);
    let origin = Origin::start().unwrap();
    let content = Content::new(5, MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    scheduler
        .until("the download was finished there", |book| {
            book.words
                .contains(&"127.0.0.1-alone: DownloadPeerBackToSourceFinishedRequest".to_owned())
        })
        .await;
    let words = scheduler.read(|book| book.words.clone());
    let registrations = words.iter().filter(|said| said.ends_with(": RegisterPeerRequest"));
    assert_eq!(registrations.count(), 3, "{words:#?}");
    peer.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_breaks_every_conversation_stops_nobody() {
    let scheduler = TestScheduler::start().await;
    let peer = TestPeer::start(Options::peer("alone").of(&[scheduler.addr])).await;
    scheduler.has_hosts(1).await;
    scheduler.read(|book| book.broken = true);
    let origin = Origin::start().unwrap();
    let content = Content::new(6, 5 * MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    let count = scheduler.read(|book| book.words.len());
    assert_eq!(count, 1, "it was asked once and no more");
    peer.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_restarts_is_told_what_this_host_holds() {
    // With a runtime of its own, its connections die with it, as those of a process do.
    let process = Runtime::new().unwrap();
    let scheduler = process.spawn(TestScheduler::start()).await.unwrap();
    let addr = scheduler.addr;
    let peer = TestPeer::start(Options::peer("holder").of(&[addr])).await;
    scheduler.has_hosts(1).await;
    let origin = Origin::start().unwrap();
    let url = origin.put("/file", Resource::file(Content::new(9, 9 * MIB)));
    let task = peer.get(whole(&url)).await.unwrap().task_id;
    let ended = tokio::task::spawn_blocking(move || process.shutdown_timeout(Duration::from_secs(10)));
    ended.await.unwrap();
    let restarted = TestScheduler::start_on(TcpListener::bind(addr).await.unwrap());
    let held = format!("127.0.0.1-holder: {task}");
    restarted
        .until("the holder says what it has", |book| book.holdings.contains(&held))
        .await;
    peer.stop().await;
}

/// The scheduler that the ring gives this task to, computed by the ring of other peers.
fn responsible(ring: &HashRing<SocketAddr>, task: &str) -> SocketAddr {
    *ring.get(&task[..5].to_owned()).unwrap()
}

/// An address where nobody listens, which would share the ring with this one by and large evenly: with one point each,
/// two addresses may as well divide it by a hundred to one.
async fn an_equal_of(addr: SocketAddr) -> SocketAddr {
    loop {
        let candidate = nobody().await;
        let mut ring = HashRing::new();
        ring.batch_add(vec![addr, candidate]);
        let tasks = (0..100).map(|number| format!("{number:05x}"));
        let share = tasks.filter(|task| responsible(&ring, task) == addr).count();
        if (30..70).contains(&share) {
            return candidate;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_scheduler_is_told_of_the_tasks_that_are_its_now_and_of_no_others() {
    let old = TestScheduler::start().await;
    let vacant = an_equal_of(old.addr).await;
    let peer = TestPeer::start(Options::peer("holder").of(&[old.addr, vacant])).await;
    old.has_hosts(1).await;
    let mut ring = HashRing::new();
    ring.batch_add(vec![old.addr, vacant]);
    let origin = Origin::start().unwrap();
    let mut shares: HashMap<SocketAddr, BTreeSet<String>> = HashMap::new();
    for number in 0.. {
        let path = format!("/{number}");
        let url = origin.put(&path, Resource::file(Content::new(10 + number, MIB)));
        let task = peer.get(whole(&url)).await.unwrap().task_id;
        let of = responsible(&ring, &task);
        shares
            .entry(of)
            .or_default()
            .insert(format!("127.0.0.1-holder: {task}"));
        if number >= 10 && shares.len() == 2 {
            break;
        }
    }
    let new = TestScheduler::start_on(TcpListener::bind(vacant).await.unwrap());
    for scheduler in [&new, &old] {
        scheduler
            .until("it knows what is its, and no more", |book| {
                book.holdings == shares[&scheduler.addr]
            })
            .await;
    }
    peer.stop().await;
}
