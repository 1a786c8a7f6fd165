//! Images in real registries of every kind, and registries that misbehave.

use crate::support::{Origin, answer};
use dragonfly_source::oci::{Access, Error, Image as Resolved, ImageRef, Login, Platform, Registry as Client};
use dragonfly_source::{Caller, Config, Sources, Trust};
use dragonfly_testkit::image::Image;
use dragonfly_testkit::registry::{Login as Kind, Registry, Transport};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

fn client(name: &str, login: Login, trust: Trust) -> Client {
    let access = Access {
        caller: Caller::Local,
        login,
        headers: HeaderMap::new(),
        trust,
    };
    Client::new(Sources::new(Config::default()).unwrap(), name.parse().unwrap(), access)
}

async fn resolve(client: &Client) -> Result<Resolved, Error> {
    client.resolve(&Platform::of_this_host()).await
}

fn trust_of(registry: &Registry) -> Trust {
    match registry.ca() {
        Some(ca) => Trust::in_authorities(&[std::fs::read(ca).unwrap()]).unwrap(),
        None => Trust::default(),
    }
}

/// Digests and sizes of the blobs are those of the image.
fn is_of(resolved: &Resolved, image: &Image) {
    let found: Vec<(String, u64)> = resolved
        .blobs()
        .map(|blob| (blob.digest.to_string(), blob.size))
        .collect();
    let made: Vec<(String, u64)> = image.blobs().map(|blob| (blob.digest.clone(), blob.size)).collect();
    assert_eq!(found, made);
    assert_eq!(
        resolved.manifests.last().unwrap().digest.to_string(),
        image.manifest().digest
    );
}

#[tokio::test]
async fn images_are_resolved_at_registries_of_every_kind_and_their_blobs_can_be_fetched_then() {
    let image = Image::tiny(30).unwrap();
    for (kind, transport) in [
        (Kind::Open, Transport::Plain),
        (Kind::Open, Transport::Tls),
        (Kind::Basic, Transport::Tls),
        (Kind::Bearer, Transport::Plain),
    ] {
        let registry = Registry::start(kind, transport).await.unwrap();
        registry.push(&image, "team/app", "v1").await.unwrap();
        let name = format!("{}/team/app:v1", registry.url());
        let trust = trust_of(&registry);
        let login = match registry.user() {
            None => Login::Anonymous,
            Some(user) => Login::basic(user.name, user.password),
        };
        let by_password = client(&name, login, trust.clone());
        is_of(&resolve(&by_password).await.unwrap(), &image);
        let by_digest = format!("{}/team/app@{}", registry.url(), image.manifest().digest);
        let given = registry.authorization("team/app").await.unwrap();
        let given = given.map_or(Login::Anonymous, |value| {
            Login::given(HeaderValue::try_from(value).unwrap())
        });
        let as_given = client(&by_digest, given, trust.clone());
        is_of(&resolve(&as_given).await.unwrap(), &image);

        for client in [&by_password, &as_given] {
            let digest = image.largest().digest.parse().unwrap();
            let mut request = dragonfly_source::Request::new(client.image().blob_url(&digest), Caller::Local);
            request.trust = trust.clone();
            if let Some(value) = client.authorization().await.unwrap() {
                request.headers.insert(http::header::AUTHORIZATION, value);
            }
            let head = Sources::new(Config::default()).unwrap().stat(&request).await.unwrap();
            assert_eq!(head.content_length, Some(image.largest().size));
        }

        if registry.user().is_some() {
            for login in [Login::Anonymous, Login::basic("robot", "wrong")] {
                let error = resolve(&client(&name, login, trust.clone())).await.unwrap_err();
                assert!(
                    matches!(error, Error::Denied { status: 401, .. }),
                    "{kind:?}: {error:?}"
                );
                assert!(!error.to_string().contains("wrong"), "{error}");
            }
        }
        if transport == Transport::Tls {
            let untrusting = resolve(&client(&name, Login::Anonymous, Trust::default())).await;
            let error = untrusting.unwrap_err();
            assert!(
                matches!(&error, Error::Source(source) if matches!(**source, dragonfly_source::Error::Tls { .. })),
                "{error:?}"
            );
        }
        let absent = format!("{}/team/app:v2", registry.url());
        if kind == Kind::Open {
            let error = resolve(&client(&absent, Login::Anonymous, trust)).await.unwrap_err();
            assert!(matches!(error, Error::NotFound(_)), "{error:?}");
            // Only who says so does without a trusted certificate.
            let unverified = client(&name, Login::Anonymous, Trust::unverified());
            is_of(&resolve(&unverified).await.unwrap(), &image);
        }
    }
}

#[tokio::test]
async fn an_index_leads_to_the_manifest_of_the_platform() {
    let (one, two) = (Image::tiny(31).unwrap(), Image::tiny(32).unwrap());
    let registry = Registry::start(Kind::Open, Transport::Plain).await.unwrap();
    let entry = |image: &Image, platform: Value| {
        let blob = image.manifest();
        json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size, "platform": platform})
    };
    for (image, tag) in [(&one, "one"), (&two, "two")] {
        registry.push(image, "team/app", tag).await.unwrap();
    }
    for (tag, index) in [
        ("oci", "application/vnd.oci.image.index.v1+json"),
        ("docker", "application/vnd.docker.distribution.manifest.list.v2+json"),
    ] {
        let index_json = json!({"schemaVersion": 2, "mediaType": index, "manifests": [
            entry(&one, json!({"os": "linux", "architecture": "riscv64"})),
            entry(&two, json!({"os": "linux", "architecture": "arm", "variant": "v7"})),
        ]});
        let put = dragonfly_testkit::client::builder().unwrap().build().unwrap();
        let put = put
            .put(format!("{}/v2/team/app/manifests/{tag}", registry.url()))
            .header("content-type", index)
            .body(index_json.to_string());
        put.send().await.unwrap().error_for_status().unwrap();

        let client = client(
            &format!("{}/team/app:{tag}", registry.url()),
            Login::Anonymous,
            Trust::default(),
        );
        for (platform, image) in [("linux/riscv64", &one), ("linux/arm/v7", &two), ("linux/arm", &two)] {
            let resolved = client.resolve(&platform.parse().unwrap()).await.unwrap();
            assert_eq!(resolved.manifests.len(), 2);
            is_of(&resolved, image);
        }
        let error = client.resolve(&"linux/s390x".parse().unwrap()).await.unwrap_err();
        assert!(
            error.to_string().contains("linux/s390x") && error.to_string().contains("linux/arm/v7"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_and_one_that_was_refused_is_replaced() {
    let manifest =
        json!({"config": {"digest": format!("sha256:{}", "1".repeat(64)), "size": 1}, "layers": []}).to_string();
    let issued = std::sync::Arc::new(AtomicU64::new(0));
    let counter = issued.clone();
    let origin = Origin::start(move |seen| match seen.path.split('?').next().unwrap() {
        "/token" => {
            assert_eq!(seen.header("authorization"), Some("Basic cm9ib3Q6cHc="));
            assert!(seen.path.contains("scope=repository%3Aa%3Apull") && seen.path.contains("account=robot"));
            let number = counter.fetch_add(1, Ordering::Relaxed);
            // The first is over at once, the next are not.
            let expires = if number == 0 { 0 } else { 3600 };
            answer(
                200,
                &[],
                format!("{{\"access_token\": \"t{number}\", \"expires_in\": {expires}}}"),
            )
        }
        _ if seen
            .header("authorization")
            .is_some_and(|value| value.starts_with("Bearer t")) =>
        {
            answer(200, &[], manifest.clone())
        }
        _ => {
            let host = seen.header("host").unwrap();
            answer(
                401,
                &[("www-authenticate", &format!("Bearer realm=\"http://{host}/token\""))],
                "",
            )
        }
    })
    .await;
    let name = format!("http://{}/a:1", origin.address());
    let client = client(&name, Login::basic("robot", "pw"), Trust::default());
    resolve(&client).await.unwrap();
    let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
    // Half of the second for which a token holds at least.
    let renewed = async {
        while text(client.authorization().await.unwrap()) == "Bearer t0" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), renewed)
        .await
        .unwrap();
    let present = client.authorization().await.unwrap();
    assert_eq!(text(present.clone()), "Bearer t1");
    assert!(client.renew(present.as_ref()).await.unwrap());
    // Who comes later with the same refused value finds the new one.
    assert!(client.renew(present.as_ref()).await.unwrap());
    assert_eq!(text(client.authorization().await.unwrap()), "Bearer t2");
    assert_eq!(issued.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn registries_that_misbehave_are_named() {
    let good = json!({"layers": []}).to_string();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&good)));
    let origin = Origin::start(move |seen| match seen.path.rsplit('/').next().unwrap() {
        "long" => answer(200, &[], vec![b' '; (4 << 20) + 1]),
        "circle" => {
            let entry = json!({"digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}});
            answer(200, &[], json!({"manifests": [entry]}).to_string())
        }
        "weak" => answer(401, &[("www-authenticate", "Negotiate")], ""),
        _ => answer(200, &[], "{\"layers\": [ ]}"),
    })
    .await;
    let of = |name: &str| {
        client(
            &format!("http://{}/{name}", origin.address()),
            Login::basic("u", "p"),
            Trust::default(),
        )
    };
    let amd64: Platform = "linux/amd64".parse().unwrap();
    let said = async |name: &str| of(name).resolve(&amd64).await.unwrap_err().to_string();
    assert!(said("a:long").await.contains("4 MiB"));
    assert!(
        said("a:circle").await.contains("was asked for"),
        "what came is not what the index named"
    );
    assert!(said("a:weak").await.contains("401"));
    let other = format!("a@sha256:{}", "1".repeat(64));
    assert!(said(&other).await.contains("was asked for"));
    let nobody: ImageRef = "http://127.0.0.1:1/a".parse().unwrap();
    assert_eq!(nobody.repository(), "a");
    // Named by somebody on another host, the loopback is off limits.
    let guarded = Client::new(
        Sources::new(Config::default()).unwrap(),
        format!("http://{}/a", origin.address()).parse().unwrap(),
        Access {
            caller: Caller::Remote,
            login: Login::Anonymous,
            headers: HeaderMap::new(),
            trust: Trust::default(),
        },
    );
    assert!(matches!(resolve(&guarded).await.unwrap_err(), Error::Source(_)));
}
