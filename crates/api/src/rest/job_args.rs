//! The arguments of jobs. Empty texts and zeros count as left out, since Harbor sends them. What is secret is kept apart by
//! the manager and is never in an answer.

use super::user::expose_some;
use super::{Address, Check, Problems, null_is_default};
use secrecy::{ExposeSecret, SecretString};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// The most characters of a URL.
const MAX_URL_CHARS: usize = 8192;
/// The most URLs of a job.
const MAX_URLS: u64 = 1000;
const MAX_TEXT_CHARS: usize = 1024;
const MAX_SECRET_CHARS: usize = 16 * 1024;
const MAX_HEADERS: u64 = 64;
/// The most addresses that a preheat names.
const MAX_IPS: u64 = 100;
/// The shortest and the longest piece, in bytes.
const PIECE_LENGTH: std::ops::RangeInclusive<u64> = 4_194_304..=67_108_864;
/// The shortest and the longest time that a job may take, in nanoseconds: a second and a week.
const TIMEOUT: std::ops::RangeInclusive<u64> = 1_000_000_000..=604_800_000_000_000;

/// What is preheated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreheatKind {
    /// A container image, by its manifest's URL or its name.
    #[default]
    Image,
    /// Files by their URLs; one that ends in a slash is a directory.
    File,
}

/// Who gets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreheatScope {
    /// One seed peer of each cluster, from which all others fetch.
    #[default]
    #[serde(alias = "single_peer", alias = "")]
    SingleSeedPeer,
    /// Every seed peer.
    AllSeedPeers,
    /// Every peer.
    AllPeers,
}

impl PreheatScope {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleSeedPeer => "single_seed_peer",
            Self::AllSeedPeers => "all_seed_peers",
            Self::AllPeers => "all_peers",
        }
    }
}

/// Arguments of the types `preheat` and `get_image_distribution`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PreheatArgs {
    /// An image or files.
    #[serde(default)]
    pub r#type: PreheatKind,
    /// URL of an image's manifest, or a name such as `nginx:1.27`; or of a file.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub url: String,
    /// URLs of files.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub urls: Vec<String>,
    /// Bytes of a piece; without it the peers choose.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    #[schema(maximum = 67_108_864)]
    pub piece_length: u64,
    /// Part of the task's identity.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub tag: String,
    /// Part of the task's identity.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub application: String,
    /// Query parameters that say nothing about the content, joined by `&`; without them a usual list.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub filtered_query_params: String,
    /// Headers for the origin. Secret.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        serialize_with = "expose_map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schema(value_type = BTreeMap<String, String>)]
    pub headers: BTreeMap<String, SecretString>,
    /// Who asks a registry.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub username: String,
    /// The password of `username`. Secret.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<SecretString>,
    /// Of an image: `os/arch` or `os/arch/variant`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub platform: String,
    /// Who gets it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scope: PreheatScope,
    /// Of a scope of several: only the hosts with these addresses. Stands above `count`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Address>, max_items = 100)]
    pub ips: Vec<IpAddr>,
    /// Of a scope of several: only so many, 1 to 200. Stands above `percentage`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero_u32")]
    #[schema(maximum = 200)]
    pub count: u32,
    /// Of a scope of several: only so many of a hundred.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero_u32")]
    #[schema(maximum = 100)]
    pub percentage: u32,
    /// Contents at a time, 1 to 100.
    #[serde(
        default,
        alias = "concurrent_layer_count",
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero_u32"
    )]
    #[schema(maximum = 100)]
    pub concurrent_task_count: u32,
    /// Peers at a time for each content, 1 to 1000. Harbor calls it `concurrent_count`.
    #[serde(
        default,
        alias = "concurrent_count",
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero_u32"
    )]
    #[schema(maximum = 1000)]
    pub concurrent_peer_count: u32,
    /// Nanoseconds after which the job ends; without it an hour.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    #[schema(maximum = 604_800_000_000_000_i64)]
    pub timeout: u64,
    /// 0 to 6; 0 is the lowest.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero_u32")]
    #[schema(maximum = 6)]
    pub priority: u32,
    /// Whether the origin's certificate is not looked at.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// Whether an image's blob is the task of its digest, as our peers ask for it. Without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_task_id_based_blob_digest: Option<bool>,
    /// How an object store is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorageArgs>,
    /// How an HDFS is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdfs: Option<HdfsArgs>,
}

/// How an object store is reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ObjectStorageArgs {
    /// Its region.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub region: String,
    /// Its address.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub endpoint: String,
    /// Secret, as all that follow.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub access_key_id: Option<SecretString>,
    /// Belongs to `access_key_id`.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub access_key_secret: Option<SecretString>,
    /// For credentials that end.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub session_token: Option<SecretString>,
    /// For credentials that end, as others call it.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub security_token: Option<SecretString>,
}

/// How an HDFS is reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct HdfsArgs {
    /// Secret.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub delegation_token: Option<SecretString>,
}

/// Arguments of the types `get_task` and `delete_task`: a task by its id, or by what its id is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskArgs {
    /// The task.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub task_id: String,
    /// Where its content comes from.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// As it was downloaded with.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    #[schema(maximum = 67_108_864)]
    pub piece_length: u64,
    /// As it was downloaded with.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// As it was downloaded with.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// As it was downloaded with, joined by `&`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub filtered_query_params: String,
    /// Whose hash is the task's id.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub content_for_calculating_task_id: String,
    /// Peers that are asked at a time, 1 to 1000.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_zero_u32")]
    #[schema(maximum = 1000)]
    pub concurrent_peer_count: u32,
    /// Nanoseconds after which the job ends; without it an hour.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    #[schema(maximum = 604_800_000_000_000_i64)]
    pub timeout: u64,
}

/// Arguments of the type `gc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GcArgs {
    /// Which records.
    pub r#type: GcKind,
}

/// Which records are removed when they are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GcKind {
    /// Those of the audit log.
    Audit,
    /// Jobs that have ended.
    Job,
}

/// The arguments of a job, as its type needs them; `sync_peers` needs none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum JobArgs {
    /// Of `preheat` and `get_image_distribution`.
    Preheat(Box<PreheatArgs>),
    /// Of `get_task` and `delete_task`.
    Task(TaskArgs),
    /// Of `gc`.
    Gc(GcArgs),
}

/// What a job needs to go on after its secrets were forgotten: what it was made with, again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct RetryJob {
    /// As in [`PreheatArgs`].
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<SecretString>,
    /// As in [`PreheatArgs`].
    #[serde(
        default,
        deserialize_with = "null_is_default",
        serialize_with = "expose_map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schema(value_type = BTreeMap<String, String>)]
    pub headers: BTreeMap<String, SecretString>,
    /// As in [`PreheatArgs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorageArgs>,
    /// As in [`PreheatArgs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdfs: Option<HdfsArgs>,
}

impl Check for PreheatArgs {
    fn check(&self, problems: &mut Problems) {
        match self.r#type {
            PreheatKind::Image if self.url.is_empty() => problems.push("args.url", "must name an image"),
            PreheatKind::Image if !self.urls.is_empty() => {
                problems.push("args.urls", "is for files; an image has one url")
            }
            PreheatKind::File if self.url.is_empty() && self.urls.is_empty() => {
                problems.push("args.url", "must be given, or urls");
            }
            _ => {}
        }
        problems.within("args.urls", self.urls.len() as u64, 0..=MAX_URLS);
        for url in self.urls.iter().chain(Some(&self.url)) {
            problems.chars("args.url", url, 0..=MAX_URL_CHARS);
        }
        self.check_texts(problems);
        optional("args.piece_length", self.piece_length, PIECE_LENGTH, problems);
        optional("args.timeout", self.timeout, TIMEOUT, problems);
        optional("args.count", self.count.into(), 1..=200, problems);
        optional("args.percentage", self.percentage.into(), 1..=100, problems);
        optional(
            "args.concurrent_task_count",
            self.concurrent_task_count.into(),
            1..=100,
            problems,
        );
        optional(
            "args.concurrent_peer_count",
            self.concurrent_peer_count.into(),
            1..=1000,
            problems,
        );
        problems.within("args.ips", self.ips.len() as u64, 0..=MAX_IPS);
        problems.within("args.priority", self.priority.into(), 0..=6);
        let selects = !self.ips.is_empty() || self.count > 0 || self.percentage > 0;
        if selects && self.scope == PreheatScope::SingleSeedPeer {
            problems.push(
                "args.scope",
                "must be all_peers or all_seed_peers to choose among them by ips, count or percentage",
            );
        }
    }
}

impl PreheatArgs {
    fn check_texts(&self, problems: &mut Problems) {
        for (field, text) in [
            ("args.tag", &self.tag),
            ("args.application", &self.application),
            ("args.filtered_query_params", &self.filtered_query_params),
            ("args.username", &self.username),
            ("args.platform", &self.platform),
        ] {
            problems.chars(field, text, 0..=MAX_TEXT_CHARS);
        }
        let elements = self.platform.split('/').count();
        if !self.platform.is_empty() && !(2..=3).contains(&elements) {
            problems.push("args.platform", "must be like linux/amd64 or linux/arm/v7");
        }
        check_headers(&self.headers, problems);
        secret("args.password", self.password.as_ref(), problems);
        check_stores(self.object_storage.as_ref(), self.hdfs.as_ref(), problems);
    }
}

impl Check for TaskArgs {
    fn check(&self, problems: &mut Problems) {
        let given = [&self.task_id, &self.url, &self.content_for_calculating_task_id];
        if given.into_iter().all(String::is_empty) {
            problems.push(
                "args.task_id",
                "must be given, or url, or content_for_calculating_task_id",
            );
        }
        for (field, text, limit) in [
            ("args.task_id", &self.task_id, 128),
            ("args.url", &self.url, MAX_URL_CHARS),
            ("args.tag", &self.tag, MAX_TEXT_CHARS),
            ("args.application", &self.application, MAX_TEXT_CHARS),
            (
                "args.filtered_query_params",
                &self.filtered_query_params,
                MAX_TEXT_CHARS,
            ),
            (
                "args.content_for_calculating_task_id",
                &self.content_for_calculating_task_id,
                MAX_URL_CHARS,
            ),
        ] {
            problems.chars(field, text, 0..=limit);
        }
        optional("args.piece_length", self.piece_length, PIECE_LENGTH, problems);
        optional("args.timeout", self.timeout, TIMEOUT, problems);
        optional(
            "args.concurrent_peer_count",
            self.concurrent_peer_count.into(),
            1..=1000,
            problems,
        );
    }
}

impl Check for RetryJob {
    fn check(&self, problems: &mut Problems) {
        check_headers(&self.headers, problems);
        secret("password", self.password.as_ref(), problems);
        check_stores(self.object_storage.as_ref(), self.hdfs.as_ref(), problems);
    }
}

fn check_headers(headers: &BTreeMap<String, SecretString>, problems: &mut Problems) {
    problems.within("args.headers", headers.len() as u64, 0..=MAX_HEADERS);
    for (name, value) in headers {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || name.len() > 256 || !name.chars().all(token) {
            problems.push(
                "args.headers",
                format_args!("has {name:?}, which is no name of a header"),
            );
        }
        secret("args.headers", Some(value), problems);
    }
}

fn check_stores(object_storage: Option<&ObjectStorageArgs>, hdfs: Option<&HdfsArgs>, problems: &mut Problems) {
    if let Some(store) = object_storage {
        problems.chars("args.object_storage.region", &store.region, 0..=MAX_TEXT_CHARS);
        problems.chars("args.object_storage.endpoint", &store.endpoint, 0..=MAX_TEXT_CHARS);
        for value in [
            &store.access_key_id,
            &store.access_key_secret,
            &store.session_token,
            &store.security_token,
        ] {
            secret("args.object_storage", value.as_ref(), problems);
        }
    }
    secret(
        "args.hdfs",
        hdfs.and_then(|hdfs| hdfs.delegation_token.as_ref()),
        problems,
    );
}

/// The value itself stands in no message.
fn secret(field: &str, value: Option<&SecretString>, problems: &mut Problems) {
    let Some(value) = value.map(ExposeSecret::expose_secret) else {
        return;
    };
    if value.len() > MAX_SECRET_CHARS {
        problems.push(field, format_args!("must have at most {MAX_SECRET_CHARS} bytes"));
    }
    if value.chars().any(char::is_control) {
        problems.push(field, "must not have control characters");
    }
}

/// Zero is left out.
fn optional(field: &str, value: u64, limits: std::ops::RangeInclusive<u64>, problems: &mut Problems) {
    if value != 0 {
        problems.within(field, value, limits);
    }
}

fn expose_map<S: Serializer>(map: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_map(Some(map.len()))?;
    for (name, value) in map {
        out.serialize_entry(name, value.expose_secret())?;
    }
    out.end()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(args: serde_json::Value) -> String {
        let args: PreheatArgs = serde_json::from_value(args).unwrap();
        args.checked()
            .map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn what_harbor_leaves_empty_counts_as_left_out() {
        let sent = json!({"type": "image", "url": "https://h/v2/a/b/manifests/1", "tag": "", "filtered_query_params": "",
            "headers": null, "scope": "", "concurrent_count": 0, "timeout": 0});
        assert_eq!(problems(sent.clone()), "");
        let args: PreheatArgs = serde_json::from_value(sent).unwrap();
        assert_eq!(args.scope, PreheatScope::SingleSeedPeer);
        let kept = serde_json::to_value(args).unwrap();
        assert_eq!(
            kept,
            json!({"type": "image", "url": "https://h/v2/a/b/manifests/1", "scope": "single_seed_peer"})
        );
    }

    #[test]
    fn every_rule_that_is_broken_is_named() {
        let wrong = json!({"type": "file", "piece_length": 1, "count": 201, "percentage": 101, "platform": "amd64",
            "concurrent_task_count": 101, "concurrent_count": 1001, "timeout": 1, "headers": {"a b": "x\n"}});
        let problems = problems(wrong);
        for word in [
            "args.url must",
            "piece_length must",
            "count must",
            "percentage must",
            "platform must",
            "concurrent_task_count",
            "concurrent_peer_count",
            "timeout must",
            "no name of a header",
            "control characters",
            "args.scope must",
        ] {
            assert!(problems.contains(word), "{word}: {problems}");
        }
        assert!(!problems.contains("x\n"), "{problems}");
        assert!(serde_json::from_value::<PreheatArgs>(json!({"scope": "everybody"})).is_err());
    }

    #[test]
    fn secrets_are_sent_and_not_printed() {
        let args: PreheatArgs = serde_json::from_value(json!({
            "url": "nginx", "password": "hunter2", "headers": {"Authorization": "Bearer hunter2"},
            "object_storage": {"access_key_secret": "hunter2"}, "hdfs": {"delegation_token": "hunter2"},
        }))
        .unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
        assert_eq!(serde_json::to_string(&args).unwrap().matches("hunter2").count(), 4);
    }
}
