//! Signing in, sessions, rights.

use crate::room::{Api, Engine, PASSWORD, Room, on_every_engine};
use reqwest::header::{COOKIE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Every route under /api/v1 but the sign-in. Those to sign out with are last: they end the session.
const ROUTES: [(&str, &str); 67] = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("POST", "/users/signup"),
    ("GET", "/users/1"),
    ("PATCH", "/users/1"),
    ("DELETE", "/users/1"),
    ("GET", "/users/1/roles"),
    ("PUT", "/users/1/roles/root"),
    ("DELETE", "/users/1/roles/root"),
    ("GET", "/users/1/sessions"),
    ("DELETE", "/users/1/sessions"),
    ("DELETE", "/users/1/sessions/x"),
    ("GET", "/session"),
    ("GET", "/roles"),
    ("POST", "/roles"),
    ("GET", "/roles/guest"),
    ("DELETE", "/roles/guest"),
    ("POST", "/roles/guest/permissions"),
    ("DELETE", "/roles/guest/permissions"),
    ("GET", "/permissions"),
    ("GET", "/applications"),
    ("POST", "/applications"),
    ("GET", "/applications/1"),
    ("PATCH", "/applications/1"),
    ("DELETE", "/applications/1"),
    ("GET", "/configs"),
    ("POST", "/configs"),
    ("GET", "/configs/1"),
    ("PATCH", "/configs/1"),
    ("DELETE", "/configs/1"),
    ("GET", "/audits"),
    ("GET", "/personal-access-tokens"),
    ("POST", "/personal-access-tokens"),
    ("GET", "/personal-access-tokens/1"),
    ("PATCH", "/personal-access-tokens/1"),
    ("DELETE", "/personal-access-tokens/1"),
    ("GET", "/clusters"),
    ("POST", "/clusters"),
    ("GET", "/clusters/1"),
    ("PATCH", "/clusters/1"),
    ("DELETE", "/clusters/1"),
    ("GET", "/clusters/match"),
    ("GET", "/scheduler-clusters"),
    ("GET", "/scheduler-clusters/1"),
    ("GET", "/seed-peer-clusters"),
    ("GET", "/seed-peer-clusters/1"),
    ("GET", "/schedulers"),
    ("POST", "/schedulers"),
    ("GET", "/schedulers/1"),
    ("PATCH", "/schedulers/1"),
    ("DELETE", "/schedulers/1"),
    ("GET", "/seed-peers"),
    ("POST", "/seed-peers"),
    ("GET", "/seed-peers/1"),
    ("PATCH", "/seed-peers/1"),
    ("DELETE", "/seed-peers/1"),
    ("HEAD", "/clusters"),
    ("HEAD", "/clusters/1"),
    ("HEAD", "/schedulers"),
    ("HEAD", "/seed-peers"),
    ("HEAD", "/scheduler-clusters"),
    // What others have had open, and paths that do not exist.
    ("POST", "/jobs"),
    ("GET", "/oauth"),
    ("GET", "/oauth/1"),
    ("POST", "/users/1/reset_password"),
    ("POST", "/users/refresh_token"),
    ("POST", "/users/signout"),
];

async fn statuses(api: &Api) -> Vec<(&'static str, &'static str, StatusCode)> {
    statuses_under("/api/v1", api).await
}

async fn statuses_under(base: &str, api: &Api) -> Vec<(&'static str, &'static str, StatusCode)> {
    let mut statuses = Vec::new();
    for (method, path) in ROUTES {
        let method_name = method;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = api.send(method, &format!("{base}{path}"), Some(json!({}))).await;
        statuses.push((method_name, path, answer.status));
    }
    statuses
}

/// TOB-DF2-1, CVE-2026-24124 (jobs without authentication) and CVE-2026-49254 (`/oauth` answered anybody with the secrets of
/// its clients): whatever is not excepted needs a session, paths that do not exist included.
async fn every_route_but_the_sign_in_needs_a_session(engine: Engine) {
    let room = Room::start(engine).await;
    let mut api = room.anonymous();
    for base in ["/api/v1", "/oapi/v1"] {
        for (method, path, status) in statuses_under(base, &api).await {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {base}{path}");
        }
    }
    api.token = Some("eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.x".into());
    for (method, path, status) in statuses(&api).await {
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    let answer = api.get("/api/v1/clusters").await;
    assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer realm=\"Dragonfly\"");
}

async fn signing_in_gives_a_hidden_cookie_and_a_token_and_each_opens_the_api(engine: Engine) {
    let room = Room::start(engine).await;
    let api = room.anonymous();
    let answer = api.sign_in("root", PASSWORD).await;
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"),
        "{cookie}"
    );
    let expire = answer.body["expire"].as_str().unwrap();
    assert!(expire.ends_with('Z') && expire.len() == 20, "{expire}");
    let pair = cookie.split(';').next().unwrap();
    let url = format!("{}/api/v1/clusters", api.base);
    let by_cookie = api.client.get(url).header(COOKIE, pair).send().await.unwrap();
    assert_eq!(by_cookie.status(), StatusCode::OK);
    let by_token = Api {
        token: Some(answer.body["token"].as_str().unwrap().into()),
        ..api
    };
    by_token.get("/api/v1/clusters").await.ok();
    let gone = by_token.send(Method::POST, "/api/v1/users/signout", None).await;
    assert!(
        gone.headers[SET_COOKIE]
            .to_str()
            .unwrap()
            .starts_with("jwt=; Path=/; Max-Age=0")
    );
}

async fn a_wrong_password_and_an_unknown_name_are_answered_alike(engine: Engine) {
    let room = Room::start(engine).await;
    let api = room.anonymous();
    let wrong = api
        .sign_in("root", "wrong horse")
        .await
        .refused(StatusCode::UNAUTHORIZED);
    let unknown = api.sign_in("nobody", PASSWORD).await.refused(StatusCode::UNAUTHORIZED);
    assert_eq!(wrong, unknown);
    let malformed = api.sign_in("ro", "x").await.refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        malformed.contains("name") && malformed.contains("password"),
        "{malformed}"
    );
    let no_json = api.client.post(format!("{}/api/v1/users/signin", api.base)).body("{");
    assert_eq!(no_json.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

async fn the_default_passwords_session_may_only_set_another_password(engine: Engine) {
    let room = Room::start_with(engine, |config| config.initial_root_password = None).await;
    let root = room.signed_in("root", "dragonfly").await;
    for (method, path, status) in statuses(&root).await {
        let expected = match path {
            "/users/signout" | "/session" => StatusCode::OK,
            // The body of the probe lacks the passwords.
            "/users/1/reset_password" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::FORBIDDEN,
        };
        assert_eq!(status, expected, "{method} {path}");
    }
    let root = room.signed_in("root", "dragonfly").await;
    let session = root.get("/api/v1/session").await.ok();
    assert_eq!(session["password_change_required"], true, "{session}");
    let answer = root.get("/api/v1/clusters").await;
    assert_eq!(answer.body["code"], "password_change_required");
    let reset = "/api/v1/users/1/reset_password";
    for new in ["dragonfly", "short"] {
        root.post(reset, json!({"old_password": "dragonfly", "new_password": new}))
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
    }
    root.post(reset, json!({"old_password": "dragonflx", "new_password": PASSWORD}))
        .await
        .refused(StatusCode::UNAUTHORIZED);
    let done = root
        .post(reset, json!({"old_password": "dragonfly", "new_password": PASSWORD}))
        .await;
    assert_eq!(done.status, StatusCode::OK);
    root.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    room.anonymous()
        .sign_in("root", "dragonfly")
        .await
        .refused(StatusCode::UNAUTHORIZED);
    room.root().await.get("/api/v1/clusters").await.ok();
}

async fn a_lab_may_keep_the_default_password(engine: Engine) {
    let room = Room::start_with(engine, |config| {
        config.initial_root_password = None;
        config.auth.force_password_change = false;
        config.auth.cookie_readable = true;
    })
    .await;
    let answer = room.anonymous().sign_in("root", "dragonfly").await;
    assert!(!answer.headers[SET_COOKIE].to_str().unwrap().contains("HttpOnly"));
    room.signed_in("root", "dragonfly")
        .await
        .get("/api/v1/clusters")
        .await
        .ok();
}

async fn a_password_is_its_owners_to_change_and_only_with_a_session(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let reset = json!({"old_password": PASSWORD, "new_password": "battery staple"});
    root.post("/api/v1/users/2/reset_password", reset.clone())
        .await
        .refused(StatusCode::FORBIDDEN);
    room.anonymous()
        .post("/api/v1/users/1/reset_password", reset)
        .await
        .refused(StatusCode::UNAUTHORIZED);
}

async fn too_many_attempts_are_refused_without_work_and_say_when_to_come_back(engine: Engine) {
    let room = Room::start(engine).await;
    let api = room.anonymous();
    for _ in 0..20 {
        api.sign_in("root", "wrong horse")
            .await
            .refused(StatusCode::UNAUTHORIZED);
    }
    // Attempts come back one by one; one more may have while the others were hashed.
    let mut refused = None;
    for _ in 0..60 {
        let answer = api.sign_in("root", "wrong horse").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("attempts come back slower than they can be made");
    assert!(refused.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

/// Makes a user with root's password and this role.
async fn add_user(room: &Room, name: &str, role: &str) {
    room.data.sql(&format!(
        "INSERT INTO \"user\" (name, email, encrypted_password, must_change_password, session_epoch, avatar, phone, state, \
         location, bio, created_at, updated_at) SELECT '{name}', NULL, encrypted_password, must_change_password, 0, '', '', \
         'enable', '', '', 0, 0 FROM \"user\" WHERE name = 'root';"
    ))
    .await;
    room.data
        .sql(&format!(
            "INSERT INTO user_role (user_id, role_id) SELECT \"user\".id, role.id FROM \"user\", role \
         WHERE \"user\".name = '{name}' AND role.name = '{role}'"
        ))
        .await;
}

async fn a_guest_may_look_and_not_touch_and_a_user_without_role_may_do_nothing(engine: Engine) {
    let room = Room::start(engine).await;
    add_user(&room, "guest-1", "guest").await;
    add_user(&room, "nobody-1", "no such role").await;
    let guest = room.signed_in("guest-1", PASSWORD).await;
    guest.get("/api/v1/clusters").await.ok();
    guest.get("/api/v1/seed-peers").await.ok();
    let session = guest.get("/api/v1/session").await.ok();
    assert_eq!(session["user_name"], "guest-1");
    assert_eq!(session["password_change_required"], false);
    let permissions = session["permissions"].as_array().unwrap();
    assert!(
        permissions.contains(&json!({"object": "clusters", "action": "read"})),
        "{session}"
    );
    assert!(
        permissions.iter().all(|permission| permission["action"] == "read"),
        "{session}"
    );
    for (method, path, status) in statuses(&guest).await {
        // What is his own, he may change.
        let own = [
            "/users/1/reset_password",
            "/users/refresh_token",
            "/users/signout",
            "/personal-access-tokens",
        ];
        if !["GET", "HEAD"].contains(&method) && !own.iter().any(|own| path.starts_with(own)) {
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
        }
    }
    let nobody = room.signed_in("nobody-1", PASSWORD).await;
    let message = nobody.get("/api/v1/clusters").await.refused(StatusCode::FORBIDDEN);
    assert!(message.contains("no right to read clusters"), "{message}");
}

async fn a_disabled_user_is_out_at_once(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    root.get("/api/v1/clusters").await.ok();
    room.data.sql("UPDATE \"user\" SET state = 'disable'").await;
    root.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    room.anonymous()
        .sign_in("root", PASSWORD)
        .await
        .refused(StatusCode::UNAUTHORIZED);
}

async fn a_session_is_continued_by_another_and_the_old_token_opens_nothing_any_more(engine: Engine) {
    let room = Room::start(engine).await;
    let old = room.root().await;
    let answer = old.post("/api/v1/users/refresh_token", json!({})).await;
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("jwt=") && cookie.contains("HttpOnly"), "{cookie}");
    let body = answer.ok();
    assert!(body["expire"].is_string());
    let new = Api {
        token: Some(body["token"].as_str().unwrap().to_owned()),
        ..room.anonymous()
    };
    new.get("/api/v1/clusters").await.ok();
    old.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    old.post("/api/v1/users/refresh_token", json!({}))
        .await
        .refused(StatusCode::UNAUTHORIZED);
    let sessions = new.get("/api/v1/users/1/sessions").await.ok();
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    // As any session, it ends when it is signed out.
    new.post("/api/v1/users/signout", json!({})).await.ok();
    new.post("/api/v1/users/refresh_token", json!({}))
        .await
        .refused(StatusCode::UNAUTHORIZED);
}

async fn a_session_is_not_renewed_for_ever_nor_by_a_token(engine: Engine) {
    let room = Room::start_with(engine, |config| config.auth.refresh = std::time::Duration::ZERO).await;
    let root = room.root().await;
    let late = root.post("/api/v1/users/refresh_token", json!({})).await;
    assert!(late.refused(StatusCode::UNAUTHORIZED).contains("sign in again"));
    root.get("/api/v1/clusters").await.ok();
    let (_, script) = crate::access::token(&root, "script", json!([])).await;
    script
        .post("/api/v1/users/refresh_token", json!({}))
        .await
        .refused(StatusCode::FORBIDDEN);
}

on_every_engine! {
    a_session_is_continued_by_another_and_the_old_token_opens_nothing_any_more
    a_session_is_not_renewed_for_ever_nor_by_a_token
    every_route_but_the_sign_in_needs_a_session
    signing_in_gives_a_hidden_cookie_and_a_token_and_each_opens_the_api
    a_wrong_password_and_an_unknown_name_are_answered_alike
    the_default_passwords_session_may_only_set_another_password
    a_lab_may_keep_the_default_password
    a_password_is_its_owners_to_change_and_only_with_a_session
    too_many_attempts_are_refused_without_work_and_say_when_to_come_back
    a_guest_may_look_and_not_touch_and_a_user_without_role_may_do_nothing
    a_disabled_user_is_out_at_once
}
