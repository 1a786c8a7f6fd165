//! `cargo xtask test`: the suites, counted together.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cargo::{cargo, release_binary, root, step};

/// Tests that want the same things around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Rooms by themselves
    Unit,
    /// The lab with real services of Debian's packages
    Services,
    /// What the chart renders, by real Helm, and what the release binary says of it
    Chart,
    /// The release binary between real programs
    E2e,
}

/// The package of two suites, and which of its test binaries is the chart's.
const E2E: &str = "dragonfly-e2e";
const CHART: &str = "chart";

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs one suite, or all of them one after the other, and fails if any test did.
pub(crate) fn run(suite: Option<Suite>) -> Result<String> {
    let suites = suite.map_or_else(|| Suite::value_variants().to_vec(), |suite| vec![suite]);
    let mut total = Count::default();
    let mut failed = false;
    for suite in suites {
        let name = format!("tests: {}", suite.name());
        let done = step(&name, || {
            let (count, held) = suite.run()?;
            total.passed += count.passed;
            total.failed += count.failed;
            if !held {
                bail!("{} of {} tests failed", count.failed, count.passed + count.failed);
            }
            Ok(())
        });
        if let Err(error) = done {
            eprintln!("error: {error:#}");
            failed = true;
        }
    }
    let summary = format!("{} passed, {} failed", total.passed, total.failed);
    if failed {
        println!("{summary}");
        bail!("the tests failed");
    }
    Ok(summary)
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Services => "services",
            Self::Chart => "chart",
            Self::E2e => "e2e",
        }
    }

    /// The package that it consists of, `None` for all that are in no other suite.
    fn package(self) -> Option<&'static str> {
        match self {
            Self::Unit => None,
            Self::Services => Some("dragonfly-testkit"),
            Self::Chart | Self::E2e => Some(E2E),
        }
    }

    fn run(self) -> Result<(Count, bool)> {
        let mut command = if has_nextest() { self.nextest() } else { self.libtest() };
        if self.package() == Some(E2E) {
            command.env("DRAGONFLY_BIN", release_binary()?);
        }
        let (output, held) = watched(&mut command)?;
        let count = count(&output);
        if held && count.passed == 0 {
            bail!("no test ran");
        }
        Ok((count, held))
    }

    fn nextest(self) -> Command {
        let filter = match self.package() {
            Some(package) if self == Self::Chart => format!("package({package}) and binary({CHART})"),
            Some(package) if self == Self::E2e => format!("package({package}) and not binary({CHART})"),
            Some(package) => format!("package({package})"),
            None => packages()
                .iter()
                .map(|package| format!("not package({package})"))
                .collect::<Vec<_>>()
                .join(" and "),
        };
        // The whole workspace, whatever the filter: one build of the dependencies serves every suite.
        let mut command = cargo(&["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "-E"]);
        command.arg(filter);
        command
    }

    fn libtest(self) -> Command {
        let mut command = cargo(&["test", "--locked", "--no-fail-fast"]);
        match self.package() {
            Some(package) if self == Self::Chart => command.args(["--package", package, "--test", CHART]),
            Some(package) if self == Self::E2e => {
                command.args(["--package", package, "--lib"]);
                command.args(
                    e2e_binaries()
                        .into_iter()
                        .flat_map(|binary| ["--test".to_owned(), binary]),
                )
            }
            Some(package) => command.args(["--package", package]),
            None => command
                .arg("--workspace")
                .args(packages().iter().flat_map(|package| ["--exclude", package])),
        };
        if self == Self::E2e {
            command.args(["--", "--test-threads=1"]);
        }
        command
    }
}

/// The packages that suites consist of, each once.
fn packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = Suite::value_variants()
        .iter()
        .filter_map(|suite| suite.package())
        .collect();
    packages.dedup();
    packages
}

/// The test binaries of the end-to-end suite: one file each, where the chart's tests are a folder.
fn e2e_binaries() -> Vec<String> {
    let files = std::fs::read_dir(root().join("e2e/tests"))
        .into_iter()
        .flatten()
        .flatten();
    let mut binaries: Vec<String> = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    binaries.sort();
    binaries
}

fn has_nextest() -> bool {
    let asked = cargo(&["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Runs a command with all of its output on our stderr, and returns that too.
fn watched(command: &mut Command) -> Result<(String, bool)> {
    let what = format!("{command:?}");
    let mut running = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {what}"))?;
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    let output = thread::scope(|scope| -> Result<Vec<u8>> {
        let stderr = scope.spawn(|| passed_on(stderr));
        let mut all = passed_on(stdout)?;
        all.extend(stderr.join().ok().context("reading its output")??);
        Ok(all)
    })?;
    Ok((String::from_utf8_lossy(&output).into_owned(), running.wait()?.success()))
}

fn passed_on(from: Option<impl Read>) -> Result<Vec<u8>> {
    let mut from = from.context("a pipe")?;
    let mut all = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return Ok(all);
        }
        std::io::stderr().write_all(&buffer[..got])?;
        all.extend_from_slice(&buffer[..got]);
    }
}

/// Adds up the closing lines of nextest and of cargo's own test runner. What nextest cites of a test is indented deeper.
fn count(output: &str) -> Count {
    let plain = without_colours(output);
    let mut total = Count::default();
    for line in plain.lines() {
        let closing = line.trim_start().starts_with("Summary [") || line.starts_with("test result: ");
        if closing {
            let passed = number_before(line, " passed");
            // What timed out or couldn't be run has failed as well.
            let of_all = number_before(line, " tests run").max(number_before(line, " test run"));
            total.passed += passed;
            total.failed += number_before(line, " failed").max(of_all.saturating_sub(passed));
        }
    }
    total
}

fn number_before(line: &str, word: &str) -> u64 {
    let before = line
        .split(word)
        .next()
        .filter(|before| before.len() < line.len())
        .unwrap_or_default();
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().unwrap_or(0)
}

/// The text without terminal sequences.
fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let nextest = "     Summary [   3.653s] 18 tests run: 16 passed (1 slow), 1 failed, 1 timed out, 2 skipped\n";
        assert_eq!(count(nextest), Count { passed: 16, failed: 2 });
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped\n";
        assert_eq!(count(coloured), Count { passed: 1, failed: 0 });
        let libtest =
            "test result: ok. 3 passed; 0 failed; 0 ignored\ntest a ... ok\ntest result: FAILED. 1 passed; 2 failed;\n";
        assert_eq!(count(libtest), Count { passed: 4, failed: 2 });
        let cited = "    test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(count(&format!("{cited}error: could not compile")), Count::default());
    }

    #[test]
    fn every_suite_is_asked_of_the_runner_by_its_packages() {
        let arguments = |command: &Command| {
            command
                .get_args()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let unit = arguments(&Suite::Unit.nextest());
        assert!(
            unit.ends_with("not package(dragonfly-testkit) and not package(dragonfly-e2e)"),
            "{unit}"
        );
        let services = arguments(&Suite::Services.libtest());
        assert!(services.ends_with("--package dragonfly-testkit"), "{services}");
        let e2e = arguments(&Suite::E2e.libtest());
        assert!(e2e.ends_with("--test-threads=1"), "{e2e}");
        assert!(e2e.contains("--test images") && !e2e.contains(CHART), "{e2e}");
        let e2e = arguments(&Suite::E2e.nextest());
        assert!(e2e.ends_with("package(dragonfly-e2e) and not binary(chart)"), "{e2e}");
        let chart = arguments(&Suite::Chart.nextest());
        assert!(chart.ends_with("package(dragonfly-e2e) and binary(chart)"), "{chart}");
        let chart = arguments(&Suite::Chart.libtest());
        assert!(chart.ends_with("--package dragonfly-e2e --test chart"), "{chart}");
    }
}
