//! The command line: one binary, its verbs, and the names of the links under which it acts as one of them.

use crate::console;
use crate::version::VERSION;
use crate::{dfcache, dfctl, dfget, dfinit, program, up};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::Path;

/// Dragonfly: each byte leaves the origin once per cluster and then travels peer to peer.
#[derive(Parser)]
#[command(name = "dragonfly", version = VERSION, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to be.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Start a whole cluster in this process: manager, scheduler, seed peer and peers
    #[command(display_name = "dragonfly", after_help = up::EXAMPLES)]
    Up(up::Args),
    /// Download a file through the dfdaemon of this host
    #[command(display_name = "dfget", after_help = DFGET_EXAMPLES)]
    Dfget(Box<dfget::Args>),
    /// Put files into the cluster that it shall keep by itself, and get them out on any host
    #[command(display_name = "dfcache", after_help = dfcache::EXAMPLES)]
    Dfcache(Box<dfcache::Args>),
    /// Ask a manager, and tell it what to do
    #[command(display_name = "dfctl", after_help = dfctl::EXAMPLES)]
    Dfctl(Box<dfctl::Args>),
    /// Lead the container runtimes of this host through its peer's proxy
    #[command(display_name = "dfinit", after_help = DFINIT_EXAMPLES)]
    Dfinit(dfinit::Args),
    /// Move bytes for this host, and proxy its container runtime
    #[command(display_name = "dfdaemon", after_help = DFDAEMON_EXAMPLES)]
    Dfdaemon(program::Args),
    /// Choose parents for the peers of one cluster
    #[command(display_name = "scheduler", after_help = SCHEDULER_EXAMPLES)]
    Scheduler(program::Args),
    /// Keep clusters, members and users
    #[command(display_name = "manager", after_help = MANAGER_EXAMPLES)]
    Manager(program::ManagerArgs),
    /// Print a shell's completions, to be kept where that shell looks for them
    #[command(display_name = "dragonfly", after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Verb {
    /// The name in front of what it says on stderr.
    pub(crate) fn tool(&self) -> &'static str {
        match self {
            Verb::Up(_) | Verb::Completions { .. } => "dragonfly",
            Verb::Dfget(_) => "dfget",
            Verb::Dfcache(_) => "dfcache",
            Verb::Dfctl(_) => "dfctl",
            Verb::Dfinit(_) => "dfinit",
            Verb::Dfdaemon(_) => "dfdaemon",
            Verb::Scheduler(_) => "scheduler",
            Verb::Manager(_) => "manager",
        }
    }
}

/// Links of these names act as the verb of the same name.
const LINKS: [&str; 7] = [
    "dfget",
    "dfcache",
    "dfctl",
    "dfinit",
    "dfdaemon",
    "scheduler",
    "manager",
];

/// Sets the environment variables of a program's flags, whose names start with the program's.
macro_rules! with_env {
    ($command:ident, $name:literal, $prefix:literal) => {
        $command.mut_subcommand($name, |program| {
            program
                .mut_arg("config", |arg| arg.env(concat!($prefix, "_CONFIG")))
                .mut_arg("log_level", |arg| arg.env(concat!($prefix, "_LOG_LEVEL")))
                .mut_arg("log_dir", |arg| arg.env(concat!($prefix, "_LOG_DIR")))
                .mut_arg("log_max_files", |arg| arg.env(concat!($prefix, "_LOG_MAX_FILES")))
                .mut_arg("log_max_file_size", |arg| {
                    arg.env(concat!($prefix, "_LOG_MAX_FILE_SIZE"))
                })
                .mut_arg("log_format", |arg| arg.env(concat!($prefix, "_LOG_FORMAT")))
                .mut_arg("console", |arg| arg.env(concat!($prefix, "_CONSOLE")))
        })
    };
}

/// The whole command line, as completions and help see it.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let command = with_env!(command, "dfdaemon", "DFDAEMON");
    let command = with_env!(command, "scheduler", "SCHEDULER");
    with_env!(command, "manager", "MANAGER")
}

/// Reads the command line; usage errors, help and versions end the process as clap does, with 2 or 0.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Cli {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let link = arguments.first().is_some_and(is_link);
    let matches = command().multicall(link).get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Prints a shell's completions.
pub(crate) fn complete(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "dragonfly", &mut text);
    console::say(&String::from_utf8_lossy(&text));
}

fn is_link(name: &OsString) -> bool {
    let stem = Path::new(name).file_stem();
    stem.is_some_and(|stem| LINKS.iter().any(|link| stem == *link))
}

const DFGET_EXAMPLES: &str = "\
Examples:
  dfget https://example.com/model.bin -O model.bin
  dfget https://example.com/a.tar -O a.tar --digest sha256:9f86d081884c7d65…
  dfget https://example.com/a.tar -O a.tar --header 'Authorization: Bearer …' --format json
  dfget https://example.com/a.tar -O a.tar --endpoint /run/dragonfly/dfdaemon.sock
  dfget s3://models/llama/model.safetensors -O model.safetensors --storage-access-key-id AKIA…
  dfget -r s3://models/llama/ -O llama --storage-endpoint https://minio:9000 -I '*.safetensors'
  dfget -r hf://owner/model -O model --hf-revision v1.0

Exit codes: 0 the output is complete, 1 some or all of it is not there, 2 the command line is wrong.";

const DFINIT_EXAMPLES: &str = "\
Examples:
  dfinit --dry-run
  dfinit --config dfinit.yaml --restart
  dfinit --undo

Exit codes: 0 done, 1 failed or left something alone, 2 the command line is wrong, 64 the configuration is wrong.";

const DFDAEMON_EXAMPLES: &str = "\
Examples:
  dfdaemon --config /etc/dragonfly/dfdaemon.yaml
  dfdaemon --config dfdaemon.yaml --check-config
  dfdaemon --print-config

Exit codes: 0 ended as asked, 1 failed, 2 the command line is wrong, 64 the configuration is wrong.";

const SCHEDULER_EXAMPLES: &str = "\
Examples:
  scheduler --config /etc/dragonfly/scheduler.yaml
  scheduler --config scheduler.yaml --check-config
  scheduler --print-config

Exit codes: 0 ended as asked, 1 failed, 2 the command line is wrong, 64 the configuration is wrong.";

const MANAGER_EXAMPLES: &str = "\
Examples:
  manager --config /etc/dragonfly/manager.yaml
  manager --config manager.yaml --check-config
  manager --print-config
  manager ca --help

DRAGONFLY_INITIAL_ROOT_PASSWORD is the password (8 to 20 characters) that the first start gives to root. DRAGONFLY_PAT is a
personal access token of root (32 characters or more, scopes job and cluster) that each start sees to.

Exit codes: 0 ended as asked, 1 failed, 2 the command line is wrong, 64 the configuration is wrong.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  dragonfly completions bash > /etc/bash_completion.d/dragonfly
  dragonfly completions zsh > ~/.zfunc/_dragonfly
  dragonfly completions fish > ~/.config/fish/completions/dragonfly.fish";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_link_acts_as_its_verb() {
        let parse = |line: &[&str]| parse(line.iter().map(Into::into)).verb;
        assert_eq!(parse(&["/usr/bin/dfget", "http://o/a"]).tool(), "dfget");
        assert_eq!(parse(&["dragonfly", "dfget", "http://o/a"]).tool(), "dfget");
        assert_eq!(parse(&["./scheduler", "--console"]).tool(), "scheduler");
    }

    #[test]
    fn only_the_names_of_tools_are_links() {
        assert!(is_link(&"/usr/local/bin/manager".into()));
        assert!(!is_link(&"/usr/local/bin/dragonfly".into()));
        assert!(!is_link(&"/opt/dfget/dragonfly-1.2".into()));
    }
}
