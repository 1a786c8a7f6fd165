use super::*;
use crate::config;
use http::Request;
use regex::Regex;
use std::time::Duration;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const LAB: &str = "http://registry.lab:5000";

fn router(rules: &[&str]) -> Router {
    let rules = rules.iter().map(|regex| rule(regex)).collect();
    with_rules(rules)
}

fn rule(regex: &str) -> config::Rule {
    config::Rule {
        regex: Regex::new(regex).unwrap(),
        use_tls: false,
        redirect: None,
        filtered_query_params: vec!["Signature".to_owned()],
    }
}

fn with_rules(rules: Vec<config::Rule>) -> Router {
    let proxy = config::Proxy {
        addr: "0.0.0.0:4001".parse().unwrap(),
        rules,
        registry_mirror: RegistryMirror {
            addr: Url::parse(LAB).unwrap(),
            cert: None,
            trusted_registries: Vec::new(),
            tag_ttl: Duration::ZERO,
            enable_task_id_based_blob_digest: true,
        },
        basic_auth: None,
        authorization_ttl: Duration::from_secs(3600),
        mitm: None,
        request_rate_limit: 100,
        disable_back_to_source: false,
        revalidate_after: Duration::from_secs(10),
    };
    Router::new(&proxy, "10.0.0.1".parse().unwrap())
}

fn door(caller: Caller) -> Door {
    Door {
        caller,
        local: "127.0.0.1:4001".parse().unwrap(),
        tunnel: None,
    }
}

fn get(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn routed(router: &Router, parts: &Parts) -> Route {
    router.route(parts, &door(Caller::Local), false).unwrap()
}

fn url_of(parts: &Parts) -> String {
    routed(&router(&[]), parts).destination().url.to_string()
}

fn plan(router: &Router, parts: &Parts) -> Plan {
    match routed(router, parts) {
        Route::Peers(_, plan) => *plan,
        other => panic!("{} went direct", other.destination().url),
    }
}

fn blob(base: &str) -> String {
    format!("{base}/v2/lab/image/blobs/{DIGEST}")
}

#[test]
fn the_registry_is_the_headers_then_the_querys_then_the_configured_one() {
    let path = "/v2/lab/image/manifests/latest";
    let both = format!("{path}?ns=ghcr.io");
    let header = [("x-dragonfly-registry", "http://127.0.0.1:5050")];
    assert_eq!(url_of(&get(&both, &header)), format!("http://127.0.0.1:5050{both}"));
    assert_eq!(url_of(&get(&both, &[])), format!("https://ghcr.io{both}"));
    assert_eq!(url_of(&get(path, &[])), format!("{LAB}{path}"));
    let hub = format!("{path}?ns=docker.io");
    assert_eq!(url_of(&get(&hub, &[])), format!("https://registry-1.docker.io{hub}"));
}

#[test]
fn a_word_that_names_no_registry_is_answered_400() {
    for parts in [
        get("/v2/", &[("x-dragonfly-registry", "file:///etc/passwd")]),
        get("/v2/", &[("x-dragonfly-registry", "http://user:secret@host")]),
        get("/v2/?ns=a/b", &[]),
    ] {
        let refusal = router(&[]).route(&parts, &door(Caller::Remote), false).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
        assert!(!refusal.message().contains("secret"));
    }
}

#[test]
fn documents_of_registries_are_kept_and_a_manifest_by_digest_travels_only_by_a_rule() {
    let (tag, named) = (
        "/v2/lab/image/manifests/latest".to_owned(),
        format!("/v2/lab/image/manifests/{DIGEST}"),
    );
    let p2p = [("x-dragonfly-use-p2p", "true")];
    for parts in [
        get("/v2/", &[]),
        get(&tag, &[]),
        get(&tag, &p2p),
        get(&named, &[]),
        get(&format!("http://r.lab{tag}"), &[]),
    ] {
        assert!(
            matches!(routed(&router(&[]), &parts), Route::Registry(..)),
            "{}",
            parts.uri
        );
    }
    let plan = plan(&router(&["manifests"]), &get(&named, &[]));
    assert_eq!(plan.digest.unwrap().to_string(), DIGEST);
    assert!(matches!(
        routed(&router(&["manifests"]), &get(&tag, &[])),
        Route::Registry(..)
    ));
    let mut head = get(&named, &p2p);
    head.method = Method::HEAD;
    assert!(matches!(routed(&router(&[]), &head), Route::Registry(..)));
}

#[test]
fn only_a_blobs_head_is_known_here() {
    let mut blob = get(&blob(""), &[]);
    blob.method = Method::HEAD;
    assert!(matches!(routed(&router(&[]), &blob), Route::Peers(..)));
    let mut file = get("http://files.lab/a", &[]);
    file.method = Method::HEAD;
    assert!(matches!(routed(&router(&["files"]), &file), Route::Direct(_)));
}

#[test]
fn a_url_with_a_host_is_forwarded_unless_the_host_is_this_proxy() {
    assert_eq!(url_of(&get("http://files.lab/a?b=c", &[])), "http://files.lab/a?b=c");
    for own in [
        "http://127.0.0.1:4001/v2/",
        "http://localhost:4001/v2/",
        "http://10.0.0.1:4001/v2/",
    ] {
        assert_eq!(url_of(&get(own, &[])), format!("{LAB}/v2/"), "{own}");
    }
    assert_eq!(
        url_of(&get("http://127.0.0.1:5050/v2/", &[])),
        "http://127.0.0.1:5050/v2/"
    );
}

#[test]
fn a_mirror_request_over_http2_names_its_registry_as_over_http1() {
    let mut parts = get("http://peer.lab:4001/v2/?ns=ghcr.io", &[]);
    assert_eq!(url_of(&parts), "http://peer.lab:4001/v2/?ns=ghcr.io");
    parts.version = Version::HTTP_2;
    assert_eq!(url_of(&parts), "https://ghcr.io/v2/?ns=ghcr.io");
}

#[test]
fn without_rules_only_blobs_through_the_mirror_travel_peer_to_peer() {
    let router = router(&[]);
    let peers = |parts: &Parts| matches!(routed(&router, parts), Route::Peers(..));
    assert!(peers(&get(&blob(""), &[])));
    assert!(!peers(&get("/v2/lab/image/manifests/latest", &[])));
    assert!(!peers(&get(&blob(LAB), &[])));
    assert!(peers(&get("http://files.lab/a", &[("x-dragonfly-use-p2p", "true")])));
    assert!(!peers(&get(&blob(""), &[("if-match", "\"a\"")])));
    let with_body = router.route(&get(&blob(""), &[]), &door(Caller::Local), true).unwrap();
    assert!(matches!(with_body, Route::Direct(_)));
}

#[test]
fn rules_see_the_url_without_its_query_and_replace_the_default() {
    let router = router(&["^http://files[.]lab/[a-z]+$"]);
    let peers = |target: &str| matches!(routed(&router, &get(target, &[])), Route::Peers(..));
    assert!(peers("http://files.lab/model?token=1"));
    assert!(!peers("http://files.lab/model/1"));
    assert!(!peers("http://other.lab/?x=http://files.lab/model"));
    assert!(!peers(&blob("")));
}

#[test]
fn the_first_matching_rule_says_where_and_how_the_origin_is_asked() {
    let elsewhere = config::Rule {
        use_tls: true,
        redirect: Some("store.lab:8443".to_owned()),
        ..rule("files[.]lab")
    };
    let router = with_rules(vec![elsewhere, rule("files")]);
    let plan = plan(&router, &get("http://files.lab/a?Signature=1&v=2", &[]));
    assert_eq!(plan.url.as_str(), "https://store.lab:8443/a?Signature=1&v=2");
    assert_eq!(plan.filtered_query_params, ["Signature"]);
}

#[test]
fn a_hostile_ns_can_not_vouch_for_another_registrys_blob() {
    let router = router(&[]);
    let id = |target: &str| plan(&router, &get(target, &[])).task_id;
    let trusted = id(&blob(""));
    assert_eq!(trusted.as_str(), &DIGEST["sha256:".len()..]);
    let hostile = id(&format!("{}?ns=evil.example", blob("")));
    let other = id(&format!("{}?ns=other.example", blob("")));
    assert_ne!(hostile, trusted);
    assert_ne!(hostile, other);
    // The same host by another scheme or port is another registry.
    assert_ne!(id(&format!("{}?ns=https://registry.lab:5000", blob(""))), trusted);
    assert_ne!(id(&format!("{}?ns=http://registry.lab:5001", blob(""))), trusted);
}

#[test]
fn an_untrusted_blobs_id_is_found_again_from_the_text_that_a_seed_is_given() {
    let plan = plan(&router(&[]), &get(&format!("{}?ns=evil.example", blob("")), &[]));
    assert_eq!(plan.blob_trust, BlobTrust::OwnOrigin);
    let identity = TaskIdentity {
        url: &plan.url,
        content: None,
        tag: None,
        application: None,
        revision: None,
        piece_length: None,
        filtered_query_params: &[],
        blob_trust: BlobTrust::OwnOrigin,
    };
    assert_eq!(identity.task_id(), plan.task_id);
    let by_text = TaskIdentity {
        content: plan.content_for_task_id.as_deref(),
        blob_trust: BlobTrust::Ignored,
        ..identity
    };
    assert_eq!(by_text.task_id(), plan.task_id);
}

#[test]
fn a_text_for_the_content_counts_everywhere_only_for_this_hosts_processes() {
    let router = router(&["."]);
    let id = |target: &str, caller| {
        let parts = get(target, &[("x-dragonfly-content-for-calculating-task-id", "model-7")]);
        match router.route(&parts, &door(caller), false).unwrap() {
            Route::Peers(_, plan) => plan.task_id,
            other => panic!("{} went direct", other.destination().url),
        }
    };
    let (one, two) = ("http://one.lab/m", "http://two.lab/m");
    assert_eq!(id(one, Caller::Local), id(two, Caller::Local));
    assert_ne!(id(one, Caller::Remote), id(two, Caller::Remote));
    assert_ne!(id(one, Caller::Remote), id(one, Caller::Local));
    assert_eq!(id(one, Caller::Remote), id("http://one.lab/signed?x=1", Caller::Remote));
}

#[test]
fn a_client_may_turn_blob_ids_off_but_the_digest_is_still_checked() {
    let name = "x-dragonfly-enable-task-id-based-blob-digest";
    let plan = plan(&router(&[]), &get(&blob(""), &[(name, "false")]));
    assert_eq!(plan.blob_trust, BlobTrust::Ignored);
    assert_eq!(plan.digest.map(|digest| digest.to_string()).as_deref(), Some(DIGEST));
}

#[test]
fn a_tunnel_leads_to_its_own_host_only() {
    let inside = Door {
        tunnel: Some("files.lab:443".parse().unwrap()),
        ..door(Caller::Local)
    };
    let router = router(&["files[.]lab"]);
    let route = router.route(&get("/a?b=c", &[]), &inside, false).unwrap();
    assert_eq!(route.destination().url.as_str(), "https://files.lab/a?b=c");
    assert!(matches!(route, Route::Peers(..)));
    let other = router.route(&get("https://other.lab/a", &[]), &inside, false);
    assert_eq!(other.unwrap_err().status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(router.route(&get("https://files.lab/a", &[]), &inside, false).is_ok());
}

#[test]
fn what_is_no_path_and_no_http_url_is_answered_400() {
    for target in ["ftp://files.lab/a", "http://user:secret@files.lab/a", "*"] {
        let refusal = router(&[]).route(&get(target, &[]), &door(Caller::Local), false);
        assert_eq!(refusal.unwrap_err().status(), StatusCode::BAD_REQUEST, "{target}");
    }
}

#[test]
fn the_origin_gets_path_and_query_byte_for_byte() {
    let target = "http://files.lab/a/%2e%2E/b|c?x=%41&y";
    let route = routed(&router(&[]), &get(target, &[]));
    assert_eq!(route.destination().uri.to_string(), target);
}
