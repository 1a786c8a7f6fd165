//! The audit map: every published weakness of Dragonfly, and the tests that fail if it were here.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;

use crate::cargo::root;

const MAP: &str = "docs/security/audit-map.md";
/// Findings of the audit, numbered from 1.
const FINDINGS: u32 = 19;
const CVES: [&str; 15] = [
    "CVE-2023-27584",
    "CVE-2025-59345",
    "CVE-2025-59346",
    "CVE-2025-59347",
    "CVE-2025-59348",
    "CVE-2025-59349",
    "CVE-2025-59350",
    "CVE-2025-59351",
    "CVE-2025-59352",
    "CVE-2025-59353",
    "CVE-2025-59354",
    "CVE-2025-59410",
    "CVE-2026-24124",
    "CVE-2026-49254",
    "CVE-2026-54637",
];

/// Whether the map has a row for each weakness, and each row tests that there are.
pub(crate) fn run() -> Result<()> {
    let map = fs::read_to_string(root().join(MAP)).with_context(|| format!("reading {MAP}"))?;
    let problems = problems(&map, |path| fs::read_to_string(root().join(path)).ok());
    if !problems.is_empty() {
        bail!("{MAP}: {}", problems.join("; "));
    }
    Ok(())
}

fn problems(map: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = rows(map);
    let wanted = (1..=FINDINGS).map(|number| format!("TOB-DF2-{number}"));
    let wanted: Vec<String> = wanted.chain(CVES.map(str::to_owned)).collect();
    let mut problems = Vec::new();
    for name in &wanted {
        match rows.get(name.as_str()).map(Vec::as_slice) {
            None => problems.push(format!("{name} has no row")),
            Some([]) => problems.push(format!("{name} names no test")),
            Some(tests) => problems.extend(tests.iter().filter_map(|test| missing(test, &read))),
        }
    }
    let strange = rows.keys().filter(|name| wanted.iter().all(|wanted| wanted != *name));
    problems.extend(strange.map(|name| format!("{name} is no weakness that is known")));
    problems
}

/// The rows of the tables by what they are about, with the tests that each names as `path#test`.
fn rows(map: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in map.lines().filter(|line| line.starts_with("| ")) {
        let name = line.split('|').nth(1).map_or("", str::trim);
        if name.starts_with("TOB-") || name.starts_with("CVE-") {
            let quoted = line.split('`').skip(1).step_by(2);
            rows.entry(name)
                .or_default()
                .extend(quoted.filter(|text| text.contains(".rs#")));
        }
    }
    rows
}

/// What is wrong with a test that the map names.
fn missing(test: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (path, name) = test.split_once('#')?;
    let Some(text) = read(path) else {
        return Some(format!("there is no {path}"));
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let definition = format!("fn {name}(");
    let is_test = |at: usize| {
        // Its attributes stand above it, up to the end of whatever comes before.
        let attributes = lines[..at]
            .iter()
            .rev()
            .take_while(|line| !line.is_empty() && **line != "}");
        let attributes: Vec<_> = attributes.collect();
        let has = |start: &str| attributes.iter().any(|line| line.starts_with(start));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    };
    // Or a list of functions makes tests of them, `on_every_engine!`.
    let listed = lines.contains(&name);
    let defined = (0..lines.len()).any(|at| lines[at].contains(&definition) && (listed || is_test(at)));
    (!defined).then(|| format!("{path} has no test {name} that is run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "#[test]\nfn sound() {\n}\n\n#[tokio::test]\n#[ignore = \"slow\"]\nasync fn ignored() {\n}\n\nfn helper() {\n}\n";

    fn problems_with(row: &str) -> Vec<String> {
        let whole: String = (1..=FINDINGS)
            .map(|number| format!("TOB-DF2-{number}"))
            .chain(CVES.map(str::to_owned))
            .filter(|name| name != "TOB-DF2-4")
            .map(|name| format!("| {name} | what | `a.rs#sound` |\n"))
            .collect();
        problems(&(whole + row), |path| (path == "a.rs").then(|| SOURCE.to_owned()))
    }

    #[test]
    fn every_weakness_has_tests_that_are_run() {
        assert!(problems_with("| TOB-DF2-4 | what | `a.rs#sound` |\n").is_empty());
        let wrong = [
            "",
            "| TOB-DF2-4 | what | none |\n",
            "| TOB-DF2-4 | what | `a.rs#ignored` |\n",
            "| TOB-DF2-4 | what | `a.rs#helper` |\n",
            "| TOB-DF2-4 | what | `a.rs#sound`, `a.rs#soun` |\n",
            "| TOB-DF2-4 | what | `b.rs#sound` |\n",
        ];
        for row in wrong {
            assert_eq!(problems_with(row).len(), 1, "{row}: {:?}", problems_with(row));
        }
        assert_eq!(
            problems_with("| TOB-DF2-4 | what | `a.rs#sound` |\n| TOB-DF2-20 | what | `a.rs#sound` |\n").len(),
            1
        );
    }

    /// TOB-DF2-7 and TOB-DF2-16: the compiler refuses an error that nobody looks at.
    #[test]
    fn no_error_is_dropped_unseen() {
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let lints = manifest.split("[workspace.lints.clippy]").nth(1).unwrap();
        let lints = lints.split("\n[").next().unwrap();
        for lint in ["let_underscore_must_use", "unwrap_used", "todo", "unimplemented"] {
            assert!(lints.contains(&format!("\n{lint} = \"warn\"")), "{lint}");
        }
        assert!(!manifest.contains("unused_must_use"));
        let check = fs::read_to_string(root().join("xtask/src/check.rs")).unwrap();
        assert!(check.contains("\"--deny\",\n        \"warnings\""));
    }

    #[test]
    fn the_map_of_this_repository_is_whole() {
        run().unwrap();
    }
}
