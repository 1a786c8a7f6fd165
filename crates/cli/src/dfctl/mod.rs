//! `dfctl`: what an operator asks of a manager and tells it, through its REST API, or of a scheduler or the dfdaemon of this host
//! where that is enough.
//! It keeps no state but an optional file with the manager's address and a token.

mod args;
mod audit;
mod by_scheduler;
mod client;
mod cluster;
mod doctor;
mod file;
mod follow;
mod job;
mod kept;
pub(crate) mod local;
pub(crate) mod output;
mod peer;
mod preheat;
mod scheduler;
mod stats;
mod token;
mod trace;
mod traces;

pub(crate) use args::Args;

use crate::console;
use crate::failure::Failure;
use args::Noun;
use client::Manager;
use tokio_util::sync::CancellationToken;

/// For `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  dfctl --manager http://manager:8080 --user root cluster ls
  dfctl cluster match --ip 10.2.0.9 --idc cluster-2
  dfctl cluster match --hostname gpu-7 --output json
  dfctl cluster create cluster-2 --idc cluster-2
  dfctl scheduler ls --active
  dfctl scheduler trace 4f53cda18c2baa0c… --scheduler 10.1.0.2:8002
  dfctl --user ada token create ci --days 90 --scope cluster > ci.token
  dfctl --token-file ci.token cluster ls
  dfctl preheat image nginx:1.27 --scope all-peers --cluster 2
  dfctl job ls --failed
  dfctl peer ls --active
  dfctl kept ls --cluster 2
  dfctl task ls
  dfctl persistent-cache-task rm 5e884898da28047151d0e56f8dc62927…
  dfctl traces find --min-duration 5s --since 1h
  dfctl audit ls --failed
  dfctl doctor
  dfctl stats --all

The manager and who calls it come from the flags, else from the environment (DFCTL_MANAGER, DFCTL_TOKEN, or DFCTL_USER
with DFCTL_PASSWORD), else from the file ~/.config/dragonfly/dfctl.yaml with the keys manager, token, user, password and ca.

Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong, 64 the file is wrong.";

/// Does what the command line says. `cancel` gives up.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> Result<(), Failure> {
    let text = tokio::select! {
        text = answer(args) => text?,
        () = cancel.cancelled() => return Err(Failure::new("interrupted")),
    };
    console::say(&text);
    Ok(())
}

async fn answer(args: Args) -> Result<String, Failure> {
    let (connection, output) = (args.connection, args.output);
    let ask = async |manager: &Manager, noun| match noun {
        Noun::Cluster { verb } => cluster::run(manager, verb, output).await,
        Noun::Scheduler { verb } => scheduler::run(manager, verb, output).await,
        Noun::Token { verb } => token::run(manager, verb, output).await,
        Noun::Peer { verb } => peer::run(manager, verb, output).await,
        Noun::Preheat { verb } => Box::pin(preheat::run(manager, verb.wanted()?, output)).await,
        Noun::Job { verb } => Box::pin(job::run(manager, verb, output)).await,
        Noun::Kept { verb } => Box::pin(kept::run(manager, verb, output)).await,
        Noun::Traces { verb } => Box::pin(traces::run(manager, verb, output)).await,
        Noun::Audit { verb } => audit::run(manager, verb, output).await,
        Noun::Local(noun) => local::run(noun, output).await,
        Noun::Doctor(args) => Box::pin(doctor::run(args, output)).await,
        Noun::Stats(args) => Box::pin(stats::run(args, &connection, output)).await,
    };
    match args.noun {
        Noun::Local(noun) => Box::pin(local::run(noun, output)).await,
        Noun::Doctor(args) => Box::pin(doctor::run(args, output)).await,
        Noun::Stats(args) => Box::pin(stats::run(args, &connection, output)).await,
        Noun::Preheat { verb } if verb.names_a_scheduler() => {
            Box::pin(by_scheduler::run(connection.ca.as_deref(), verb.wanted()?, output)).await
        }
        Noun::Scheduler {
            verb: scheduler::Verb::Trace(trace),
        } => Box::pin(trace.run(connection.ca.as_deref(), output)).await,
        noun => {
            let manager = Manager::connect(&connection).await?;
            let answer = ask(&manager, noun).await;
            manager.leave().await;
            answer
        }
    }
}
