//! The links to the manager with certificates: who has which, and that the programs are told.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::configs::{checked, programs};
use crate::{Case, DEFAULTS, helm};
use dragonfly_testkit::helm::Version;

const BY_HAND: Case = DEFAULTS.with(&["tls.enable=true"]);
const BY_CERT_MANAGER: Case = DEFAULTS.with(&[
    "tls.enable=true",
    "tls.certManager.enable=true",
    "tls.certManager.issuerRef.name=authority",
    "tls.dnsNames[0]=manager.example.com",
]);

#[test]
fn every_program_is_told_of_the_certificate_that_its_pod_has() {
    let dir = tempfile::tempdir().unwrap();
    let programs = programs(&BY_HAND.objects());
    assert_eq!(programs.len(), 4);
    for (workload, program, file, text) in programs {
        let path = dir.path().join(&file);
        std::fs::write(&path, &text).unwrap();
        checked(&program, &path).unwrap();
        let config: Value = serde_saphyr::from_str(&text).unwrap();
        let told = match program.as_str() {
            "manager" => &config["server"]["grpc"]["tls"],
            "scheduler" => &config["manager"]["tls"],
            _ => &config["manager"],
        };
        let mounts = workload.container()["volumeMounts"].to_string();
        for (key, name) in [("caCert", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")] {
            assert_eq!(told[key], format!("/etc/dragonfly-tls/{name}"), "{text}");
        }
        assert!(mounts.contains("/etc/dragonfly-tls"), "{mounts}");
        let volumes = workload.pod["spec"]["volumes"].to_string();
        assert!(volumes.contains(&format!("\"{}-tls\"", workload.name)), "{volumes}");
    }
    assert!(!DEFAULTS.rendered(&helm(Version::V4)).unwrap().contains("dragonfly-tls"));
}

#[test]
fn cert_manager_makes_each_of_them_and_the_managers_has_its_names() {
    let objects = BY_CERT_MANAGER.objects();
    let certificates = objects.of("Certificate");
    let secrets: BTreeSet<&str> = certificates
        .values()
        .map(|one| one["spec"]["secretName"].as_str().unwrap())
        .collect();
    let wanted: BTreeSet<String> = programs(&objects)
        .iter()
        .map(|(one, ..)| format!("{}-tls", one.name))
        .collect();
    assert_eq!(secrets, wanted.iter().map(String::as_str).collect());
    let names = certificates["dragonfly-manager"]["spec"]["dnsNames"].to_string();
    for name in [
        "dragonfly-manager.dragonfly-system.svc.cluster.local",
        "manager.example.com",
    ] {
        assert!(names.contains(name), "{names}");
    }
    for (name, one) in &certificates {
        assert_eq!(one["spec"]["issuerRef"]["name"], "authority", "{name}");
    }
    assert!(BY_HAND.objects().of("Certificate").is_empty());
    let said = DEFAULTS
        .with(&["tls.enable=true", "tls.certManager.enable=true"])
        .refused(Version::V4);
    assert!(said.contains("tls.certManager.issuerRef.name"), "{said}");
}
