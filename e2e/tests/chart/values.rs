//! What values may say, and that old and new keys mean the same.

use std::collections::BTreeSet;
use std::process::Command;

use dragonfly_testkit::helm::Version;
use dragonfly_testkit::up::binary;
use serde_json::Value;

use crate::{CURRENT_B, DEFAULTS, KEYS_OF_2023, chart};

fn schema() -> Value {
    serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap()
}

#[test]
fn an_unknown_key_is_refused_with_the_keys_that_are_known() {
    for (setting, known) in [
        (&["sceduler.replicas=1"], "scheduler"),
        (&["manager.replica=1"], "replicas"),
        (&["client.config.storge.dir=x"], "storage"),
        (&["dfdaemon.config.download.totalRatelimit=1Mi"], "totalRateLimit"),
        (&["global.keepImage=true"], "keepImages"),
    ] {
        for version in [Version::V3, Version::V4] {
            let said = DEFAULTS.with(setting).refused(version);
            let key = setting[0]
                .split('=')
                .next()
                .unwrap()
                .rsplit('.')
                .find(|key| said.contains(key));
            assert!(key.is_some() && said.contains(known), "{setting:?}: {said}");
        }
    }
}

#[test]
fn values_that_can_not_be_are_refused() {
    for (setting, word) in [
        (&["manager.replicas=0"], "replicas"),
        (&["manager.restPort=70000"], "restPort"),
        (&["manager.enable=perhaps"], "enable"),
        (&["trainer.enable=true"], "trainer"),
        (&["mysql.enable=false"], "manager.replicas is 3"),
        (
            &["dfdaemon.config.proxy.proxies[0].regx=a,dfdaemon.config.proxy.proxies[0].direct=true"],
            "direct",
        ),
    ] {
        let said = DEFAULTS.with(setting).refused(Version::V4);
        assert!(said.contains(word), "{setting:?}: {said}");
    }
}

#[test]
fn the_schema_knows_the_sections_that_the_programs_know() {
    let dir = tempfile::tempdir().unwrap();
    let schema = schema();
    // What the chart itself understands, beside the program's own sections.
    for (definition, program, charts) in [
        ("configOfManager", "manager", &["jaeger"][..]),
        ("configOfScheduler", "scheduler", &[]),
        ("configOfPeer", "dfdaemon", &["console"]),
    ] {
        let file = dir.path().join("x.yaml");
        std::fs::write(&file, "zzzzzzzzzzzzzzzz: 1\n").unwrap();
        let mut command = Command::new(binary().unwrap());
        let output = command
            .args([program, "--check-config", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let (_, known) = said.split_once("known here: ").unwrap_or_else(|| panic!("{said}"));
        let known: BTreeSet<&str> = known.split(',').map(str::trim).chain(charts.iter().copied()).collect();
        let sections = schema["definitions"][definition]["propertyNames"]["enum"]
            .as_array()
            .unwrap();
        let sections: BTreeSet<&str> = sections.iter().map(|section| section.as_str().unwrap()).collect();
        assert_eq!(sections, known, "{program}");
    }
}

#[test]
fn keys_of_2023_mean_what_todays_mean() {
    let old = DEFAULTS.with(&[
        "seedPeer.config.scheduler.manager.netAddrs[0].addr=m.example.com:65003",
        "seedPeer.config.scheduler.manager.seedPeer.clusterID=2",
        "seedPeer.config.host.idc=here",
        "seedPeer.config.download.totalRateLimit=2048Mi",
        "seedPeer.config.storage.taskExpireTime=6h",
        "seedPeer.config.keepStorage=false",
        "seedPeer.config.proxy.registryMirror.url=https://registry.example.com",
        "seedPeer.replicas=2",
    ]);
    let new = DEFAULTS.with(&[
        "seedClient.name=seed-peer",
        "seedClient.config.manager.addr=m.example.com:65003",
        "seedClient.config.seedPeer.clusterID=2",
        "seedClient.config.host.idc=here",
        "seedClient.config.download.bandwidthLimit=2048Mi",
        "seedClient.config.gc.policy.taskTTL=6h",
        "seedClient.config.storage.keep=false",
        "seedClient.config.proxy.registryMirror.addr=https://registry.example.com",
        "seedClient.replicas=2",
    ]);
    let helm = crate::helm(Version::V4);
    assert_eq!(old.rendered(&helm).unwrap(), new.rendered(&helm).unwrap());
}

#[test]
fn a_pinned_cluster_is_also_the_seed_peers_cluster() {
    let text = CURRENT_B
        .objects()
        .file("dragonfly-seed-client", "dfdaemon.yaml")
        .unwrap();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(config["host"]["schedulerClusterID"], 2);
    assert_eq!(config["seedPeer"]["clusterID"], 2);
}

#[test]
fn what_has_no_effect_is_said_in_the_notes_and_nothing_else_is() {
    let notes = KEYS_OF_2023.notes();
    for key in [
        "seedPeer.config.objectStorage",
        "dfdaemon.initContainer",
        "mysql.primary",
        "manager.config.jaeger",
    ] {
        assert!(notes.contains(&format!("  {key}: ")), "{key} in {notes}");
    }
    let plain = DEFAULTS.notes();
    assert!(!plain.contains("without effect"), "{plain}");
}
