//! What origins of all habits give, over real connections.

use crate::support::{Answer, Origin, Seen, answer, cut, streamed, stuck};
use bytes::Bytes;
use dragonfly_model::ByteRange;
use dragonfly_source::{Body, Caller, Config, EgressPolicy, Error, Fault, Refusal, Request, Sources, Validator};
use futures::TryStreamExt;
use http::{HeaderValue, Method};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CONTENT: &[u8] = b"0123456789abcdef";

fn sources() -> Sources {
    Sources::new(Config::default()).unwrap()
}

fn part(start: u64, length: u64) -> Option<ByteRange> {
    Some(ByteRange { start, length })
}

async fn bytes(body: Body) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = body.stream.try_collect().await?;
    Ok(chunks.concat())
}

/// An origin without fault: HEAD, GET, one range.
fn well_behaved(seen: &Seen) -> Answer {
    let common = [
        ("etag", "\"v1\""),
        ("accept-ranges", "bytes"),
        ("set-cookie", "a=b"),
        ("x-kept", "yes"),
    ];
    if seen.method == Method::HEAD {
        let length = CONTENT.len().to_string();
        return answer(200, &[common.as_slice(), &[("content-length", &length)]].concat(), "");
    }
    match seen.header("range") {
        None => answer(200, &common, CONTENT),
        Some(range) => {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            let said = format!("bytes {first}-{last}/{}", CONTENT.len());
            let headers = [common.as_slice(), &[("content-range", &said)]].concat();
            answer(206, &headers, &CONTENT[first..=last])
        }
    }
}

#[tokio::test]
async fn a_content_is_described_without_being_sent() {
    let origin = Origin::start(well_behaved).await;
    let head = sources()
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    assert_eq!(
        (head.status, head.content_length, head.accepts_ranges),
        (200, Some(16), true)
    );
    assert_eq!(
        head.validator,
        Some(Validator::ETag(HeaderValue::from_static("\"v1\"")))
    );
    assert_eq!(head.headers["x-kept"], "yes");
    assert!(!head.headers.contains_key("set-cookie"));
    assert_eq!(
        origin.seen().iter().map(|s| s.method.clone()).collect::<Vec<_>>(),
        [Method::HEAD]
    );
}

#[tokio::test]
async fn a_content_and_a_range_of_it_arrive_as_they_are() {
    let origin = Origin::start(well_behaved).await;
    let mut request = Request::new(origin.url("/x"), Caller::Local);
    let body = sources().get(request.clone()).await.unwrap();
    assert_eq!(body.range, None);
    assert_eq!(bytes(body).await.unwrap(), CONTENT);

    request.range = part(3, 4);
    let body = sources().get(request).await.unwrap();
    assert_eq!(
        (body.range, body.head.content_length, body.head.status),
        (part(3, 4), Some(16), 200)
    );
    assert_eq!(body.head.headers["content-length"], "16");
    assert_eq!(bytes(body).await.unwrap(), b"3456");
    assert!(
        origin
            .seen()
            .iter()
            .all(|seen| seen.header("accept-encoding") == Some("identity"))
    );
}

#[tokio::test]
async fn an_origin_without_ranges_says_so_by_sending_everything() {
    let origin = Origin::start(|_| answer(200, &[], CONTENT)).await;
    let mut request = Request::new(origin.url("/x"), Caller::Local);
    request.range = part(3, 4);
    let body = sources().get(request).await.unwrap();
    assert_eq!((body.range, body.head.accepts_ranges), (None, false));
    assert_eq!(bytes(body).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_chunked_content_has_no_length_until_it_ends() {
    let origin = Origin::start(|_| streamed(200, &[], vec![b"01234567", b"89abcdef"])).await;
    let request = Request::new(origin.url("/x"), Caller::Local);
    assert_eq!(sources().stat(&request).await.unwrap().content_length, None);
    let body = sources().get(request).await.unwrap();
    assert_eq!(body.head.content_length, None);
    assert_eq!(bytes(body).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_origin_that_refuses_head_is_asked_for_one_byte() {
    for refusal in [400, 403, 405, 501] {
        let origin = Origin::start(move |seen| match seen.method {
            Method::HEAD => answer(refusal, &[], ""),
            _ => well_behaved(seen),
        })
        .await;
        let head = sources()
            .stat(&Request::new(origin.url("/x"), Caller::Local))
            .await
            .unwrap();
        assert_eq!(
            (head.content_length, head.accepts_ranges),
            (Some(16), true),
            "{refusal}"
        );
        assert_eq!(head.headers["content-length"], "16");
        assert_eq!(origin.seen()[1].header("range"), Some("bytes=0-0"));
    }
}

#[tokio::test]
async fn a_head_of_no_length_is_checked_against_the_content() {
    let origin = Origin::start(|seen| match seen.method {
        Method::HEAD => answer(200, &[("content-length", "0")], ""),
        _ => well_behaved(seen),
    })
    .await;
    let head = sources()
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    assert_eq!(head.content_length, Some(16));

    let empty = Origin::start(|seen| match seen.method {
        Method::HEAD => answer(200, &[("content-length", "0")], ""),
        _ => answer(416, &[("content-range", "bytes */0")], ""),
    })
    .await;
    let head = sources()
        .stat(&Request::new(empty.url("/x"), Caller::Local))
        .await
        .unwrap();
    assert_eq!((head.status, head.content_length), (200, Some(0)));
}

#[tokio::test]
async fn statuses_other_than_success_are_errors_with_the_answers_headers() {
    let origin = Origin::start(|_| answer(401, &[("www-authenticate", "Bearer realm=\"r\"")], "")).await;
    let error = sources()
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert_eq!((error.status(), error.fault()), (Some(401), Fault::Caller));
    let Error::Status { headers, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(headers["www-authenticate"], "Bearer realm=\"r\"");
}

#[tokio::test]
async fn a_body_that_ends_short_is_an_error() {
    let origin = Origin::start(|_| cut(200, &[("content-length", "16")], b"0123")).await;
    let body = sources()
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    let error = bytes(body).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { received: 4, .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_body_that_falls_silent_is_an_error() {
    let origin = Origin::start(|_| stuck(200, &[("content-length", "16")], b"0123")).await;
    let sources = Sources::new(Config {
        stall_timeout: Duration::from_millis(50),
        ..Config::default()
    })
    .unwrap();
    let mut body = sources
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    assert_eq!(body.stream.try_next().await.unwrap().unwrap(), "0123");
    let error = body.stream.try_next().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn another_version_is_never_mistaken_for_the_one_asked_for() {
    // One origin honours the precondition, the other ignores it.
    let honest = Origin::start(|seen| {
        assert_eq!(seen.header("if-match"), Some("\"v0\""));
        answer(412, &[], "")
    })
    .await;
    let careless = Origin::start(well_behaved).await;
    for origin in [honest, careless] {
        let mut request = Request::new(origin.url("/x"), Caller::Local);
        request.range = part(3, 4);
        request.if_match = Some(Validator::ETag(HeaderValue::from_static("\"v0\"")));
        let error = sources().get(request).await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_refused() {
    for (said, body) in [
        ("bytes 0-3/16", "0123"),
        ("bytes 3-9/16", "3456789"),
        ("nonsense", "3456"),
    ] {
        let origin = Origin::start(move |_| answer(206, &[("content-range", said)], body)).await;
        let mut request = Request::new(origin.url("/x"), Caller::Local);
        request.range = part(3, 4);
        let error = sources().get(request).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{said}: {error:?}");
    }
}

#[tokio::test]
async fn failures_that_pass_are_tried_again_and_others_are_not() {
    let failing = |status: u16| {
        let asked = AtomicU32::new(0);
        Origin::start(move |seen| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => answer(status, &[("retry-after", "0")], ""),
            _ => well_behaved(seen),
        })
    };
    for status in [429, 502, 503, 504] {
        let origin = failing(status).await;
        let body = sources()
            .get(Request::new(origin.url("/x"), Caller::Local))
            .await
            .unwrap();
        assert_eq!(bytes(body).await.unwrap(), CONTENT);
        assert_eq!(origin.seen().len(), 2, "{status}");
    }
    let origin = failing(500).await;
    let error = sources()
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert_eq!((error.status(), origin.seen().len()), (Some(500), 1));
}

/// A date that is over, one that can't be counted from anything, and what is no date: none asks for more than a usual pause.
#[tokio::test]
async fn a_date_is_counted_from_the_origins_clock() {
    let noon = ("date", "Sun, 06 Nov 1994 12:00:00 GMT");
    for (after, date) in [
        ("Sun, 06 Nov 1994 11:00:00 GMT", noon),
        ("Sun, 06 Nov 1994 12:00:00 GMT", noon),
        ("Fri, 01 Jan 2100 00:00:00 GMT", ("date", "noon")),
        ("soon", noon),
    ] {
        let asked = AtomicU32::new(0);
        let origin = Origin::start(move |seen| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => answer(503, &[("retry-after", after), date], ""),
            _ => well_behaved(seen),
        })
        .await;
        let request = Request::new(origin.url("/x"), Caller::Local);
        assert_eq!(bytes(sources().get(request).await.unwrap()).await.unwrap(), CONTENT);
        assert_eq!(origin.seen().len(), 2, "{after}");
    }
}

#[tokio::test]
async fn an_origin_that_asks_for_long_patience_is_left_alone() {
    let noon = ("date", "Sun, 06 Nov 1994 12:00:00 GMT");
    for after in ["3600", "Sun, 06 Nov 1994 13:00:00 GMT"] {
        for status in [429, 503] {
            let origin = Origin::start(move |_| answer(status, &[("retry-after", after), noon], "")).await;
            let error = sources()
                .get(Request::new(origin.url("/x"), Caller::Local))
                .await
                .unwrap_err();
            assert_eq!((error.status(), origin.seen().len()), (Some(status), 1), "{after}");
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_an_unreachable_origin() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?token=secret", listener.local_addr().unwrap());
    drop(listener);
    let error = sources()
        .stat(&Request::new(url.parse().unwrap(), Caller::Local))
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

/// TOB-DF2-2: a URL that came from another host names nothing of this one.
#[tokio::test]
async fn another_host_can_not_name_our_loopback() {
    let origin = Origin::start(well_behaved).await;
    let port = origin.address().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
    ] {
        let url = format!("http://{host}:{port}/x").parse().unwrap();
        let error = sources().get(Request::new(url, Caller::Remote)).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refusal::Loopback(_))),
            "{host}: {error:?}"
        );
    }
    assert!(origin.seen().is_empty());
    // A connection that a local caller may have must not be lent to a remote one.
    sources()
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    let shared = sources();
    shared
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap();
    assert!(
        shared
            .stat(&Request::new(origin.url("/x"), Caller::Remote))
            .await
            .is_err()
    );
}

/// TOB-DF2-2: the guard stands before every hop.
#[tokio::test]
async fn a_redirect_does_not_lead_around_the_guard() {
    let open = EgressPolicy {
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        ..EgressPolicy::default()
    };
    let sources = Sources::new(Config {
        egress: open,
        ..Config::default()
    })
    .unwrap();
    for target in [
        "http://169.254.169.254/latest",
        "http://127.0.0.2/x",
        "http://[fd00:ec2::254]/",
    ] {
        let origin = Origin::start(move |_| answer(302, &[("location", target)], "")).await;
        let error = sources
            .get(Request::new(origin.url("/x"), Caller::Remote))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{target}: {error:?}");
    }
}

#[tokio::test]
async fn other_schemes_are_not_asked() {
    let error = sources()
        .stat(&Request::new("file:///etc/passwd".parse().unwrap(), Caller::Local))
        .await;
    assert!(matches!(error, Err(Error::UnsupportedScheme(_))));
    let origin = Origin::start(|_| answer(302, &[("location", "file:///etc/passwd")], "")).await;
    let error = sources()
        .get(Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UnsupportedScheme(_)), "{error:?}");
}
