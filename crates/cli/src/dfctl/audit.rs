//! `dfctl audit`

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{Audit, AuditFilter, AuditState};
use std::net::IpAddr;

const LS_EXAMPLES: &str = "\
Examples:
  dfctl audit ls
  dfctl audit ls --actor root --object clusters
  dfctl audit ls --failed --limit 500 --output json";

/// What about it.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List who changed what, newest first
    #[command(after_help = LS_EXAMPLES)]
    Ls(Which),
}

/// Which records.
#[derive(clap::Args)]
pub(super) struct Which {
    /// Only of this user, or of a token: user/token
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only of this kind of object, such as clusters
    #[arg(long, value_name = "KIND")]
    object: Option<String>,
    /// Only from this address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Only what was refused, failed or was cut off
    #[arg(long)]
    failed: bool,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    let Verb::Ls(which) = verb;
    let filter = AuditFilter {
        actor_name: which.actor,
        object: which.object,
        address: which.address,
        state: which.failed.then_some(AuditState::Failure),
        ..AuditFilter::default()
    };
    let records: Vec<Audit> = manager.first("/api/v1/audits", &filter, which.limit).await?;
    match output {
        Output::Table => Ok(listed(&records)),
        Output::Json => output::json(&records),
    }
}

fn listed(records: &[Audit]) -> String {
    let rows = records.iter().map(|record| {
        [
            output::time(record.operated_at),
            record.actor_name.clone(),
            record.address.clone(),
            record.operation.clone(),
            record.path.clone(),
            record.status_code.to_string(),
            record.detail.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    });
    output::table(["TIME", "ACTOR", "ADDRESS", "DID", "PATH", "STATUS", "CHANGE"], rows)
}
