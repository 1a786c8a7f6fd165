//! The verbs, and who does them.

use anyhow::Result;
use clap::Subcommand;

use crate::{bench, book, chart, check, contract, deb, deps, fuzz, image, lab, metrics, openapi, test, up};

#[derive(Subcommand)]
pub(crate) enum Verb {
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
    /// Measure what the rooms promise: `bench sim`, `bench manager`, see `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments for the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Check the arrows between the rooms and the size of the files
    Deps,
    /// Call the manager's REST API in every way that its description allows, and in those that it does not
    Contract(contract::Arguments),
    /// Try what reads the words of strangers for minutes, with ever other words
    Fuzz(fuzz::Arguments),
    /// Write the values in the chart's README anew from values.yaml
    ChartDocs,
    /// Write the book's reference of the configuration anew from the code, check its links and commands, and make it by mdBook if that is there
    Book {
        /// Write nothing: what is stale is an error
        #[arg(long)]
        check: bool,
    },
    /// Make the Debian package, in `target/deb`
    Deb {
        /// Its version; without this that of the binary
        #[arg(long)]
        version: Option<String>,
    },
    /// Make the image without Docker: `target/image/oci`, and its SBOM
    Image,
    /// Write docs/metrics.md, the list of all metrics, anew from what the programs say
    Metrics,
    /// Write docs/openapi.json, the description of the manager's REST API, anew from the code
    Openapi,
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

impl Verb {
    /// Does it. What it returns sums it up in one line.
    pub(crate) fn run(self) -> Result<String> {
        match self {
            Self::Up { arguments } => up::run(&arguments),
            Self::Check => check::run(),
            Self::Test { suite } => test::run(suite),
            Self::Bench { words } => bench::run(&words),
            Self::Deps => deps::run(),
            Self::Contract(arguments) => contract::run(&arguments),
            Self::Fuzz(arguments) => fuzz::run(&arguments),
            Self::ChartDocs => chart::docs(),
            Self::Book { check } => book::run(check),
            Self::Deb { version } => deb::run(version),
            Self::Image => image::run(),
            Self::Metrics => metrics::run(),
            Self::Openapi => openapi::run(),
            Self::Lab { words } => lab::run(&words),
            Self::Article { words } => lab::run(&[vec!["article".to_owned()], words].concat()),
        }
    }
}
