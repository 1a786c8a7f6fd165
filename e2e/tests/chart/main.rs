//! The chart `deploy/helm/dragonfly`, rendered by the real Helm: for the article's two files, for today's keys, with
//! everything on and everything off.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

mod article;
mod configs;
mod nodes;
mod observed;
mod production;
mod readme;
mod snapshots;
mod tls;
mod values;

use std::path::{Path, PathBuf};

use anyhow::Result;
use dragonfly_testkit::helm::{Helm, Release, Version};
use dragonfly_testkit::pods::Objects;

/// Passwords that a render without a cluster would choose anew each time.
const PASSWORDS: [&str; 3] = [
    "mysql.auth.password=mysql-password",
    "mysql.auth.rootPassword=mysql-root-password",
    "redis.auth.password=redis-password",
];

/// A release to be, with the values that it is made of.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Also the name of its snapshot.
    name: &'static str,
    /// Its values, a file beside this one.
    file: Option<&'static str>,
    namespace: &'static str,
    /// Further settings, as `--set` takes them.
    settings: &'static [&'static str],
}

const ARTICLE_A: Case = Case::of("article-a", "article/charts-config-cluster-a.yaml", "cluster-a");
const ARTICLE_B: Case = Case::of("article-b", "article/charts-config-cluster-b.yaml", "cluster-b");
const DEFAULTS: Case = Case {
    name: "defaults",
    file: None,
    namespace: "dragonfly-system",
    settings: &[],
};
const CURRENT_A: Case = Case::of("current-a", "values/current-a.yaml", "cluster-a");
const CURRENT_B: Case = Case::of("current-b", "values/current-b.yaml", "cluster-b");
const STANDALONE: Case = Case::of("standalone", "values/standalone.yaml", "dragonfly-system");
const KEYS_OF_2023: Case = Case::of("keys-of-2023", "values/keys-of-2023.yaml", "dragonfly-system");
const EVERYTHING: Case = Case::of("everything", "values/everything.yaml", "dragonfly-system");
const NOTHING: Case = Case::of("nothing", "values/nothing.yaml", "dragonfly-system");
const CASES: [Case; 9] = [
    ARTICLE_A,
    ARTICLE_B,
    DEFAULTS,
    CURRENT_A,
    CURRENT_B,
    STANDALONE,
    KEYS_OF_2023,
    EVERYTHING,
    NOTHING,
];

impl Case {
    const fn of(name: &'static str, file: &'static str, namespace: &'static str) -> Self {
        Self {
            name,
            file: Some(file),
            namespace,
            settings: &[],
        }
    }

    const fn with(self, settings: &'static [&'static str]) -> Self {
        Self { settings, ..self }
    }

    fn arguments(&self) -> Vec<String> {
        let file = self.file.map(|file| format!("--values={}", here(file).display()));
        let settings = PASSWORDS.iter().chain(self.settings);
        file.into_iter()
            .chain(settings.map(|setting| format!("--set={setting}")))
            .collect()
    }

    /// What Helm would send to Kubernetes.
    fn rendered(&self, helm: &Helm) -> Result<String> {
        self.asked(|release| helm.template(release))
    }

    fn objects(&self) -> Objects {
        Objects::read(&self.rendered(&helm(Version::V4)).unwrap()).unwrap()
    }

    fn notes(&self) -> String {
        self.asked(|release| helm(Version::V4).notes(release)).unwrap()
    }

    /// What Helm says against these values.
    fn refused(&self, version: Version) -> String {
        format!("{:#}", self.rendered(&helm(version)).unwrap_err())
    }

    fn asked(&self, ask: impl FnOnce(Release<'_>) -> Result<String>) -> Result<String> {
        ask(Release {
            chart: &chart(),
            name: "dragonfly",
            namespace: self.namespace,
            arguments: &self.arguments(),
        })
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart").join(file)
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/dragonfly")
}

fn helm(version: Version) -> Helm {
    Helm::get(version, Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

#[test]
fn both_helms_find_nothing_to_complain_about() {
    for version in [Version::V3, Version::V4] {
        for case in CASES {
            let said = helm(version).lint(&chart(), &case.arguments()).unwrap();
            assert!(
                said.contains("1 chart(s) linted, 0 chart(s) failed"),
                "{}: {said}",
                case.name
            );
        }
    }
}

#[test]
fn both_helms_render_the_same() {
    for case in CASES {
        let [third, fourth] = [Version::V3, Version::V4].map(|version| case.rendered(&helm(version)).unwrap());
        assert_eq!(third, fourth, "{}", case.name);
    }
}
