//! Hubs of models: Hugging Face and ModelScope, each by its HTTP API.
//!
//! A file is an HTTP content behind a redirect to where its bytes are; the caller's token goes to the hub alone.

use crate::entry::{Entries, path_of};
use crate::http::HttpSource;
use crate::request::redacted;
use crate::{Access, Body, Entry, Error, Head, HubAccess, Request, Source};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::{AUTHORIZATION, LINK};
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

/// Bytes of one page of a list.
const MAX_PAGE: usize = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hub {
    HuggingFace,
    ModelScope,
}

impl Hub {
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "hf" => Some(Hub::HuggingFace),
            "modelscope" => Some(Hub::ModelScope),
            _ => None,
        }
    }

    fn home(self) -> &'static str {
        match self {
            Hub::HuggingFace => "https://huggingface.co/",
            Hub::ModelScope => "https://modelscope.cn/",
        }
    }

    fn default_revision(self) -> &'static str {
        match self {
            Hub::HuggingFace => "main",
            Hub::ModelScope => "master",
        }
    }

    /// What may stand before the owner.
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Hub::HuggingFace => &["models", "datasets", "spaces"],
            Hub::ModelScope => &["models", "datasets"],
        }
    }
}

/// Whether URLs of this scheme name files of a hub.
pub(crate) fn serves(scheme: &str) -> bool {
    matches!(scheme, "hf" | "modelscope")
}

pub(crate) struct HubSource {
    http: Arc<HttpSource>,
}

impl HubSource {
    pub(crate) fn new(http: Arc<HttpSource>) -> Self {
        Self { http }
    }

    async fn entries(&self, request: &Request) -> Result<Vec<Entry>, Error> {
        let place = Place::of(request)?;
        let mut entries = Entries::new(&request.url);
        let mut next = Some(place.list_url());
        while let Some(url) = next {
            let page = Request {
                range: None,
                if_match: None,
                ..place.request(request, url.clone())
            };
            let (head, bytes) = self.http.read(&page, MAX_PAGE).await?;
            for file in place.files(&bytes)? {
                if file.path.starts_with(&place.directory()) {
                    let end = if file.is_dir { "/" } else { "" };
                    let path = format!("{}{}{end}", place.before, file.path);
                    entries.push(&path, file.size)?;
                }
            }
            next = place.next_page(&head, &url);
        }
        Ok(entries.finish())
    }
}

impl Source for HubSource {
    fn stat<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Head, Error>> {
        async {
            let place = Place::of(request)?;
            self.http.stat(&place.request(request, place.file_url()?)).await
        }
        .boxed()
    }

    fn get<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Body, Error>> {
        async {
            let place = Place::of(request)?;
            self.http.get(&place.request(request, place.file_url()?)).await
        }
        .boxed()
    }

    fn list<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        self.entries(request).boxed()
    }
}

/// What a URL names in a hub.
struct Place {
    hub: Hub,
    base: Url,
    origin: String,
    kind: &'static str,
    owner: String,
    repository: String,
    revision: String,
    /// What of the URL's path stands before the path in the repository.
    before: String,
    /// In the repository.
    path: String,
    authorization: Option<HeaderValue>,
}

impl Place {
    fn of(request: &Request) -> Result<Self, Error> {
        let url = &request.url;
        let wrong = |what| Error::Url {
            url: redacted(url),
            what,
        };
        let hub = Hub::of(url).ok_or_else(|| Error::UnsupportedScheme(url.scheme().to_owned()))?;
        let first = url.host_str().unwrap_or_default();
        let path = path_of(url)?;
        let kind = hub.kinds().iter().find(|kind| **kind == first).copied();
        let (owner, rest) = match kind {
            None => (first, path.as_str()),
            Some(_) => path.split_once('/').unwrap_or((&path, "")),
        };
        let (repository, inside) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_name(owner) || !is_name(repository) {
            return Err(wrong(
                "write it as scheme://owner/repository/path, or with models/ or datasets/ before the owner",
            ));
        }
        let nobody = HubAccess::default();
        let access = match &request.access {
            Access::Hub(access) => access,
            _ => &nobody,
        };
        Ok(Self {
            hub,
            base: base(hub, access, url)?,
            origin: redacted(url),
            kind: kind.unwrap_or("models"),
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            revision: access
                .revision
                .clone()
                .unwrap_or_else(|| hub.default_revision().to_owned()),
            before: match kind {
                None => format!("{repository}/"),
                Some(_) => format!("{owner}/{repository}/"),
            },
            path: inside.to_owned(),
            authorization: authorization(access, url)?,
        })
    }

    /// The part of the repository that is listed.
    fn directory(&self) -> String {
        match self.path.as_str() {
            path if path.is_empty() || path.ends_with('/') => path.to_owned(),
            path => format!("{path}/"),
        }
    }

    fn file_url(&self) -> Result<Url, Error> {
        if self.path.is_empty() || self.path.ends_with('/') {
            return Err(Error::Url {
                url: self.origin.clone(),
                what: "it names no file of the repository",
            });
        }
        let mut parts = vec![];
        // Models stand at the root of Hugging Face.
        if self.hub == Hub::ModelScope || self.kind != "models" {
            parts.push(self.kind);
        }
        parts.extend([&self.owner, &self.repository, "resolve", &self.revision]);
        parts.extend(self.path.split('/'));
        Ok(self.url(&parts))
    }

    fn list_url(&self) -> Url {
        let directory = self.path.trim_end_matches('/');
        match self.hub {
            Hub::HuggingFace => {
                let mut parts = vec!["api", self.kind, &self.owner, &self.repository, "tree", &self.revision];
                parts.extend(directory.split('/').filter(|part| !part.is_empty()));
                let mut url = self.url(&parts);
                url.set_query(Some("recursive=true"));
                url
            }
            Hub::ModelScope => {
                let mut url = self.url(&["api", "v1", self.kind, &self.owner, &self.repository, "repo", "files"]);
                url.query_pairs_mut()
                    .append_pair("Revision", &self.revision)
                    .append_pair("Recursive", "true");
                url
            }
        }
    }

    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    fn request(&self, request: &Request, url: Url) -> Request {
        let mut headers = request.headers.clone();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Request {
            url,
            headers,
            access: Access::Plain,
            ..request.clone()
        }
    }

    /// The rest of a list, if the hub says that there is one; it is asked for with the token, so only from the hub.
    fn next_page(&self, head: &Head, page: &Url) -> Option<Url> {
        let links = head
            .headers
            .get_all(LINK)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let next = links.flat_map(|value| value.split(',')).find_map(|link| {
            let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            parameters.contains("rel=\"next\"").then_some(target)
        })?;
        let next = page.join(next).ok()?;
        (next.origin() == self.base.origin() && next != *page).then_some(next)
    }

    fn files(&self, page: &[u8]) -> Result<Vec<File>, Error> {
        let read = match self.hub {
            Hub::HuggingFace => serde_json::from_slice::<Vec<HuggingFaceFile>>(page)
                .map(|files| files.into_iter().map(HuggingFaceFile::told).collect()),
            Hub::ModelScope => serde_json::from_slice::<ModelScopePage>(page)
                .map(|page| page.data.files.into_iter().map(ModelScopeFile::told).collect()),
        };
        read.map_err(|_| Error::Protocol {
            origin: self.origin.clone(),
            what: "its list can't be read",
        })
    }
}

/// A file or directory as a hub tells of it.
struct File {
    path: String,
    size: Option<u64>,
    is_dir: bool,
}

#[derive(Deserialize)]
struct HuggingFaceFile {
    r#type: String,
    path: String,
    size: Option<u64>,
}

impl HuggingFaceFile {
    fn told(self) -> File {
        File {
            is_dir: self.r#type == "directory",
            path: self.path,
            size: self.size,
        }
    }
}

#[derive(Deserialize)]
struct ModelScopePage {
    #[serde(rename = "Data")]
    data: ModelScopeData,
}

#[derive(Deserialize)]
struct ModelScopeData {
    #[serde(rename = "Files")]
    files: Vec<ModelScopeFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModelScopeFile {
    path: String,
    r#type: String,
    size: Option<u64>,
}

impl ModelScopeFile {
    fn told(self) -> File {
        File {
            is_dir: self.r#type == "tree",
            path: self.path,
            size: self.size,
        }
    }
}

/// Segments that a URL would drop are none of a repository.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".."
}

fn base(hub: Hub, access: &HubAccess, url: &Url) -> Result<Url, Error> {
    match &access.base_url {
        None => Ok(Url::parse(hub.home()).expect("the hubs' own addresses are URLs")),
        Some(base) if matches!(base.scheme(), "http" | "https") => Ok(base.clone()),
        Some(_) => Err(Error::Access {
            origin: redacted(url),
            what: "the hub's base URL is not of http or https".to_owned(),
        }),
    }
}

fn authorization(access: &HubAccess, url: &Url) -> Result<Option<HeaderValue>, Error> {
    let Some(token) = &access.token else {
        return Ok(None);
    };
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| Error::Access {
        origin: redacted(url),
        what: "the token has characters that no token has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Caller;

    fn place(url: &str) -> Result<Place, Error> {
        Place::of(&Request::new(Url::parse(url).unwrap(), Caller::Local))
    }

    #[test]
    fn urls_name_files_of_repositories() {
        for (url, file) in [
            (
                "hf://Owner/repo/a/b c.bin",
                "https://huggingface.co/Owner/repo/resolve/main/a/b%20c.bin",
            ),
            ("hf://models/o/r/x", "https://huggingface.co/o/r/resolve/main/x"),
            (
                "hf://datasets/o/r/x",
                "https://huggingface.co/datasets/o/r/resolve/main/x",
            ),
            ("hf://spaces/o/r/x", "https://huggingface.co/spaces/o/r/resolve/main/x"),
            (
                "modelscope://o/r/x",
                "https://modelscope.cn/models/o/r/resolve/master/x",
            ),
            (
                "modelscope://datasets/o/r/x",
                "https://modelscope.cn/datasets/o/r/resolve/master/x",
            ),
        ] {
            assert_eq!(place(url).unwrap().file_url().unwrap().as_str(), file, "{url}");
        }
        let list = |url: &str| place(url).unwrap().list_url().to_string();
        assert_eq!(
            list("hf://datasets/o/r/dir/"),
            "https://huggingface.co/api/datasets/o/r/tree/main/dir?recursive=true"
        );
        assert_eq!(
            list("modelscope://o/r"),
            "https://modelscope.cn/api/v1/models/o/r/repo/files?Revision=master&Recursive=true"
        );
        for wrong in ["hf://gpt2", "hf://gpt2/", "hf://models/o", "hf:///o/r/x"] {
            assert!(matches!(place(wrong), Err(Error::Url { .. })), "{wrong}");
        }
        for nameless in ["hf://o/r", "hf://o/r/dir/"] {
            assert!(place(nameless).unwrap().file_url().is_err(), "{nameless}");
        }
    }
}
