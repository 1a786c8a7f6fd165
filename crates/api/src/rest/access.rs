//! Roles and their permissions, personal access tokens, sessions.

use super::user::expose_some;
use super::{Check, Problems, null_is_default};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const MAX_NAME_CHARS: usize = 64;
const MAX_BIO_CHARS: usize = 1000;
/// The most entries of a list in a request.
const MAX_ENTRIES: u64 = 100;

/// The right to do something with a kind of object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Permission {
    /// First segment of the paths of these objects, or `*` for all.
    pub object: String,
    /// `read`, or `*` to change, too.
    pub action: String,
}

/// Whose session a request carries, and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CurrentSession {
    /// Id of the user.
    pub user_id: u64,
    /// Name of the user.
    pub user_name: String,
    /// Whether all that it opens yet is the setting of another password.
    pub password_change_required: bool,
    /// What the user's roles permit.
    pub permissions: Vec<Permission>,
}

/// A role to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateRole {
    /// Its name, which no other role has.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    pub role: String,
    /// What it permits.
    #[schema(min_items = 1, max_items = 100)]
    pub permissions: Vec<Permission>,
}

impl Check for CreateRole {
    fn check(&self, problems: &mut Problems) {
        problems.chars("role", &self.role, 1..=MAX_NAME_CHARS);
        // It is a segment of paths.
        if !self.role.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            problems.push("role", "must consist of letters, digits, - and _");
        }
        problems.within("permissions", count(&self.permissions), 1..=MAX_ENTRIES);
    }
}

/// Whether a token opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Yes, until it expires.
    Active,
    /// No.
    Inactive,
}

/// A personal access token, which acts for its user, within its scopes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonalAccessToken {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name, which no other token of the user has.
    pub name: String,
    /// What it is for.
    pub bio: String,
    /// The token itself, for `Authorization: Bearer`: in the answer to its making, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose_some")]
    #[schema(value_type = Option<String>, format = Password)]
    pub token: Option<SecretString>,
    /// What it opens.
    pub scopes: Vec<String>,
    /// Whether it opens anything.
    pub state: TokenState,
    /// When it ends.
    pub expired_at: Timestamp,
    /// Whose it is.
    pub user_id: u64,
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateToken {
    /// Its name.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
    /// What it opens: `job`, `cluster`, or a kind of object with or without `:read`. Empty: `job` and `cluster`.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_items = 100, nullable)]
    pub scopes: Vec<String>,
    /// When it ends.
    pub expired_at: Timestamp,
    /// The caller; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
}

impl Check for CreateToken {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        problems.within("scopes", count(&self.scopes), 0..=MAX_ENTRIES);
    }
}

/// Changes to a token. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateToken {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
    /// What it opens, at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub scopes: Option<Vec<String>>,
    /// Whether it opens anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TokenState>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
}

impl Check for UpdateToken {
    fn check(&self, problems: &mut Problems) {
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
        if let Some(scopes) = &self.scopes {
            problems.within("scopes", count(scopes), 1..=MAX_ENTRIES);
        }
    }
}

/// Which tokens are listed, of those that the caller may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct TokenFilter {
    /// Whether they open anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TokenState>,
    /// Whose they are.
    #[serde(deserialize_with = "super::id", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
}

/// A session of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserSession {
    /// Its id, which opens nothing.
    pub id: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends.
    pub expire: Timestamp,
    /// The address from which it was opened.
    pub address: String,
    /// Whether it is the one of this request.
    pub current: bool,
}

fn count<T>(entries: &[T]) -> u64 {
    entries.len().try_into().unwrap_or(u64::MAX)
}
