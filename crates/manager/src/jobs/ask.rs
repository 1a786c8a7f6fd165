//! What a job asks for: its arguments, read, checked, and told apart into what may be shown and what may not.

use crate::error::Error;
use dragonfly_api::rest::{Check, GcArgs, JobType, PreheatArgs, PreheatKind, Problems, RetryJob, TaskArgs};
use dragonfly_model::DEFAULT_FILTERED_QUERY_PARAMS;
use dragonfly_source::oci::ImageRef;
use regex::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::LazyLock;
use std::time::Duration;
use url::Url;

/// How long a job may take that does not say it.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// What stands for a secret.
const REDACTED: &str = "redacted";
/// A parameter of the usual list that is no secret.
const NAMESPACE: &str = "ns";

/// Names of the kinds of secrets.
const PASSWORD: &str = "password";
const HEADERS: &str = "headers";
const OBJECT_STORAGE: &str = "object_storage";
const HDFS: &str = "hdfs";
const URLS: &str = "urls";

/// The arguments of a job, as a scheduler needs them.
#[derive(Debug, Clone)]
pub(super) enum Args {
    Preheat(PreheatArgs),
    Distribution(PreheatArgs),
    Get(TaskArgs),
    Delete(TaskArgs),
    Gc(GcArgs),
    None,
}

/// A job's arguments, as they are kept.
pub(super) struct Ask {
    pub(super) args: Args,
    /// What everybody may see who may see jobs.
    pub(super) shown: Value,
    /// All of it as text, if something may not be seen.
    pub(super) whole: Option<String>,
    /// Which secrets there are.
    pub(super) secrets: Vec<String>,
    pub(super) timeout: Duration,
}

impl Args {
    /// Arguments that were checked when they were kept.
    pub(super) fn kept(kind: JobType, args: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            JobType::Preheat => Self::Preheat(serde_json::from_value(args)?),
            JobType::GetImageDistribution => Self::Distribution(serde_json::from_value(args)?),
            JobType::GetTask => Self::Get(serde_json::from_value(args)?),
            JobType::DeleteTask => Self::Delete(serde_json::from_value(args)?),
            JobType::Gc => Self::Gc(serde_json::from_value(args)?),
            JobType::SyncPeers => Self::None,
        })
    }
}

impl Ask {
    /// Reads what a caller sent.
    pub(super) fn read(kind: JobType, args: Value) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let ask = match kind {
            JobType::Preheat => {
                let mut args: PreheatArgs = parsed(args)?;
                args.check(&mut problems);
                check_urls(&mut args, &mut problems);
                Self::fetching(args, Args::Preheat)
            }
            JobType::GetImageDistribution => {
                let mut args: PreheatArgs = parsed(args)?;
                args.r#type = PreheatKind::Image;
                args.check(&mut problems);
                check_urls(&mut args, &mut problems);
                Self::fetching(args, Args::Distribution)
            }
            JobType::GetTask | JobType::DeleteTask => {
                let args: TaskArgs = parsed(args)?;
                args.check(&mut problems);
                if !args.url.is_empty() {
                    check_file("args.url", &args.url, &mut problems);
                }
                let wrap = if kind == JobType::GetTask {
                    Args::Get
                } else {
                    Args::Delete
                };
                Self::about_task(args, wrap)
            }
            JobType::Gc => {
                let args: GcArgs = parsed(args)?;
                Self::open(Args::Gc(args), value(&args))
            }
            JobType::SyncPeers => Self::open(Args::None, Value::Object(Default::default())),
        };
        match problems.is_empty() {
            true => Ok(ask),
            false => Err(problems.into()),
        }
    }

    /// What was asked for before, with the secrets that were forgotten.
    pub(super) fn again(kind: JobType, shown: Value, forgotten: &[String], retry: RetryJob) -> Result<Self, Error> {
        retry.checked()?;
        if forgotten.is_empty() {
            return Self::read(kind, shown);
        }
        if forgotten.iter().any(|secret| secret == URLS) {
            return Err(Error::Conflict(
                "the job's URLs were signed, and were forgotten when it ended; make a new job".into(),
            ));
        }
        let mut args: PreheatArgs = parsed(shown)?;
        let mut lacking = Vec::new();
        for secret in forgotten {
            let given = match secret.as_str() {
                PASSWORD => retry.password.is_some(),
                HEADERS => !retry.headers.is_empty(),
                OBJECT_STORAGE => retry.object_storage.is_some(),
                HDFS => retry.hdfs.is_some(),
                _ => false,
            };
            if !given {
                lacking.push(secret.as_str());
            }
        }
        if !lacking.is_empty() {
            return Err(Error::Conflict(format!(
                "the job's secrets were forgotten when it ended; give its {} again",
                lacking.join(", ")
            )));
        }
        args.password = retry.password;
        args.headers = retry.headers;
        args.object_storage = retry.object_storage.or(args.object_storage);
        args.hdfs = retry.hdfs;
        Self::read(kind, value(&args))
    }

    fn fetching(args: PreheatArgs, wrap: fn(PreheatArgs) -> Args) -> Self {
        let timeout = timeout(args.timeout);
        let (shown, secrets) = without_secrets(args.clone());
        Self {
            shown: value(&shown),
            whole: (!secrets.is_empty()).then(|| value(&args).to_string()),
            secrets: secrets.into_iter().map(str::to_owned).collect(),
            args: wrap(args),
            timeout,
        }
    }

    fn about_task(args: TaskArgs, wrap: fn(TaskArgs) -> Args) -> Self {
        let timeout = timeout(args.timeout);
        let shown = TaskArgs {
            url: shown_url(&args.url),
            ..args.clone()
        };
        let signed = shown.url != args.url;
        Self {
            shown: value(&shown),
            whole: signed.then(|| value(&args).to_string()),
            secrets: signed.then(|| URLS.to_owned()).into_iter().collect(),
            args: wrap(args),
            timeout,
        }
    }

    fn open(args: Args, shown: Value) -> Self {
        Self {
            args,
            shown,
            whole: None,
            secrets: Vec::new(),
            timeout: TIMEOUT,
        }
    }
}

/// A URL with nothing in it that opens something: signatures are left out.
pub(super) fn shown_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return text.to_owned();
    };
    let is_secret = |name: &str| name != NAMESPACE && DEFAULT_FILTERED_QUERY_PARAMS.contains(&name);
    if !url.query_pairs().any(|(name, _)| is_secret(&name)) {
        return text.to_owned();
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut query = url.query_pairs_mut();
    query.clear();
    for (name, value) in &pairs {
        let value = if is_secret(name) { REDACTED } else { value };
        query.append_pair(name, value);
    }
    drop(query);
    url.into()
}

/// A text in which such URLs may stand.
pub(super) fn shown_text(text: &str) -> String {
    static URL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>)]+"#).expect("the pattern is constant"));
    URL.replace_all(text, |url: &regex::Captures<'_>| shown_url(&url[0]))
        .into_owned()
}

fn without_secrets(mut args: PreheatArgs) -> (PreheatArgs, Vec<&'static str>) {
    let mut secrets = Vec::new();
    if args.password.take().is_some() {
        secrets.push(PASSWORD);
    }
    if !args.headers.is_empty() {
        secrets.push(HEADERS);
        args.headers.values_mut().for_each(|value| *value = REDACTED.into());
    }
    if let Some(store) = &mut args.object_storage {
        let taken = [
            store.access_key_id.take(),
            store.access_key_secret.take(),
            store.session_token.take(),
            store.security_token.take(),
        ];
        if taken.iter().any(Option::is_some) {
            secrets.push(OBJECT_STORAGE);
        }
    }
    if args.hdfs.take().is_some() {
        secrets.push(HDFS);
    }
    let urls = std::iter::once(&mut args.url).chain(&mut args.urls);
    let signed = urls.fold(false, |signed, url| {
        let shown = shown_url(url);
        let differs = shown != *url;
        *url = shown;
        signed || differs
    });
    if signed {
        secrets.push(URLS);
    }
    (args, secrets)
}

/// Checks what is fetched, and writes an image's name as the URL that it means.
fn check_urls(args: &mut PreheatArgs, problems: &mut Problems) {
    match args.r#type {
        PreheatKind::Image if args.url.is_empty() => {}
        PreheatKind::Image => {
            no_user("args.url", &args.url, problems);
            match args.url.parse::<ImageRef>() {
                Ok(image) => args.url = image.to_string(),
                Err(error) => problems.push("args.url", format_args!("must name an image: {error}")),
            }
        }
        PreheatKind::File => {
            if !args.url.is_empty() {
                check_file("args.url", &args.url, problems);
            }
            for url in &args.urls {
                check_file("args.urls", url, problems);
            }
        }
    }
}

/// What addresses may be asked is judged by those who ask them.
fn check_file(field: &str, text: &str, problems: &mut Problems) {
    match Url::parse(text) {
        Ok(url) if url.host_str().is_none_or(str::is_empty) => {
            problems.push(field, format_args!("has {text:?}, which names no host"));
        }
        Ok(_) => no_user(field, text, problems),
        Err(error) => problems.push(field, format_args!("has {text:?}, which is no URL: {error}")),
    }
}

/// A password in a URL would be in every log on the way.
fn no_user(field: &str, text: &str, problems: &mut Problems) {
    let named = Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
    if named {
        problems.push(
            field,
            "must not hold a user or password; use username and password, or headers",
        );
    }
}

fn timeout(nanos: u64) -> Duration {
    match nanos {
        0 => TIMEOUT,
        nanos => Duration::from_nanos(nanos),
    }
}

fn parsed<T: DeserializeOwned>(args: Value) -> Result<T, Error> {
    let args = if args.is_null() {
        Value::Object(Default::default())
    } else {
        args
    };
    serde_json::from_value(args).map_err(|error| Error::Invalid(format!("args: {error}")))
}

fn value(args: &impl Serialize) -> Value {
    serde_json::to_value(args).expect("structs, lists and scalars are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SIGNED: &str = "https://b.s3.amazonaws.com/f?part=1&X-Amz-Signature=hunter2&X-Amz-Date=now";

    fn ask(args: Value) -> Ask {
        Ask::read(JobType::Preheat, args).unwrap()
    }

    #[test]
    fn what_is_shown_holds_no_secret_and_what_is_sealed_all_of_them() {
        let ask = ask(json!({
            "type": "file", "url": SIGNED, "urls": ["https://o/plain?x=1"], "headers": {"Cookie": "hunter2"},
            "password": "hunter2", "username": "ada",
            "object_storage": {"region": "r", "access_key_secret": "hunter2"}, "hdfs": {"delegation_token": "hunter2"},
        }));
        let shown = ask.shown.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["ada", "Cookie", "part=1", "https://o/plain?x=1", "\"region\":\"r\""] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        let told = shown_text(&format!("GET \"{SIGNED}\": 503 ({SIGNED}), {SIGNED}: closed"));
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("\": 503 (https://") && told.ends_with("closed"), "{told}");
        assert_eq!(ask.whole.unwrap().matches("hunter2").count(), 5);
        assert_eq!(ask.secrets, ["password", "headers", "object_storage", "hdfs", "urls"]);
    }

    #[test]
    fn an_open_job_needs_no_seal_and_is_asked_for_again_as_it_was() {
        let first = ask(json!({"url": "nginx:1.27", "scope": "all_peers", "count": 3}));
        assert!(first.whole.is_none());
        assert_eq!(first.timeout, Duration::from_secs(3600));
        let again = Ask::again(JobType::Preheat, first.shown.clone(), &[], RetryJob::default()).unwrap();
        assert_eq!(again.shown, first.shown);
        let url = first.shown["url"].as_str().unwrap();
        assert_eq!(url, "https://registry-1.docker.io/v2/library/nginx/manifests/1.27");
    }

    #[test]
    fn forgotten_secrets_are_needed_again() {
        let first = ask(json!({"url": "nginx", "username": "ada", "password": "hunter2"}));
        let retry = |retry| Ask::again(JobType::Preheat, first.shown.clone(), &first.secrets, retry);
        let refused = retry(RetryJob::default()).err().unwrap().to_string();
        assert!(refused.contains("give its password again"), "{refused}");
        let again = retry(RetryJob {
            password: Some("other".into()),
            ..RetryJob::default()
        });
        assert!(again.unwrap().whole.unwrap().contains("other"));
        let signed = ask(json!({"type": "file", "url": SIGNED}));
        let refused = Ask::again(JobType::Preheat, signed.shown, &signed.secrets, RetryJob::default());
        assert!(refused.err().unwrap().to_string().contains("make a new job"));
    }

    #[test]
    fn users_in_urls_and_urls_without_hosts_are_refused() {
        for url in ["https://u:p@h/f", "https://u@h/f", "file:///etc/passwd", "nonsense"] {
            assert!(
                Ask::read(JobType::Preheat, json!({"type": "file", "url": url})).is_err(),
                "{url}"
            );
            assert!(Ask::read(JobType::GetTask, json!({"url": url})).is_err(), "{url}");
        }
        let args = json!({"url": "https://u:p@h/v2/a/manifests/1"});
        assert!(Ask::read(JobType::GetImageDistribution, args).is_err());
    }
}
