//! What `manager`, `scheduler` and `dfdaemon` have in common: configuration file, log, build, run, exit code.

use crate::authority;
use crate::console;
use crate::failure::Failure;
use bytesize::ByteSize;
use dragonfly_service::telemetry::{self, Format, Options, Target, Traces, Tracing};
use dragonfly_service::{Ready, config, exit};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The flags of every program.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration file; without this /etc/dragonfly/<program>.yaml, and the defaults if that does not exist
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    log: LogArgs,

    /// Check the configuration, tell every problem, start nothing
    #[arg(long, conflicts_with = "print_config")]
    check_config: bool,

    /// Print the configuration with all defaults, start nothing
    #[arg(long)]
    print_config: bool,
}

/// The flags of the manager.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ManagerArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ManagerVerb>,

    #[command(flatten)]
    pub(crate) program: Args,

    /// Comes from the environment only, where other users of the host don't see it.
    #[arg(long, hide = true, hide_env_values = true, env = "DRAGONFLY_INITIAL_ROOT_PASSWORD")]
    pub(crate) initial_root_password: Option<SecretString>,

    /// Likewise.
    #[arg(long, hide = true, hide_env_values = true, env = "DRAGONFLY_PAT")]
    pub(crate) first_token: Option<SecretString>,
}

/// What the manager's program does beside being a manager.
#[derive(clap::Subcommand)]
pub(crate) enum ManagerVerb {
    /// Make certificates for the TLS between manager, schedulers and peers
    Ca(authority::Args),
}

/// Where a program's log goes. What is not given here may stand in the configuration.
#[derive(clap::Args)]
struct LogArgs {
    /// error, warn, info, debug, trace, or directives such as info,dragonfly_peer=debug
    #[arg(short, long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// Directory of the log files; without this /var/log/dragonfly/<program>, and stderr if that can't be written
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// How many log files are kept, the one that is written included
    #[arg(long, value_name = "N")]
    log_max_files: Option<usize>,

    /// Size at which a log file is rolled
    #[arg(long, value_name = "SIZE")]
    log_max_file_size: Option<ByteSize>,

    /// What lines look like
    #[arg(long, value_enum, default_value = "human")]
    log_format: LogFormat,

    /// Log to stderr instead of files
    #[arg(long)]
    console: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

/// What a configuration says about the log; the command line stands above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) level: String,
    /// The directory, if the configuration names one.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) max_file_size: u64,
    pub(crate) max_files: usize,
    /// The configuration wants stderr.
    pub(crate) console: bool,
}

/// One of the programs; all three have this shape.
pub(crate) trait Program: Sized + Send + 'static {
    /// Its name, also that of its file in /etc/dragonfly.
    const NAME: &'static str;
    /// What a configuration file may say.
    type Raw: DeserializeOwned + Serialize;
    /// What it means.
    type Config: TryFrom<Self::Raw, Error = config::Error>;

    /// What the file says about the log.
    fn log(raw: &Self::Raw) -> Log;
    /// The name under which its traces are found, and what the file says about them.
    fn tracing(raw: &Self::Raw) -> (&'static str, &Tracing);
    /// Binds every socket and opens every store; starts nothing.
    fn build(config: Self::Config) -> impl Future<Output = Result<Self, Failure>> + Send;
    /// Set when it serves.
    fn ready(&self) -> Ready;
    /// Serves until cancelled.
    fn run(self, cancel: CancellationToken) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Does what the flags say, from the configuration file to the end. `adjust` completes what no file says.
pub(crate) async fn main<P: Program>(
    args: Args,
    adjust: impl FnOnce(&mut P::Config),
    cancel: CancellationToken,
) -> Result<(), Failure> {
    let (raw, from) = read::<P::Raw>(args.config.as_deref(), P::NAME)?;
    if args.print_config {
        console::say(&config::to_yaml(&raw));
        return Ok(());
    }
    let log = P::log(&raw);
    let (service, tracing) = P::tracing(&raw);
    let traces = tracing.traces(service);
    let traces = traces.map_err(|error| Failure::config(&error).within(&from))?;
    let mut config = P::Config::try_from(raw).map_err(|error| Failure::config(&error).within(&from))?;
    if args.check_config {
        console::say(&format!("{from}: OK\n"));
        return Ok(());
    }
    adjust(&mut config);
    let _guard = start_log(&args.log, (log, traces), P::NAME)?;
    tracing::info!(
        program = P::NAME,
        version = crate::version::VERSION,
        config = from,
        "starting"
    );
    let program = P::build(config).await?;
    let ready = program.ready();
    let announce = async {
        ready.wait().await;
        tracing::info!(program = P::NAME, "ready");
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        outcome = Box::pin(program.run(cancel)) => outcome,
        never = announce => match never {},
    }
}

/// The file's content and its name. A missing file is an error only if somebody named it.
pub(crate) fn read<R: DeserializeOwned>(named: Option<&Path>, program: &str) -> Result<(R, String), Failure> {
    let usual = PathBuf::from(format!("/etc/dragonfly/{program}.yaml"));
    let outcome = match named {
        Some(path) => config::load(path).map(|raw| (raw, path.display().to_string())),
        None if usual.exists() => config::load(&usual).map(|raw| (raw, usual.display().to_string())),
        None => config::parse("", "").map(|raw| (raw, "the defaults".to_owned())),
    };
    outcome.map_err(|error| Failure::config(&error))
}

fn start_log(
    args: &LogArgs,
    (log, traces): (Log, Option<Traces>),
    name: &'static str,
) -> Result<telemetry::Guard, Failure> {
    let console = args.console || (log.console && args.log_dir.is_none());
    let named = args.log_dir.clone().or(log.dir).filter(|_| !console);
    let usual = || (!console).then(|| PathBuf::from(format!("/var/log/dragonfly/{name}")));
    let may_fail = named.is_none();
    let target = match named.or_else(usual) {
        None => Target::Stderr,
        Some(dir) => Target::Dir {
            dir,
            name: name.to_owned(),
            max_file_size: args.log_max_file_size.map_or(log.max_file_size, |size| size.as_u64()),
            max_files: args.log_max_files.unwrap_or(log.max_files),
        },
    };
    let options = Options {
        level: args.log_level.clone().unwrap_or(log.level),
        format: match args.log_format {
            LogFormat::Human => Format::Human,
            LogFormat::Json => Format::Json,
        },
        target,
        traces,
    };
    match telemetry::init(options.clone()) {
        Err(error @ telemetry::Error::Open { .. }) if may_fail => {
            let guard = telemetry::init(Options {
                target: Target::Stderr,
                ..options
            });
            let guard = guard.map_err(|error| log_failure(&error))?;
            tracing::warn!("{}; logging to stderr", dragonfly_service::chain(&error));
            Ok(guard)
        }
        started => started.map_err(|error| log_failure(&error)),
    }
}

fn log_failure(error: &telemetry::Error) -> Failure {
    let code = match error {
        telemetry::Error::Level { .. } => exit::BAD_CONFIG,
        _ => exit::FAILURE,
    };
    Failure::of(error, code)
}
