//! Measures what the rooms promise, and prints it as tables. Run by `cargo xtask bench`.

mod manager;
mod sim;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "dragonfly-bench", about = "Measures what the rooms promise")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Simulate clusters: the real judgement and the real piece plan, without bytes and without waiting
    Sim(sim::Arguments),
    /// Ask a real manager that is full of members, through both of its doors
    Manager(manager::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Sim(arguments) => sim::run(&arguments),
        Bench::Manager(arguments) => manager::run(&arguments),
    }
}
