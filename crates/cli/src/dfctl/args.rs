//! The command line of `dfctl`.

use super::output::Output;
use super::{audit, cluster, doctor, job, kept, local, peer, preheat, scheduler, stats, token, traces};
use dragonfly_api::rest::MemberState;
use secrecy::SecretString;
use std::path::PathBuf;

/// `dfctl`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) connection: Connection,

    /// What is printed to stdout
    #[arg(long, global = true, value_enum, default_value_t, env = "DFCTL_OUTPUT")]
    pub(super) output: Output,

    #[command(subcommand)]
    pub(super) noun: Noun,
}

/// Which manager is asked, and who asks.
#[derive(clap::Args)]
pub(super) struct Connection {
    /// The manager's REST address, such as https://manager:8080; without one, http://127.0.0.1:8080
    #[arg(long, global = true, value_name = "URL", env = "DFCTL_MANAGER")]
    pub(super) manager: Option<String>,

    /// File with a token
    #[arg(long, global = true, value_name = "FILE", env = "DFCTL_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,

    /// Comes from the environment only, where other users of the host don't see it.
    #[arg(long, global = true, hide = true, hide_env_values = true, env = "DFCTL_TOKEN")]
    pub(super) token: Option<SecretString>,

    /// Sign in as this user instead of showing a token
    #[arg(long, global = true, value_name = "NAME", env = "DFCTL_USER")]
    pub(super) user: Option<String>,

    /// File with the password of that user; without one it is asked for on stdin
    #[arg(long, global = true, value_name = "FILE", env = "DFCTL_PASSWORD_FILE")]
    pub(super) password_file: Option<PathBuf>,

    /// Comes from the environment only, as the token.
    #[arg(long, global = true, hide = true, hide_env_values = true, env = "DFCTL_PASSWORD")]
    pub(super) password: Option<SecretString>,

    /// PEM file with the CA of the manager, if the system does not know it
    #[arg(long, global = true, value_name = "FILE", env = "DFCTL_CA")]
    pub(super) ca: Option<PathBuf>,

    /// File with what is not given here
    #[arg(long, global = true, value_name = "FILE", env = "DFCTL_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

/// Which members are listed.
#[derive(Debug, clap::Args)]
pub(super) struct Liveness {
    /// Only those that are alive
    #[arg(long, conflicts_with = "inactive")]
    active: bool,
    /// Only those that are not
    #[arg(long)]
    inactive: bool,
}

impl Liveness {
    /// None if all are.
    pub(super) fn state(&self) -> Option<MemberState> {
        match (self.active, self.inactive) {
            (true, _) => Some(MemberState::Active),
            (_, true) => Some(MemberState::Inactive),
            _ => None,
        }
    }
}

/// What it is about.
#[derive(clap::Subcommand)]
pub(super) enum Noun {
    /// Clusters: which there are, which serves a host, and what they are to be
    Cluster {
        #[command(subcommand)]
        verb: cluster::Verb,
    },
    /// Schedulers: which there are, which are alive, and how one judges
    Scheduler {
        #[command(subcommand)]
        verb: scheduler::Verb,
    },
    /// Peers: the hosts that schedulers know
    Peer {
        #[command(subcommand)]
        verb: peer::Verb,
    },
    /// Fetch contents before anybody asks for them
    Preheat {
        #[command(subcommand)]
        verb: preheat::Verb,
    },
    /// Jobs: what schedulers were asked to do, and what came of it
    Job {
        #[command(subcommand)]
        verb: job::Verb,
    },
    /// Tasks that this host has, as its dfdaemon tells: no manager is needed
    #[command(flatten)]
    Local(local::Noun),
    /// Whether this host is wired as it should be, and what is to be done if not: no manager need be named
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Bytes by where they came from, and what origins did not have to give
    #[command(after_help = stats::EXAMPLES)]
    Stats(stats::Args),
    /// Kept tasks: contents that clusters themselves keep with replicas, as their manager tells
    Kept {
        #[command(subcommand)]
        verb: kept::Verb,
    },
    /// Personal access tokens, which scripts show instead of a password
    Token {
        #[command(subcommand)]
        verb: token::Verb,
    },
    /// Traces: where the time of a pull went
    Traces {
        #[command(subcommand)]
        verb: traces::Verb,
    },
    /// The audit log: who changed what
    Audit {
        #[command(subcommand)]
        verb: audit::Verb,
    },
}
