//! Each lint of the workspace, and each banned function, really stops the code that it is about: clippy is run on a
//! crate that breaks all of them, under the very tables of this workspace.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Code that breaks one lint each.
const OFFENCES: &[(&str, &str)] = &[
    ("unsafe_code", "pub fn raw(p: *const u8) -> u8 { unsafe { *p } }"),
    (
        "unreachable_pub",
        "mod inner { pub fn hidden() {} } pub fn calls_hidden() { inner::hidden() }",
    ),
    ("missing_docs", "pub fn undocumented() {}"),
    (
        "clippy::unwrap_used",
        "pub fn unwraps(x: Option<u8>) -> u8 { x.unwrap() }",
    ),
    (
        "clippy::await_holding_lock",
        "pub async fn holds(m: &std::sync::Mutex<u8>) { if let Ok(g) = m.lock() { std::future::ready(()).await; drop(g); } }",
    ),
    (
        "clippy::let_underscore_must_use",
        "pub fn ignores() { let _ = \"1\".parse::<u8>(); }",
    ),
    (
        "clippy::large_futures",
        "pub async fn large() { let x = [0u8; 40000]; std::future::ready(()).await; drop(x); }\n\
         pub async fn holds_large() { large().await }",
    ),
    (
        "clippy::allow_attributes_without_reason",
        "#[allow(dead_code)] fn unexplained() {}",
    ),
    ("clippy::dbg_macro", "pub fn debugs() { dbg!(1); }"),
    ("clippy::todo", "pub fn later() { todo!() }"),
    ("clippy::unimplemented", "pub fn never() { unimplemented!() }"),
    (
        "clippy::too_many_arguments",
        "pub fn six(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}",
    ),
];

/// Functions of crates that aren't compiled for this test; the bans look at paths only.
const STAND_IN_TOKIO: &str = "pub fn spawn() {} pub mod sync { pub mod mpsc { pub fn unbounded_channel() {} } }";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The lines of one table of a TOML file, up to the next.
fn table<'a>(toml: &'a str, header: &str) -> Vec<&'a str> {
    let after = toml.split(&format!("[{header}]\n")).nth(1).unwrap();
    after
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('='))
        .collect()
}

/// The paths that a clippy.toml bans.
fn banned(clippy: &str) -> Vec<String> {
    let paths = clippy.split("path = \"").skip(1);
    paths
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// A crate that breaks everything, under the tables of this workspace and one clippy.toml.
fn write_offender(dir: &Path, manifest: &str, clippy: &str) {
    let mut toml = String::from(
        "[package]\nname = \"offender\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\ntokio = { path = \"tokio\" }\n",
    );
    for kind in ["rust", "clippy"] {
        let lints = table(manifest, &format!("workspace.lints.{kind}")).join("\n");
        toml.push_str(&format!("[lints.{kind}]\n{lints}\n"));
    }
    let mut code: String = OFFENCES.iter().map(|(_, code)| format!("{code}\n")).collect();
    code.push_str(&format!(
        "pub fn long() {{\n{}}}\n",
        "std::hint::black_box(1);\n".repeat(71)
    ));
    let (open, close) = ("if std::hint::black_box(true) {\n".repeat(8), "}\n".repeat(8));
    code.push_str(&format!(
        "pub fn deep() {{\n{open}std::hint::black_box(1);\n{close}}}\n"
    ));
    for (number, path) in banned(clippy).iter().enumerate() {
        let argument = if path == "std::env::var" { "\"HOME\"" } else { "" };
        code.push_str(&format!("pub fn banned_{number}() {{ drop({path}({argument})); }}\n"));
    }
    for (path, text) in [
        ("Cargo.toml", toml.as_str()),
        ("clippy.toml", clippy),
        ("src/lib.rs", &code),
        (
            "tokio/Cargo.toml",
            "[package]\nname = \"tokio\"\nversion = \"0.0.0\"\nedition = \"2024\"\n",
        ),
        ("tokio/src/lib.rs", STAND_IN_TOKIO),
    ] {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// The lints that clippy names and the whole of what it says.
fn complaints(dir: &Path) -> (BTreeSet<String>, String) {
    let output = Command::new("cargo")
        .args([
            "clippy",
            "--offline",
            "--quiet",
            "--message-format=json",
            "--",
            "--deny",
            "warnings",
        ])
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "clippy let everything pass");
    let said = String::from_utf8(output.stdout).unwrap();
    let messages = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let codes = messages.filter_map(|message| Some(message["message"]["code"]["code"].as_str()?.to_owned()));
    (codes.collect(), said)
}

#[test]
fn every_lint_of_the_workspace_stops_the_code_it_is_about() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let clippy = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_offender(dir.path(), &manifest, &clippy);
    let (named, said) = complaints(dir.path());

    for (kind, prefix) in [("rust", ""), ("clippy", "clippy::")] {
        for line in table(&manifest, &format!("workspace.lints.{kind}")) {
            let lint = format!("{prefix}{}", line.split('=').next().unwrap().trim());
            assert!(named.contains(&lint), "{lint} stopped nothing; named were {named:?}");
        }
    }
    for (lint, _) in OFFENCES {
        assert!(named.contains(*lint), "{lint} stopped nothing; named were {named:?}");
    }
    for path in banned(&clippy) {
        assert!(
            said.contains(&format!("use of a disallowed method `{path}`")),
            "{path} passed"
        );
    }
}

#[test]
fn a_clippy_toml_of_a_room_bans_clocks_and_keeps_the_thresholds() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let of_workspace = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    for room in ["model", "scheduling"] {
        let path: PathBuf = root().join("crates").join(room).join("clippy.toml");
        let of_room = std::fs::read_to_string(&path).unwrap();
        // Futures have no place in these rooms.
        let kept = of_workspace
            .lines()
            .filter(|line| line.contains("-threshold") && !line.starts_with("future-size"));
        for line in kept {
            assert!(
                of_room.lines().any(|own| own == line),
                "{} lacks {line}",
                path.display()
            );
        }
        for clock in ["std::time::Instant::now", "std::time::SystemTime::now", "std::env::var"] {
            assert!(
                banned(&of_room).iter().any(|path| path == clock),
                "{} lacks {clock}",
                path.display()
            );
        }
        let dir = tempfile::tempdir().unwrap();
        write_offender(dir.path(), &manifest, &of_room);
        let (_, said) = complaints(dir.path());
        for path in banned(&of_room) {
            assert!(
                said.contains(&format!("use of a disallowed method `{path}`")),
                "{path} passed"
            );
        }
    }
}
