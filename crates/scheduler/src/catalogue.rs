//! What peers said of the tasks beside what the graph needs: shown by StatTask. Without anything secret.

use crate::credentials::CallersRequest;
use dragonfly_api::common::{Download, Task};
use dragonfly_model::{DEFAULT_FILTERED_QUERY_PARAMS, TaskId};
use std::collections::HashMap;
use url::Url;

/// Query parameters that may carry a secret, beside those that the callers filter.
const SIGNATURES: &[&str] = &[
    "token",
    "access_token",
    "sig",
    "signature",
    "key",
    "password",
    "credential",
];

/// The tasks that peers registered for.
#[derive(Debug, Default)]
pub(crate) struct Catalogue(HashMap<TaskId, Task>);

impl Catalogue {
    /// Takes note of a task at its first registration.
    pub(crate) fn learn(&mut self, id: &TaskId, request: &CallersRequest) {
        if !self.0.contains_key(id) {
            self.0.insert(id.clone(), describe(id, request.download()));
        }
    }

    pub(crate) fn get(&self, id: &TaskId) -> Option<&Task> {
        self.0.get(id)
    }

    pub(crate) fn forget(&mut self, id: &TaskId) {
        self.0.remove(id);
    }
}

/// A task as a peer describes it when it registers.
fn describe(id: &TaskId, download: &Download) -> Task {
    Task {
        id: id.to_string(),
        r#type: download.r#type,
        url: shown(&download.url, &download.filtered_query_params),
        digest: download.digest.clone(),
        tag: download.tag.clone(),
        application: download.application.clone(),
        filtered_query_params: download.filtered_query_params.clone(),
        ..Default::default()
    }
}

/// An address without user, password and query parameters that sign it.
fn shown(url: &str, filtered: &[String]) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return String::new();
    };
    // Both fail only for addresses that can't have them.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    let secret = |name: &str| {
        let listed = filtered
            .iter()
            .map(String::as_str)
            .chain(DEFAULT_FILTERED_QUERY_PARAMS.iter().copied());
        listed
            .chain(SIGNATURES.iter().copied())
            .any(|listed| listed.eq_ignore_ascii_case(name))
    };
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| !secret(name))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_opens_them() {
        let filtered = ["session".to_owned()];
        let of = |url| shown(url, &filtered);
        assert_eq!(of("https://u:p@o/x?a=1&X-Amz-Signature=s#f"), "https://o/x?a=1");
        assert_eq!(of("https://o/x?session=1&TOKEN=2"), "https://o/x");
        assert_eq!(of("s3://bucket/key"), "s3://bucket/key");
        assert_eq!(of("no address"), "");
    }
}
