//! Secrets in files that can be printed.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

/// For `#[serde(serialize_with = "dragonfly_service::config::hidden")]`: a printed file says only whether there is one.
pub fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) if !secret.expose_secret().is_empty() => serializer.serialize_some("********"),
        _ => serializer.serialize_none(),
    }
}
