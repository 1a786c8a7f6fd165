//! `cargo xtask`: what a developer and CI do with this repository.
//!
//! Each verb tells its progress on stderr, ends stdout with one line that sums it up, and exits with 0 only if all held.

mod audit;
mod bench;
mod book;
mod cargo;
mod chart;
mod check;
mod console;
mod contract;
mod deb;
mod deps;
mod fuzz;
mod image;
mod keys;
mod lab;
mod metrics;
mod openapi;
mod sbom;
mod test;
mod tools;
mod up;
mod verb;

use std::process::ExitCode;

use clap::Parser;
use verb::Verb;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a developer and CI do with this repository")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    match Cli::parse().verb.run() {
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
