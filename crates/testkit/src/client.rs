//! The HTTP client with which tests ask what a user's program would ask.

use std::path::Path;

use anyhow::Result;

/// A client builder that follows no proxy settings of the environment.
///
/// # Errors
/// When the machine has no certificates to trust.
pub fn builder() -> Result<reqwest::ClientBuilder> {
    // Only the first installation in a process counts, and any later one is the same.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy())
}

/// A client that also trusts the authority in a PEM file.
///
/// # Errors
/// When the file can't be read or holds no certificate.
pub fn trusting(ca: &Path) -> Result<reqwest::Client> {
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(ca)?)?;
    Ok(builder()?.tls_certs_merge([certificate]).build()?)
}
