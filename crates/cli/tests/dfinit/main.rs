//! `dfinit` on the configuration files that nodes really have: little is changed, everything is undone to the letter, and
//! a second run finds nothing to do.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails where it stands")]

use dragonfly_testkit::packages::{self, CONTAINERD};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A host of its own: one runtime's file, and dfinit's.
struct Host {
    dir: TempDir,
    file: PathBuf,
}

impl Host {
    /// With the fixture of that name, if it is one, as the file of this runtime.
    fn new(fixture: &str, runtime: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("etc").join(fixture);
        let hosts = dir.path().join("certs.d");
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/dfinit/files")
            .join(fixture);
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        if let Ok(text) = std::fs::read_to_string(from) {
            std::fs::write(&file, text.replace("@HOSTS@", hosts.to_str().unwrap())).unwrap();
        }
        let registries = match runtime {
            "containerd" => format!(
                "    hostsPath: {}\n    registries:\n    - hostNamespace: docker.io\n      serverAddr: \
                 https://index.docker.io\n    - hostNamespace: ghcr.io\n      serverAddr: https://ghcr.io\n",
                hosts.display()
            ),
            "docker" => String::new(),
            _ => "    registries:\n    - prefix: docker.io\n      location: docker.io\n".to_owned(),
        };
        let text = format!(
            "containerRuntime:\n  {runtime}:\n    configPath: {}\n{registries}",
            file.display()
        );
        std::fs::write(dir.path().join("dfinit.yaml"), text).unwrap();
        Self { dir, file }
    }

    fn dfinit(&self, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dragonfly"))
            .arg("dfinit")
            .arg("--config")
            .arg(self.dir.path().join("dfinit.yaml"))
            .arg("--state-dir")
            .arg(self.dir.path().join("state"))
            .args(flags)
            .output()
            .unwrap()
    }

    /// What a run that must succeed says.
    fn said(&self, flags: &[&str]) -> String {
        let output = self.dfinit(flags);
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags:?}: {said}{errors}");
        said
    }

    /// Every file of the host but dfinit's own, with its content.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("state") {
                    dirs.push(path);
                } else if path.is_file() {
                    found.insert(path.clone(), std::fs::read_to_string(path).unwrap());
                }
            }
        }
        found
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }
}

/// Lines that a diff takes out.
fn removed(diff: &str) -> Vec<&str> {
    let lines = diff.lines();
    lines
        .filter(|line| line.starts_with('-') && !line.starts_with("---"))
        .collect()
}

/// Shows, does, does again, undoes; what the file was in between.
fn there_and_back(fixture: &str, runtime: &str, replaced: usize) -> String {
    let host = Host::new(fixture, runtime);
    let before = host.files();
    let diff = host.said(&["--dry-run"]);
    assert_eq!(host.files(), before, "{fixture}: a dry run changes nothing");
    assert_eq!(removed(&diff).len(), replaced, "{fixture}: {diff}");
    host.said(&[]);
    let after = host.files();
    assert_ne!(after, before, "{fixture}");
    assert_eq!(host.said(&[]), "nothing to change\n", "{fixture}");
    assert_eq!(host.said(&["--dry-run"]), "", "{fixture}");
    assert_eq!(host.files(), after, "{fixture}: a second run changes nothing");
    let text = std::fs::read_to_string(&host.file).unwrap_or_default();
    host.said(&["--undo"]);
    assert_eq!(host.files(), before, "{fixture}: everything is as it was");
    assert_eq!(host.said(&["--undo"]), "nothing to undo\n");
    text
}

#[test]
fn containerd_files_of_both_formats_are_led_and_put_back() {
    for (fixture, replaced) in [
        ("kubeadm.toml", 0),
        ("kind.toml", 0),
        ("hosts.toml", 0),
        // One line for a mirror whose list stands in it; the other list gets a line.
        ("mirrors.toml", 1),
        ("auth.toml", 0),
        ("tls.toml", 1),
        ("docker-package.toml", 0),
        ("three.toml", 1),
        ("no-such-file.toml", 0),
    ] {
        there_and_back(fixture, "containerd", replaced);
    }
}

#[test]
fn docker_and_registries_files_are_led_and_put_back() {
    // The last member gets a comma.
    let text = there_and_back("daemon.json", "docker", 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["log-opts"]["max-size"], "100m");
    there_and_back("daemon-no-proxy.json", "docker", 1);
    for runtime in ["crio", "podman"] {
        there_and_back("fedora.conf", runtime, 0);
        there_and_back("corp.conf", runtime, 0);
    }
}

#[test]
fn containerd_itself_understands_what_was_written() {
    packages::require(&[CONTAINERD]).unwrap();
    for fixture in [
        "kubeadm.toml",
        "kind.toml",
        "hosts.toml",
        "mirrors.toml",
        "auth.toml",
        "tls.toml",
    ] {
        let host = Host::new(fixture, "containerd");
        host.said(&[]);
        let dump = Command::new(CONTAINERD.1)
            .arg("--config")
            .arg(&host.file)
            .args(["config", "dump"])
            .output()
            .unwrap();
        assert!(
            dump.status.success(),
            "{fixture}: {}",
            String::from_utf8_lossy(&dump.stderr)
        );
        let dump = String::from_utf8(dump.stdout).unwrap();
        let hosts = host.dir.path().join("certs.d");
        let led = dump.contains(&format!("config_path = \"{}", hosts.display()))
            || dump.contains("endpoint = [\"http://127.0.0.1:4001\"");
        assert!(led, "{fixture}: {dump}");
        for kept in ["p4ssw0rd", "corp.pem", "https://mirror.corp"] {
            assert_eq!(dump.contains(kept), host.text().contains(kept), "{fixture}: {kept}");
        }
    }
}

#[test]
fn a_restart_is_asked_for_only_where_it_is_needed() {
    assert!(
        Host::new("kubeadm.toml", "containerd")
            .said(&[])
            .contains("systemctl restart containerd")
    );
    assert!(!Host::new("hosts.toml", "containerd").said(&[]).contains("systemctl"));
    assert!(
        Host::new("daemon.json", "docker")
            .said(&[])
            .contains("systemctl restart docker")
    );
    let host = Host::new("kind.toml", "containerd");
    host.said(&[]);
    assert!(host.said(&["--undo"]).contains("systemctl restart containerd"));
    assert!(
        Host::new("corp.conf", "crio")
            .said(&[])
            .contains("systemctl reload crio")
    );
    assert!(!Host::new("corp.conf", "podman").said(&[]).contains("systemctl"));
}

#[test]
fn a_file_that_cannot_be_understood_is_named_and_nothing_is_changed() {
    let host = Host::new("kubeadm.toml", "containerd");
    std::fs::write(&host.file, "version = [\n").unwrap();
    let before = host.files();
    let output = host.dfinit(&[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("kubeadm.toml") && error.contains("TOML"), "{error}");
    assert_eq!(host.files(), before);
}
