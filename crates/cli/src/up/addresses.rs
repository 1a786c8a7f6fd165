//! Where everything listens: the ready file, and what a person at the terminal reads.

use super::password::{RootPassword, USER};
use serde::Serialize;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The content of the ready file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addresses {
    manager: ManagerDoors,
    scheduler: SchedulerDoor,
    seed_peer: SeedDoors,
    peers: Vec<PeerDoors>,
    root: Root,
}

#[derive(Debug, Serialize)]
struct ManagerDoors {
    rest: String,
    grpc: String,
}

#[derive(Debug, Serialize)]
struct SchedulerDoor {
    grpc: String,
}

#[derive(Debug, Serialize)]
struct SeedDoors {
    socket: PathBuf,
    proxy: String,
    upload: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerDoors {
    socket: PathBuf,
    proxy: String,
    upload: String,
    metrics: String,
    data_dir: PathBuf,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    name: &'static str,
    password_file: PathBuf,
}

/// What the programs say about themselves.
#[derive(Debug)]
pub(super) struct Bound {
    /// The manager's REST server, as a URL.
    pub(super) rest: String,
    pub(super) manager_grpc: SocketAddr,
    pub(super) scheduler_grpc: SocketAddr,
    pub(super) seed: dragonfly_peer::Addresses,
    pub(super) peers: Vec<dragonfly_peer::Addresses>,
}

impl Addresses {
    pub(super) fn new(bound: Bound, root: &RootPassword) -> Self {
        let peer = |peer: dragonfly_peer::Addresses| PeerDoors {
            proxy: url(peer.proxy),
            upload: peer.upload.to_string(),
            metrics: url(peer.metrics),
            socket: peer.socket,
            data_dir: peer.data_dir,
        };
        Self {
            manager: ManagerDoors {
                rest: bound.rest,
                grpc: bound.manager_grpc.to_string(),
            },
            scheduler: SchedulerDoor {
                grpc: bound.scheduler_grpc.to_string(),
            },
            seed_peer: SeedDoors {
                proxy: url(bound.seed.proxy),
                upload: bound.seed.upload.to_string(),
                socket: bound.seed.socket,
            },
            peers: bound.peers.into_iter().map(peer).collect(),
            root: Root {
                name: USER,
                password_file: root.file.clone(),
            },
        }
    }

    /// For the ready file.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("paths that can be typed and numbers are JSON");
        text.push(b'\n');
        text
    }

    /// The socket that the printed `dfget` talks to.
    pub(super) fn first_socket(&self) -> &Path {
        &self.peers[0].socket
    }

    /// For the terminal.
    pub(super) fn banner(&self, took: Duration, password: &str, try_it: &str) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes all");
        line(format_args!("Dragonfly is up after {:.1} s.\n", took.as_secs_f64()));
        line(format_args!(
            "manager    REST {}  gRPC {}",
            self.manager.rest, self.manager.grpc
        ));
        line(format_args!(
            "           user {USER}, password {password}, kept in {}",
            self.root.password_file.display()
        ));
        line(format_args!("scheduler  gRPC {}", self.scheduler.grpc));
        line(format_args!("seed peer  proxy {}", self.seed_peer.proxy));
        for (n, peer) in self.peers.iter().enumerate() {
            line(format_args!(
                "peer {:<5} proxy {}  socket {}",
                n + 1,
                peer.proxy,
                peer.socket.display()
            ));
        }
        line(format_args!("\nTry it:\n  {try_it}\n\nCtrl-C ends it."));
        text
    }
}

fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> dragonfly_peer::Addresses {
        let at = |port: u16| SocketAddr::new([127, 0, 0, 1].into(), port + 100 * n);
        dragonfly_peer::Addresses {
            socket: format!("/data/peer-{n}/dfdaemon.sock").into(),
            upload: at(4000),
            proxy: at(4001),
            metrics: at(4002),
            health: at(4003),
            piece_tcp: at(4005),
            data_dir: format!("/data/peer-{n}").into(),
        }
    }

    fn addresses(dir: &Path) -> (Addresses, RootPassword) {
        let bound = Bound {
            rest: "http://127.0.0.1:8080".to_owned(),
            manager_grpc: "127.0.0.1:65003".parse().unwrap(),
            scheduler_grpc: "127.0.0.1:8002".parse().unwrap(),
            seed: peer(100),
            peers: vec![peer(0), peer(1)],
        };
        let root = RootPassword::keep(dir, true).unwrap();
        (Addresses::new(bound, &root), root)
    }

    #[test]
    fn the_ready_file_has_the_documented_keys() {
        let dir = tempfile::tempdir().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&addresses(dir.path()).0.json()).unwrap();
        assert_eq!(json["manager"]["rest"], "http://127.0.0.1:8080");
        assert_eq!(json["scheduler"]["grpc"], "127.0.0.1:8002");
        assert_eq!(json["seedPeer"]["upload"], "127.0.0.1:14000");
        assert_eq!(json["peers"][1]["metrics"], "http://127.0.0.1:4102");
        assert_eq!(json["peers"][0]["dataDir"], "/data/peer-0");
        assert_eq!(
            json["root"]["passwordFile"],
            dir.path().join("root-password").to_str().unwrap()
        );
    }

    #[test]
    fn the_banner_has_urls_credentials_and_one_line_to_paste() {
        let dir = tempfile::tempdir().unwrap();
        let (addresses, root) = addresses(dir.path());
        let banner = addresses.banner(Duration::from_millis(1234), root.shown(), "dfget http://x/y -O /tmp/y");
        for part in [
            "after 1.2 s",
            "http://127.0.0.1:8080",
            root.shown(),
            "\n  dfget http://x/y -O /tmp/y\n",
        ] {
            assert!(banner.contains(part), "{part} in {banner}");
        }
        assert_eq!(banner.matches("dfget ").count(), 1);
    }

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(quoted("/tmp/a-b_c.sock"), "/tmp/a-b_c.sock");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
