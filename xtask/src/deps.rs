//! `cargo xtask deps`: which room may know which, and how long a file may be.
//!
//! The table below is the one of docs/ARCHITECTURE.md. What isn't drawn is forbidden, a room without a row included.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::cargo::root;

/// Rooms and the rooms that they may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("service", &[]),
    ("api", &["model"]),
    ("scheduling", &["model"]),
    ("storage", &["model"]),
    ("source", &["model"]),
    ("transfer", &["model", "storage", "source"]),
    ("manager", &["model", "api", "service", "source"]),
    ("scheduler", &["model", "api", "service", "scheduling", "source"]),
    ("peer", &["model", "api", "service", "storage", "source", "transfer"]),
    ("cli", &["model", "api", "service", "manager", "scheduler", "peer"]),
    ("testkit", ANY),
    (
        "bench",
        &[
            "model",
            "api",
            "service",
            "scheduling",
            "transfer",
            "manager",
            "scheduler",
            "testkit",
        ],
    ),
    ("e2e", &["testkit"]),
    ("xtask", &["testkit"]),
];

/// May know every room.
const ANY: &[&str] = &["*"];

/// Known by the tests of any room, and by no room outside its tests.
const OF_TESTS: &str = "testkit";

/// The only room with a program of the product in it.
const BINARY: &str = "cli";

/// Of the project and not of the product: they live at the root and may have programs of their own.
const TOOLS: &[&str] = &["bench", "e2e", "xtask"];

const LONGEST_FILE: usize = 800;
const LONGEST_MAIN: usize = 80;

/// A crate of the workspace as far as the rules look at it.
#[derive(Clone, Debug)]
struct Room {
    name: String,
    /// Its folder, from the root of the workspace.
    folder: PathBuf,
    knows: Vec<Arrow>,
    inherits_lints: bool,
    has_binary: bool,
}

/// One dependency on another crate of the workspace.
#[derive(Clone, Debug)]
struct Arrow {
    to: String,
    for_tests: bool,
}

/// Checks the workspace; the error lists everything that is wrong.
pub(crate) fn run() -> Result<String> {
    let rooms = rooms()?;
    let files = rust_files(root())?;
    let mut wrong: Vec<String> = rooms.iter().flat_map(problems).collect();
    for path in &files {
        let text = std::fs::read_to_string(root().join(path)).with_context(|| format!("reading {}", path.display()))?;
        wrong.extend(too_long(path, &text));
    }
    if !wrong.is_empty() {
        bail!("{} rules broken\n  {}", wrong.len(), wrong.join("\n  "));
    }
    let arrows: usize = rooms.iter().map(|room| room.knows.len()).sum();
    Ok(format!(
        "deps: {} rooms, {arrows} arrows, {} files: all as drawn",
        rooms.len(),
        files.len()
    ))
}

fn problems(room: &Room) -> Vec<String> {
    let name = &room.name;
    let mut wrong = Vec::new();
    let Some((_, may_know)) = ROOMS.iter().find(|(known, _)| known == name) else {
        return vec![format!("{name} has no row in the table of rooms")];
    };
    let expected = match name.as_str() {
        name if TOOLS.contains(&name) => PathBuf::from(name),
        room => Path::new("crates").join(room),
    };
    if room.folder != expected {
        wrong.push(format!(
            "{name} lives in {}, not in {}",
            room.folder.display(),
            expected.display()
        ));
    }
    if !room.inherits_lints {
        wrong.push(format!("{name} doesn't inherit the workspace's lints"));
    }
    if room.has_binary && name != BINARY && !TOOLS.contains(&name.as_str()) {
        wrong.push(format!("{name} has a binary; the product's only one is in {BINARY}"));
    }
    for arrow in &room.knows {
        let drawn = *may_know == ANY || may_know.contains(&arrow.to.as_str());
        let of_tests = arrow.for_tests && arrow.to == OF_TESTS;
        if !drawn && !of_tests {
            let when = if arrow.for_tests { " in its tests" } else { "" };
            wrong.push(format!("{name} must not know {}{when}", arrow.to));
        }
    }
    wrong
}

fn too_long(path: &Path, text: &str) -> Option<String> {
    // The root of a folder of tests is called main.rs too, and is a file like any other.
    let limit = if path.ends_with("src/main.rs") {
        LONGEST_MAIN
    } else {
        LONGEST_FILE
    };
    let lines = text.lines().count();
    let generated = text.lines().take(3).any(|line| line.contains("@generated"));
    let over = lines > limit && !generated;
    over.then(|| format!("{} has {lines} lines, more than {limit}", path.display()))
}

fn rooms() -> Result<Vec<Room>> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    let packages = metadata.workspace_packages();
    let ours: Vec<String> = packages.iter().map(|package| package.name.to_string()).collect();
    packages.iter().map(|package| room(package, &ours)).collect()
}

fn room(package: &Package, ours: &[String]) -> Result<Room> {
    let manifest = std::fs::read_to_string(&package.manifest_path)?;
    let folder = package
        .manifest_path
        .as_std_path()
        .parent()
        .context("a manifest lies in a folder")?;
    let knows = package
        .dependencies
        .iter()
        .filter(|dependency| ours.contains(&dependency.name));
    Ok(Room {
        name: room_name(&package.name),
        folder: folder.strip_prefix(root())?.to_owned(),
        knows: knows
            .map(|dependency| Arrow {
                to: room_name(&dependency.name),
                for_tests: dependency.kind == DependencyKind::Development,
            })
            .collect(),
        inherits_lints: inherits_lints(&manifest),
        has_binary: package.targets.iter().any(cargo_metadata::Target::is_bin),
    })
}

fn room_name(package: &str) -> String {
    package.strip_prefix("dragonfly-").unwrap_or(package).to_owned()
}

fn inherits_lints(manifest: &str) -> bool {
    let lints = manifest.split("[lints]").nth(1).unwrap_or_default();
    lints.trim_start().starts_with("workspace = true")
}

/// Every Rust file of the workspace, from its root.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["bench", "crates", "e2e", "xtask"]
        .map(|folder| root.join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(name: &str, knows: &[(&str, bool)]) -> Room {
        let folder = if TOOLS.contains(&name) {
            name.into()
        } else {
            Path::new("crates").join(name)
        };
        let knows = knows
            .iter()
            .map(|(to, for_tests)| Arrow {
                to: (*to).to_owned(),
                for_tests: *for_tests,
            })
            .collect();
        Room {
            name: name.to_owned(),
            folder,
            knows,
            inherits_lints: true,
            has_binary: name == "cli",
        }
    }

    #[test]
    fn this_workspace_is_as_drawn() {
        let wrong: Vec<String> = rooms().unwrap().iter().flat_map(problems).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(
            rust_files(root())
                .unwrap()
                .contains(&PathBuf::from("xtask/src/deps.rs"))
        );
    }

    #[test]
    fn the_architecture_draws_the_same_arrows() {
        let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
        let mut drawn = 0;
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            for path in cells[1].split(", ") {
                let name = path.trim_matches('`').trim_start_matches("crates/");
                let (_, knows) = ROOMS
                    .iter()
                    .find(|(room, _)| *room == name)
                    .unwrap_or_else(|| panic!("{name}"));
                let knows = match *knows {
                    [] => "nothing".to_owned(),
                    ["*"] => "any".to_owned(),
                    knows => knows.join(", "),
                };
                assert!(
                    cells[3] == knows || cells[3] == format!("{knows} of ours"),
                    "{name} knows {knows}: {row}"
                );
                drawn += 1;
            }
        }
        assert_eq!(drawn, ROOMS.len());
    }

    #[test]
    fn the_four_programs_never_know_each_other() {
        let programs = ["manager", "scheduler", "peer", "cli"];
        for one in programs {
            for other in programs.iter().filter(|other| **other != one) {
                let wrong = problems(&sound(one, &[(other, false)]));
                assert_eq!(wrong.is_empty(), one == "cli", "{one} -> {other}: {wrong:?}");
            }
        }
    }

    #[test]
    fn pure_rooms_and_service_know_what_is_drawn_and_nothing_else() {
        for (room, other) in [
            ("model", "api"),
            ("service", "model"),
            ("scheduling", "service"),
            ("storage", "service"),
            ("source", "storage"),
            ("transfer", "service"),
            ("scheduler", "storage"),
            ("manager", "scheduling"),
            ("cli", "transfer"),
            ("e2e", "peer"),
            ("xtask", "cli"),
            ("bench", "peer"),
        ] {
            for for_tests in [false, true] {
                let wrong = problems(&sound(room, &[(other, for_tests)]));
                assert_eq!(wrong.len(), 1, "{room} -> {other}");
                assert!(wrong[0].contains(&format!("{room} must not know {other}")), "{wrong:?}");
            }
        }
        let drawn = sound("transfer", &[("model", false), ("storage", false), ("source", true)]);
        assert!(problems(&drawn).is_empty());
    }

    #[test]
    fn testkit_is_known_by_tests_and_by_tools() {
        assert!(problems(&sound("peer", &[("testkit", true)])).is_empty());
        assert_eq!(problems(&sound("peer", &[("testkit", false)])).len(), 1);
        assert!(problems(&sound("e2e", &[("testkit", false)])).is_empty());
        assert!(problems(&sound("testkit", &[("manager", false), ("peer", false)])).is_empty());
    }

    #[test]
    fn a_room_without_a_row_or_lints_or_in_the_wrong_place_is_named() {
        assert!(problems(&sound("util", &[]))[0].contains("no row"));
        let room = sound("model", &[]);
        assert!(
            problems(&Room {
                inherits_lints: false,
                ..room.clone()
            })[0]
                .contains("lints")
        );
        assert!(
            problems(&Room {
                folder: "model".into(),
                ..room.clone()
            })[0]
                .contains("lives in")
        );
        assert!(
            problems(&Room {
                has_binary: true,
                ..room
            })[0]
                .contains("binary")
        );
        assert!(inherits_lints("[package]\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\n[lints.clippy]\nall = \"allow\"\n"));
    }

    #[test]
    fn long_files_and_long_mains_are_named_unless_generated() {
        let lines = |count| "x\n".repeat(count);
        assert_eq!(too_long(Path::new("crates/a/src/b.rs"), &lines(800)), None);
        assert!(too_long(Path::new("crates/a/src/b.rs"), &lines(801)).is_some());
        assert!(too_long(Path::new("crates/cli/src/main.rs"), &lines(81)).is_some());
        assert_eq!(
            too_long(
                Path::new("crates/a/src/b.rs"),
                &format!("// @generated\n{}", lines(900))
            ),
            None
        );
    }
}
