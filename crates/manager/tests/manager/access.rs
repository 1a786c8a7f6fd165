//! Users, roles, sessions and personal access tokens: who may do what, and no more.

use crate::room::{Api, Engine, Room, on_every_engine};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const FIRST: &str = "first horse";
pub(crate) const OWN: &str = "battery staple";

/// A user made by root, who has set a password of his own.
pub(crate) async fn user(room: &Room, root: &Api, name: &str) -> (u64, Api) {
    let made = root
        .post("/api/v1/users", json!({"name": name, "password": FIRST}))
        .await
        .ok();
    let id = made["id"].as_u64().unwrap();
    let first = room.signed_in(name, FIRST).await;
    let refused = first.get("/api/v1/clusters").await;
    assert_eq!(refused.body["code"], "password_change_required");
    refused.refused(StatusCode::FORBIDDEN);
    let reset = json!({"old_password": FIRST, "new_password": OWN});
    let path = format!("/api/v1/users/{id}/reset_password");
    assert_eq!(first.post(&path, reset).await.status, StatusCode::OK);
    (id, room.signed_in(name, OWN).await)
}

async fn put(api: &Api, path: &str) -> StatusCode {
    api.send(Method::PUT, path, None).await.status
}

/// Makes a role and gives it to a user.
pub(crate) async fn give(root: &Api, user: u64, role: &str, permissions: Value) {
    let made = root
        .post("/api/v1/roles", json!({"role": role, "permissions": permissions}))
        .await;
    assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    assert_eq!(
        put(root, &format!("/api/v1/users/{user}/roles/{role}")).await,
        StatusCode::OK
    );
}

pub(crate) async fn token(api: &Api, name: &str, scopes: Value) -> (u64, Api) {
    let body = json!({"name": name, "scopes": scopes, "expired_at": "2035-01-01T00:00:00Z"});
    let made = api.post("/api/v1/personal-access-tokens", body).await.ok();
    let bearer = Api {
        client: api.client.clone(),
        base: api.base.clone(),
        token: Some(made["token"].as_str().unwrap().to_owned()),
    };
    (made["id"].as_u64().unwrap(), bearer)
}

async fn root_makes_users_who_begin_as_guests_and_set_their_own_password(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (id, guest) = user(&room, &root, "ada").await;
    guest.get("/api/v1/clusters").await.ok();
    let roles = guest.get(&format!("/api/v1/users/{id}/roles")).await.ok();
    assert_eq!(roles, json!(["guest"]));
    guest.get("/api/v1/users").await.refused(StatusCode::FORBIDDEN);
    guest.get("/api/v1/users/1").await.refused(StatusCode::FORBIDDEN);
    for path in ["/api/v1/users", "/api/v1/users/signup"] {
        let other = json!({"name": "eve", "password": FIRST});
        guest.post(path, other.clone()).await.refused(StatusCode::FORBIDDEN);
        room.anonymous()
            .post(path, other)
            .await
            .refused(StatusCode::UNAUTHORIZED);
    }
    root.post("/api/v1/users", json!({"name": "ada", "password": FIRST}))
        .await
        .refused(StatusCode::CONFLICT);
    let wrong = json!({"name": "x", "password": "dragonfly", "email": "nobody"});
    let errors = root
        .post("/api/v1/users", wrong)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(errors.contains("name") && errors.contains("email"), "{errors}");
    let known = json!({"name": "eve", "password": "dragonfly"});
    root.post("/api/v1/users", known)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn users_are_listed_and_changed_and_no_answer_has_a_password(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, guest) = user(&room, &root, "ada").await;
    user(&room, &root, "bob").await;
    let path = format!("/api/v1/users/{ada}");
    let changed = guest
        .patch(&path, json!({"bio": "counts", "email": "ada@example.org"}))
        .await
        .ok();
    assert_eq!(
        (&changed["bio"], &changed["email"]),
        (&json!("counts"), &json!("ada@example.org"))
    );
    let emptied = guest.patch(&path, json!({"bio": ""})).await.ok();
    assert_eq!(
        (&emptied["bio"], &emptied["email"]),
        (&json!(""), &json!("ada@example.org"))
    );
    guest
        .patch("/api/v1/users/1", json!({"bio": "x"}))
        .await
        .refused(StatusCode::FORBIDDEN);
    root.patch("/api/v1/users/1", json!({"email": "ada@example.org"}))
        .await
        .refused(StatusCode::CONFLICT);
    let page = root.get("/api/v1/users?page=2&per_page=1").await;
    assert_eq!(page.headers["x-total-count"], "3");
    assert_eq!(page.body[0]["name"], "ada");
    let found = root.get("/api/v1/users?email=ada@example.org&state=enable").await.ok();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(root.get("/api/v1/users?state=disable").await.ok(), json!([]));
    let all = root.get("/api/v1/users").await.ok().to_string();
    assert!(!all.contains("password") && !all.contains("argon2"), "{all}");
}

async fn who_is_disabled_or_removed_is_out_with_sessions_and_tokens(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, guest) = user(&room, &root, "ada").await;
    let (_, bearer) = token(&guest, "script", json!(["cluster"])).await;
    bearer.get("/api/v1/clusters").await.ok();
    let path = format!("/api/v1/users/{ada}");
    guest
        .patch(&path, json!({"state": "disable"}))
        .await
        .refused(StatusCode::CONFLICT);
    let disabled = root.patch(&path, json!({"state": "disable"})).await.ok();
    assert_eq!(disabled["state"], "disable");
    for api in [&guest, &bearer] {
        api.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    }
    root.patch(&path, json!({"state": "enable"})).await.ok();
    guest.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    bearer.get("/api/v1/clusters").await.ok();
    guest.delete(&path).await.refused(StatusCode::UNAUTHORIZED);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    root.get(&path).await.refused(StatusCode::NOT_FOUND);
    bearer.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    root.delete("/api/v1/users/1").await.refused(StatusCode::CONFLICT);
    root.delete("/api/v1/users/1/roles/root")
        .await
        .refused(StatusCode::CONFLICT);
}

async fn a_role_permits_what_it_says_and_a_change_of_it_holds_at_once(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, api) = user(&room, &root, "ada").await;
    let permissions = json!([{"object": "clusters", "action": "*"}, {"object": "users", "action": "read"}]);
    give(&root, ada, "keeper", permissions).await;
    let id = api.add_cluster("hers", json!({})).await;
    api.get("/api/v1/users").await.ok();
    api.post("/api/v1/schedulers", json!({}))
        .await
        .refused(StatusCode::FORBIDDEN);
    let rows = root.get("/api/v1/roles/keeper").await.ok();
    assert_eq!(rows, json!([["keeper", "clusters", "*"], ["keeper", "users", "read"]]));
    assert_eq!(root.get("/api/v1/roles").await.ok(), json!(["root", "guest", "keeper"]));
    let right = json!({"object": "clusters", "action": "*"});
    let path = "/api/v1/roles/keeper/permissions";
    root.post(path, right.clone()).await.refused(StatusCode::CONFLICT);
    let taken = root.send(Method::DELETE, path, Some(right.clone())).await;
    assert_eq!(taken.status, StatusCode::OK);
    let again = root.send(Method::DELETE, path, Some(right.clone())).await;
    again.refused(StatusCode::NOT_FOUND);
    api.patch(&format!("/api/v1/clusters/{id}"), json!({"bio": "x"}))
        .await
        .refused(StatusCode::FORBIDDEN);
    assert_eq!(root.post(path, right).await.status, StatusCode::OK);
    api.patch(&format!("/api/v1/clusters/{id}"), json!({"bio": "x"}))
        .await
        .ok();
    assert_eq!(root.delete("/api/v1/roles/keeper").await.status, StatusCode::OK);
    api.get("/api/v1/users").await.refused(StatusCode::FORBIDDEN);
    root.delete("/api/v1/roles/root").await.refused(StatusCode::CONFLICT);
    let unknown = json!({"role": "x", "permissions": [{"object": "nothing", "action": "write"}]});
    let errors = root
        .post("/api/v1/roles", unknown)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        errors.contains("object must") && errors.contains("action must"),
        "{errors}"
    );
    let known = root.get("/api/v1/permissions").await.ok();
    assert!(
        known
            .as_array()
            .unwrap()
            .contains(&json!({"object": "roles", "action": "read"}))
    );
}

async fn nobody_makes_himself_or_others_more_than_he_is(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, api) = user(&room, &root, "ada").await;
    let permissions = json!([{"object": "users", "action": "*"}, {"object": "roles", "action": "*"}]);
    give(&root, ada, "clerk", permissions).await;
    let own = format!("/api/v1/users/{ada}/roles");
    assert_eq!(put(&api, &format!("{own}/root")).await, StatusCode::FORBIDDEN);
    let wanted = json!({"object": "schedulers", "action": "*"});
    api.post("/api/v1/roles/clerk/permissions", wanted.clone())
        .await
        .refused(StatusCode::FORBIDDEN);
    api.post("/api/v1/roles", json!({"role": "mine", "permissions": [wanted]}))
        .await
        .refused(StatusCode::FORBIDDEN);
    api.patch("/api/v1/users/1", json!({"email": "mine@example.org"}))
        .await
        .refused(StatusCode::FORBIDDEN);
    api.delete("/api/v1/users/1/sessions")
        .await
        .refused(StatusCode::FORBIDDEN);
    root.get("/api/v1/clusters").await.ok();
    let (bob, _) = user(&room, &api, "bob").await;
    assert_eq!(
        put(&api, &format!("/api/v1/users/{bob}/roles/clerk")).await,
        StatusCode::OK
    );
    assert_eq!(
        put(&api, &format!("/api/v1/users/{bob}/roles/clerk")).await,
        StatusCode::CONFLICT
    );
    assert_eq!(api.delete(&format!("/api/v1/users/{bob}")).await.status, StatusCode::OK);
}

async fn a_session_ends_when_it_is_signed_out_or_ended_by_another(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, one) = user(&room, &root, "ada").await;
    let two = room.signed_in("ada", OWN).await;
    let three = room.signed_in("ada", OWN).await;
    let path = format!("/api/v1/users/{ada}/sessions");
    let sessions = one.get(&path).await.ok();
    assert_eq!(sessions.as_array().unwrap().len(), 3);
    assert!(sessions.to_string().contains("127.0.0.1"));
    let answer = two.send(Method::POST, "/api/v1/users/signout", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    two.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    let sessions = one.get(&path).await.ok();
    let other = sessions.as_array().unwrap().iter().find(|s| s["current"] == false);
    let other = other.unwrap()["id"].as_str().unwrap();
    assert_eq!(one.delete(&format!("{path}/{other}")).await.status, StatusCode::OK);
    three.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    one.delete(&format!("{path}/{other}"))
        .await
        .refused(StatusCode::NOT_FOUND);
    one.get("/api/v1/users/1/sessions").await.refused(StatusCode::FORBIDDEN);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    one.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    root.get("/api/v1/clusters").await.ok();
}

/// TOB-DF2-8: tokens are looked up by their hash, never compared.
async fn a_token_is_shown_once_and_kept_as_a_hash(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (id, bearer) = token(&root, "script", json!([])).await;
    let text = bearer.token.clone().unwrap();
    let path = format!("/api/v1/personal-access-tokens/{id}");
    let shown = root.get(&path).await.ok();
    assert_eq!(
        (&shown["name"], &shown["scopes"], &shown["state"]),
        (&json!("script"), &json!(["job", "cluster"]), &json!("active"))
    );
    let changed = root.patch(&path, json!({"bio": "for CI"})).await.ok();
    assert_eq!(changed["scopes"], shown["scopes"]);
    let listed = root.get("/api/v1/personal-access-tokens").await;
    assert_eq!(listed.headers["x-total-count"], "1");
    for answer in [shown, changed, listed.ok()] {
        assert!(!answer.to_string().contains("\"token\""), "{answer}");
        assert!(!answer.to_string().contains("hash"), "{answer}");
    }
    let kept = |column: &str, value: &str| {
        format!("SELECT COUNT(*) FROM personal_access_token WHERE {column} LIKE '%{value}%'")
    };
    let rows = room.data.number(&kept("name", "script")).await;
    assert_eq!(rows, 1);
    for part in [text.as_str(), &text[4..], &text[4..20]] {
        assert_eq!(room.data.number(&kept("hash", part)).await, 0);
    }
    let taken = json!({"name": "script", "expired_at": "2035-01-01T00:00:00Z"});
    root.post("/api/v1/personal-access-tokens", taken)
        .await
        .refused(StatusCode::CONFLICT);
}

async fn a_token_opens_its_scopes_on_both_apis_within_its_users_rights(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, api) = user(&room, &root, "ada").await;
    let (_, wide) = token(&api, "wide", json!(["cluster", "schedulers:read"])).await;
    for base in ["/api/v1", "/oapi/v1"] {
        wide.get(&format!("{base}/clusters")).await.ok();
        // In scope, but beyond what a guest may.
        wide.patch(&format!("{base}/clusters/1"), json!({"bio": "x"}))
            .await
            .refused(StatusCode::FORBIDDEN);
    }
    wide.get("/api/v1/schedulers").await.ok();
    // Within a guest's rights, but out of scope.
    let message = wide.get("/api/v1/seed-peers").await.refused(StatusCode::FORBIDDEN);
    assert!(message.contains("token wide"), "{message}");
    give(&root, ada, "keeper", json!([{"object": "*", "action": "*"}])).await;
    wide.patch("/oapi/v1/clusters/1", json!({"bio": "x"})).await.ok();
    wide.post("/api/v1/schedulers", json!({}))
        .await
        .refused(StatusCode::FORBIDDEN);
    // Whatever its user may do: a token makes no tokens, users or rights.
    for path in ["/users", "/roles", "/personal-access-tokens", "/users/1/sessions"] {
        wide.get(&format!("/api/v1{path}")).await.refused(StatusCode::FORBIDDEN);
        wide.post(&format!("/api/v1{path}"), json!({}))
            .await
            .refused(StatusCode::FORBIDDEN);
    }
    wide.get(&format!("/api/v1/users/{ada}"))
        .await
        .refused(StatusCode::FORBIDDEN);
    let scopes = json!({"name": "x", "scopes": ["users", "everything"], "expired_at": "2035-01-01T00:00:00Z"});
    let errors = api
        .post("/api/v1/personal-access-tokens", scopes)
        .await
        .refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        errors.contains("\"users\"") && errors.contains("\"everything\""),
        "{errors}"
    );
}

async fn a_token_ends_when_it_expires_or_is_switched_off_or_removed(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (id, bearer) = token(&root, "script", json!(["cluster"])).await;
    let path = format!("/api/v1/personal-access-tokens/{id}");
    root.patch(&path, json!({"state": "inactive"})).await.ok();
    bearer.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    root.patch(&path, json!({"state": "active"})).await.ok();
    bearer.get("/api/v1/clusters").await.ok();
    room.data.sql("UPDATE personal_access_token SET expires_at = 1").await;
    bearer.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    root.patch(&path, json!({"expired_at": "2035-01-01T00:00:00Z"}))
        .await
        .ok();
    bearer.get("/api/v1/clusters").await.ok();
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    bearer.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
    for expired_at in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let body = json!({"name": "x", "expired_at": expired_at});
        root.post("/api/v1/personal-access-tokens", body)
            .await
            .refused(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

async fn tokens_are_their_owners_and_only_who_has_the_right_sees_and_removes_them(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let (ada, api) = user(&room, &root, "ada").await;
    let (_, bob) = user(&room, &root, "bob").await;
    let (id, bearer) = token(&api, "script", json!(["cluster"])).await;
    let path = format!("/api/v1/personal-access-tokens/{id}");
    bob.get(&path).await.refused(StatusCode::NOT_FOUND);
    bob.patch(&path, json!({"bio": "x"}))
        .await
        .refused(StatusCode::NOT_FOUND);
    bob.delete(&path).await.refused(StatusCode::NOT_FOUND);
    assert_eq!(bob.get("/api/v1/personal-access-tokens").await.ok(), json!([]));
    let impersonation = json!({"name": "x", "user_id": 1, "expired_at": "2035-01-01T00:00:00Z"});
    bob.post("/api/v1/personal-access-tokens", impersonation)
        .await
        .refused(StatusCode::FORBIDDEN);
    let listed = root
        .get(&format!("/api/v1/personal-access-tokens?user_id={ada}&state=active"))
        .await
        .ok();
    assert_eq!(listed[0]["id"], id);
    root.patch(&path, json!({"scopes": ["schedulers"]}))
        .await
        .refused(StatusCode::NOT_FOUND);
    assert_eq!(root.delete(&path).await.status, StatusCode::OK);
    bearer.get("/api/v1/clusters").await.refused(StatusCode::UNAUTHORIZED);
}

async fn the_operators_token_is_kept_once_as_a_hash_and_follows_a_change(engine: Engine) {
    const TOKEN: &str = "MDFiZjQ2ZTAtOTM3ZC00ZjA5LWIxZTgtZTJmMmZkYjY5ZjQz";
    let with =
        |token: &'static str| move |config: &mut dragonfly_manager::Config| config.first_token = Some(token.into());
    let by = |room: &Room, token: &str| Api {
        token: Some(token.to_owned()),
        ..room.anonymous()
    };
    let room = Room::start_with(engine, with(TOKEN)).await;
    by(&room, TOKEN).get("/oapi/v1/clusters").await.ok();
    by(&room, TOKEN)
        .get("/api/v1/users")
        .await
        .refused(StatusCode::FORBIDDEN);
    let (_, made) = token(&room.root().await, "made", json!([])).await;
    // A second start is no conflict, and what was made between stays.
    let room = Room::start_on(&room.stop().await, with(TOKEN)).await;
    by(&room, TOKEN).get("/oapi/v1/clusters").await.ok();
    by(&room, made.token.as_deref().unwrap())
        .get("/oapi/v1/clusters")
        .await
        .ok();
    let listed = room.root().await.get("/api/v1/personal-access-tokens").await.ok();
    let default = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "default")
        .unwrap();
    assert_eq!(default["scopes"], json!(["job", "cluster"]));
    assert!(!listed.to_string().contains(TOKEN));
    let hashed = room
        .data
        .number("SELECT COUNT(*) FROM personal_access_token WHERE hash LIKE '%NDF%'")
        .await;
    assert_eq!(hashed, 0);
    let other = "another-token-of-at-least-thirty-two-characters";
    let room = Room::start_on(&room.stop().await, with(other)).await;
    by(&room, other).get("/oapi/v1/clusters").await.ok();
    by(&room, TOKEN)
        .get("/oapi/v1/clusters")
        .await
        .refused(StatusCode::UNAUTHORIZED);
}

on_every_engine! {
    the_operators_token_is_kept_once_as_a_hash_and_follows_a_change
    root_makes_users_who_begin_as_guests_and_set_their_own_password
    users_are_listed_and_changed_and_no_answer_has_a_password
    who_is_disabled_or_removed_is_out_with_sessions_and_tokens
    a_role_permits_what_it_says_and_a_change_of_it_holds_at_once
    nobody_makes_himself_or_others_more_than_he_is
    a_session_ends_when_it_is_signed_out_or_ended_by_another
    a_token_is_shown_once_and_kept_as_a_hash
    a_token_opens_its_scopes_on_both_apis_within_its_users_rights
    a_token_ends_when_it_expires_or_is_switched_off_or_removed
    tokens_are_their_owners_and_only_who_has_the_right_sees_and_removes_them
}
