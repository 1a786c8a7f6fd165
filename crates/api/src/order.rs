//! REST -> wire: what a preheat or a question about a task is to a scheduler.

use crate::ext::{PreheatFiles, TaskQuery, task_query};
use crate::rest::{ObjectStorageArgs, PreheatArgs, TaskArgs};
use crate::scheduler::{PreheatFileRequest, PreheatImageRequest, StatImageRequest};
use crate::{common, duration};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// All URLs that are meant, each once.
pub fn urls(args: &PreheatArgs) -> impl Iterator<Item = String> {
    let mut urls: Vec<String> = Vec::new();
    for url in std::iter::once(&args.url).chain(&args.urls) {
        if !url.is_empty() && !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    urls.into_iter()
}

/// An image to be preheated within `timeout`.
pub fn image(args: PreheatArgs, timeout: Duration) -> PreheatImageRequest {
    PreheatImageRequest {
        url: args.url,
        piece_length: number(args.piece_length),
        tag: some(args.tag),
        application: some(args.application),
        filtered_query_params: params(&args.filtered_query_params),
        header: header(&args.headers),
        username: some(args.username),
        password: exposed(args.password.as_ref()),
        platform: some(args.platform),
        scope: args.scope.as_str().to_owned(),
        ips: args.ips.iter().map(ToString::to_string).collect(),
        percentage: number(args.percentage),
        count: number(args.count),
        concurrent_task_count: number(i64::from(args.concurrent_task_count)),
        concurrent_peer_count: number(i64::from(args.concurrent_peer_count)),
        timeout: Some(duration(timeout)),
        priority: priority(args.priority),
        certificate_chain: Vec::new(),
        insecure_skip_verify: args.insecure_skip_verify,
        enable_task_id_based_blob_digest: args.enable_task_id_based_blob_digest.unwrap_or(true),
    }
}

/// A question who has an image, to be answered within `timeout`.
pub fn distribution(args: PreheatArgs, timeout: Duration) -> StatImageRequest {
    StatImageRequest {
        url: args.url,
        piece_length: number(args.piece_length),
        tag: some(args.tag),
        application: some(args.application),
        filtered_query_params: params(&args.filtered_query_params),
        header: header(&args.headers),
        username: some(args.username),
        password: exposed(args.password.as_ref()),
        platform: some(args.platform),
        concurrent_layer_count: number(i64::from(args.concurrent_task_count)),
        concurrent_peer_count: number(i64::from(args.concurrent_peer_count)),
        timeout: Some(duration(timeout)),
        certificate_chain: Vec::new(),
        insecure_skip_verify: args.insecure_skip_verify,
        scope: args.scope.as_str().to_owned(),
        enable_task_id_based_blob_digest: args.enable_task_id_based_blob_digest.unwrap_or(true),
    }
}

/// Files to be preheated within `timeout`, all under the same conditions.
pub fn files(args: PreheatArgs, timeout: Duration) -> PreheatFiles {
    let file = |url: String| PreheatFileRequest {
        url,
        piece_length: number(args.piece_length),
        tag: some(args.tag.clone()),
        application: some(args.application.clone()),
        filtered_query_params: params(&args.filtered_query_params),
        header: header(&args.headers),
        scope: args.scope.as_str().to_owned(),
        ips: args.ips.iter().map(ToString::to_string).collect(),
        percentage: number(args.percentage),
        count: number(args.count),
        concurrent_task_count: number(i64::from(args.concurrent_task_count)),
        concurrent_peer_count: number(i64::from(args.concurrent_peer_count)),
        timeout: Some(duration(timeout)),
        priority: priority(args.priority),
        certificate_chain: Vec::new(),
        insecure_skip_verify: args.insecure_skip_verify,
        object_storage: args.object_storage.as_ref().map(object_storage),
        hdfs: args.hdfs.as_ref().map(|hdfs| common::Hdfs {
            delegation_token: exposed(hdfs.delegation_token.as_ref()),
        }),
        output_path: None,
    };
    PreheatFiles {
        files: urls(&args).map(file).collect(),
    }
}

fn object_storage(args: &ObjectStorageArgs) -> common::ObjectStorage {
    common::ObjectStorage {
        region: some(args.region.clone()),
        endpoint: some(args.endpoint.clone()),
        access_key_id: exposed(args.access_key_id.as_ref()),
        access_key_secret: exposed(args.access_key_secret.as_ref()),
        session_token: exposed(args.session_token.as_ref()),
        security_token: exposed(args.security_token.as_ref()),
        ..common::ObjectStorage::default()
    }
}

/// A task that is asked about.
pub fn query(args: TaskArgs) -> TaskQuery {
    let task = match args.task_id.is_empty() {
        false => task_query::Task::TaskId(args.task_id),
        true => task_query::Task::Download(common::Download {
            url: args.url,
            tag: some(args.tag),
            application: some(args.application),
            filtered_query_params: params(&args.filtered_query_params),
            piece_length: number(args.piece_length),
            content_for_calculating_task_id: some(args.content_for_calculating_task_id),
            ..common::Download::default()
        }),
    };
    TaskQuery {
        task: Some(task),
        concurrent_peer_count: number(args.concurrent_peer_count),
    }
}

fn header(headers: &BTreeMap<String, SecretString>) -> HashMap<String, String> {
    let pair = |(name, value): (&String, &SecretString)| (name.clone(), value.expose_secret().to_owned());
    headers.iter().map(pair).collect()
}

/// Parameters that are left out of task ids, as peers leave them out.
fn params(text: &str) -> Vec<String> {
    if text.is_empty() {
        let usual = dragonfly_model::DEFAULT_FILTERED_QUERY_PARAMS.iter();
        return usual.map(|param| (*param).to_owned()).collect();
    }
    let given = text.split('&').filter(|param| !param.is_empty());
    given.map(str::to_owned).collect()
}

fn priority(value: u32) -> i32 {
    let known = i32::try_from(value)
        .ok()
        .and_then(|value| common::Priority::try_from(value).ok());
    known.unwrap_or_default().into()
}

fn exposed(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Zero is left out.
fn number<T: Default + PartialEq>(number: T) -> Option<T> {
    Some(number).filter(|number| *number != T::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::{PreheatKind, PreheatScope};

    fn args() -> PreheatArgs {
        PreheatArgs {
            r#type: PreheatKind::File,
            url: "https://o/a".into(),
            urls: vec!["https://o/b".into(), "https://o/a".into()],
            scope: PreheatScope::AllPeers,
            count: 2,
            headers: [("X".to_owned(), "y".into())].into(),
            ..PreheatArgs::default()
        }
    }

    #[test]
    fn each_file_is_asked_for_once_under_the_same_conditions() {
        let files = files(args(), Duration::from_secs(9)).files;
        let urls: Vec<&str> = files.iter().map(|file| file.url.as_str()).collect();
        assert_eq!(urls, ["https://o/a", "https://o/b"]);
        for file in files {
            assert_eq!(
                (file.scope.as_str(), file.count, file.percentage),
                ("all_peers", Some(2), None)
            );
            assert_eq!(file.header["X"], "y");
            assert_eq!(file.timeout.unwrap().seconds, 9);
            assert!(
                file.filtered_query_params
                    .iter()
                    .any(|param| param == "X-Amz-Signature")
            );
        }
    }
}
