//! What the binary is made of, in CycloneDX: the crates that cargo resolved for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Value, json};

use crate::cargo::root;

const PROGRAM: &str = "dragonfly-cli";

/// Writes it to a file, as of a moment such as `2026-11-26T00:00:00Z`.
pub(crate) fn write(to: &Path, moment: &str) -> Result<()> {
    let mut command = MetadataCommand::new();
    let metadata = command
        .current_dir(root())
        .other_options(vec!["--locked".to_owned()])
        .exec()?;
    let bill = bill(&metadata, moment)?;
    std::fs::write(to, serde_json::to_string_pretty(&bill)?).with_context(|| format!("writing {}", to.display()))
}

fn bill(metadata: &Metadata, moment: &str) -> Result<Value> {
    let resolved = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let packages: BTreeMap<&PackageId, &Package> = metadata.packages.iter().map(|one| (&one.id, one)).collect();
    // What is only built with, or only tested with, is not in the binary.
    let needs: BTreeMap<&PackageId, Vec<&PackageId>> = resolved
        .nodes
        .iter()
        .map(|node| {
            let linked = node.deps.iter().filter(|dependency| {
                let mut kinds = dependency.dep_kinds.iter();
                kinds.any(|kind| kind.kind == DependencyKind::Normal)
            });
            (&node.id, linked.map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    let program = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == PROGRAM);
    let program = program.with_context(|| format!("no package {PROGRAM}"))?;
    let mut parts = BTreeSet::new();
    let mut to_visit = vec![&program.id];
    while let Some(id) = to_visit.pop() {
        if parts.insert(id) {
            to_visit.extend(needs.get(id).into_iter().flatten());
        }
    }
    let names: BTreeMap<&PackageId, String> = parts.iter().map(|id| (*id, purl(packages[id]))).collect();
    let components = parts
        .iter()
        .filter(|id| **id != &program.id)
        .map(|id| component(packages[id], "library"));
    let dependencies = parts.iter().map(|id| {
        let on: BTreeSet<&String> = needs.get(id).into_iter().flatten().map(|id| &names[id]).collect();
        json!({"ref": names[id], "dependsOn": on})
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": moment, "component": component(program, "application")},
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

fn component(package: &Package, kind: &str) -> Value {
    let purl = purl(package);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name.as_str(),
        "version": package.version.to_string(),
        "purl": purl,
    });
    if let Some(license) = &package.license {
        // Some old crates write `MIT/Apache-2.0`, which is no expression of SPDX.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    component
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_s_crates_are_in_it_and_the_tests_are_not() {
        let metadata = MetadataCommand::new().current_dir(root()).exec().unwrap();
        let bill = bill(&metadata, "2026-11-26T00:00:00Z").unwrap();
        let names: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        for name in ["tokio", "rustls", "dragonfly-model"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(!names.contains(&"dragonfly-testkit"));
        assert_eq!(bill["metadata"]["component"]["name"], PROGRAM);
    }
}
