//! The binary `dragonfly`: parses the command line, starts what it names, and says how that ended.

mod authority;
mod command;
mod console;
mod dfcache;
mod dfctl;
mod dfget;
mod dfinit;
mod failure;
mod local;
mod program;
mod programs;
mod up;
mod version;

use command::Verb;
use dragonfly_manager::Manager;
use dragonfly_peer::Peer;
use dragonfly_scheduler::Scheduler;
use failure::Failure;
use std::process::ExitCode;
use std::time::Duration;

/// For calls into the kernel that are still under way when everything else has ended.
const LAST_CALLS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = command::parse(std::env::args_os());
    let tool = cli.verb.tool();
    match start(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(tool);
            ExitCode::from(failure.code())
        }
    }
}

fn start(verb: Verb) -> Result<(), Failure> {
    let verb = match verb {
        Verb::Completions { shell } => {
            command::complete(shell);
            return Ok(());
        }
        Verb::Dfinit(args) => return dfinit::run(&args),
        Verb::Manager(args) => match args.verb {
            Some(program::ManagerVerb::Ca(ca)) => return authority::run(ca),
            None => Verb::Manager(args),
        },
        verb => verb,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("can't start threads: {error}")))?;
    let outcome = runtime.block_on(run(verb));
    runtime.shutdown_timeout(LAST_CALLS);
    outcome
}

async fn run(verb: Verb) -> Result<(), Failure> {
    let cancel = dragonfly_service::shutdown::signal();
    let cancel = cancel.map_err(|error| Failure::new(format!("can't listen for signals: {error}")))?;
    match verb {
        Verb::Up(args) => Box::pin(up::run(args, cancel)).await,
        Verb::Dfget(args) => Box::pin(dfget::run(*args, cancel)).await,
        Verb::Dfcache(args) => Box::pin(dfcache::run(*args, cancel)).await,
        Verb::Dfctl(args) => Box::pin(dfctl::run(*args, cancel)).await,
        Verb::Dfdaemon(args) => Box::pin(program::main::<Peer>(args, |_| {}, cancel)).await,
        Verb::Scheduler(args) => Box::pin(program::main::<Scheduler>(args, |_| {}, cancel)).await,
        Verb::Manager(args) => {
            let adjust = |config: &mut dragonfly_manager::Config| {
                config.initial_root_password = args.initial_root_password;
                config.first_token = args.first_token;
            };
            Box::pin(program::main::<Manager>(args.program, adjust, cancel)).await
        }
        Verb::Completions { .. } | Verb::Dfinit(_) => Ok(()),
    }
}
