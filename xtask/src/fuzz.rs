//! `cargo xtask fuzz`: for minutes what the tests do for moments.
//!
//! Each target is made of properties that are tests of their room. Run again and again with other seeds; what fails is written
//! down beside the test by proptest (`proptest-regressions`), is committed, and is tried first by every later run.

use anyhow::{Result, bail};
use clap::ValueEnum;
use std::time::{Duration, Instant};

use crate::cargo::{cargo, succeed};

/// Cases of each property in one round: seconds.
const CASES: &str = "20000";

/// How long, and what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target
    target: Option<Target>,
    /// How long each target is tried
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
}

/// What reads the words of strangers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Target {
    /// Frames of the piece transfer
    Vortex,
    /// Range headers, ids, digests, URLs of blobs
    Words,
    /// What registries ask of those whom they do not know, and names of images
    Registry,
    /// Records on the disk
    Records,
}

impl Target {
    /// Which tests, in the words of nextest.
    fn tests(self) -> &'static str {
        match self {
            Self::Vortex => "package(dragonfly-transfer) and test(/vortex::.*(round_trip|panic)/)",
            Self::Words => "package(dragonfly-model) and binary(hostile)",
            Self::Registry => "package(dragonfly-source) and test(/too_strange/)",
            Self::Records => "package(dragonfly-storage) and test(/no_bytes_make_the_decoder_panic/)",
        }
    }
}

/// Tries each target for its time.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let targets = arguments
        .target
        .map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
    let mut failed = Vec::new();
    let mut rounds = 0;
    for target in &targets {
        let end = Instant::now() + Duration::from_secs(arguments.minutes * 60);
        while Instant::now() < end && !failed.contains(&format!("{target:?}")) {
            rounds += 1;
            let mut tests = cargo(&[
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--no-fail-fast",
                "-E",
                target.tests(),
            ]);
            if let Err(error) = succeed(tests.env("PROPTEST_CASES", CASES)) {
                eprintln!("error: {error:#}");
                failed.push(format!("{target:?}"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("targets with open failures: {}", failed.join(", "));
    }
    Ok(format!(
        "fuzz: {} targets, {rounds} rounds of {CASES} cases of each property, no failure",
        targets.len()
    ))
}
