//! Measures what the rooms promise, and prints it as tables. Run by `cargo xtask bench`.

mod load;
mod manager;
mod record;
mod scheduler;
mod sim;
mod wire;

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
    /// Fetch a blob that is here, on another node, or at the origin alone, beside nginx over the same links
    Hit(wire::Hit),
    /// Let many nodes fetch one content at the same moment, beside the bound of pieces and links
    Crowd(wire::Crowd),
    /// Carry a content from one peer's store to another's, beside nginx and curl from file to file
    Transport(wire::Transport),
    /// Fetch many small files
    Small(wire::Small),
    /// What the product costs before it does anything
    Start(wire::Start),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Sim(arguments) => sim::run(&arguments),
        Bench::Manager(arguments) => manager::run(&arguments),
        Bench::Scheduler(arguments) => scheduler::run(&arguments),
        Bench::Hit(bench) => bench.run(),
        Bench::Crowd(bench) => bench.run(),
        Bench::Transport(bench) => bench.run(),
        Bench::Small(bench) => bench.run(),
        Bench::Start(bench) => bench.run(),
    }
}
