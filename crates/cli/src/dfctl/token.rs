//! `dfctl token`

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{CreateToken, PersonalAccessToken, TokenState};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

const PATH: &str = "/api/v1/personal-access-tokens";
const SECONDS_OF_A_DAY: i64 = 86_400;

const CREATE_EXAMPLES: &str = "\
Examples:
  dfctl --user ada token create ci --days 90 --scope cluster
  dfctl --user ada token create dashboard --scope clusters:read --scope schedulers:read
  dfctl --user ada token create ci > ci.token

The token is printed alone to stdout, and can't be shown again. Scopes: job, cluster, or a kind of object (clusters,
scheduler-clusters, seed-peer-clusters, schedulers, seed-peers, peers, jobs, audits, applications, configs), which may end in
:read.";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// List your tokens, or everybody's if you have the right to see them
    Ls,
    /// Make a token that acts for you, within its scopes
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name
        name: String,
        /// What it opens; more than once for more; without: job and cluster
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// After how many days it ends
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3652))]
        days: u16,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        bio: String,
    },
    /// Remove a token
    Rm {
        /// Its id
        id: u64,
    },
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Ls => {
            let tokens: Vec<PersonalAccessToken> = manager.list(PATH, &()).await?;
            match output {
                Output::Table => Ok(listed(&tokens)),
                Output::Json => output::json(&tokens),
            }
        }
        Verb::Create {
            name,
            scopes,
            days,
            bio,
        } => {
            let create = CreateToken {
                name,
                bio,
                scopes,
                expired_at: Timestamp::now() + SignedDuration::from_secs(i64::from(days) * SECONDS_OF_A_DAY),
                user_id: None,
            };
            let made: PersonalAccessToken = manager.post(PATH, &create).await?;
            match (output, &made.token) {
                (Output::Table, Some(token)) => Ok(format!("{}\n", token.expose_secret())),
                _ => output::json(&made),
            }
        }
        Verb::Rm { id } => {
            manager.delete(&format!("{PATH}/{id}")).await?;
            Ok(String::new())
        }
    }
}

fn listed(tokens: &[PersonalAccessToken]) -> String {
    let rows = tokens.iter().map(|token| {
        [
            token.id.to_string(),
            token.name.clone(),
            token.user_id.to_string(),
            match token.state {
                TokenState::Active => "active",
                TokenState::Inactive => "inactive",
            }
            .to_owned(),
            token.scopes.join(" "),
            output::time(token.expired_at),
        ]
    });
    output::table(["ID", "NAME", "USER", "STATE", "SCOPES", "ENDS"], rows)
}
