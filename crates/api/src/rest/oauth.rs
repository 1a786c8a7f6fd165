//! Identity providers by which people sign in: GitHub, Google, and every other that speaks OpenID Connect.

use super::user::{expose, expose_some};
use super::{Check, Problems, null_is_default};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::{IntoParams, ToSchema};

const MAX_NAME_CHARS: usize = 64;
const MAX_BIO_CHARS: usize = 1000;
const MAX_URL_CHARS: usize = 1024;
const MAX_CLIENT_CHARS: usize = 256;
const MAX_DOMAINS: u64 = 100;
const MAX_DOMAIN_CHARS: usize = 253;
/// In a list of domains: whoever the provider knows.
pub const ANYBODY: &str = "*";

/// An identity provider. Its secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Oauth {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name, the last part of the path that signs in: `github`, `google`, or any other.
    pub name: String,
    /// What it is.
    pub bio: String,
    /// Under which name it knows this manager.
    pub client_id: String,
    /// Where it sends people back to: this manager's `/api/v1/users/signin/{name}/callback`.
    pub redirect_url: String,
    /// Where it is.
    pub issuer: String,
    /// Who becomes a user by signing in.
    pub domains: Vec<String>,
}

/// An identity provider to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateOauth {
    /// Its name, in lower-case letters, digits and dashes: `github` for GitHub, `google` for Google, or any other.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]*$")]
    pub name: String,
    /// What it is.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
    /// Under which name it knows this manager.
    #[schema(min_length = 1, max_length = 256)]
    pub client_id: String,
    /// What proves that.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 256)]
    pub client_secret: SecretString,
    /// Where it sends people back to: this manager's `/api/v1/users/signin/{name}/callback`, as browsers reach it.
    #[schema(pattern = "^https?://", min_length = 1, max_length = 1024)]
    pub redirect_url: String,
    /// Where it is: the issuer of OpenID Connect, or a GitHub Enterprise. GitHub and Google need not be told.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub issuer: String,
    /// Who becomes a user, with the role guest, by signing in: those with a verified mail address in one of these domains;
    /// `*` lets in whoever the provider knows. Empty: nobody; users connect their own accounts.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_items = 100, nullable)]
    pub domains: Vec<String>,
}

/// Changes to an identity provider. What is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateOauth {
    /// A new description; it may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
    /// A new name of this manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub client_id: Option<String>,
    /// A new secret.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose_some")]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 256)]
    pub client_secret: Option<SecretString>,
    /// A new place to send people back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^https?://", min_length = 1, max_length = 1024)]
    pub redirect_url: Option<String>,
    /// Other domains, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub domains: Option<Vec<String>>,
}

/// Which identity providers are meant; what is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct OauthFilter {
    /// With this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With this name of the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A way to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInWay {
    /// Name of an identity provider.
    pub name: String,
    /// Where a browser begins.
    pub path: String,
}

impl Check for CreateOauth {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        if !is_name(&self.name) {
            problems.push(
                "name",
                "has other characters than lower-case letters, digits and dashes",
            );
        }
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        problems.chars("client_id", &self.client_id, 1..=MAX_CLIENT_CHARS);
        check_secret(&self.client_secret, problems);
        check_url("redirect_url", &self.redirect_url, problems);
        if !self.issuer.is_empty() {
            check_url("issuer", &self.issuer, problems);
        } else if !["github", "google"].contains(&self.name.as_str()) {
            problems.push("issuer", "is needed, unless the name is github or google");
        }
        check_domains(&self.domains, problems);
    }
}

impl Check for UpdateOauth {
    fn check(&self, problems: &mut Problems) {
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
        if let Some(id) = &self.client_id {
            problems.chars("client_id", id, 1..=MAX_CLIENT_CHARS);
        }
        if let Some(secret) = &self.client_secret {
            check_secret(secret, problems);
        }
        if let Some(url) = &self.redirect_url {
            check_url("redirect_url", url, problems);
        }
        if let Some(domains) = &self.domains {
            check_domains(domains, problems);
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || c == '-')
}

fn check_secret(secret: &SecretString, problems: &mut Problems) {
    // Only the length is told, never the text.
    problems.chars("client_secret", secret.expose_secret(), 1..=MAX_CLIENT_CHARS);
}

fn check_url(field: &str, text: &str, problems: &mut Problems) {
    problems.chars(field, text, 1..=MAX_URL_CHARS);
    let is_web = Url::parse(text).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if !is_web {
        problems.push(field, "is no http or https URL without user, password and fragment");
    }
}

fn check_domains(domains: &[String], problems: &mut Problems) {
    problems.within("domains", domains.len() as u64, 0..=MAX_DOMAINS);
    let is_domain = |domain: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || ['.', '-'].contains(&c);
        !domain.is_empty() && domain.len() <= MAX_DOMAIN_CHARS && domain.chars().all(is_part)
    };
    for domain in domains {
        if domain != ANYBODY && !is_domain(domain) {
            problems.push(
                "domains",
                format_args!("has {domain:?}, which is neither a domain nor {ANYBODY:?}"),
            );
        }
    }
}
