//! Requests and tunnels that are passed on.

use crate::support::{Origin, answer};
use bytes::Bytes;
use dragonfly_source::{Caller, Config, Error, ForwardBody, Sources};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn sources() -> Sources {
    Sources::new(Config::default()).unwrap()
}

fn request(url: &str, body: &'static str) -> Request<ForwardBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let body = body.map_err(|never| match never {}).boxed_unsync();
    let request = Request::post(url).header("accept-encoding", "gzip");
    request.body(body).unwrap()
}

#[tokio::test]
async fn a_request_and_its_answer_are_passed_on_as_they_are() {
    let origin = Origin::start(|_| answer(302, &[("location", "/elsewhere"), ("set-cookie", "a=b")], "go on")).await;
    let url = origin.url("/x?y=z").to_string();
    let response = sources().forward(request(&url, "body"), Caller::Local).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["set-cookie"], "a=b");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "go on");
    let [seen] = &origin.seen()[..] else {
        panic!("one request")
    };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/x?y=z"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn what_is_passed_on_stands_before_the_same_guard() {
    let origin = Origin::start(|_| answer(200, &[], "")).await;
    let address = origin.address();
    let error = sources()
        .forward(request(origin.url("/").as_str(), ""), Caller::Remote)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    for host in ["127.0.0.1", "localhost", "[::1]", "::ffff:127.0.0.1"] {
        let error = sources()
            .tunnel(host, address.port(), Caller::Remote)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{host}: {error:?}");
    }
    let error = sources()
        .tunnel("169.254.169.254", 80, Caller::Local)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn a_tunnel_is_a_bare_connection() {
    let origin = Origin::start(|_| answer(200, &[], "there")).await;
    let mut stream = sources()
        .tunnel("127.0.0.1", origin.address().port(), Caller::Local)
        .await
        .unwrap();
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.ends_with("there"), "{said}");
}
