//! What a release needs beside its pods: valid objects, few rights, few visitors, alerts that can fire.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dragonfly_testkit::manifests::{Checkov, Validator};
use dragonfly_testkit::packages::{self, PROMETHEUS};
use dragonfly_testkit::up::{Options, Up, as_url};
use dragonfly_testkit::{client, helm::Version, process};
use serde_json::Value;

use crate::{ARTICLE_A, ARTICLE_B, CASES, Case, DEFAULTS, EVERYTHING, helm};
use dragonfly_testkit::pods::Objects;

const WITHIN: Duration = Duration::from_secs(60);
/// What no snapshot has.
const AND_MORE: Case = Case {
    name: "and-more",
    settings: &[
        "client.dfinit.undoAtUninstall=true",
        "tls.enable=true",
        "manager.metrics.dashboard.enable=true",
    ],
    ..ARTICLE_A
};
const KUBERNETES: [&str; 10] = [
    "1.25", "1.26", "1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34",
];

#[test]
fn every_object_is_strictly_what_kubernetes_1_25_to_1_34_want() {
    let dir = tempfile::tempdir().unwrap();
    let validator = Validator::get(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let render = helm(Version::V4);
    let mut files = Vec::new();
    for case in CASES.iter().filter(|case| case.name != "nothing").chain([&AND_MORE]) {
        let file = dir.path().join(format!("{}.yaml", case.name));
        std::fs::write(&file, case.rendered(&render).unwrap()).unwrap();
        files.push(file);
    }
    for version in KUBERNETES {
        validator.judge(&files, version).unwrap();
    }
    let wrong = dir.path().join("wrong.yaml");
    std::fs::write(
        &wrong,
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {porst: []}\n",
    )
    .unwrap();
    validator.judge(&[wrong], "1.30").unwrap_err();
}

#[test]
fn no_container_has_more_rights_than_it_needs() {
    for case in CASES {
        for workload in case.objects().workloads() {
            let spec = &workload.pod["spec"];
            assert_eq!(
                spec["automountServiceAccountToken"], false,
                "{} {}",
                case.name, workload.name
            );
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            let of_the_node = spec["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .any(|volume| volume["hostPath"].is_object());
            let not_root = spec["securityContext"]["runAsNonRoot"] == true;
            assert_ne!(of_the_node, not_root, "{} {}", case.name, workload.name);
            for container in spec["containers"].as_array().unwrap() {
                let rights = &container["securityContext"];
                assert_eq!(rights["allowPrivilegeEscalation"], false);
                assert_eq!(rights["readOnlyRootFilesystem"], true);
                assert_eq!(rights["capabilities"]["drop"][0], "ALL");
                assert!(rights["privileged"].is_null());
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    assert!(container[probe].is_object(), "{} {probe}", workload.name);
                }
                assert!(container["resources"]["limits"].is_object(), "{}", workload.name);
            }
        }
    }
}

#[test]
fn only_the_restart_of_a_runtime_is_privileged() {
    let mut privileged = Vec::new();
    for case in CASES {
        for workload in case.objects().workloads() {
            let none = Vec::new();
            for container in workload.pod["spec"]["initContainers"].as_array().unwrap_or(&none) {
                let name = container["name"].as_str().unwrap();
                let rights = &container["securityContext"];
                assert_eq!(rights["readOnlyRootFilesystem"], true, "{name}");
                if rights["privileged"] == true {
                    privileged.push(name.to_owned());
                } else {
                    assert_eq!(rights["capabilities"]["drop"][0], "ALL", "{name}");
                }
            }
        }
    }
    privileged.dedup();
    assert_eq!(privileged, ["restart-containerd"]);
    let left_alone = ARTICLE_B
        .with(&["client.dfinit.restartContainerRuntime=false"])
        .objects();
    assert!(
        left_alone
            .workloads()
            .iter()
            .all(|workload| workload.pod["spec"]["hostPID"].is_null())
    );
}

#[test]
fn what_checkov_finds_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("release.yaml");
    let readme = std::fs::read_to_string(crate::chart().join("README.md")).unwrap();
    let explained: BTreeSet<String> = readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("CKV"))
        .map(str::to_owned)
        .collect();
    let checkov = Checkov::get(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let mut found = BTreeSet::new();
    for case in [ARTICLE_A, EVERYTHING] {
        std::fs::write(&file, case.rendered(&helm(Version::V4)).unwrap()).unwrap();
        let (failed, passed) = checkov.failed(&file).unwrap();
        assert!(passed > 100, "{passed}");
        found.extend(failed);
    }
    // Both ways: an explanation of what isn't found any more goes, too.
    assert_eq!(found, explained);
}

fn selector(of: &Value) -> std::collections::BTreeMap<String, String> {
    serde_json::from_value(of["matchLabels"].clone()).unwrap()
}

#[test]
fn policies_and_budgets_hold_for_one_workload_each() {
    for case in CASES {
        let objects = case.objects();
        for kind in ["NetworkPolicy", "PodDisruptionBudget"] {
            for (name, object) in objects.of(kind) {
                let of = if kind == "NetworkPolicy" {
                    "podSelector"
                } else {
                    "selector"
                };
                let selected = objects.selected(&selector(&object["spec"][of]));
                assert_eq!(selected.len(), 1, "{} {name}", case.name);
                if kind == "PodDisruptionBudget" {
                    assert!(selected[0].replicas > 1 || objects.of("HorizontalPodAutoscaler").contains_key(name));
                }
            }
        }
    }
    let budgets = |objects: &Objects| -> Vec<String> {
        objects
            .of("PodDisruptionBudget")
            .keys()
            .map(|name| (*name).to_owned())
            .collect()
    };
    let expected = ["dragonfly-manager", "dragonfly-scheduler", "dragonfly-seed-client"];
    assert_eq!(budgets(&DEFAULTS.objects()), expected);
    assert!(budgets(&ARTICLE_B.objects()).is_empty());
}

/// The sources that a policy lets in at a port: labels of pods, or networks; `None` for everybody.
fn let_in(objects: &Objects, policy: &str, port: &str) -> Option<Vec<String>> {
    let policies = objects.of("NetworkPolicy");
    let rules = policies[policy]["spec"]["ingress"].as_array().unwrap();
    let rule = rules
        .iter()
        .find(|rule| rule["ports"].as_array().unwrap().iter().any(|of| of["port"] == port));
    let from = rule.unwrap()["from"].as_array()?;
    Some(
        from.iter()
            .map(|from| match from["ipBlock"]["cidr"].as_str() {
                Some(network) => network.to_owned(),
                None => from["podSelector"]["matchLabels"]["component"]
                    .as_str()
                    .unwrap_or("any of ours")
                    .to_owned(),
            })
            .collect(),
    )
}

#[test]
fn only_those_who_must_reach_a_server_do() {
    let objects = EVERYTHING.objects();
    let expect = |policy, port, sources: &[&str]| {
        assert_eq!(let_in(&objects, policy, port).unwrap(), sources, "{policy} {port}");
    };
    expect("dragonfly-mysql", "mysql", &["manager"]);
    expect("dragonfly-redis-master", "redis", &["manager", "redis-replica"]);
    expect("dragonfly-redis-replica", "redis", &["manager"]);
    expect("dragonfly-scheduler", "grpc", &["any of ours", "10.1.0.0/16"]);
    assert_eq!(let_in(&objects, "dragonfly-manager", "grpc"), None);
    let isolated = DEFAULTS.with(&["networkPolicy.nodeCIDRs[0]=10.2.0.0/16"]).objects();
    let seeds = let_in(&isolated, "dragonfly-seed-client", "pieces").unwrap();
    assert_eq!(seeds, ["any of ours", "10.2.0.0/16"]);
    let off = DEFAULTS.with(&["networkPolicy.enable=false"]).objects();
    assert!(off.of("NetworkPolicy").is_empty());
}

/// The rules of a release, each in a file of its own, as Prometheus reads them.
pub(crate) fn rule_files(dir: &Path) -> Vec<PathBuf> {
    let objects = EVERYTHING.objects();
    let rules = objects.of("PrometheusRule");
    let write = |(name, rule): (&&str, &&Value)| {
        let file = dir.join(format!("{name}.rules"));
        // JSON is YAML.
        std::fs::write(&file, rule["spec"].to_string()).unwrap();
        file
    };
    rules.iter().map(write).collect()
}

#[test]
fn prometheus_accepts_the_rules() {
    packages::require(&[PROMETHEUS]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let files = rule_files(dir.path());
    assert_eq!(files.len(), 4);
    let output = Command::new(PROMETHEUS.1)
        .args(["check", "rules"])
        .args(files)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Only managers that have a Redis say how it is, and what fails is shown once it has failed.
const NOT_HERE: [&str; 3] = [
    "dragonfly_manager_redis_up",
    "dragonfly_scheduler_download_piece_finished_total",
    "dragonfly_scheduler_download_piece_finished_failure_total",
];

/// The names of our metrics in a text.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("dragonfly_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn programs_show_the_metrics_that_alerts_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let asked: BTreeSet<String> = rule_files(dir.path())
        .iter()
        .flat_map(|file| names(&std::fs::read_to_string(file).unwrap()))
        .collect();
    let up = Up::start(Options::with_peers(1)).await.unwrap();
    let client = client::builder().unwrap().build().unwrap();
    let ip = up.ip();
    // Some are shown only after they counted something: a request, a download that fails.
    let rest = as_url(&up.cluster().manager.rest);
    client.get(format!("{rest}/api/v1/clusters")).send().await.unwrap();
    let mut dfget = up.dfget(0);
    dfget
        .arg(format!("http://{ip}:9/nothing-is-served-here"))
        .arg("-O")
        .arg(dir.path().join("nothing"));
    process::output(dfget, WITHIN).await.unwrap();
    let mut shown = BTreeSet::new();
    for address in [
        format!("http://{ip}:8000"),
        format!("http://{ip}:8001"),
        up.cluster().peers[0].metrics.clone(),
    ] {
        let answer = client
            .get(format!("{}/metrics", as_url(&address)))
            .send()
            .await
            .unwrap();
        shown.extend(names(&answer.text().await.unwrap()));
    }
    for name in asked {
        let expected = !NOT_HERE.contains(&name.as_str());
        assert_eq!(shown.contains(&name), expected, "{name} in {shown:?}");
    }
}
