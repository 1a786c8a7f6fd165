//! Signing in.

use super::{Check, Problems};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// How many characters a password has.
pub const PASSWORD_CHARS: RangeInclusive<usize> = 8..=20;
/// How many characters a user's name has.
pub(super) const NAME_CHARS: RangeInclusive<usize> = 3..=10;

/// A name and a password.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// Name of the user.
    #[schema(min_length = 3, max_length = 10)]
    pub name: String,
    /// The password.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 20)]
    pub password: SecretString,
}

impl Check for SignIn {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, NAME_CHARS);
        check_password("password", &self.password, problems);
    }
}

/// A session, beside the cookie `jwt` that carries the same token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer`.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub token: SecretString,
    /// When the token ends.
    pub expire: Timestamp,
}

/// A change of password.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResetPassword {
    /// The present password.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 20)]
    pub old_password: SecretString,
    /// The password from now on.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 20)]
    pub new_password: SecretString,
}

impl Check for ResetPassword {
    fn check(&self, problems: &mut Problems) {
        check_password("old_password", &self.old_password, problems);
        check_password("new_password", &self.new_password, problems);
    }
}

pub(super) fn check_password(field: &str, password: &SecretString, problems: &mut Problems) {
    // Only the length is told, never the text.
    problems.chars(field, password.expose_secret(), PASSWORD_CHARS);
}

pub(super) fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

pub(super) fn expose_some<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose(secret, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_but_never_printed() {
        let sign_in = SignIn {
            name: "root".into(),
            password: "correct horse".into(),
        };
        assert!(serde_json::to_string(&sign_in).unwrap().contains("correct horse"));
        assert!(!format!("{sign_in:?}").contains("correct horse"));
    }
}
