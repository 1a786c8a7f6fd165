//! `dragonfly-lab`: the lab and the article by hand. `cargo xtask lab` and `cargo xtask article` build what they need and
//! run this.

mod by_hand;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let arguments = by_hand::Arguments::parse();
    // One thread: the programs of a lab end with the thread that started them.
    let runtime = Builder::new_current_thread().enable_all().build();
    let done = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(arguments.run()));
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
