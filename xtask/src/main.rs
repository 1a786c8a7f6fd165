//! `cargo xtask`: what a developer and CI do with this repository.
//!
//! Each verb tells its progress on stderr, ends stdout with one line that sums it up, and exits with 0 only if all held.

mod bench;
mod cargo;
mod check;
mod deps;
mod lab;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a developer and CI do with this repository")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the release binary and run `dragonfly up` with these arguments
    Up {
        /// Arguments for `dragonfly up`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check formatting, lints, the arrows between rooms, the wire's descriptors and generated files
    Check,
    /// Run the tests: all of them, or one suite
    Test {
        /// Only this suite
        suite: Option<test::Suite>,
    },
    /// Measure what the rooms promise: `bench sim` simulates clusters, see `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments for the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Check the arrows between the rooms and the size of the files
    Deps,
    /// Run two clusters under one manager in network namespaces: `lab up`, `lab down`, `lab exec HOST -- COMMAND`
    #[command(disable_help_flag = true)]
    Lab {
        /// `up`, `down` or `exec` with its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Pull an image on every node of two isolated clusters and measure where the bytes come from
    #[command(disable_help_flag = true)]
    Article {
        /// Arguments, see `cargo xtask article --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Up { arguments } => up::run(&arguments),
        Verb::Check => check::run(),
        Verb::Test { suite } => test::run(suite),
        Verb::Bench { words } => bench::run(&words),
        Verb::Deps => deps::run(),
        Verb::Lab { words } => lab::run(&words),
        Verb::Article { words } => lab::run(&[vec!["article".to_owned()], words].concat()),
    };
    match done {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
