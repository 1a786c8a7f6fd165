//! The article's two releases: its pods, its names, its notes.

use std::collections::BTreeMap;

use dragonfly_testkit::pods::Objects;
use serde_json::Value;

use crate::{ARTICLE_A, ARTICLE_B, Case, here};

fn pods(case: Case) -> Vec<String> {
    let mut pods: Vec<String> = case
        .objects()
        .workloads()
        .iter()
        .flat_map(|workload| workload.pods())
        .collect();
    pods.sort();
    pods
}

#[test]
fn the_first_cluster_has_the_articles_pods() {
    assert_eq!(
        pods(ARTICLE_A),
        [
            "dragonfly-dfdaemon-*",
            "dragonfly-jaeger-*-*",
            "dragonfly-manager-*-*",
            "dragonfly-mysql-0",
            "dragonfly-redis-master-0",
            "dragonfly-redis-replicas-0",
            "dragonfly-redis-replicas-1",
            "dragonfly-redis-replicas-2",
            "dragonfly-scheduler-0",
            "dragonfly-seed-peer-0",
        ]
    );
}

#[test]
fn the_second_cluster_has_the_articles_pods() {
    assert_eq!(
        pods(ARTICLE_B),
        [
            "dragonfly-dfdaemon-*",
            "dragonfly-jaeger-*-*",
            "dragonfly-scheduler-0",
            "dragonfly-seed-peer-0"
        ]
    );
}

#[test]
fn pods_go_to_the_nodes_of_their_cluster_and_run_our_binary() {
    for (case, cluster) in [(ARTICLE_A, "a"), (ARTICLE_B, "b")] {
        let programs = [
            ("manager", "manager"),
            ("scheduler", "scheduler"),
            ("seed-peer", "dfdaemon"),
            ("dfdaemon", "dfdaemon"),
        ];
        for workload in case.objects().workloads() {
            let component = workload.pod["metadata"]["labels"]["component"].as_str().unwrap();
            let Some((_, program)) = programs.iter().find(|(name, _)| *name == component) else {
                continue;
            };
            assert_eq!(workload.pod["spec"]["nodeSelector"]["cluster"], cluster, "{component}");
            let container = workload.container();
            assert_eq!(
                container["command"],
                serde_json::json!(["/usr/local/bin/dragonfly", program])
            );
            assert_eq!(container["image"], "dragonfly:0.0.0", "{component}");
            assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{component}");
        }
    }
}

#[test]
fn images_keep_the_articles_names_if_asked_to() {
    let objects = ARTICLE_A.with(&["global.keepImages=true"]).objects();
    let images: Vec<String> = objects
        .workloads()
        .iter()
        .map(|workload| workload.container()["image"].as_str().unwrap().to_owned())
        .filter(|image| image.contains("dragonfly"))
        .collect();
    assert_eq!(
        images,
        [
            "dragonflyoss/dfdaemon:latest",
            "dragonflyoss/manager:latest",
            "dragonflyoss/scheduler:latest",
            "dragonflyoss/dfdaemon:latest"
        ]
    );
}

#[test]
fn the_articles_service_selects_the_manager_and_its_rest_port() {
    let service: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(here("article/manager-rest-svc.yaml")).unwrap()).unwrap();
    let selector = serde_json::from_value(service["spec"]["selector"].clone()).unwrap();
    let objects = ARTICLE_A.objects();
    let selected = objects.selected(&selector);
    assert_eq!(selected.len(), 1);
    assert_eq!(selected[0].name, "dragonfly-manager");
    let ports = selected[0].container()["ports"].as_array().unwrap();
    assert!(
        ports
            .iter()
            .any(|port| port["containerPort"] == service["spec"]["ports"][0]["port"])
    );
}

#[test]
fn the_second_cluster_asks_the_manager_of_the_first() {
    let objects = ARTICLE_B.objects();
    let manager = "dragonfly-manager.cluster-a.svc.cluster.local:65003";
    let read =
        |object: &str, file: &str| -> Value { serde_saphyr::from_str(&objects.file(object, file).unwrap()).unwrap() };
    let scheduler = read("dragonfly-scheduler", "scheduler.yaml");
    assert_eq!(scheduler["manager"]["addr"], manager);
    assert_eq!(scheduler["manager"]["schedulerClusterID"], 2);
    let seed = read("dragonfly-seed-peer", "dfdaemon.yaml");
    assert_eq!(seed["manager"]["addr"], manager);
    assert_eq!(seed["seedPeer"]["clusterID"], 2);
    assert_eq!(seed["seedPeer"]["enable"], true);
    let peer = read("dragonfly-dfdaemon", "dfdaemon.yaml");
    assert_eq!(peer["manager"]["addr"], manager);
    assert_eq!(peer["host"]["idc"], "cluster-2");
    assert!(ARTICLE_A.objects().of("Service").contains_key("dragonfly-manager"));
}

/// The selectors of `kubectl get pods -l "…"` in a text, with the component of each.
fn selectors(notes: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    notes
        .split("-l \"")
        .skip(1)
        .map(|rest| {
            let pairs = rest.split('"').next().unwrap().split(',');
            let selector: BTreeMap<String, String> = pairs
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            (selector["component"].clone(), selector)
        })
        .collect()
}

fn first_port(objects: &Objects, selector: &BTreeMap<String, String>) -> u64 {
    let selected = objects.selected(selector);
    assert_eq!(selected.len(), 1, "{selector:?}");
    selected[0].container()["ports"][0]["containerPort"].as_u64().unwrap()
}

#[test]
fn the_commands_of_the_notes_find_what_they_name() {
    for case in [ARTICLE_A, ARTICLE_B] {
        let (notes, objects) = (case.notes(), case.objects());
        let selectors = selectors(&notes);
        assert_eq!(first_port(&objects, &selectors["scheduler"]), 8002);
        let proxy = first_port(&objects, &selectors["dfdaemon"]);
        assert_eq!(proxy, 4001);
        assert!(notes.contains("containerd is led through the proxy"), "{notes}");
        assert!(notes.contains("get services dragonfly-jaeger-query"), "{notes}");
        assert_eq!(
            objects.of("Service")["dragonfly-jaeger-query"]["spec"]["ports"][0]["port"],
            16686
        );
        assert!(notes.contains(&format!("--namespace {}", case.namespace)), "{notes}");
        for point in ["1. ", "2. ", "3. ", "4. "] {
            assert!(notes.lines().any(|line| line.starts_with(point)), "{point} in {notes}");
        }
    }
    let second = ARTICLE_B.notes();
    assert!(second.contains("externalManager.enable: "), "{second}");
    let without = ARTICLE_A.with(&["jaeger.enable=false"]).notes();
    assert!(!without.contains("16686"), "{without}");
}
