//! What the book says is what there is: its links lead somewhere, the programs know the commands that it quotes, its reference of the
//! configuration is the code's, and the files that it shows are understood.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly_e2e::made::{made, root, said};
use dragonfly_testkit::helm::{Helm, Release, Version};
use dragonfly_testkit::up::binary;
use serde_json::Value;

/// A file that a page shows: the block whose first line is `# <name>`, written into a directory.
fn shown(page: &str, name: &str, dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let head = format!("```yaml\n# {name}\n");
    let (_, block) = text
        .split_once(&head)
        .unwrap_or_else(|| panic!("{page} shows no {name}"));
    let file = dir.join(Path::new(name).file_name().unwrap());
    std::fs::write(&file, block.split("```").next().unwrap()).unwrap();
    file
}

#[test]
fn links_lead_somewhere_commands_exist_and_the_reference_is_the_codes() {
    let judged = made(&["book", "--check"]).unwrap();
    assert!(judged.starts_with("book: "), "{judged}");
}

#[test]
fn the_values_of_its_two_clusters_are_those_of_the_chart() {
    let dir = tempfile::tempdir().unwrap();
    let helm = Helm::get(Version::V4, Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let chart = root().join("deploy/helm/dragonfly");
    let workloads = |name: &str, namespace: &str| {
        let values = shown("two-clusters.md", name, dir.path());
        let arguments = [format!("--values={}", values.display())];
        let release = Release {
            chart: &chart,
            name: "dragonfly",
            namespace,
            arguments: &arguments,
        };
        let objects = dragonfly_testkit::pods::Objects::read(&helm.template(release).unwrap()).unwrap();
        let configured: Value =
            serde_saphyr::from_str(&objects.file("dragonfly-scheduler", "scheduler.yaml").unwrap()).unwrap();
        let workloads: Vec<String> = objects.workloads().into_iter().map(|workload| workload.name).collect();
        (workloads, configured["manager"].clone())
    };
    let (first, _) = workloads("a.yaml", "cluster-a");
    assert!(first.contains(&"dragonfly-manager".to_owned()), "{first:?}");
    let (second, manager) = workloads("b.yaml", "cluster-b");
    assert_eq!(
        second,
        ["dragonfly-client", "dragonfly-scheduler", "dragonfly-seed-client"]
    );
    assert_eq!(manager["addr"], "dragonfly-manager.cluster-a.svc.cluster.local:65003");
    assert_eq!(manager["schedulerClusterID"], 2);
}

#[test]
fn its_file_for_dfinit_leads_containerd_through_the_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let file = shown("quick-start.md", "/etc/dragonfly/dfinit.yaml", dir.path());
    let own = dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("/etc/containerd/config.toml", own.to_str().unwrap()),
    )
    .unwrap();
    let mut dfinit = Command::new(binary().unwrap());
    dfinit.args(["dfinit", "--dry-run", "--config"]).arg(&file);
    let would = said(&dfinit.output().unwrap()).unwrap();
    assert!(would.contains("+[host.\"http://127.0.0.1:4001\"]"), "{would}");
    assert!(!own.exists(), "nothing was done");
}
