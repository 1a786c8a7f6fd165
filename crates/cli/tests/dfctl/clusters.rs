//! `dfctl cluster create`, `edit` and `delete`.

use super::{as_root, manager, said};
use serde_json::Value;

fn json(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_cluster_is_made_edited_in_part_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let as_root = |arguments: &[&str]| as_root(&url, arguments);
    let made = as_root(&["cluster", "create", "b", "--idc", "b", "--cidr", "10.2.0.0/16"]);
    let text = said(&made);
    assert!(made.status.success(), "{text}");
    for part in ["10.2.0.0/16", "manager.schedulerClusterID: 2", "seedPeer.clusterID: 2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let matched = said(&as_root(&["cluster", "match", "--ip", "10.2.0.9"]));
    assert!(matched.starts_with("cluster 2 (b)"), "{matched}");
    let edited = json(&as_root(&[
        "cluster",
        "edit",
        "2",
        "--name",
        "lab",
        "--cidr",
        "",
        "--job-rate-limit",
        "3",
        "--output",
        "json",
    ]));
    assert_eq!(
        (&edited["name"], &edited["scopes"]["idc"]),
        (&"lab".into(), &"b".into()),
        "{edited}"
    );
    assert_eq!(edited["scopes"]["cidrs"], Value::Array(Vec::new()));
    let schedulers = &edited["scheduler_cluster_config"];
    assert_eq!(
        (&schedulers["job_rate_limit"], &schedulers["candidate_parent_limit"]),
        (&3.into(), &3.into())
    );
    let removed = as_root(&["cluster", "delete", "2"]);
    assert!(
        removed.status.success() && removed.stdout.is_empty(),
        "{}",
        said(&removed)
    );
    assert!(!said(&as_root(&["cluster", "ls"])).contains("lab"));
}

#[tokio::test]
async fn a_default_cluster_passes_on_its_duty_and_cannot_be_removed_before() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let as_root = |arguments: &[&str]| as_root(&url, arguments);
    let refused = as_root(&["cluster", "delete", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("default"), "{}", said(&refused));
    let made = json(&as_root(&["cluster", "create", "b", "--default", "--output", "json"]));
    assert_eq!((&made["id"], &made["is_default"]), (&2.into(), &true.into()));
    assert!(as_root(&["cluster", "rm", "1"]).status.success());
    let clusters = json(&as_root(&["cluster", "ls", "--output", "json"]));
    assert_eq!(clusters.as_array().map(Vec::len), Some(1), "{clusters}");
}

#[tokio::test]
async fn what_the_manager_refuses_is_said_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, url) = manager(dir.path()).await;
    let before = said(&as_root(&url, &["cluster", "ls"]));
    for (arguments, reason) in [
        (&["create", "cluster-1"][..], "cluster-1"),
        (&["create", "b", "--candidate-parent-limit", "21"], "1 to 20"),
        (&["create", "b", "--cidr", "10.2.0.0/99"], "10.2.0.0/99"),
        (&["create", "b", "--hostname", "["], "hostnames"),
        (&["edit", "1"], "nothing to change in cluster 1"),
        (&["edit", "7", "--name", "b"], "7"),
        (&["delete", "7"], "7"),
    ] {
        let refused = as_root(&url, &[&["cluster"], arguments].concat());
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {}", said(&refused));
        assert!(said(&refused).contains(reason), "{arguments:?}: {}", said(&refused));
    }
    assert_eq!(said(&as_root(&url, &["cluster", "ls"])), before);
}
