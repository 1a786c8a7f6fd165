//! A peer whose disk is a small one: full before a pull, in the middle of one, and free again.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dragonfly_testkit::client;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::process::{Process, Ready, own_loopback, run};
use dragonfly_testkit::up::binary;
use futures::StreamExt;
use serde_json::json;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const PROXY: u16 = 4001;

/// A file system in memory, gone with this.
struct Disk {
    at: PathBuf,
}

impl Disk {
    async fn new(at: PathBuf, mib: u64) -> Self {
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&at);
        run(mount, WITHIN).await.unwrap();
        Self { at }
    }

    /// A file of somebody else's that leaves nothing.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("somebody-elses");
        let mut file = std::fs::File::create(&path).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A peer on that disk, alone.
struct Node {
    ip: Ipv4Addr,
    origin: Origin,
    client: reqwest::Client,
    _process: Process,
}

/// How a pull ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// The client was told by a connection that broke.
    BrokenOff,
}

fn blob(content: Content) -> String {
    format!("/v2/large/blobs/sha256:{}", content.sha256())
}

impl Node {
    async fn start(storage: &Path, dir: &Path) -> Self {
        let ip = own_loopback();
        let file = dir.join("dfdaemon.yaml");
        let config = json!({
            "host": { "ip": ip, "hostname": "small" },
            "storage": { "dir": storage, "server": { "ip": ip } },
            "download": { "server": { "socketPath": dir.join("dfdaemon.sock") } },
            "upload": { "server": { "ip": ip } },
            "proxy": { "server": { "ip": ip } },
            "health": { "server": { "ip": ip } },
            "metrics": { "server": { "ip": ip } },
            "security": { "egress": { "allow": ["127.0.0.0/8"] } },
        });
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(binary().unwrap());
        command.args(["dfdaemon", "--console", "--config"]).arg(&file);
        let mut process = Process::start("dfdaemon", command, dir).unwrap();
        let ready = Ready::Port(SocketAddr::from((ip, PROXY)));
        process.ready(&ready, WITHIN).await.unwrap();
        Self {
            ip,
            origin: Origin::start().unwrap(),
            client: client::builder().unwrap().timeout(WITHIN).build().unwrap(),
            _process: process,
        }
    }

    fn put(&self, content: Content) {
        let _url = self.origin.put(&blob(content), Resource::file(content));
    }

    fn given(&self, content: Content) -> u64 {
        self.origin.served(&blob(content)).unwrap().bytes
    }

    /// Pulls a blob and compares every byte that comes.
    async fn pull(&self, content: Content) -> End {
        let url = format!("http://{}:{PROXY}{}", self.ip, blob(content));
        let asked = self.client.get(url).header("X-Dragonfly-Registry", self.origin.url(""));
        let answer = asked.send().await.unwrap().error_for_status().unwrap();
        let mut body = answer.bytes_stream();
        let mut at = 0;
        while let Some(bytes) = body.next().await {
            let Ok(bytes) = bytes else {
                return End::BrokenOff;
            };
            assert!(bytes == content.bytes(at, bytes.len()), "wrong bytes at {at}");
            at += bytes.len() as u64;
        }
        assert_eq!(at, content.length(), "a clean end before the end");
        End::Whole
    }
}

#[tokio::test]
async fn a_full_disk_costs_a_cache_and_never_a_byte() {
    let dir = TempDir::new().unwrap();
    let disk = Disk::new(dir.path().join("disk"), 160).await;
    let node = Node::start(&disk.at.join("data"), dir.path()).await;
    let [kept, large, middle, later] = [16, 200, 40, 24].map(|mib| Content::new(mib, mib * MIB));
    for content in [kept, large, middle, later] {
        node.put(content);
    }

    for _ in 0..2 {
        assert_eq!(node.pull(kept).await, End::Whole);
    }
    assert_eq!(node.given(kept), kept.length(), "it is kept");
    for _ in 0..2 {
        assert_eq!(node.pull(large).await, End::Whole);
    }
    assert_eq!(node.given(large), 2 * large.length(), "what does not fit is passed on");

    node.origin.hold_at(&blob(middle), 8 * MIB).unwrap();
    let in_the_middle = async {
        node.origin.wait_served(&blob(middle), 8 * MIB, WITHIN).await.unwrap();
        let filler = disk.fill();
        node.origin.release(&blob(middle)).unwrap();
        filler
    };
    let (first, filler) = tokio::join!(node.pull(middle), in_the_middle);
    println!("the disk became full in the middle of a pull: {first:?}");
    assert_eq!(node.pull(middle).await, End::Whole, "who asks again gets it");

    std::fs::remove_file(filler).unwrap();
    for _ in 0..2 {
        assert_eq!(node.pull(later).await, End::Whole);
    }
    assert_eq!(node.given(later), later.length(), "once there is room again it is used");
}
