//! Tells the binary which commit it was built from. Without git, or outside a clone, it says so.

use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let date = git(&["log", "-1", "--format=%cs"]);
    println!("cargo:rustc-env=DRAGONFLY_COMMIT={commit}");
    println!("cargo:rustc-env=DRAGONFLY_COMMIT_DATE={date}");
    println!("cargo:rerun-if-changed=build.rs");
    // The log of HEAD changes with each commit and checkout, and only then.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]);
    if std::path::Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output();
    let text = output.ok().filter(|output| output.status.success());
    text.and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
