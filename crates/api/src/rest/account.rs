//! Users.

use super::user::{NAME_CHARS, check_password, expose};
use super::{Check, Problems, null_is_default};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const MAX_EMAIL_CHARS: usize = 255;
const MAX_PHONE_CHARS: usize = 64;
const MAX_TEXT_CHARS: usize = 1000;

/// A user. The password is never shown, nor its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// The name to sign in with, which no other user has.
    pub name: String,
    /// The mail address, which no other user has; empty if there is none.
    pub email: String,
    /// URL of a picture.
    pub avatar: String,
    /// Telephone number.
    pub phone: String,
    /// Whether the user may sign in.
    pub state: UserState,
    /// Where the user is.
    pub location: String,
    /// Who the user is.
    pub bio: String,
}

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Yes.
    Enable,
    /// No; sessions and tokens are refused, too.
    Disable,
}

/// A user to be made, with a password to begin with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateUser {
    /// The name to sign in with.
    #[schema(min_length = 3, max_length = 10)]
    pub name: String,
    /// The first password, which the user has to change.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 20)]
    pub password: SecretString,
    /// The mail address; may be left out.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 255, nullable)]
    pub email: String,
    /// Telephone number.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 64, nullable)]
    pub phone: String,
    /// URL of a picture.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub avatar: String,
    /// Where the user is.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub location: String,
    /// Who the user is.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
}

impl Check for CreateUser {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, NAME_CHARS);
        check_password("password", &self.password, problems);
        check_email(&self.email, problems);
        problems.chars("phone", &self.phone, 0..=MAX_PHONE_CHARS);
        problems.chars("avatar", &self.avatar, 0..=MAX_TEXT_CHARS);
        problems.chars("location", &self.location, 0..=MAX_TEXT_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_TEXT_CHARS);
    }
}

/// Changes to a user. What is left out stays; texts may be emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateUser {
    /// The mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub phone: Option<String>,
    /// URL of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub avatar: Option<String>,
    /// Where the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub location: Option<String>,
    /// Who the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
    /// Whether the user may sign in; nobody changes that of himself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UserState>,
}

impl Check for UpdateUser {
    fn check(&self, problems: &mut Problems) {
        if let Some(email) = &self.email {
            check_email(email, problems);
        }
        let texts = [
            ("phone", &self.phone, MAX_PHONE_CHARS),
            ("avatar", &self.avatar, MAX_TEXT_CHARS),
            ("location", &self.location, MAX_TEXT_CHARS),
            ("bio", &self.bio, MAX_TEXT_CHARS),
        ];
        for (field, text, most) in texts {
            if let Some(text) = text {
                problems.chars(field, text, 0..=most);
            }
        }
    }
}

/// Which users are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct UserFilter {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Whether they may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UserState>,
}

/// What mail addresses have in common; more can only be known by writing to them.
fn check_email(email: &str, problems: &mut Problems) {
    problems.chars("email", email, 0..=MAX_EMAIL_CHARS);
    let is_address = email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    if !email.is_empty() && !is_address {
        problems.push("email", "must be a mail address or empty");
    }
}
