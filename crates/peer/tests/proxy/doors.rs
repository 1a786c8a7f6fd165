//! What passes straight to the origin, and what is not let in at all.

use super::client::{get, is_cut_off, same, send, send_h2c, send_raw};
use super::origin::{File, Habit, Origin, blob_path, content};
use super::peer::TestPeer;
use bytes::Bytes;
use dragonfly_peer::config::ProxyRule;
use http::{Request, StatusCode};
use http_body_util::Full;
use std::sync::Arc;
use tokio::sync::Notify;

fn file(bytes: &Bytes) -> File {
    File {
        bytes: bytes.clone(),
        ..File::default()
    }
}

fn rule(regex: &str) -> ProxyRule {
    ProxyRule {
        regex: regex.to_owned(),
        use_tls: false,
        redirect: None,
        filtered_query_params: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_request_reaches_the_origin_as_it_was_sent() {
    let origin = Origin::start().await;
    origin.put("/upload", file(&content(3, 1)));
    let peer = TestPeer::start(|_| {}).await;
    let sent = content(3 << 20, 2);
    let request = Request::post(format!("{}/upload?digest=a%2Fb", origin.url()))
        .header("host", "ignored")
        .header("authorization", "Bearer token")
        .header("proxy-authorization", "Basic c2VjcmV0")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-dragonfly-tag", "t")
        .header("x-custom", "kept")
        .body(Full::new(sent.clone()))
        .unwrap();
    let answer = send(peer.proxy(), request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("set-cookie"), Some("session=of-one-caller"));
    same(answer, &content(3, 1));

    let seen = origin.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), &*seen.target), ("POST", "/upload?digest=a%2Fb"));
    assert_eq!(seen.body, sent);
    assert_eq!(seen.headers["host"], *origin.address.to_string());
    assert_eq!(seen.headers["authorization"], "Bearer token");
    assert_eq!(seen.headers["x-custom"], "kept");
    for gone in ["proxy-authorization", "x-hop", "x-dragonfly-tag", "transfer-encoding"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_left_to_the_client() {
    let origin = Origin::start().await;
    let peer = TestPeer::start(|_| {}).await;
    let answer = send(peer.proxy(), get(&format!("{}/moved", origin.url()), &[])).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.header("location"), Some("http://elsewhere.invalid/file"));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_answer_that_breaks_off_is_reset() {
    let origin = Origin::start().await;
    let broken = File {
        habit: Habit::BreaksOff(100),
        ..file(&content(1000, 1))
    };
    origin.put("/file", broken);
    let peer = TestPeer::start(|_| {}).await;
    let asked = get(&format!("{}/file", origin.url()), &[]);
    assert!(is_cut_off(peer.proxy(), asked).await, "a short body ended cleanly");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_or_the_clients_word_sends_a_forwarded_get_peer_to_peer() {
    let origin = Origin::start().await;
    let bytes = content(1 << 20, 3);
    for path in ["/model/weights", "/other"] {
        origin.put(path, file(&bytes));
    }
    let peer = TestPeer::start(|raw| raw.proxy.rules = vec![rule("/model/")]).await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        send(peer.proxy(), get(&format!("{}{path}", origin.url()), headers)).await
    };
    for _ in 0..2 {
        let answer = ask("/model/weights?Signature=changes", &[]).await;
        assert!(answer.header("x-dragonfly-task-id").is_some());
        same(answer, &bytes);
    }
    assert_eq!(origin.given("/model/weights"), bytes.len());
    let direct = ask("/other", &[]).await;
    assert_eq!(direct.header("x-dragonfly-task-id"), None);
    let chosen = ask("/other", &[("x-dragonfly-use-p2p", "true")]).await;
    assert!(chosen.header("x-dragonfly-task-id").is_some());
    same(chosen, &bytes);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_not_there_is_answered_502_and_a_metadata_address_403() {
    let origin = Origin::start().await;
    origin.stop().await;
    let peer = TestPeer::start(|_| {}).await;
    let gone = send(peer.proxy(), get(&format!("{}/file", origin.url()), &[])).await;
    assert_eq!(gone.status, StatusCode::BAD_GATEWAY);
    assert_eq!(gone.header("x-dragonfly-error-type"), Some("backend"));
    for headers in [&[][..], &[("x-dragonfly-use-p2p", "true")]] {
        let metadata = get("http://169.254.169.254/latest/meta-data/", headers);
        let refused = send(peer.proxy(), metadata).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(refused.header("x-dragonfly-error-type"), Some("proxy"));
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_leads_back_to_the_proxy_ends() {
    let peer = TestPeer::start(|_| {}).await;
    let blob = blob_path("lab/image", b"");
    for path in ["/v2/lab/image/manifests/latest", &blob] {
        let target = format!("{path}?ns=http://{}", peer.proxy());
        let answer = send(peer.proxy(), get(&target, &[])).await;
        assert_eq!(answer.status, StatusCode::LOOP_DETECTED, "{path}");
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_is_answered_as_http1() {
    let origin = Origin::start().await;
    let blob = content(5 << 20, 4);
    let path = blob_path("lab/image", &blob);
    origin.put(&path, file(&blob));
    let peer = TestPeer::start(|_| {}).await;
    let request = Request::get(format!("http://{}{path}", peer.proxy()))
        .header("x-dragonfly-registry", origin.url())
        .body(Full::default())
        .unwrap();
    let answer = send_h2c(peer.proxy(), request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("x-dragonfly-task-id").is_some());
    same(answer, &blob);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_password_is_not_let_in() {
    let origin = Origin::start().await;
    origin.put("/file", file(&content(10, 5)));
    let auth = serde_json::json!({ "username": "robot", "password": "pass" });
    let peer = TestPeer::start(|raw| raw.proxy.server.basic_auth = serde_json::from_value(auth).unwrap()).await;
    let url = format!("{}/file", origin.url());
    // Credentials for the origin are not credentials for the proxy.
    for headers in [&[][..], &[("authorization", "Basic cm9ib3Q6cGFzcw==")]] {
        let refused = send(peer.proxy(), get(&url, headers)).await;
        assert_eq!(refused.status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        assert!(refused.header("proxy-authenticate").is_some());
    }
    let right = [("proxy-authorization", "Basic cm9ib3Q6cGFzcw==")];
    same(send(peer.proxy(), get(&url, &right)).await, &content(10, 5));
    assert_eq!(origin.seen().len(), 1);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_a_second_may_have_are_answered_429() {
    let origin = Origin::start().await;
    let peer = TestPeer::start(|raw| raw.proxy.server.request_rate_limit = 1).await;
    let url = format!("{}/nothing", origin.url());
    let ask = || send(peer.proxy(), get(&url, &[]));
    let mut limited = 0;
    // However slow the machine, not each of these takes a second.
    for _ in 0..20 {
        limited += usize::from(ask().await.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(limited > 0);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_to_write_to_is_refused() {
    let origin = Origin::start().await;
    origin.put("/file", file(&content(10, 6)));
    let peer = TestPeer::start(|_| {}).await;
    let url = format!("{}/file", origin.url());
    let headers = [
        ("x-dragonfly-use-p2p", "true"),
        ("x-dragonfly-output-path", "/tmp/stolen"),
    ];
    let answer = send(peer.proxy(), get(&url, &headers)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("x-dragonfly-error-type"), Some("proxy"));
    assert!(origin.seen().is_empty());
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_request_can_be_smuggled_inside_a_first() {
    let origin = Origin::start().await;
    origin.put("/file", file(&content(10, 7)));
    let peer = TestPeer::start(|_| {}).await;
    let url = format!("{}/file", origin.url());
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = |first: &str, second: &str| {
        format!("POST {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n{hidden}")
    };
    let length = format!("Content-Length: {}", 5 + hidden.len());
    let chunked = "Transfer-Encoding: chunked";
    for request in [
        both(&length, chunked),
        both(chunked, &length),
        both("Content-Length: 5", "Content-Length: 6"),
        both(chunked, "Transfer-Encoding: identity"),
        both("Transfer-Encoding: xchunked", &length),
        format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n folded: 1\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding : chunked\r\n\r\n{hidden}"),
        format!("GET {url} HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n"),
    ] {
        send_raw(peer.proxy(), &request).await;
    }
    for seen in origin.seen() {
        assert_eq!(seen.target, "/file", "the origin saw a request that nobody sent");
        // What did reach it had one end only.
        let (length, chunked) = ("content-length", "transfer-encoding");
        assert!(!(seen.headers.contains_key(length) && seen.headers.contains_key(chunked)));
        assert!(seen.body.is_empty());
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_when_the_peer_stops() {
    let origin = Origin::start().await;
    let go_on = Arc::new(Notify::new());
    let slow = File {
        habit: Habit::Pauses(go_on.clone()),
        ..file(&content(1 << 20, 8))
    };
    origin.put("/file", slow);
    let peer = TestPeer::start(|_| {}).await;
    let asking = send(peer.proxy(), get(&format!("{}/file", origin.url()), &[]));
    let stopping = async {
        while origin.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        peer.begin_to_stop();
        // It takes nobody new from now on.
        while tokio::net::TcpStream::connect(peer.proxy()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go_on.notify_one();
    };
    let (answer, ()) = tokio::join!(asking, stopping);
    same(answer, &content(1 << 20, 8));
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_end_could_not_be_seen_is_not_sent_by_http_1_0() {
    let origin = Origin::start().await;
    let chunked = File {
        habit: Habit::Chunked,
        ..file(&content(1000, 9))
    };
    origin.put("/chunked", chunked);
    origin.put("/file", file(&Bytes::from_static(b"known")));
    let peer = TestPeer::start(|_| {}).await;
    let ask = async |path: &str| send_raw(peer.proxy(), &format!("GET {}{path} HTTP/1.0\r\n\r\n", origin.url())).await;
    assert!(ask("/chunked").await.starts_with("HTTP/1.0 505 "));
    assert!(ask("/file").await.ends_with("\r\n\r\nknown"));
    peer.stop().await;
}
