//! HDFS, by WebHDFS: the name node says what is there, and sends whoever reads to a data node.

use crate::entry::{Entries, path_of};
use crate::http::HttpSource;
use crate::request::redacted;
use crate::{Access, Body, Entry, Error, Head, Request, Source, Validator};
use dragonfly_model::ByteRange;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, ETAG};
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

/// Where a name node serves WebHDFS unless the URL says otherwise.
const PORT: u16 = 9870;
/// Bytes of one answer of a name node: a directory with a great many files.
const MAX_ANSWER: usize = 64 << 20;

/// Whether URLs of this scheme name files of HDFS.
pub(crate) fn serves(scheme: &str) -> bool {
    scheme == "hdfs"
}

pub(crate) struct HdfsSource {
    http: Arc<HttpSource>,
}

impl HdfsSource {
    pub(crate) fn new(http: Arc<HttpSource>) -> Self {
        Self { http }
    }

    async fn head_of(&self, request: &Request) -> Result<Head, Error> {
        let status: Answer = self.ask(request, &path_of(&request.url)?, "GETFILESTATUS").await?;
        let status = status.file_status;
        if status.is_dir() {
            return Err(Error::Url {
                url: redacted(&request.url),
                what: "it is a directory",
            });
        }
        let head = status.head();
        match (&request.if_match, &head.validator) {
            (Some(expected), Some(now)) if expected != now => Err(Error::Changed {
                origin: redacted(&request.url),
            }),
            _ => Ok(head),
        }
    }

    async fn body_of(&self, request: &Request) -> Result<Body, Error> {
        // A data node tells of the part that it sends, and of no version.
        let head = self.head_of(request).await?;
        let whole = head.content_length.unwrap_or_default();
        let range = request.range.map(|asked| ByteRange {
            start: asked.start,
            length: asked.length.min(whole.saturating_sub(asked.start)),
        });
        if range.is_some_and(|range| range.length == 0) {
            return Err(Error::Status {
                origin: redacted(&request.url),
                status: 416,
                headers: Box::default(),
            });
        }
        let mut url = address(request, &path_of(&request.url)?, "OPEN")?;
        if let Some(range) = range {
            url.query_pairs_mut()
                .append_pair("offset", &range.start.to_string())
                .append_pair("length", &range.length.to_string());
        }
        let body = self.http.body_of(&plain(request, url)).await?;
        let due = range.map_or(whole, |range| range.length);
        if body.head.content_length.is_some_and(|length| length != due) {
            return Err(Error::Changed {
                origin: redacted(&request.url),
            });
        }
        Ok(Body { head, range, ..body })
    }

    async fn entries(&self, request: &Request) -> Result<Vec<Entry>, Error> {
        let mut entries = Entries::new(&request.url);
        let top = path_of(&request.url)?;
        let mut due = vec![top.trim_end_matches('/').to_owned()];
        while let Some(directory) = due.pop() {
            let answer: ListAnswer = self.ask(request, &directory, "LISTSTATUS").await?;
            for status in answer.file_statuses.file_status {
                let name = &status.path_suffix;
                if name.is_empty() || name.contains('/') {
                    return Err(Error::Url {
                        url: redacted(&request.url),
                        what: "it is no directory",
                    });
                }
                let path = match directory.as_str() {
                    "" => name.clone(),
                    directory => format!("{directory}/{name}"),
                };
                if status.is_dir() {
                    entries.push(&format!("{path}/"), None)?;
                    due.push(path);
                } else {
                    entries.push(&path, Some(status.length))?;
                }
            }
        }
        Ok(entries.finish())
    }

    /// What the name node says of a path.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        request: &Request,
        path: &str,
        operation: &str,
    ) -> Result<T, Error> {
        let asked = plain(request, address(request, path, operation)?);
        let (_, answer) = self.http.read(&asked, MAX_ANSWER).await?;
        serde_json::from_slice(&answer).map_err(|_| Error::Protocol {
            origin: redacted(&request.url),
            what: "it does not speak WebHDFS",
        })
    }
}

impl Source for HdfsSource {
    fn stat<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Head, Error>> {
        self.head_of(request).boxed()
    }

    fn get<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Body, Error>> {
        self.body_of(request).boxed()
    }

    fn list<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        self.entries(request).boxed()
    }
}

/// The request over HTTP, for all of an answer.
fn plain(request: &Request, url: Url) -> Request {
    Request {
        url,
        range: None,
        if_match: None,
        access: Access::Plain,
        ..request.clone()
    }
}

fn address(request: &Request, path: &str, operation: &str) -> Result<Url, Error> {
    let wrong = |what| Error::Url {
        url: redacted(&request.url),
        what,
    };
    let host = request.url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("it names no name node"))?;
    let port = request.url.port().unwrap_or(PORT);
    let mut url = Url::parse(&format!("http://{host}:{port}/webhdfs/v1"))
        .map_err(|_| wrong("its host is no name and no address"))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path.split('/').filter(|segment| !segment.is_empty()));
    }
    url.query_pairs_mut().append_pair("op", operation);
    if let Access::Hdfs(Some(token)) = &request.access {
        url.query_pairs_mut().append_pair("delegation", token.expose_secret());
    }
    Ok(url)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    file_status: FileStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAnswer {
    file_statuses: FileStatuses,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileStatuses {
    file_status: Vec<FileStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileStatus {
    path_suffix: String,
    r#type: String,
    length: u64,
    modification_time: u64,
}

impl FileStatus {
    fn is_dir(&self) -> bool {
        self.r#type == "DIRECTORY"
    }

    fn head(&self) -> Head {
        // A file that is written anew has another time, and one that grows another length.
        let tag = format!("\"{}-{}\"", self.modification_time, self.length);
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::try_from(tag).expect("digits are visible"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.length));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Head {
            status: 200,
            content_length: Some(self.length),
            accepts_ranges: true,
            validator: Validator::of(&headers),
            headers,
        }
    }
}
