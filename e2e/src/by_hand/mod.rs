//! The verbs that a person gives.

mod lab;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use dragonfly_e2e::article::{self, Report};
use dragonfly_testkit::lab::{Blueprint, Rate};
use dragonfly_testkit::up::binary;

/// Nodes of each cluster.
const NODES: std::ops::RangeInclusive<i64> = 2..=16;

#[derive(Parser)]
#[command(
    name = "dragonfly-lab",
    about = "Two isolated clusters under one manager, on this machine"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the lab until Ctrl-C or `down`: every host a network namespace, every program real
    #[command(after_help = "Example: cargo xtask lab up --nodes 4 --rate 400mbit")]
    Up(Size),
    /// End the lab that runs, and clear what a killed one has left behind
    Down,
    /// Run a command on a host of the lab
    #[command(after_help = "Example: cargo xtask lab exec a-1 -- ip address")]
    Exec {
        /// The host, as `up` lists them
        host: String,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Pull one image on every node of two new clusters and tell where the bytes came from
    #[command(
        after_help = "Examples:\n  cargo xtask article\n  cargo xtask article --nodes 4 --rate 400mbit\n  cargo xtask article --output html > article.html"
    )]
    Article {
        #[command(flatten)]
        size: Size,
        /// What is printed to standard output
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
}

#[derive(Args)]
struct Size {
    /// Nodes of each cluster, beside its scheduler and its seed peer
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(NODES))]
    nodes: u8,
    /// What the link of each node and seed peer carries each way, such as 400mbit; without this what the machine can
    #[arg(long)]
    rate: Option<Rate>,
    /// What the registry's link carries each way
    #[arg(long, default_value = "50mbit")]
    origin_rate: Rate,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// The article's table
    Table,
    /// Everything that was measured
    Json,
    /// A page with a picture of the clusters and a waterfall for each pull
    Html,
}

impl Size {
    fn blueprint(&self) -> Result<Blueprint> {
        Ok(Blueprint {
            binary: binary()?,
            nodes: usize::from(self.nodes),
            rate: self.rate,
            origin_rate: Some(self.origin_rate),
        })
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Up(size) => lab::up(size.blueprint()?).await,
            Verb::Down => lab::down().await,
            Verb::Exec { host, command } => lab::exec(&host, &command),
            Verb::Article { size, output } => {
                let report = article::tell(&size.blueprint()?, progress()).await?;
                print(&report, output)?;
                Ok(if report.held() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
        }
    }
}

/// Steps on standard error, each with the time at which it begins.
fn progress() -> impl FnMut(&str) {
    let begin = Instant::now();
    move |step| eprintln!("{:6.1} s  {step}", begin.elapsed().as_secs_f64())
}

fn print(report: &Report, output: Output) -> Result<()> {
    let text = match output {
        Output::Table => report.table(),
        Output::Json => serde_json::to_string_pretty(report)? + "\n",
        Output::Html => report.html(),
    };
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    if matches!(output, Output::Html) && stdout.is_terminal() {
        eprintln!("that was a page; send it to a file: --output html > article.html");
    }
    Ok(())
}
