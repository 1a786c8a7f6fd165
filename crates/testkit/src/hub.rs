//! A hub of models with one small repository, as Hugging Face and ModelScope describe their APIs: lists in pages, files
//! by revision, and large ones behind a redirect to another server that signs its URLs and wants no token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, ETAG, LINK, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::sync::watch;

use crate::http::{Body, Server, json as in_json, status};

/// The repository's owner and name.
pub const REPOSITORY: &str = "lab/tiny-model";
/// Its one revision beside the default ones.
pub const REVISION: &str = "v1";
/// Whom the hub lets in.
pub const TOKEN: &str = "hf_s3cret";
/// Entries of one page of a list.
const PAGE: usize = 2;
const SIGNATURE: &str = "X-Amz-Signature=signed";

/// A file of the repository.
#[derive(Clone, Debug)]
struct File {
    path: &'static str,
    content: Bytes,
    is_large: bool,
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    server: Server,
    _store: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Vec<File>,
    asked: watch::Sender<Vec<Asked>>,
    /// Whether the bytes of large files wait.
    held: watch::Sender<bool>,
}

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether it went to where the bytes of large files are.
    pub of_store: bool,
    /// How.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Whether it brought credentials.
    pub authorized: bool,
}

impl Hub {
    /// Starts one whose only large file, `model.safetensors`, has this content.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(weights: impl Into<Bytes>) -> Result<Self> {
        let small = |path, content: &'static [u8]| File {
            path,
            content: Bytes::from_static(content),
            is_large: false,
        };
        let files = vec![
            small("README.md", b"# A tiny model\n"),
            small("config.json", b"{\"model_type\": \"tiny\"}"),
            small("tokenizer/vocab.txt", b"a\nb\n"),
            File {
                path: "model.safetensors",
                content: weights.into(),
                is_large: true,
            },
        ];
        let shared = Arc::new(Shared {
            files,
            asked: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let of_store = shared.clone();
        let store = Server::start(move |request| {
            let shared = of_store.clone();
            async move {
                shared.note(&request, true);
                shared.released(request.method().clone()).await;
                shared.give(&request)
            }
        })?;
        let (of_hub, large) = (shared.clone(), format!("http://{}", store.address()));
        let server = Server::start(move |request| std::future::ready(of_hub.answer(&request, &large)))?;
        Ok(Self {
            server,
            _store: store,
            shared,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.borrow().clone()
    }

    /// Keeps the bytes of large files back, or lets them flow.
    pub fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// Waits until it was asked for bytes of a large file.
    ///
    /// # Errors
    /// When that doesn't happen `within` this time.
    pub async fn until_read(&self, within: Duration) -> Result<()> {
        let mut asked = self.shared.asked.subscribe();
        let read = asked.wait_for(|asked| asked.iter().any(|asked| asked.of_store && asked.method == Method::GET));
        tokio::time::timeout(within, read)
            .await
            .context("nobody asked for a large file")??;
        Ok(())
    }
}

impl Shared {
    fn note<B>(&self, request: &Request<B>, of_store: bool) {
        let asked = Asked {
            of_store,
            method: request.method().clone(),
            target: request.uri().to_string(),
            authorized: request.headers().contains_key(AUTHORIZATION),
        };
        self.asked.send_modify(|all| all.push(asked));
    }

    fn answer<B>(&self, request: &Request<B>, store: &str) -> Response<Body> {
        self.note(request, false);
        let token = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if token != Some(&format!("Bearer {TOKEN}")) {
            return status(StatusCode::UNAUTHORIZED);
        }
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let revisions = ["main", "master", REVISION];
        for revision in revisions {
            if path.trim_end_matches('/') == format!("/api/models/{REPOSITORY}/tree/{revision}") {
                return self.tree(path, query);
            }
            for prefix in ["", "/models"] {
                let files = format!("{prefix}/{REPOSITORY}/resolve/{revision}/");
                if let Some(file) = path.strip_prefix(&files).and_then(|path| self.find(path)) {
                    return file.resolved(request, store);
                }
            }
        }
        let asked: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let has = |name: &str, values: &[&str]| asked.iter().any(|(n, v)| n == name && values.contains(&v.as_str()));
        let is_list = path == format!("/api/v1/models/{REPOSITORY}/repo/files");
        match is_list && has("Revision", &revisions) && has("Recursive", &["true"]) {
            true => self.model_scope_list(),
            false => status(StatusCode::NOT_FOUND),
        }
    }

    /// Hugging Face's list: page by page, the next one named in `Link`.
    fn tree(&self, path: &str, query: &str) -> Response<Body> {
        let asked: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let start: usize = asked
            .iter()
            .find_map(|(name, value)| (name == "cursor").then(|| value.parse().ok())?)
            .unwrap_or(0);
        let mut entries = vec![json!({"type": "directory", "oid": "0", "size": 0, "path": "tokenizer"})];
        entries.extend(self.files.iter().map(|file| {
            let size = file.content.len();
            json!({"type": "file", "oid": "0", "size": size, "path": file.path})
        }));
        let end = (start + PAGE).min(entries.len());
        let mut response = in_json(&json!(entries[start.min(end)..end]));
        if end < entries.len() {
            let next = format!("<{path}?recursive=true&cursor={end}>; rel=\"next\"");
            insert(response.headers_mut(), LINK, &next);
        }
        response
    }

    fn model_scope_list(&self) -> Response<Body> {
        let mut files = vec![json!({"Name": "tokenizer", "Path": "tokenizer", "Type": "tree", "Size": 0})];
        files.extend(
            self.files
                .iter()
                .map(|file| json!({"Name": file.path, "Path": file.path, "Type": "blob", "Size": file.content.len()})),
        );
        in_json(&json!({"Code": 200, "Data": {"Files": files}, "Success": true}))
    }

    /// Until the bytes may flow; a head may at any time.
    async fn released(&self, method: Method) {
        if method == Method::GET {
            // The sender lives as long as this does.
            let mut held = self.held.subscribe();
            drop(held.wait_for(|held| !held).await);
        }
    }

    /// What a signed URL gives; like a real store it takes no second way to prove oneself.
    fn give<B>(&self, request: &Request<B>) -> Response<Body> {
        if request.headers().contains_key(AUTHORIZATION) {
            return status(StatusCode::BAD_REQUEST);
        }
        let file = self.find(request.uri().path().trim_start_matches('/'));
        match file.filter(|_| request.uri().query() == Some(SIGNATURE)) {
            Some(file) => file.given(request),
            None => status(StatusCode::FORBIDDEN),
        }
    }

    fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    fn resolved<B>(&self, request: &Request<B>, store: &str) -> Response<Body> {
        if !self.is_large {
            return self.given(request);
        }
        let mut response = status(StatusCode::FOUND);
        insert(
            response.headers_mut(),
            LOCATION,
            &format!("{store}/{}?{SIGNATURE}", self.path),
        );
        response
    }

    fn given<B>(&self, request: &Request<B>) -> Response<Body> {
        let whole = self.content.len();
        let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (first, end) = match range {
            None => (0, whole),
            Some((first, last)) => (
                first.parse().unwrap_or(0).min(whole),
                last.parse().map_or(whole, |last: usize| last + 1).min(whole),
            ),
        };
        let content = self.content.slice(first..end.max(first));
        let mut response = match *request.method() == Method::HEAD {
            // The length of what a GET would bring is said all the same.
            true => status(StatusCode::OK),
            false => Response::new(
                Full::new(content.clone())
                    .map_err(|never: Infallible| match never {})
                    .boxed(),
            ),
        };
        let headers = response.headers_mut();
        insert(headers, ACCEPT_RANGES, "bytes");
        insert(headers, ETAG, &format!("\"{}-{whole}\"", self.path));
        insert(headers, http::header::CONTENT_LENGTH, &content.len().to_string());
        if range.is_some() {
            insert(
                headers,
                CONTENT_RANGE,
                &format!("bytes {first}-{}/{whole}", end.saturating_sub(1)),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    headers.insert(
        name,
        HeaderValue::from_str(value).expect("the fixture's values are plain"),
    );
}
