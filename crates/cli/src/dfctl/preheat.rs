//! `dfctl preheat`: by a job of the manager, or by one scheduler that is asked directly.

use super::by_scheduler::Scheduler;
use super::client::Manager;
use super::follow::{self, Wait};
use super::job::PATH;
use super::output::Output;
use crate::failure::Failure;
use dragonfly_api::rest::{CreateJob, Job, JobType, PreheatArgs, PreheatKind, PreheatScope};
use dragonfly_service::exit;
use std::net::IpAddr;
use std::time::Duration;

const IMAGE_EXAMPLES: &str = "\
Examples:
  dfctl preheat image nginx:1.27
  dfctl preheat image ghcr.io/x/y@sha256:… --scope all-peers --cluster 2
  dfctl preheat image harbor.lan/p/a:1 --username ada --password-stdin < harbor.password
  dfctl preheat image nginx:1.27 --scope all-peers --percentage 10 --no-wait
  dfctl preheat image nginx:1.27 --scheduler 10.1.0.2:8002

Exit codes: 0 every target has it, 1 some have not, or it was refused, 2 the command line is wrong.";

const FILE_EXAMPLES: &str = "\
Examples:
  dfctl preheat file https://models.example/llama.safetensors --scope all-peers
  dfctl preheat file https://o.example/a https://o.example/b --ip 10.0.0.7 --scope all-peers
  dfctl preheat file https://o.example/a -H 'Authorization: Bearer …' --output json

Exit codes: 0 every target has it, 1 some have not, or it was refused, 2 the command line is wrong.";

/// What to fetch before anybody asks for it.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// A container image, by its name or its manifest's URL
    #[command(after_help = IMAGE_EXAMPLES)]
    Image {
        /// Such as nginx:1.27
        reference: String,
        /// os/arch or os/arch/variant; without it, that of the scheduler's host
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
        /// Who asks the registry
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        /// Read that user's password from stdin
        #[arg(long, requires = "username")]
        password_stdin: bool,
        #[command(flatten)]
        common: Box<Common>,
    },
    /// Files by their URLs; one that ends in a slash is a directory
    #[command(after_help = FILE_EXAMPLES)]
    File {
        /// Their URLs
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        #[command(flatten)]
        common: Box<Common>,
    },
}

/// Who gets it, and how.
#[derive(clap::Args)]
pub(super) struct Common {
    /// Who gets it
    #[arg(long, value_enum, default_value_t = Scope::SingleSeedPeer)]
    scope: Scope,
    /// Only the host with this address; more than once for more
    #[arg(long = "ip", value_name = "IP", conflicts_with_all = ["count", "percentage"])]
    ips: Vec<IpAddr>,
    /// Only so many hosts
    #[arg(long, value_name = "N", conflicts_with = "percentage", value_parser = clap::value_parser!(u32).range(1..=200))]
    count: Option<u32>,
    /// Only so many of a hundred hosts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    percentage: Option<u32>,
    /// Only in the cluster with this id; more than once for more; without: in all
    #[arg(long = "cluster", value_name = "ID")]
    clusters: Vec<u64>,
    /// Part of the task's identity
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// Part of the task's identity
    #[arg(long, value_name = "TEXT")]
    application: Option<String>,
    /// A header for the origin, as `Name: value`; more than once for more
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    bio: Option<String>,
    /// After how long it has failed
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print the job's id, and don't wait for its end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    scheduler: Scheduler,
}

/// Who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scope {
    /// One seed peer of each cluster, from which all others fetch
    SingleSeedPeer,
    /// Every seed peer
    AllSeedPeers,
    /// Every peer
    AllPeers,
}

impl From<Scope> for PreheatScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::SingleSeedPeer => Self::SingleSeedPeer,
            Scope::AllSeedPeers => Self::AllSeedPeers,
            Scope::AllPeers => Self::AllPeers,
        }
    }
}

/// What is wanted, and how this tool goes about it.
pub(super) struct Wanted {
    pub(super) args: PreheatArgs,
    pub(super) timeout: Duration,
    /// Who does it, where no manager does.
    pub(super) scheduler: Scheduler,
    bio: String,
    clusters: Vec<u64>,
    wait: Wait,
}

impl Verb {
    /// Whether no manager is needed.
    pub(super) fn names_a_scheduler(&self) -> bool {
        match self {
            Self::Image { common, .. } | Self::File { common, .. } => common.scheduler.is_named(),
        }
    }

    /// Reads the password, if there is one to read.
    pub(super) fn wanted(self) -> Result<Wanted, Failure> {
        let (args, common) = match self {
            Verb::Image {
                reference,
                platform,
                username,
                password_stdin,
                common,
            } => {
                let args = PreheatArgs {
                    r#type: PreheatKind::Image,
                    url: reference,
                    platform: platform.unwrap_or_default(),
                    username: username.unwrap_or_default(),
                    password: follow::password(password_stdin)?,
                    ..PreheatArgs::default()
                };
                (args, common)
            }
            Verb::File { urls, common } => {
                let args = PreheatArgs {
                    r#type: PreheatKind::File,
                    urls,
                    ..PreheatArgs::default()
                };
                (args, common)
            }
        };
        common.about(args)
    }
}

impl Common {
    fn about(self, args: PreheatArgs) -> Result<Wanted, Failure> {
        let args = PreheatArgs {
            scope: self.scope.into(),
            ips: self.ips,
            count: self.count.unwrap_or(0),
            percentage: self.percentage.unwrap_or(0),
            tag: self.tag.unwrap_or_default(),
            application: self.application.unwrap_or_default(),
            headers: follow::headers(&self.headers)?,
            timeout: u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX),
            ..args
        };
        Ok(Wanted {
            args,
            timeout: self.timeout,
            scheduler: self.scheduler,
            bio: self.bio.unwrap_or_default(),
            clusters: self.clusters,
            wait: Wait::unless(self.no_wait),
        })
    }
}

pub(super) async fn run(manager: &Manager, wanted: Wanted, output: Output) -> Result<String, Failure> {
    let create = CreateJob {
        r#type: JobType::Preheat,
        args: serde_json::to_value(&wanted.args).map_err(|error| Failure::of(&error, exit::FAILURE))?,
        bio: wanted.bio,
        user_id: 0,
        scheduler_cluster_ids: wanted.clusters,
    };
    let job: Job = manager.post(PATH, &create).await?;
    if output == Output::Table && wanted.wait == Wait::Yes {
        anstream::eprintln!(
            "job {} is made; it goes on without this tool (dfctl job show {0}, dfctl job cancel {0})",
            job.id
        );
    }
    follow::job(manager, job, wanted.wait, output).await
}
