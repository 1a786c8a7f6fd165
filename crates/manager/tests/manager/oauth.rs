//! Signing in by identity providers: a real one of OpenID Connect, one that lies, and one that speaks GitHub's protocol.

use crate::access::user;
use crate::forger::{Forger, Lie};
use crate::room::{Api, Engine, PASSWORD, Room, on_every_engine};
use dragonfly_testkit::oidc::{CLIENT, OidcProvider, PERSON};
use reqwest::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode, redirect};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use url::Url;

/// A browser, as far as it matters: it keeps cookies and goes where it is sent.
struct Browser {
    client: reqwest::Client,
    /// By host and port, and name.
    cookies: BTreeMap<(String, String), String>,
    session: Option<String>,
}

struct Page {
    status: StatusCode,
    location: Option<String>,
    text: String,
}

impl Browser {
    /// Of this person, as the provider sees it.
    fn of(person: &str, issuer: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        let key = (authority(&Url::parse(issuer).unwrap()), PERSON.to_owned());
        Self {
            client,
            cookies: BTreeMap::from([(key, person.to_owned())]),
            session: None,
        }
    }

    async fn open(&mut self, url: &str) -> Page {
        let at = Url::parse(url).unwrap();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((host, _), _)| *host == authority(&at))
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut request = self.client.get(url).header(COOKIE, cookies.join("; "));
        if let Some(token) = &self.session {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert((authority(&at), name.to_owned()), value.to_owned());
        }
        let location = response.headers().get(LOCATION);
        Page {
            status: response.status(),
            location: location.map(|to| at.join(to.to_str().unwrap()).unwrap().into()),
            text: response.text().await.unwrap(),
        }
    }

    /// Goes to the provider and, asked by it, whither it sends; what it sends the browser back to is not opened yet.
    async fn way_back(&mut self, room: &Room, provider: &str) -> String {
        let base = base(room);
        let mut next = format!("{base}/api/v1/users/signin/{provider}");
        for _ in 0..10 {
            next = self.open(&next).await.location.expect("sent on");
            if next.starts_with(&base) {
                return next;
            }
        }
        panic!("it is sent about: {next}");
    }

    async fn sign_in(&mut self, room: &Room, provider: &str) -> Page {
        let back = self.way_back(room, provider).await;
        self.open(&back).await
    }

    /// Who the manager takes it for.
    fn api(&self, room: &Room) -> Api {
        let host = authority(&Url::parse(&base(room)).unwrap());
        Api {
            token: self.cookies.get(&(host, "jwt".to_owned())).cloned(),
            ..room.anonymous()
        }
    }
}

fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap())
}

fn base(room: &Room) -> String {
    format!("http://{}", room.addresses.rest)
}

fn redirect_url(room: &Room, name: &str) -> String {
    format!("{}/api/v1/users/signin/{name}/callback", base(room))
}

async fn room(engine: Engine) -> Room {
    Room::start_with(engine, |config| config.auth.plain_http = true).await
}

/// What root writes down of a provider.
async fn write_down(room: &Room, (name, issuer): (&str, &str), domains: Value) -> Value {
    let (client_id, client_secret) = CLIENT;
    let body = json!({
        "name": name, "issuer": issuer, "client_id": client_id, "client_secret": client_secret,
        "redirect_url": redirect_url(room, name), "domains": domains,
    });
    room.root().await.post("/api/v1/oauth", body).await.ok()
}

/// A provider that knows these people, and is written down as `corp`.
async fn provider(room: &Room, people: Value, domains: Value) -> OidcProvider {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let provider = OidcProvider::start(cache, &redirect_url(room, "corp"), people)
        .await
        .unwrap();
    write_down(room, ("corp", provider.issuer()), domains).await;
    provider
}

fn person(login: &str, email: &str, is_verified: bool) -> Value {
    json!({"preferred_username": login, "email": email, "email_verified": is_verified})
}

async fn users(room: &Room) -> Vec<String> {
    let users = room.root().await.get("/api/v1/users").await.ok();
    let names = users.as_array().unwrap().iter();
    names.map(|user| user["name"].as_str().unwrap().to_owned()).collect()
}

/// CVE-2026-49254: the list of providers answered anybody, with the secrets of their clients.
async fn a_providers_secret_is_shown_to_nobody_and_the_list_to_those_with_the_right(engine: Engine) {
    let room = room(engine).await;
    let root = room.root().await;
    let (_, guest) = user(&room, &root, "guest").await;
    let made = write_down(&room, ("corp", "http://127.0.0.1:9"), json!([])).await;
    let path = format!("/api/v1/oauth/{}", made["id"]);
    let change = json!({"bio": "ours", "client_secret": "another secret of the lab"});
    let mut shown = vec![made.clone(), root.patch(&path, change).await.ok()];
    for path in [path.as_str(), "/api/v1/oauth", "/api/v1/audits"] {
        shown.push(root.get(path).await.ok());
        room.anonymous().get(path).await.refused(StatusCode::UNAUTHORIZED);
        guest.get(path).await.refused(StatusCode::FORBIDDEN);
    }
    let ways = room.anonymous().get("/api/v1/users/signin").await.ok();
    assert_eq!(ways, json!([{"name": "corp", "path": "/api/v1/users/signin/corp"}]));
    for shown in shown.iter().chain([&ways]) {
        let text = shown.to_string();
        assert!(
            !text.contains("secret of the lab") && !text.contains("sealed"),
            "{text}"
        );
    }
    assert_eq!(room.data.rows_with("secret of the lab").await, Vec::<String>::new());
    assert_eq!(root.get("/api/v1/oauth?name=other").await.ok(), json!([]));
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
}

async fn what_is_no_provider_is_refused_by_name(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let good = json!({
        "name": "corp", "issuer": "https://id.corp.test", "client_id": "c", "client_secret": "s",
        "redirect_url": "https://manager.corp.test/api/v1/users/signin/corp/callback",
    });
    for (field, value) in [
        ("name", json!("Corp/../x")),
        ("issuer", json!("")),
        ("issuer", json!("file:///etc/passwd")),
        // Codes and secrets do not travel in the clear, unless that is configured.
        ("issuer", json!("http://id.corp.test")),
        ("redirect_url", json!("https://user:pass@corp.test")),
        ("client_secret", json!("")),
        ("domains", json!(["corp test"])),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let refused = root.post("/api/v1/oauth", bad).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            refused.body["errors"].as_str().unwrap().contains(field),
            "{:?}",
            refused.body
        );
    }
    root.post("/api/v1/oauth", good.clone()).await.ok();
    root.post("/api/v1/oauth", good).await.refused(StatusCode::CONFLICT);
}

async fn who_is_known_to_the_provider_and_of_a_named_domain_becomes_a_guest_once(engine: Engine) {
    let room = room(engine).await;
    let people = json!({
        "1": person("anna", "anna@corp.test", true),
        "2": person("bert", "bert@corp.test", false),
        "3": person("eve", "eve@corp.test.evil.test", true),
        "4": person("root", "root@corp.test", true),
    });
    let provider = provider(&room, people, json!(["corp.test"])).await;
    let mut anna = Browser::of("1", provider.issuer());
    for _ in 0..2 {
        let page = anna.sign_in(&room, "corp").await;
        assert_eq!(page.status, StatusCode::FOUND, "{}", page.text);
        assert_eq!(page.location, Some(format!("{}/", base(&room))));
    }
    let api = anna.api(&room);
    api.get("/api/v1/clusters").await.ok();
    api.delete("/api/v1/clusters/1").await.refused(StatusCode::FORBIDDEN);
    for stranger in ["2", "3", "unknown"] {
        let page = Browser::of(stranger, provider.issuer()).sign_in(&room, "corp").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{stranger}: {}", page.text);
    }
    // An equal name is no proof of being the same.
    let mut other = Browser::of("4", provider.issuer());
    assert_eq!(other.sign_in(&room, "corp").await.status, StatusCode::FOUND);
    other
        .api(&room)
        .delete("/api/v1/clusters/1")
        .await
        .refused(StatusCode::FORBIDDEN);
    let mut names = users(&room).await;
    names.sort();
    assert_eq!(names, ["anna", "root", "root-2"]);
    // Nobody knows the password of such a user.
    room.anonymous()
        .sign_in("anna", "dragonfly")
        .await
        .refused(StatusCode::UNAUTHORIZED);
    let anna_id = room.root().await.get("/api/v1/users?name=anna").await.ok()[0]["id"].clone();
    let disable = json!({"state": "disable"});
    room.root()
        .await
        .patch(&format!("/api/v1/users/{anna_id}"), disable)
        .await
        .ok();
    assert_eq!(anna.sign_in(&room, "corp").await.status, StatusCode::FORBIDDEN);
}

async fn a_user_connects_an_account_of_his_own_and_signs_in_by_it(engine: Engine) {
    let room = room(engine).await;
    let people = json!({"7": person("anything", "any@where.test", true)});
    let provider = provider(&room, people, json!([])).await;
    let mut browser = Browser::of("7", provider.issuer());
    assert_eq!(browser.sign_in(&room, "corp").await.status, StatusCode::FORBIDDEN);
    browser.session = room.root().await.token;
    assert_eq!(browser.sign_in(&room, "corp").await.status, StatusCode::FOUND);
    browser.session = None;
    assert_eq!(browser.sign_in(&room, "corp").await.status, StatusCode::FOUND);
    browser.api(&room).get("/api/v1/users").await.ok();
    // Nobody else connects it.
    let root = room.root().await;
    let (_, guest) = user(&room, &root, "guest").await;
    browser.session = guest.token;
    assert_eq!(browser.sign_in(&room, "corp").await.status, StatusCode::CONFLICT);
    assert_eq!(users(&room).await.len(), 2);
}

on_every_engine! {
    a_providers_secret_is_shown_to_nobody_and_the_list_to_those_with_the_right
    what_is_no_provider_is_refused_by_name
    who_is_known_to_the_provider_and_of_a_named_domain_becomes_a_guest_once
    a_user_connects_an_account_of_his_own_and_signs_in_by_it
}

#[tokio::test]
async fn a_way_back_is_good_once_and_for_the_browser_that_was_sent() {
    let room = room(Engine::Sqlite).await;
    let provider = provider(&room, json!({"1": person("anna", "a@corp.test", true)}), json!(["*"])).await;
    let mut anna = Browser::of("1", provider.issuer());
    let back = anna.way_back(&room, "corp").await;
    let carried = anna.cookies.clone();
    let mut other = Browser::of("1", provider.issuer());
    assert_eq!(
        other.open(&back).await.status,
        StatusCode::UNAUTHORIZED,
        "another browser"
    );
    let state = Url::parse(&back).unwrap();
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let wrong = back.replace(&state, "guessed");
    assert_eq!(
        anna.open(&wrong).await.status,
        StatusCode::UNAUTHORIZED,
        "another state"
    );
    // A code that somebody else got, put into this browser's way back.
    let foreign = other.way_back(&room, "corp").await;
    let foreign = Url::parse(&foreign).unwrap();
    let code = foreign
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let injected = format!("{}?code={code}&state={state}", redirect_url(&room, "corp"));
    anna.cookies.clone_from(&carried);
    assert_eq!(
        anna.open(&injected).await.status,
        StatusCode::UNAUTHORIZED,
        "another's code"
    );
    anna.cookies.clone_from(&carried);
    let page = anna
        .open(&format!("{back}&next=https://evil.test&redirect_url=https://evil.test"))
        .await;
    assert_eq!(page.location, Some(format!("{}/", base(&room))), "{}", page.text);
    anna.cookies = carried;
    assert_eq!(
        anna.open(&back).await.status,
        StatusCode::UNAUTHORIZED,
        "a code is good once"
    );
    let refused = format!("{}?error=access_denied<b>&state={state}", redirect_url(&room, "corp"));
    let page = other.open(&refused).await;
    assert!(
        page.status == StatusCode::UNAUTHORIZED && !page.text.contains("<b>"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_token_that_does_not_prove_who_signs_in_is_refused() {
    let room = room(Engine::Sqlite).await;
    let forger = Forger::start(&redirect_url(&room, "forged")).await;
    write_down(&room, ("forged", forger.issuer()), json!(["*"])).await;
    for lie in Lie::ALL {
        forger.tell(lie);
        let page = Browser::of("1", forger.issuer()).sign_in(&room, "forged").await;
        let expected = match lie {
            Lie::None => StatusCode::FOUND,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(page.status, expected, "{lie:?}: {}", page.text);
    }
    assert_eq!(users(&room).await.len(), 2);
}

#[tokio::test]
async fn a_github_enterprise_says_who_signs_in_by_its_rest_api() {
    let room = room(Engine::Sqlite).await;
    let forger = Forger::start(&redirect_url(&room, "github")).await;
    write_down(&room, ("github", forger.issuer()), json!(["corp.test"])).await;
    let mut browser = Browser::of("1", forger.issuer());
    let page = browser.sign_in(&room, "github").await;
    assert_eq!(page.status, StatusCode::FOUND, "{}", page.text);
    browser.api(&room).get("/api/v1/clusters").await.ok();
    assert!(users(&room).await.contains(&"octocat".to_owned()));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_an_answer_and_no_hang() {
    let room = room(Engine::Sqlite).await;
    write_down(&room, ("corp", "http://127.0.0.1:9"), json!([])).await;
    let api = room.anonymous();
    api.get("/api/v1/users/signin/corp")
        .await
        .refused(StatusCode::BAD_GATEWAY);
    api.get("/api/v1/users/signin/other")
        .await
        .refused(StatusCode::NOT_FOUND);
    let posted = api.send(Method::POST, "/api/v1/users/signin/corp", None).await;
    posted.refused(StatusCode::UNAUTHORIZED);
    room.signed_in("root", PASSWORD).await;
}
