//! What pages hear of changes, so that they need not ask again and again.

use crate::access::{give, token, user};
use crate::room::{Api, Engine, Room, on_every_engine};
use reqwest::StatusCode;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/events";

/// One who listens.
struct Ear {
    answer: reqwest::Response,
    unread: String,
}

impl Ear {
    async fn of(api: &Api) -> Self {
        let request = api.client.get(format!("{}{EVENTS}", api.base));
        let answer = request.bearer_auth(api.token.as_ref().unwrap()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            unread: String::new(),
        }
    }

    /// The kinds of the next event; nothing at the end.
    async fn next(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let kinds = data.map(|data| serde_json::from_str::<Value>(data).unwrap()["kinds"].clone());
                self.unread = rest.to_owned();
                if let Some(kinds) = kinds {
                    return Some(serde_json::from_value(kinds).unwrap());
                }
                continue;
            }
            let chunk = self.answer.chunk().await.unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn hears(&mut self, kind: &str) {
        while !self.next().await.expect("more comes").iter().any(|heard| heard == kind) {}
    }
}

async fn a_page_hears_of_what_is_written(engine: Engine) {
    let room = Room::start(engine).await;
    let root = room.root().await;
    let mut ear = Ear::of(&root).await;
    // What was before nobody knows.
    let first = ear.next().await.unwrap();
    for kind in ["clusters", "schedulers", "peers", "jobs", "users", "audits", "oauth"] {
        assert!(first.iter().any(|heard| heard == kind), "{kind} of {first:?}");
    }
    let priority = json!({"value": 3, "urls": [{"regex": "blobs", "value": 6}]});
    let application = json!({"name": "a", "url": "https://a.test", "priority": priority, "user_id": 1});
    root.post("/api/v1/applications", application).await.ok();
    ear.hears("applications").await;
    root.post("/api/v1/users", json!({"name": "ada", "password": "first horse"}))
        .await
        .ok();
    ear.hears("users").await;
}

on_every_engine! {
    a_page_hears_of_what_is_written
}

#[tokio::test]
async fn who_listens_hears_of_what_he_may_read_as_long_as_his_session_lasts() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    room.anonymous().get(EVENTS).await.refused(StatusCode::UNAUTHORIZED);
    let (_, script) = token(&root, "script", json!(["jobs:read"])).await;
    script.get(EVENTS).await.refused(StatusCode::FORBIDDEN);

    let (id, ada) = user(&room, &root, "ada").await;
    root.delete(&format!("/api/v1/users/{id}/roles/guest")).await;
    let rights = json!([{"object": "jobs", "action": "read"}]);
    give(&root, id, "watcher", rights).await;
    let mut ear = Ear::of(&ada).await;
    assert_eq!(ear.next().await.unwrap(), ["jobs"]);
    root.delete(&format!("/api/v1/users/{id}/sessions")).await;
    while let Some(kinds) = ear.next().await {
        assert_eq!(kinds, ["jobs"]);
    }
}
