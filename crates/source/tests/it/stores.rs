//! Objects of a real store that speaks S3, and what every kind of store is asked with.

use crate::support::{Origin, answer};
use bytes::Bytes;
use dragonfly_model::ByteRange;
use dragonfly_source::{
    Access, AccessKey, Caller, Config, EgressPolicy, Error, Fault, Request, Sources, StoreAccess, Validator,
};
use dragonfly_testkit::s3::{Key, ObjectStore};
use futures::TryStreamExt;
use http::HeaderValue;
use secrecy::SecretString;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

const CONTENT: &[u8] = b"0123456789abcdef";

async fn store() -> ObjectStore {
    ObjectStore::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn sources() -> Sources {
    Sources::new(Config::default()).unwrap()
}

fn key(id: &str, secret: &str) -> Option<AccessKey> {
    Some(AccessKey {
        id: id.to_owned(),
        secret: SecretString::from(secret),
        token: None,
    })
}

fn request(url: &str, endpoint: &str, key: Option<AccessKey>) -> Request {
    Request {
        access: Access::Store(StoreAccess {
            endpoint: Some(endpoint.to_owned()),
            key,
            ..StoreAccess::default()
        }),
        ..Request::new(Url::parse(url).unwrap(), Caller::Local)
    }
}

fn read_by(store: &ObjectStore, who: &Key, url: &str) -> Request {
    request(url, &store.endpoint(), key(&who.id, &who.secret))
}

async fn bytes(sources: &Sources, request: Request) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = sources.get(request).await?.stream.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn an_object_is_described_and_read_by_who_has_the_key() {
    let store = store().await;
    store.put("dir/a.bin", CONTENT, false).await.unwrap();
    store.put("empty", "", false).await.unwrap();
    let reader = store.guard().await.unwrap();
    let sources = sources();

    let asked = read_by(&store, &reader, "s3://models/dir/a.bin");
    let head = sources.stat(&asked).await.unwrap();
    assert_eq!((head.content_length, head.accepts_ranges), (Some(16), true));
    let version = head.validator.unwrap();
    assert!(matches!(version, Validator::ETag(_)));
    assert_eq!(bytes(&sources, asked.clone()).await.unwrap(), CONTENT);

    let part = Request {
        range: Some(ByteRange { start: 4, length: 3 }),
        if_match: Some(version),
        ..asked.clone()
    };
    assert_eq!(bytes(&sources, part.clone()).await.unwrap(), b"456");
    let other = Request {
        if_match: Some(Validator::ETag(HeaderValue::from_static("\"other\""))),
        ..part
    };
    assert!(matches!(bytes(&sources, other).await, Err(Error::Changed { .. })));

    let empty = read_by(&store, &reader, "s3://models/empty");
    assert_eq!(sources.stat(&empty).await.unwrap().content_length, Some(0));
    let missing = read_by(&store, &reader, "s3://models/missing");
    assert_eq!(sources.stat(&missing).await.unwrap_err().status(), Some(404));
    let all = sources.list(&read_by(&store, &reader, "s3://models/")).await.unwrap();
    assert_eq!(all.len(), 2);
}

fn refused(asked: &Request, error: &Error) {
    assert_eq!((error.status(), error.fault()), (Some(403), Fault::Caller), "{error}");
    assert!(!format!("{error:?} {asked:?}").contains("wr0ng"), "{error:?}");
}

#[tokio::test]
async fn who_has_no_key_or_a_wrong_one_reads_nothing_and_learns_no_secret() {
    let store = store().await;
    store.put("a.bin", CONTENT, false).await.unwrap();
    let reader = store.guard().await.unwrap();
    let sources = sources();
    let endpoint = store.endpoint();
    let (wrong, unknown) = (key(&reader.id, "wr0ng"), key("AKIAUNKNOWN", "wr0ng"));
    for key in [None, wrong.clone(), unknown.clone()] {
        let asked = request("s3://models/a.bin", &endpoint, key);
        refused(&asked, &sources.stat(&asked).await.unwrap_err());
    }
    for key in [wrong, unknown] {
        let asked = request("s3://models/", &endpoint, key);
        refused(&asked, &sources.list(&asked).await.unwrap_err());
    }
    assert_eq!(store.gets("a.bin").unwrap(), 0);
}

#[tokio::test]
async fn without_a_key_what_is_public_is_read() {
    let store = store().await;
    store.put("public.bin", CONTENT, true).await.unwrap();
    let asked = request("s3://models/public.bin", &store.endpoint(), None);
    assert_eq!(bytes(&sources(), asked).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_directory_is_listed_with_all_that_is_below_it() {
    let store = store().await;
    for key in [
        "dir/a.bin",
        "dir/sub/b c%.bin",
        "dir/sub/deep/d.bin",
        "directory",
        "e.bin",
    ] {
        store.put(key, CONTENT, false).await.unwrap();
    }
    // More than one page.
    for number in 0..1100 {
        store.put(&format!("many/{number:04}"), "x", false).await.unwrap();
    }
    let sources = sources();
    let asked = |url: &str| request(url, &store.endpoint(), key("anybody", "any"));
    let listed = async |url: &str| {
        let entries = sources.list(&asked(url)).await.unwrap();
        let mut files: Vec<(String, Option<u64>)> = entries
            .into_iter()
            .filter(|entry| !entry.is_dir)
            .map(|entry| (entry.url.to_string(), entry.content_length))
            .collect();
        files.sort();
        files
    };
    let length = Some(16);
    assert_eq!(
        listed("s3://models/dir/").await,
        [
            ("s3://models/dir/a.bin".to_owned(), length),
            ("s3://models/dir/sub/b%20c%25.bin".to_owned(), length),
            ("s3://models/dir/sub/deep/d.bin".to_owned(), length),
        ]
    );
    let strange = asked("s3://models/dir/sub/b%20c%25.bin");
    assert_eq!(bytes(&sources, strange).await.unwrap(), CONTENT);
    assert_eq!(listed("s3://models/many").await.len(), 1100);
    assert_eq!(listed("s3://models/nothing/").await, []);
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let hostile = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>\
        <Key>dir/../../etc/passwd</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>\
        <ETag>\"a\"</ETag><Size>1</Size></Contents></ListBucketResult>";
    let origin = Origin::start(move |_| answer(200, &[("content-type", "application/xml")], hostile)).await;
    let asked = request("s3://models/dir/", &format!("http://{}", origin.address()), None);
    let error = sources().list(&asked).await.unwrap_err();
    assert!(matches!(error, Error::Url { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_is_busy_for_a_moment_is_asked_again_for_its_list() {
    let list = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>\
        <Key>dir/a.bin</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>\
        <ETag>\"a\"</ETag><Size>1</Size></Contents></ListBucketResult>";
    let asked = AtomicU32::new(0);
    let origin = Origin::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => answer(503, &[], "<Error><Code>SlowDown</Code></Error>"),
        _ => answer(200, &[("content-type", "application/xml")], list),
    })
    .await;
    let asked = request("s3://models/dir/", &format!("http://{}", origin.address()), None);
    let entries = sources().list(&asked).await.unwrap();
    assert_eq!((entries.len(), origin.seen().len()), (1, 2));
}

#[tokio::test]
async fn a_signature_stays_with_the_store_that_it_is_for() {
    let elsewhere = Origin::start(|_| answer(200, &[], CONTENT)).await;
    let target = elsewhere.url("/elsewhere").to_string();
    let origin = Origin::start(move |_| answer(307, &[("location", &target)], "")).await;
    let endpoint = format!("http://{}", origin.address());
    for scheme in ["s3", "abs", "oss"] {
        // Azure's keys are in base64.
        let asked = request(&format!("{scheme}://models/a.bin"), &endpoint, key("id", "c2VjcmV0"));
        assert_eq!(bytes(&sources(), asked).await.unwrap(), CONTENT, "{scheme}");
    }
    let (asked, told) = (origin.seen(), elsewhere.seen());
    assert_eq!((asked.len(), told.len()), (3, 3));
    for (seen, told) in asked.iter().zip(&told) {
        assert_eq!(seen.path, "/models/a.bin");
        assert!(seen.header("authorization").is_some());
        let secrets = ["authorization", "x-amz-date", "x-ms-date", "x-amz-content-sha256"];
        assert!(
            secrets.iter().all(|name| told.header(name).is_none()),
            "{:?}",
            told.headers
        );
    }
}

#[tokio::test]
async fn where_a_store_is_reached_by_the_buckets_name_that_name_is_asked() {
    for scheme in ["oss", "cos"] {
        // A name that no resolver knows (RFC 6761).
        let endpoint = "http://store.invalid";
        let asked = request(&format!("{scheme}://models/a.bin"), endpoint, key("id", "secret"));
        let error = sources().stat(&asked).await.unwrap_err();
        assert!(error.is_unreachable(), "{scheme}: {error}");
        assert!(
            error.to_string().contains("http://models.store.invalid/a.bin"),
            "{error}"
        );
    }
    let asked = request("cos://models/a.bin", "http://192.0.2.1", key("id", "secret"));
    let error = sources().stat(&asked).await.unwrap_err();
    assert!(error.to_string().contains("must be a name"), "{error}");
}

#[tokio::test]
async fn what_a_store_needs_is_said() {
    let sources = sources();
    let bare = |scheme: &str| Request::new(Url::parse(&format!("{scheme}://models/a")).unwrap(), Caller::Local);
    let mut said = Vec::new();
    for scheme in ["abs", "oss", "obs", "cos"] {
        let error = sources.stat(&bare(scheme)).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Caller);
        said.push(error.to_string());
    }
    for (text, needed) in said
        .iter()
        .zip(["an endpoint", "an endpoint", "access key", "access key"])
    {
        assert!(text.contains(needed), "{text}");
    }
    let mut google = bare("gs");
    for (credential, needed) in [
        (
            r#"{"type": "external_account", "credential_source": {"executable": {"command": "id"}}}"#,
            "external_account",
        ),
        ("s3cret", "JSON of a service account"),
    ] {
        google.access = Access::Store(StoreAccess {
            credential: Some(SecretString::from(credential)),
            ..StoreAccess::default()
        });
        let error = sources.stat(&google).await.unwrap_err().to_string();
        assert!(error.contains(needed) && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_hosts_caller_does_not_lead_to_loopback() {
    let origin = Origin::start(|_| answer(200, &[], CONTENT)).await;
    let endpoint = format!("http://{}", origin.address());
    let sources = Sources::new(Config {
        egress: EgressPolicy::default(),
        ..Config::default()
    })
    .unwrap();
    for url in ["s3://models/a.bin", "s3://models/"] {
        let asked = Request {
            caller: Caller::Remote,
            ..request(url, &endpoint, None)
        };
        let error = match url.ends_with('/') {
            true => sources.list(&asked).await.unwrap_err(),
            false => sources.stat(&asked).await.unwrap_err(),
        };
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn http_has_no_directories() {
    let asked = Request::new(Url::parse("http://127.0.0.1:1/dir/").unwrap(), Caller::Local);
    let error = sources().list(&asked).await.unwrap_err();
    assert!(error.to_string().contains("no directories"), "{error}");
}
