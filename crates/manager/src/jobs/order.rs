//! A work as a scheduler is told of it.

use super::ask::{Args, shown_url};
use crate::store::entity::job_work::Only;
use dragonfly_api::ext::{PreheatFiles, TaskQuery, task_query, work};
use dragonfly_api::rest::{ObjectStorageArgs, PreheatArgs, PreheatKind, PreheatScope, TaskArgs};
use dragonfly_api::scheduler::{PreheatFileRequest, PreheatImageRequest, StatImageRequest};
use dragonfly_api::{common, duration};
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Bytes of a work; schedulers take messages of four MiB.
const MAX_BYTES: usize = 3 << 20;
/// Addresses that a request may name.
const MAX_IPS: usize = 100;

/// What a scheduler shall do within `timeout`: nothing, if it is not for schedulers.
pub(super) fn task(args: Args, only: Option<&Only>, timeout: Duration) -> Option<work::Task> {
    Some(match args {
        Args::Preheat(mut args) => {
            if let Some(only) = only {
                narrow(&mut args, only);
            }
            match args.r#type {
                PreheatKind::Image => work::Task::PreheatImage(image(args, timeout)),
                PreheatKind::File => work::Task::PreheatFiles(files(args, timeout)),
            }
        }
        Args::Distribution(args) => work::Task::StatImage(distribution(args, timeout)),
        Args::Get(args) => work::Task::GetTask(query(args)),
        Args::Delete(args) => work::Task::DeleteTask(query(args)),
        Args::Gc(_) | Args::None => return None,
    })
}

/// Whether a scheduler would take it.
pub(super) fn fits(args: Args) -> bool {
    let task = task(args, None, Duration::ZERO);
    let bytes = task.map_or(0, |task| {
        let work = dragonfly_api::ext::Work {
            task: Some(task),
            ..Default::default()
        };
        work.encoded_len()
    });
    bytes <= MAX_BYTES
}

/// Leaves what is not done. A URL of which nothing was reported is for all hosts.
fn narrow(args: &mut PreheatArgs, only: &Only) {
    let mut all_known = true;
    if args.r#type == PreheatKind::File {
        let shown = urls(args).map(|url| (shown_url(&url), url));
        let open: Vec<_> = shown.filter(|(shown, _)| !only.done.contains(shown)).collect();
        all_known = open.iter().all(|(shown, _)| only.lacking.contains(shown));
        let mut urls = open.into_iter().map(|(_, url)| url);
        if let Some(first) = urls.next() {
            args.urls = urls.collect();
            args.url = first;
        }
    }
    let ips: Vec<_> = only.ips.iter().filter_map(|ip| ip.parse().ok()).collect();
    if all_known && args.scope != PreheatScope::SingleSeedPeer && (1..=MAX_IPS).contains(&ips.len()) {
        args.ips = ips;
    }
}

/// All URLs that are meant, each once.
pub(super) fn urls(args: &PreheatArgs) -> impl Iterator<Item = String> {
    let mut urls: Vec<String> = Vec::new();
    for url in std::iter::once(&args.url).chain(&args.urls) {
        if !url.is_empty() && !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    urls.into_iter()
}

fn image(args: PreheatArgs, timeout: Duration) -> PreheatImageRequest {
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

fn distribution(args: PreheatArgs, timeout: Duration) -> StatImageRequest {
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

fn files(args: PreheatArgs, timeout: Duration) -> PreheatFiles {
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

fn query(args: TaskArgs) -> TaskQuery {
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

    fn told(args: PreheatArgs, only: Option<&Only>) -> Vec<PreheatFileRequest> {
        match task(Args::Preheat(args), only, Duration::from_secs(9)) {
            Some(work::Task::PreheatFiles(files)) => files.files,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_file_is_asked_for_once_under_the_same_conditions() {
        let files = told(args(), None);
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

    #[test]
    fn a_retry_asks_for_what_is_not_done() {
        let (a, b) = ("https://o/a".to_owned(), "https://o/b".to_owned());
        let only = Only {
            done: vec![a.clone()],
            lacking: vec![b.clone()],
            ips: vec!["10.0.0.7".into()],
        };
        let files = told(args(), Some(&only));
        assert_eq!(files.len(), 1);
        assert_eq!(
            (&files[0].url, files[0].ips.as_slice()),
            (&b, ["10.0.0.7".to_owned()].as_slice())
        );
        assert_eq!(told(args(), Some(&Only::default())).len(), 2);
        // Nothing was said of b, so every host is meant.
        let unknown = Only {
            done: Vec::new(),
            lacking: vec![a],
            ..only
        };
        let files = told(args(), Some(&unknown));
        assert_eq!((files.len(), files[0].ips.len()), (2, 0));
    }

    #[test]
    fn a_work_that_no_scheduler_takes_is_known() {
        assert!(fits(Args::Preheat(args())));
        let large = PreheatArgs {
            urls: (0..1000).map(|number| format!("https://o/{number}")).collect(),
            headers: [("X".to_owned(), "y".repeat(10_000).into())].into(),
            ..args()
        };
        assert!(!fits(Args::Preheat(large)));
    }
}
