//! Dashboards, and the names of metrics in them and in alerts: each is one of the programs'.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use dragonfly_testkit::packages::{self, PROMETHEUS};
use serde_json::{Value, json};

use crate::production::{names, rule_files};
use crate::{Case, DEFAULTS, EVERYTHING, chart};

/// What a histogram's name has behind it where it is asked for.
const ENDS: [&str; 4] = ["_bucket", "_sum", "_count", ""];

/// Not in a snapshot, which would hold them four times.
const WITH_DASHBOARDS: Case = EVERYTHING.with(&[
    "manager.metrics.dashboard.enable=true",
    "scheduler.metrics.dashboard.enable=true",
    "seedClient.metrics.dashboard.enable=true",
    "client.metrics.dashboard.enable=true",
]);

/// The names that docs/metrics.md has from the programs themselves.
fn of_the_programs() -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

fn dashboards() -> BTreeMap<String, Value> {
    let objects = WITH_DASHBOARDS.objects();
    let maps = objects.of("ConfigMap");
    let dashboards = maps.iter().filter(|(name, _)| name.ends_with("-dashboard"));
    dashboards
        .map(|(name, map)| {
            let file = name.replace("-dashboard", ".json");
            let text = map["data"][&file]
                .as_str()
                .unwrap_or_else(|| panic!("{name} holds no {file}"));
            ((*name).to_owned(), serde_json::from_str(text).unwrap())
        })
        .collect()
}

#[test]
fn dashboards_and_alerts_ask_only_for_metrics_that_the_programs_have() {
    let known = of_the_programs();
    let dir = tempfile::tempdir().unwrap();
    let mut texts: Vec<String> = rule_files(dir.path())
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    texts.extend(dashboards().values().map(Value::to_string));
    let asked: BTreeSet<String> = texts.iter().flat_map(|text| names(text)).collect();
    assert!(asked.len() > 40, "{asked:?}");
    for name in asked {
        let is_known = ENDS
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|name| known.contains(name)));
        assert!(is_known, "{name} is none of {known:?}");
    }
    assert!(!known.contains("dragonfly_manager_no_such_metric"));
}

#[test]
fn every_component_has_a_dashboard_of_its_own_whose_questions_prometheus_understands() {
    packages::require(&[PROMETHEUS]).unwrap();
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.values().map(|one| one["uid"].as_str().unwrap()).collect();
    let titles: BTreeSet<&str> = dashboards.values().map(|one| one["title"].as_str().unwrap()).collect();
    assert_eq!((dashboards.len(), uids.len(), titles.len()), (4, 4, 4), "{titles:?}");
    let panels = dashboards.values().flat_map(|one| one["panels"].as_array().unwrap());
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let questions = targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m"));
    let rules: Vec<Value> = questions
        .enumerate()
        .map(|(number, question)| json!({"record": format!("q{number}"), "expr": question}))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("questions.rules");
    std::fs::write(
        &file,
        json!({"groups": [{"name": "dashboards", "rules": rules}]}).to_string(),
    )
    .unwrap();
    let output = Command::new(PROMETHEUS.1)
        .args(["check", "rules"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_dashboard_comes_unasked_and_each_file_is_one_by_itself() {
    let objects = DEFAULTS.objects();
    assert!(!objects.of("ConfigMap").keys().any(|name| name.ends_with("-dashboard")));
    for entry in std::fs::read_dir(chart().join("dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        assert!(dashboard["uid"].as_str().unwrap().starts_with("dragonfly-"));
    }
}
