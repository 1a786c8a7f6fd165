//! What the peers' init containers do to a node.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly_testkit::up::binary;
use serde_json::Value;
use tempfile::TempDir;

use crate::{ARTICLE_A, ARTICLE_B, CURRENT_A, Case};

/// As a fresh node has it: no word of registries.
const CONFIG_TOML: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"pause:3.7\"\n";

/// A node's directories, and the init containers of the peer that comes to it.
struct Node {
    dir: TempDir,
    containers: Vec<Value>,
    dfinit: String,
}

impl Node {
    fn of(case: Case) -> Self {
        let objects = case.objects();
        let peers = objects.of("DaemonSet");
        let (name, peer) = peers.iter().next().unwrap();
        let dfinit = objects.file(&format!("{name}-dfinit"), "dfinit.yaml").unwrap();
        let dir = tempfile::tempdir().unwrap();
        for made in ["etc/containerd", "state", "bin"] {
            std::fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        std::fs::write(dir.path().join("etc/containerd/config.toml"), CONFIG_TOML).unwrap();
        let node = Self {
            containers: peer["spec"]["template"]["spec"]["initContainers"]
                .as_array()
                .unwrap()
                .clone(),
            dfinit: dfinit.replace(
                "/etc/containerd",
                &dir.path().join("etc/containerd").display().to_string(),
            ),
            dir,
        };
        node.restarts_succeed(true);
        node
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// There is no systemd here: what would be asked of it is written down.
    fn restarts_succeed(&self, succeed: bool) {
        let (asked, nsenter) = (self.path("asked"), self.path("bin/nsenter"));
        std::fs::write(
            &nsenter,
            format!("#!/bin/sh\necho \"$@\" >>{}\n{succeed}\n", asked.display()),
        )
        .unwrap();
        std::fs::set_permissions(&nsenter, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn restarts(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.path("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    /// The pod's init containers, one after the other, until one fails.
    fn pod_starts(&self) -> bool {
        self.containers.iter().all(|container| self.run(container))
    }

    fn run(&self, container: &Value) -> bool {
        let mut command = if container["name"] == "dfinit" {
            let file = self.path("dfinit.yaml");
            std::fs::write(&file, &self.dfinit).unwrap();
            let mut dfinit = Command::new(binary().unwrap());
            dfinit
                .arg("dfinit")
                .arg("--config")
                .arg(file)
                .arg("--state-dir")
                .arg(self.path("state"));
            if container["args"]
                .as_array()
                .unwrap()
                .iter()
                .any(|word| word == "--undo")
            {
                dfinit.arg("--undo");
            }
            dfinit
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(container["args"][0].as_str().unwrap());
            let path = std::env::var_os("PATH").unwrap_or_default();
            let dirs = std::iter::once(self.path("bin")).chain(std::env::split_paths(&path));
            shell.env("PATH", std::env::join_paths(dirs).unwrap());
            shell.env("FILE", self.path("etc/containerd/config.toml"));
            shell.env("APPLIED", self.path("state/containerd.applied"));
            shell
        };
        command.output().unwrap().status.success()
    }

    fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap()
    }
}

#[test]
fn the_articles_node_pulls_through_its_peer_and_containerd_is_restarted_once() {
    for case in [ARTICLE_A, ARTICLE_B, CURRENT_A] {
        let node = Node::of(case);
        assert!(node.pod_starts(), "{}", case.name);
        let hosts = node.read("etc/containerd/certs.d/ghcr.io/hosts.toml");
        for part in ["https://ghcr.io", "http://127.0.0.1:4001", "X-Dragonfly-Registry"] {
            assert!(hosts.contains(part), "{part} in {hosts}");
        }
        assert!(node.read("etc/containerd/config.toml").contains("certs.d"));
        assert_eq!(node.restarts(), ["-t 1 -m -- systemctl restart containerd"]);
        assert!(node.pod_starts());
        assert_eq!(node.restarts().len(), 1, "{}: again without a change", case.name);
    }
}

#[test]
fn a_restart_that_failed_is_tried_again_and_one_that_was_cut_short_is_made_up_for() {
    let node = Node::of(ARTICLE_A);
    node.restarts_succeed(false);
    assert!(!node.pod_starts());
    node.restarts_succeed(true);
    assert!(node.pod_starts());
    assert_eq!(node.restarts().len(), 2);

    let node = Node::of(ARTICLE_A);
    // The pod ends after dfinit has changed the file.
    assert!(node.containers[..2].iter().all(|container| node.run(container)));
    assert!(node.restarts().is_empty());
    assert!(node.pod_starts());
    assert_eq!(node.restarts().len(), 1);
}

#[test]
fn a_file_that_dfinit_left_as_it_was_restarts_nothing() {
    let node = Node::of(ARTICLE_A);
    let config = node.path("etc/containerd/config.toml");
    let certs = node.path("etc/containerd/certs.d");
    let set_up =
        format!("{CONFIG_TOML}  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n    config_path = {certs:?}\n");
    std::fs::write(&config, &set_up).unwrap();
    assert!(node.pod_starts());
    assert_eq!(std::fs::read_to_string(&config).unwrap(), set_up);
    assert!(Path::new(&certs).join("ghcr.io/hosts.toml").exists());
    assert!(node.restarts().is_empty());
}

#[test]
fn uninstalling_puts_a_node_back_and_containerd_reads_it() {
    let case = ARTICLE_A.with(&["client.dfinit.undoAtUninstall=true"]);
    let node = Node::of(case);
    let objects = case.objects();
    let undo = objects.of("DaemonSet")["dragonfly-dfdaemon-undo"];
    let hook = |kind: &str| objects.of(kind)["dragonfly-dfdaemon-undo"]["metadata"]["annotations"].clone();
    let weights =
        ["Role", "DaemonSet", "Job"].map(|kind| hook(kind)["helm.sh/hook-weight"].as_str().unwrap().to_owned());
    assert_eq!(weights, ["-1", "0", "1"]);
    assert_eq!(hook("DaemonSet")["helm.sh/hook"], "pre-delete");
    let uninstall = || {
        let containers = undo["spec"]["template"]["spec"]["initContainers"].as_array().unwrap();
        containers.iter().all(|container| node.run(container))
    };
    assert!(uninstall(), "a node on which nothing was done");
    assert!(node.restarts().is_empty());
    assert!(node.pod_starts());
    assert!(uninstall());
    assert_eq!(node.read("etc/containerd/config.toml"), CONFIG_TOML);
    assert!(!node.path("etc/containerd/certs.d/ghcr.io/hosts.toml").exists());
    assert_eq!(node.restarts().len(), 2);
    assert!(uninstall());
    assert_eq!(node.restarts().len(), 2, "again without a change");
    assert!(
        !ARTICLE_A
            .objects()
            .of("DaemonSet")
            .contains_key("dragonfly-dfdaemon-undo")
    );
}
