//! The files that the pods read: every one is read back by the program that it is for.

use std::path::Path;
use std::process::Command;

use dragonfly_testkit::up::binary;
use serde_json::Value;

use crate::{CASES, Case, STANDALONE};
use dragonfly_testkit::pods::{Objects, Workload};

/// The programs of a release: the workload, the program, its file's name and text.
pub(crate) fn programs(objects: &Objects) -> Vec<(Workload, String, String, String)> {
    let program = |workload: Workload| {
        let program = workload.container()["command"][1].as_str()?.to_owned();
        let file = workload.container()["args"][0]
            .as_str()?
            .strip_prefix("--config=/etc/dragonfly/")?
            .to_owned();
        let volumes = workload.pod["spec"]["volumes"].as_array().unwrap().clone();
        let volume = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
        let object = volume["configMap"]["name"]
            .as_str()
            .or_else(|| volume["secret"]["secretName"].as_str());
        let text = objects.file(object.unwrap(), &file);
        let text = text.unwrap_or_else(|| panic!("{object:?} holds no {file}"));
        Some((workload, program, file, text))
    };
    objects.workloads().into_iter().filter_map(program).collect()
}

/// What a program says of a file.
pub(crate) fn checked(program: &str, file: &Path) -> Result<String, String> {
    let mut command = Command::new(binary().unwrap());
    let output = command
        .arg(program)
        .arg("--check-config")
        .arg("--config")
        .arg(file)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    if output.status.success() { Ok(out) } else { Err(err) }
}

#[test]
fn every_program_accepts_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for case in CASES {
        for (workload, program, file, text) in programs(&case.objects()) {
            let path = dir.path().join(&file);
            std::fs::write(&path, &text).unwrap();
            let said = checked(&program, &path);
            assert!(said.is_ok(), "{} {}: {said:?}\n{text}", case.name, workload.name);
            seen.push(format!("{} {}", case.name, workload.name));
        }
    }
    for expected in [
        "article-a dragonfly-manager",
        "article-b dragonfly-dfdaemon",
        "everything dragonfly-seed-client",
    ] {
        assert!(seen.iter().any(|seen| seen == expected), "{expected} in {seen:?}");
    }
    std::fs::write(dir.path().join("dfdaemon.yaml"), "storge: {}\n").unwrap();
    checked("dfdaemon", &dir.path().join("dfdaemon.yaml")).unwrap_err();
}

#[test]
fn no_config_map_holds_a_credential() {
    for case in CASES {
        for (name, object) in case.objects().of("ConfigMap") {
            let text = object["data"].to_string().to_lowercase();
            assert!(!text.contains("password"), "{} {name}: {text}", case.name);
        }
    }
}

fn manager(case: Case) -> Value {
    serde_saphyr::from_str(&case.objects().file("dragonfly-manager", "manager.yaml").unwrap()).unwrap()
}

#[test]
fn the_embedded_mode_has_no_servers_beside_it_and_keeps_its_data() {
    let config = manager(STANDALONE);
    assert!(
        config["database"]["mysql"].is_null() && config["database"]["redis"].is_null(),
        "{config}"
    );
    let objects = STANDALONE.objects();
    let managers: Vec<Workload> = objects
        .workloads()
        .into_iter()
        .filter(|workload| workload.name.contains("manager"))
        .collect();
    assert_eq!((managers.len(), managers[0].replicas), (1, 1));
    let volumes = managers[0].pod["spec"]["volumes"].to_string();
    assert!(volumes.contains(r#""claimName":"dragonfly-manager""#), "{volumes}");
    assert!(objects.of("PersistentVolumeClaim").contains_key("dragonfly-manager"));
    assert!(
        !objects
            .workloads()
            .iter()
            .any(|workload| workload.name.contains("mysql") || workload.name.contains("redis"))
    );
}

#[test]
fn the_manager_reads_the_passwords_of_the_servers_beside_it() {
    let config = manager(crate::DEFAULTS);
    assert_eq!(config["database"]["mysql"]["password"], "mysql-password");
    assert_eq!(config["database"]["redis"]["password"], "redis-password");
    let objects = crate::DEFAULTS.objects();
    assert_eq!(
        objects.of("Secret")["dragonfly-redis"]["stringData"]["password"],
        "redis-password"
    );
    for (server, host) in [("mysql", "dragonfly-mysql"), ("redis", "dragonfly-redis-master")] {
        let text = config["database"][server].to_string();
        assert!(
            text.contains(&format!("{host}.dragonfly-system.svc.cluster.local")),
            "{text}"
        );
        assert!(objects.of("Service").contains_key(host));
    }
}
