//! Signing in by an identity provider: GitHub, Google, and every other that speaks OpenID Connect.
//!
//! Invariants: who comes back is the browser that was sent (a sealed cookie holds state, nonce and the verifier of PKCE, so
//! that any manager of the database can go on); a person is known by provider and subject alone, never by name or mail
//! address, so nobody takes over a user by an equal one; nobody becomes a user whose verified mail address is not in a domain
//! that the provider's entry names. What a provider answers is bounded, and never shown.

mod github;
mod oidc;
mod providers;
mod ticket;
mod web;

use crate::error::Error as Refusal;
use crate::seal::{Purpose, Sealer};
use crate::store::entity::oauth::Model;
use crate::store::{Store, Time};
use crate::users::{self, Attempt, Identity, Users};
use dragonfly_api::rest::Session;
use moka::future::Cache;
use sea_orm::DbErr;
use std::sync::Arc;
use std::time::Duration;
use ticket::Ticket;
use web::Web;

pub(crate) use ticket::TTL;

/// How long a provider's description of itself is believed.
const DESCRIPTION_TTL: Duration = Duration::from_secs(60);
const MAX_DESCRIPTIONS: u64 = 64;

/// Why a sign-in by a provider fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The browser was not sent by us, or too long ago, or to another provider.
    #[error("this sign-in was not begun here, or more than {} min ago; begin again", ticket::TTL.as_secs() / 60)]
    NotBegun,
    /// The person or the provider said no; its word for it.
    #[error("{provider} refused the sign-in: {reason}")]
    Refused { provider: String, reason: String },
    /// The provider's answer proves nothing.
    #[error("{provider} did not prove who signs in: {reason}")]
    Unproven { provider: String, reason: String },
    /// The provider can't be reached, or answers what is not of its protocol.
    #[error("{provider} can't be asked: {reason}")]
    Unreachable { provider: String, reason: String },
    /// Nobody here is this person.
    #[error(
        "nobody here is connected to this account of {0}; sign in with name and password and connect it, or ask an administrator"
    )]
    Stranger(String),
    /// The manager's own refusal or failure.
    #[error(transparent)]
    Users(#[from] users::Error),
}

impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Self::Users(error.into())
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Users(error.into())
    }
}

/// Whom a provider has recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    subject: String,
    /// What he is called there; a wish and no more.
    login: Option<String>,
    /// His mail address, if the provider has verified it.
    email: Option<String>,
}

/// Where a browser is to go, and what it is to bring back.
pub(crate) struct Departure {
    pub(crate) location: String,
    pub(crate) ticket: String,
}

/// What a browser brings back.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) ticket: &'a str,
    pub(crate) state: &'a str,
    /// The provider's code, or its word for a refusal.
    pub(crate) outcome: Result<String, String>,
}

/// All that can be asked about identity providers. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Providers {
    store: Store,
    sealer: Arc<Sealer>,
    web: Web,
    descriptions: Cache<String, Arc<oidc::Description>>,
}

impl Providers {
    /// `plain_http` lets providers be asked without TLS.
    pub(crate) async fn new(store: Store, plain_http: bool) -> Result<Self, DbErr> {
        let sealer = Arc::new(Sealer::of(&store, Purpose::SignIn, Time::now()).await?);
        Ok(Self {
            store,
            sealer,
            web: Web::new(plain_http),
            descriptions: Cache::builder()
                .max_capacity(MAX_DESCRIPTIONS)
                .time_to_live(DESCRIPTION_TTL)
                .build(),
        })
    }

    /// Sends a browser to a provider, whose account is to be connected to `user` if there is one.
    pub(crate) async fn depart(&self, name: &str, user: Option<u64>, now: Time) -> Result<Departure, Error> {
        let provider = self.named(name).await?;
        let (location, proof) = match is_github(&provider) {
            true => github::depart(&provider),
            false => oidc::depart(&provider, &*self.description(&provider).await?),
        }
        .map_err(|reason| unreachable(name, reason))?;
        let ticket = Ticket::new(&provider, user, proof, now);
        Ok(Departure {
            location,
            ticket: ticket.sealed(&self.sealer),
        })
    }

    /// Takes a browser back. A session, or `None` if an account was connected to the user who began.
    pub(crate) async fn arrive(
        &self,
        users: &Users,
        name: &str,
        arrival: Arrival<'_>,
        attempt: Attempt,
    ) -> Result<Option<Session>, Error> {
        users.admit(attempt)?;
        let provider = self.named(name).await?;
        let ticket = Ticket::opened(arrival.ticket, &self.sealer)
            .filter(|ticket| ticket.is_for(&provider, arrival.state, attempt.now))
            .ok_or(Error::NotBegun)?;
        let code = arrival.outcome.map_err(|reason| Error::Refused {
            provider: name.to_owned(),
            reason,
        })?;
        let secret = self.secret(&provider)?;
        let person = match is_github(&provider) {
            true => github::recognise(&self.web, &provider, &secret, (code, &ticket.proof)).await?,
            false => {
                let description = self.description(&provider).await?;
                oidc::recognise(&self.web, (&provider, &description), &secret, (code, &ticket.proof)).await?
            }
        };
        let identity = Identity {
            provider: provider.id,
            subject: person.subject,
            login: person.login,
            may_join: may_join(&provider.domains.0, person.email.as_deref()),
            email: person.email,
        };
        if let Some(user) = ticket.user {
            users.connect(user, identity, attempt.now).await?;
            return Ok(None);
        }
        let session = users.enter(identity, attempt).await?;
        session.map(Some).ok_or_else(|| Error::Stranger(name.to_owned()))
    }

    async fn description(&self, provider: &Model) -> Result<Arc<oidc::Description>, Error> {
        let asked = oidc::discover(&self.web, &provider.issuer);
        let description = self
            .descriptions
            .try_get_with(provider.issuer.clone(), async { asked.await.map(Arc::new) })
            .await;
        description.map_err(|reason| unreachable(&provider.name, (*reason).clone()))
    }
}

fn unreachable(provider: &str, reason: String) -> Error {
    tracing::warn!(provider, reason, "an identity provider can't be asked");
    Error::Unreachable {
        provider: provider.to_owned(),
        reason,
    }
}

fn unproven(provider: &str, reason: String) -> Error {
    tracing::warn!(provider, reason, "an identity provider's answer proves nothing");
    Error::Unproven {
        provider: provider.to_owned(),
        reason,
    }
}

fn is_github(provider: &Model) -> bool {
    provider.name == "github"
}

/// Whether who signs in for the first time becomes a user.
fn may_join(domains: &[String], email: Option<&str>) -> bool {
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
    domains.iter().any(|allowed| {
        allowed == dragonfly_api::rest::ANYBODY || domain.is_some_and(|domain| domain.eq_ignore_ascii_case(allowed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verified_address_in_a_named_domain_lets_in_unless_anybody_may_come() {
        let named = ["corp.test".to_owned()];
        assert!(may_join(&named, Some("a@Corp.Test")));
        for stranger in [
            None,
            Some("a@evil.test"),
            Some("a@corp.test.evil"),
            Some("corp.test"),
            Some("a@sub.corp.test"),
        ] {
            assert!(!may_join(&named, stranger), "{stranger:?}");
        }
        assert!(!may_join(&[], Some("a@corp.test")));
        assert!(may_join(&["*".to_owned()], None));
    }
}
