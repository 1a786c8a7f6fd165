//! Measures what the rooms promise, and prints it as tables. Run by `cargo xtask bench`.

mod load;
mod manager;
mod record;
mod scheduler;
mod sim;

use clap::{Parser, Subcommand};
use peak_alloc::PeakAlloc;

/// Counts what is allocated, for the benches that say what something takes.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

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
    /// Let peers that hold no bytes talk to a real scheduler: how many downloads it judges, and what it remembers
    Scheduler(scheduler::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Sim(arguments) => sim::run(&arguments),
        Bench::Manager(arguments) => manager::run(&arguments),
        Bench::Scheduler(arguments) => scheduler::run(&arguments),
    }
}
