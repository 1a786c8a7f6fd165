//! What the description of the API promises of every route.

use crate::access::{token, user};
use crate::room::{Api, Engine, Room};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What anybody may ask: to sign in, by a password or an identity provider, whether the manager can work, and this description.
const OPEN: [&str; 7] = [
    "POST /api/v1/users/signin",
    "GET /api/v1/users/signin",
    "GET /api/v1/users/signin/{provider}",
    "GET /api/v1/users/signin/{provider}/callback",
    "GET /api/v1/openapi.json",
    "GET /swagger/doc.json",
    "GET /healthy",
];

/// One operation of the description.
struct Operation {
    method: Method,
    /// With something in the place of each parameter.
    path: String,
    template: String,
    described: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}

async fn operations(room: &Room) -> Vec<Operation> {
    let document = room.anonymous().get("/api/v1/openapi.json").await.ok();
    let mut operations = Vec::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let segments = template.split('/');
            let filled: Vec<&str> = segments.map(|s| if s.starts_with('{') { "7" } else { s }).collect();
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: filled.join("/"),
                template: template.clone(),
                described: described.clone(),
            });
        }
    }
    assert!(operations.len() > 60, "{}", operations.len());
    operations
}

/// CVE-2026-24124, CVE-2026-49254 and TOB-DF2-1 were routes that somebody had forgotten to guard.
#[tokio::test]
async fn a_stranger_gets_401_from_every_route_that_is_not_named_open() {
    let room = Room::start(Engine::Sqlite).await;
    let stranger = room.anonymous();
    let forged = Api {
        token: Some("eyJhbGciOiJub25lIn0.eyJpZCI6MX0.".to_owned()),
        ..room.anonymous()
    };
    let mut open = BTreeSet::new();
    for operation in operations(&room).await {
        if operation.described["security"].as_array().unwrap().is_empty() {
            open.insert(operation.name());
            continue;
        }
        for caller in [&stranger, &forged] {
            let answer = caller
                .send(operation.method.clone(), &operation.path, Some(json!({})))
                .await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", operation.name());
            assert!(answer.headers.contains_key("www-authenticate"), "{}", operation.name());
        }
    }
    let expected: BTreeSet<String> = OPEN.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(open, expected);
}

#[tokio::test]
async fn who_may_do_nothing_gets_403_from_every_route_that_takes_a_right() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    let (id, nobody) = user(&room, &root, "nobody").await;
    root.delete(&format!("/api/v1/users/{id}/roles/guest")).await.ok();
    for operation in operations(&room).await {
        let refusal = &operation.described["responses"]["403"]["description"];
        if !refusal.as_str().unwrap_or_default().contains("lacks the right") {
            continue;
        }
        let answer = nobody
            .send(operation.method.clone(), &operation.path, Some(json!({})))
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", operation.name());
    }
}

/// A token that leaked can't make itself more.
#[tokio::test]
async fn a_token_opens_nothing_that_does_not_name_it() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    let (_, bearer) = token(&root, "all", json!(["job", "cluster", "configs"])).await;
    bearer.get("/api/v1/configs").await.ok();
    for operation in operations(&room).await {
        let schemes = operation.described["security"].as_array().unwrap();
        let named = schemes
            .iter()
            .any(|scheme| scheme.get("personal_access_token").is_some());
        if named || schemes.is_empty() {
            continue;
        }
        let answer = bearer
            .send(operation.method.clone(), &operation.path, Some(json!({})))
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", operation.name());
    }
}

#[tokio::test]
async fn every_list_is_paged_and_says_how_long_it_is() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    // A list that hangs below an object is that of this job.
    let file = json!({"type": "preheat", "args": {"type": "file", "url": "https://origin.example/model"}});
    let job = root.post("/api/v1/jobs", file).await.ok()["id"].to_string();
    for operation in operations(&room).await {
        let parameters = operation.described["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["name"] == "per_page") {
            let path = operation.template.replace("{id}", &job);
            // Some are of one cluster only.
            let needs_cluster = parameters
                .iter()
                .any(|parameter| parameter["name"] == "scheduler_cluster_id" && parameter["required"] == true);
            let cluster = if needs_cluster { "&scheduler_cluster_id=1" } else { "" };
            let answer = root.get(&format!("{path}?per_page=1{cluster}")).await;
            for header in ["x-total-count", "link"] {
                assert!(answer.headers.contains_key(header), "{header} of {}", operation.name());
            }
            assert!(answer.ok().is_array(), "{}", operation.name());
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_a_tag_that_is_explained() {
    let room = Room::start(Engine::Sqlite).await;
    let document = room.anonymous().get("/api/v1/openapi.json").await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(room.anonymous().get("/swagger/doc.json").await.ok(), document);
    let tags = document["tags"].as_array().unwrap();
    let explained: BTreeSet<&str> = tags.iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let operations = operations(&room).await;
    let names: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.described["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), operations.len());
    for operation in &operations {
        let tag = operation.described["tags"][0].as_str().unwrap();
        assert!(explained.contains(tag), "{tag} of {}", operation.name());
        assert!(operation.described["summary"].is_string(), "{}", operation.name());
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_where_they_are_named() {
    let named = "https://console.example.org";
    for origins in [&[][..], &[named]] {
        let room = Room::start_with(Engine::Sqlite, |config| {
            config.rest.origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        })
        .await;
        let root = room.root().await;
        for origin in [named, "https://evil.example.org", "null"] {
            let asked = root
                .client
                .request(Method::OPTIONS, format!("{}/api/v1/clusters", root.base))
                .header("origin", origin)
                .header("access-control-request-method", "GET")
                .send()
                .await
                .unwrap();
            let called = root
                .client
                .get(format!("{}/api/v1/clusters", root.base))
                .header("origin", origin)
                .send()
                .await
                .unwrap();
            for answer in [asked, called] {
                let allowed = answer.headers().get("access-control-allow-origin");
                let expected = origins.contains(&origin).then_some(origin);
                assert_eq!(allowed.map(|value| value.to_str().unwrap()), expected);
            }
        }
    }
}

#[tokio::test]
async fn the_reader_loads_nothing_from_elsewhere() {
    let room = Room::start(Engine::Sqlite).await;
    let anybody = room.anonymous();
    let page = |path: String| {
        let request = anybody.client.get(format!("{}{path}", anybody.base));
        async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let policy = response.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            response.text().await.unwrap()
        }
    };
    let index = page("/swagger/".to_owned()).await;
    let files: Vec<&str> = [" src=\"", " href=\""]
        .iter()
        .flat_map(|attribute| index.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(files.len() >= 4, "{index}");
    for file in files {
        assert!(!file.contains("//"), "{file}");
        page(format!("/swagger/{}", file.trim_start_matches("./"))).await;
    }
    assert!(!index.contains("<script>"), "the policy forbids it");
    let start = page("/swagger/swagger-initializer.js".to_owned()).await;
    assert!(start.contains("/api/v1/openapi.json"), "{start}");
}
