//! The binary as a user meets it: help, versions, completions, configurations that can't be, ports that are taken.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");

/// The binary without what this machine's environment says.
fn dragonfly(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().args(arguments);
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it, expects this exit code.
fn run(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_verb_has_help_with_examples() {
    for verb in [
        "up",
        "dfget",
        "dfcache",
        "dfctl",
        "dfdaemon",
        "scheduler",
        "manager",
        "completions",
    ] {
        let help = stdout(&run(dragonfly(&[verb, "--help"]), 0));
        assert!(help.contains("Examples:") && help.contains("Usage:"), "{verb}: {help}");
    }
    let help = stdout(&run(dragonfly(&["--help"]), 0));
    assert!(help.contains("dfget") && help.contains("up"), "{help}");
}

#[test]
fn versions_have_upstreams_form() {
    for (arguments, name) in [
        (["--version"].as_slice(), "dragonfly"),
        (&["dfget", "--version"], "dfget"),
        (&["manager", "-V"], "manager"),
    ] {
        let version = stdout(&run(dragonfly(arguments), 0));
        let rest = version.trim_end().strip_prefix(name).unwrap();
        let (number, commit) = rest.trim_start().split_once(" (").unwrap();
        assert_eq!(number.split('.').count(), 3, "{version}");
        assert_eq!(commit.strip_suffix(')').unwrap().split(", ").count(), 2, "{version}");
    }
}

#[test]
fn a_link_acts_as_the_tool_of_its_name() {
    for name in [
        "dfget",
        "dfcache",
        "dfctl",
        "dfinit",
        "dfdaemon",
        "scheduler",
        "manager",
    ] {
        let mut command = dragonfly(&["--version"]);
        command.arg0(format!("/usr/bin/{name}"));
        assert!(stdout(&run(command, 0)).starts_with(&format!("{name} ")));
    }
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            stdout(&run(dragonfly(&["completions", shell]), 0)).contains("dfdaemon"),
            "{shell}"
        );
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    run(dragonfly(&[]), 2);
    run(dragonfly(&["download"]), 2);
    run(dragonfly(&["dfget"]), 2);
    run(dragonfly(&["up", "--peers", "33"]), 2);
    run(dragonfly(&["up", "--peers", "0"]), 2);
}

#[test]
fn an_unknown_key_exits_with_64_and_names_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    for (program, text, wrong, right) in [
        (
            "dfdaemon",
            "proxy:\n  registryMiror: {}\n",
            "registryMiror",
            "registryMirror",
        ),
        ("scheduler", "server:\n  prot: 1\n", "prot", "port"),
        ("manager", "server:\n  rset: {}\n", "rset", "rest"),
    ] {
        let file = write(dir.path(), program, text);
        let said = stderr(&run(dragonfly(&[program, "--config", &file]), 64));
        let expected = format!("{program}: error: {file}:2:3: unknown key \"{wrong}\"; did you mean \"{right}\"?\n");
        assert_eq!(said, expected);
    }
}

#[test]
fn check_config_tells_every_problem_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = "download:\n  concurrentPieceCount: 0\ngc:\n  interval: 0s\n";
    let file = write(dir.path(), "dfdaemon.yaml", text);
    let said = stderr(&run(dragonfly(&["dfdaemon", "-c", &file, "--check-config"]), 64));
    for part in [
        file.as_str(),
        "2 problems",
        "download.concurrentPieceCount",
        "gc.interval",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let good = write(dir.path(), "good.yaml", "verbose: true\n");
    let said = stdout(&run(dragonfly(&["dfdaemon", "-c", &good, "--check-config"]), 0));
    assert_eq!(said, format!("{good}: OK\n"));
}

#[test]
fn a_printed_configuration_is_read_back_and_keeps_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let text = "auth:\n  jwt:\n    key: not-for-everybody-to-see\n";
    let file = write(dir.path(), "manager.yaml", text);
    let printed = stdout(&run(dragonfly(&["manager", "-c", &file, "--print-config"]), 0));
    assert!(!printed.contains("not-for-everybody"), "{printed}");
    for program in ["dfdaemon", "scheduler", "manager"] {
        let printed = stdout(&run(dragonfly(&[program, "--print-config"]), 0));
        let again = write(dir.path(), program, &printed);
        run(dragonfly(&[program, "-c", &again, "--check-config"]), 0);
    }
}

#[test]
fn the_configuration_may_be_named_by_the_environment() {
    let mut command = dragonfly(&["scheduler", "--check-config"]);
    command.env("SCHEDULER_CONFIG", "/nowhere/scheduler.yaml");
    let said = stderr(&run(command, 64));
    assert!(
        said.contains("can't read /nowhere/scheduler.yaml: No such file"),
        "{said}"
    );
}

#[test]
fn a_level_that_is_none_exits_with_64() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let said = stderr(&run(dragonfly(&["up", "--data-dir", &data, "--log-level", "loud"]), 64));
    assert!(said.contains("log level can't be \"loud\""), "{said}");
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let text = format!(
        "server:\n  dataDir: {}\n  grpc:\n    listenIP: 127.0.0.1\n    port:\n      start: {}\n",
        dir.path().join("data").display(),
        addr.port()
    );
    let file = write(dir.path(), "manager.yaml", &text);
    let said = stderr(&run(dragonfly(&["manager", "-c", &file, "--console", "-l", "warn"]), 1));
    let expected = format!("manager: error: port {} on 127.0.0.1 is taken", addr.port());
    assert!(said.starts_with(&expected) && said.lines().count() == 1, "{said}");
}

#[test]
fn up_refuses_a_directory_that_is_none_and_leaves_no_ready_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = write(dir.path(), "data", "precious");
    let ready = dir.path().join("ready.json");
    let ready = ready.to_str().unwrap();
    let said = stderr(&run(dragonfly(&["up", "--data-dir", &data, "--ready-file", ready]), 1));
    assert!(said.contains(&data) && said.lines().count() == 1, "{said}");
    assert_eq!(std::fs::read_to_string(&data).unwrap(), "precious");
    assert!(!Path::new(ready).exists());
}

#[test]
fn up_without_a_home_says_what_to_give() {
    let said = stderr(&run(dragonfly(&["up"]), 1));
    assert!(said.contains("--data-dir"), "{said}");
}

#[test]
fn colour_is_left_to_terminals() {
    let said = stderr(&run(dragonfly(&["dfdaemon", "-c", "/nowhere"]), 64));
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
