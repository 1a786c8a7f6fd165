//! Where redirects lead and what travels along them.

use crate::support::{Origin, answer, cut, streamed, stuck};
use dragonfly_model::ByteRange;
use dragonfly_source::{Caller, Config, Error, Request, Sources};
use futures::TryStreamExt;
use http::HeaderValue;
use std::sync::atomic::{AtomicU32, Ordering};

fn with_credentials(origin: &Origin, path: &str) -> Request {
    let mut request = Request::new(origin.url(path), Caller::Local);
    for (name, value) in [("authorization", "Bearer t"), ("cookie", "a=b"), ("x-plain", "1")] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let mut key = HeaderValue::from_static("k");
    key.set_sensitive(true);
    request.headers.insert("x-api-key", key);
    request
}

fn sources() -> Sources {
    Sources::new(Config::default()).unwrap()
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_with_the_method_it_had() {
    for status in [301, 302, 303, 307, 308] {
        let origin = Origin::start(move |seen| match seen.path.as_str() {
            "/a/x" => answer(status, &[("location", "../b?signed=1#part")], "moved"),
            "/b?signed=1" => answer(
                200,
                &[("content-length", "5")],
                if seen.method == "HEAD" { "" } else { "there" },
            ),
            other => panic!("asked for {other}"),
        })
        .await;
        let head = sources().stat(&with_credentials(&origin, "/a/x")).await.unwrap();
        assert_eq!(head.content_length, Some(5), "{status}");
        let body = sources().get(with_credentials(&origin, "/a/x")).await.unwrap();
        let chunks: Vec<_> = body.stream.try_collect().await.unwrap();
        assert_eq!(chunks.concat(), b"there");
        let methods: Vec<_> = origin.seen().iter().map(|seen| seen.method.to_string()).collect();
        assert_eq!(methods, ["HEAD", "HEAD", "GET", "GET"], "{status}");
        // The same origin keeps its credentials.
        assert!(
            origin
                .seen()
                .iter()
                .all(|seen| seen.header("authorization") == Some("Bearer t"))
        );
    }
}

/// A signed target is good once: who goes on with a content asks where it is now, and never the old target again.
#[tokio::test]
async fn a_target_that_has_expired_is_replaced_by_a_new_one() {
    let (signed, used) = (AtomicU32::new(0), AtomicU32::new(0));
    let origin = Origin::start(move |seen| match seen.path.strip_prefix("/signed?n=") {
        None => {
            let target = format!("/signed?n={}", signed.fetch_add(1, Ordering::Relaxed));
            answer(307, &[("location", &target)], "")
        }
        Some(n) if n.parse() == Ok(used.fetch_add(1, Ordering::Relaxed)) => match seen.header("range") {
            None => cut(200, &[("content-length", "8"), ("etag", "\"v1\"")], b"0123"),
            Some(_) => answer(206, &[("content-range", "bytes 4-7/8"), ("etag", "\"v1\"")], "4567"),
        },
        Some(_) => answer(403, &[], "expired"),
    })
    .await;
    let sources = sources();
    let mut request = Request::new(origin.url("/x"), Caller::Local);
    let mut body = sources.get(request.clone()).await.unwrap();
    assert_eq!(body.stream.try_next().await.unwrap().unwrap(), "0123");
    let error = body.stream.try_next().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");

    request.range = Some(ByteRange { start: 4, length: 4 });
    let rest: Vec<_> = sources.get(request).await.unwrap().stream.try_collect().await.unwrap();
    assert_eq!(rest.concat(), b"4567");
    let paths: Vec<_> = origin.seen().iter().map(|seen| seen.path.clone()).collect();
    assert_eq!(paths, ["/x", "/signed?n=0", "/x", "/signed?n=1"]);
}

#[tokio::test]
async fn a_target_that_is_expired_already_is_named_without_its_signature() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/x" => answer(307, &[("location", "/blob?signature=secret")], ""),
        _ => answer(403, &[], "expired"),
    })
    .await;
    let error = sources()
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn credentials_stay_with_the_origin_they_were_meant_for() {
    let elsewhere = Origin::start(|_| answer(200, &[], "there")).await;
    let target = elsewhere.url("/blob").to_string();
    let origin = Origin::start(move |_| answer(307, &[("location", &target)], "")).await;
    sources().get(with_credentials(&origin, "/x")).await.unwrap();
    let [first] = &origin.seen()[..] else {
        panic!("one request")
    };
    let [second] = &elsewhere.seen()[..] else {
        panic!("one request")
    };
    for name in ["authorization", "cookie", "x-api-key"] {
        assert!(first.header(name).is_some(), "{name}");
        assert!(second.header(name).is_none(), "{name}");
    }
    assert_eq!(second.header("x-plain"), Some("1"));
    assert_eq!(second.header("host"), Some(elsewhere.address().to_string().as_str()));
}

#[tokio::test]
async fn credentials_do_not_come_back_with_the_way_back() {
    let origin = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = origin.clone();
    let elsewhere = Origin::start(move |_| answer(302, &[("location", back.get().unwrap())], "")).await;
    let target = elsewhere.url("/").to_string();
    let first = Origin::start(move |seen| match seen.path.as_str() {
        "/x" => answer(302, &[("location", &target)], ""),
        _ => answer(200, &[], "there"),
    })
    .await;
    origin.set(first.url("/y").to_string()).unwrap();
    sources().get(with_credentials(&first, "/x")).await.unwrap();
    assert_eq!(first.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn circles_end() {
    let origin = Origin::start(|seen| answer(302, &[("location", &seen.path)], "")).await;
    let error = sources()
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooManyRedirects { limit: 10, .. }), "{error:?}");
    assert_eq!(origin.seen().len(), 11);
}

#[tokio::test]
async fn a_redirect_whose_body_never_ends_is_followed_all_the_same() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/x" => stuck(302, &[("location", "/y")], b"wait"),
        "/z" => streamed(302, &[("location", "/y")], vec![&[0; 64 * 1024]; 4]),
        _ => answer(200, &[], "there"),
    })
    .await;
    for path in ["/x", "/z"] {
        let body = sources()
            .get(Request::new(origin.url(path), Caller::Local))
            .await
            .unwrap();
        assert_eq!(body.head.content_length, Some(5), "{path}");
    }
}
