//! What registries say of images, kept so that an image which was pulled here once can be pulled while its registry is
//! down: manifests by digest for ever, tags with where they led, and whether the registry lets a caller in at all.
//!
//! Nothing kept is given without the origin's word that this caller may read the repository ([`Grants`]). A manifest
//! that is asked for by its digest is then given at once; a tag is asked for anew when its time is over, and what it led
//! to last is given when the registry is down, ill or has had enough of us. What is kept was compared with its digest
//! before, and is again when it is read.

mod name;
mod shelf;

pub(super) use name::Document;

use super::answer::is_not_modified;
use super::body::{self, Body, BoxError};
use super::direct::Direct;
use super::grants::{Access, Grants};
use super::headers::for_origin;
use super::metrics::ProxyMetrics;
use super::refusal::Refusal;
use super::route::Destination;
use bytes::{Bytes, BytesMut};
use dragonfly_model::{Algorithm, Digest};
use dragonfly_source::Caller;
use futures::StreamExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Incoming;
use name::Reference;
use shelf::{Limits, Manifest, Shelf, Tag};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Larger ones than this are passed on and not kept; the specification asks registries to take 4 MiB.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Answers for registries.
pub(super) struct Manifests {
    direct: Direct,
    grants: Grants,
    shelf: Shelf,
    tag_ttl: Duration,
    metrics: ProxyMetrics,
}

/// One request for a manifest.
struct Asked<'a> {
    method: Method,
    headers: HeaderMap,
    destination: &'a Destination,
    reference: &'a Reference,
}

/// What is known here of what is asked for.
struct Kept {
    digest: Digest,
    media_type: String,
    etag: Option<String>,
    length: u64,
    /// Absent where only the head was seen.
    bytes: Option<Bytes>,
    /// When the tag was asked for last; `None` if a digest is asked for.
    checked_at: Option<u64>,
}

impl Manifests {
    pub(super) fn open(dir: &Path, direct: Direct, tag_ttl: Duration, metrics: ProxyMetrics) -> io::Result<Self> {
        Ok(Self {
            grants: direct.grants.clone(),
            shelf: Shelf::open(dir, Limits::default())?,
            direct,
            tag_ttl,
            metrics,
        })
    }

    /// Answers a GET or HEAD of a document.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        destination: &Destination,
        document: &Document,
    ) -> Result<Response<Body>, Refusal> {
        let asked = Asked {
            method: request.method().clone(),
            headers: for_origin(request.headers()),
            destination,
            reference: match document {
                Document::Ping => return self.ping(request, caller, destination).await,
                Document::Manifest(reference) => reference,
            },
        };
        self.manifest(request, caller, &asked).await
    }

    /// Asks the registry, and gives its earlier answer to this caller if it can't be asked.
    async fn ping(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        destination: &Destination,
    ) -> Result<Response<Body>, Refusal> {
        let access = self.grants.access(&destination.url, &for_origin(request.headers()));
        let message = match self.direct.answer(request, caller, destination).await {
            Ok(response) if !is_ill(response.status()) => {
                self.grants.observe(&access, response.status(), response.headers());
                return Ok(response);
            }
            Ok(response) => format!("the registry answered {}", response.status()),
            Err(refusal) if refusal.is_silence() => refusal.message().to_owned(),
            Err(refusal) => return Err(refusal),
        };
        if !self.grants.holds(&access) {
            return Err(self.grants.unasked(&access, &message));
        }
        self.metrics.manifest("stale");
        let mut response = Response::new(body::full("{}"));
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn manifest(
        &self,
        mut request: Request<Incoming>,
        caller: Caller,
        asked: &Asked<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let access = self.grants.access(&asked.destination.url, &asked.headers);
        let kept = match self.grants.holds(&access) {
            true => self.kept(asked).await.filter(|kept| kept.suffices(&asked.method)),
            false => None,
        };
        if let Some(kept) = &kept
            && kept.is_fresh(self.tag_ttl)
        {
            return Ok(self.give(kept, asked, "kept"));
        }
        let confirms = kept
            .as_ref()
            .is_some_and(|kept| kept.ask_whether_still(request.headers_mut()));
        let answered = self.direct.answer(request, caller, asked.destination).await;
        match (answered, kept) {
            (Ok(response), Some(kept)) if confirms && response.status() == StatusCode::NOT_MODIFIED => {
                self.keep_tag(asked, kept.as_tag()).await;
                Ok(self.give(&kept, asked, "confirmed"))
            }
            (Ok(response), Some(kept)) if is_ill(response.status()) => Ok(self.give(&kept, asked, "stale")),
            (Ok(response), _) if response.status() == StatusCode::OK => self.keep(asked, response).await,
            (Ok(response), _) => Ok(response),
            (Err(refusal), Some(kept)) if refusal.is_silence() => Ok(self.give(&kept, asked, "stale")),
            (Err(refusal), None) if refusal.is_silence() => Err(self.without(&access, asked, &refusal)),
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// The registry is silent and there is nothing to give.
    fn without(&self, access: &Access, asked: &Asked<'_>, refusal: &Refusal) -> Refusal {
        if !self.grants.holds(access) {
            return self.grants.unasked(access, refusal.message());
        }
        let what = match asked.reference {
            Reference::Digest(_) => "this manifest",
            Reference::Tag => "what this tag leads to",
        };
        let message = format!("{}, and {what} is not kept here", refusal.message());
        Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// What is here of what is asked for.
    async fn kept(&self, asked: &Asked<'_>) -> Option<Kept> {
        let url = &asked.destination.url;
        let tag = match asked.reference {
            Reference::Digest(digest) => {
                let manifest = self.shelf.manifest(&name::of_manifest(url, digest)).await?;
                return Some(Kept::of(manifest));
            }
            Reference::Tag => self.shelf.tag(&name::of_tag(url, &asked.headers)).await?,
        };
        let digest: Digest = tag.digest.parse().ok()?;
        let manifest = self.shelf.manifest(&name::of_manifest(url, &digest)).await;
        Some(Kept {
            digest,
            media_type: tag.media_type,
            etag: tag.etag,
            length: tag.length,
            bytes: manifest.map(|manifest| manifest.bytes),
            checked_at: Some(tag.checked_at),
        })
    }

    /// Passes a registry's answer on and keeps it, if it is a manifest and not too large.
    async fn keep(&self, asked: &Asked<'_>, response: Response<Body>) -> Result<Response<Body>, Refusal> {
        let told = Told::of(response.headers());
        let Some(media_type) = told.media_type.clone().filter(|_| !told.is_coded) else {
            return Ok(response);
        };
        if asked.method == Method::HEAD {
            if let (Some(digest), Some(length)) = (&told.digest, told.length) {
                let tag = Tag {
                    digest: digest.to_string(),
                    media_type,
                    length,
                    etag: told.etag,
                    checked_at: now(),
                };
                self.keep_tag(asked, tag).await;
            }
            return Ok(response);
        }
        if told.length.is_some_and(|length| length > MAX_MANIFEST_BYTES) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = match whole(body).await {
            Ok(Whole::All(bytes)) => bytes,
            Ok(Whole::TooLarge(body)) => return Ok(Response::from_parts(parts, body)),
            Err(error) => {
                let message = format!("the registry broke off in a manifest: {error}");
                return Err(Refusal::backend(StatusCode::BAD_GATEWAY, message));
            }
        };
        let expected = match asked.reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag => told.digest.as_ref(),
        };
        let digest = shelf::digest_of(&bytes, expected.map_or(Algorithm::Sha256, Digest::algorithm));
        if expected.is_some_and(|expected| *expected != digest) {
            let message = format!("the registry's manifest is {digest}, not what it is named by");
            return Err(Refusal::backend(StatusCode::BAD_GATEWAY, message));
        }
        let manifest = Manifest {
            digest,
            media_type,
            etag: told.etag,
            bytes,
        };
        let name = name::of_manifest(&asked.destination.url, &manifest.digest);
        self.shelf.keep_manifest(name, &manifest).await;
        let bytes = manifest.bytes.clone();
        self.keep_tag(asked, Kept::of(manifest).as_tag()).await;
        Ok(Response::from_parts(parts, body::full(bytes)))
    }

    /// Where the tag leads, if one was asked for.
    async fn keep_tag(&self, asked: &Asked<'_>, tag: Tag) {
        if *asked.reference == Reference::Tag {
            let name = name::of_tag(&asked.destination.url, &asked.headers);
            self.shelf.keep_tag(name, tag).await;
        }
    }

    fn give(&self, kept: &Kept, asked: &Asked<'_>, by: &'static str) -> Response<Body> {
        self.metrics.manifest(by);
        let mut head = HeaderMap::new();
        let texts = [
            (header::CONTENT_TYPE, Some(&kept.media_type)),
            (header::ETAG, kept.etag.as_ref()),
            (DOCKER_CONTENT_DIGEST, Some(&kept.digest.to_string())),
        ];
        for (name, value) in texts {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                head.insert(name, value);
            }
        }
        head.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        let mut response = Response::new(body::empty());
        if is_not_modified(&asked.headers, &head) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            head.insert(header::CONTENT_LENGTH, kept.length.into());
            if let Some(bytes) = kept.bytes.clone().filter(|_| asked.method == Method::GET) {
                *response.body_mut() = body::full(bytes);
            }
        }
        *response.headers_mut() = head;
        response
    }
}

impl Kept {
    fn of(manifest: Manifest) -> Self {
        Self {
            digest: manifest.digest,
            media_type: manifest.media_type,
            etag: manifest.etag,
            length: manifest.bytes.len() as u64,
            bytes: Some(manifest.bytes),
            checked_at: None,
        }
    }

    /// Where a tag leads that was asked for just now.
    fn as_tag(&self) -> Tag {
        Tag {
            digest: self.digest.to_string(),
            media_type: self.media_type.clone(),
            length: self.length,
            etag: self.etag.clone(),
            checked_at: now(),
        }
    }

    /// Whether a request of this method can be answered.
    fn suffices(&self, method: &Method) -> bool {
        *method == Method::HEAD || self.bytes.is_some()
    }

    fn is_fresh(&self, ttl: Duration) -> bool {
        self.checked_at
            .is_none_or(|checked_at| now().saturating_sub(checked_at) < ttl.as_secs())
    }

    /// Has a GET ask only for what is not here, unless its client asks for something like that itself.
    fn ask_whether_still(&self, headers: &mut HeaderMap) -> bool {
        let own = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
        let tag = self.etag.as_ref().and_then(|tag| HeaderValue::from_str(tag).ok());
        match tag {
            Some(tag) if self.bytes.is_some() && !own.iter().any(|name| headers.contains_key(name)) => {
                headers.insert(header::IF_NONE_MATCH, tag);
                true
            }
            _ => false,
        }
    }
}

/// What a registry's headers say of a manifest.
struct Told {
    media_type: Option<String>,
    digest: Option<Digest>,
    etag: Option<String>,
    length: Option<u64>,
    /// Whether the bytes are not the manifest's own.
    is_coded: bool,
}

impl Told {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let digest = text(&DOCKER_CONTENT_DIGEST).and_then(|text| text.parse().ok());
        Self {
            media_type: text(&header::CONTENT_TYPE).map(str::to_owned),
            digest: digest.filter(|digest: &Digest| digest.algorithm().is_cryptographic()),
            etag: text(&header::ETAG).map(str::to_owned),
            length: text(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            is_coded: headers.contains_key(header::CONTENT_ENCODING),
        }
    }
}

enum Whole {
    All(Bytes),
    /// The body as it came.
    TooLarge(Body),
}

/// Reads a body to its end, unless it is larger than a manifest may be.
async fn whole(mut body: Body) -> Result<Whole, BoxError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        read.extend_from_slice(&data);
        if read.len() as u64 > MAX_MANIFEST_BYTES {
            let first = futures::stream::once(async move { Ok(Frame::data(read.freeze())) });
            let rest = first.chain(BodyStream::new(body));
            return Ok(Whole::TooLarge(StreamBody::new(rest).boxed_unsync()));
        }
    }
    Ok(Whole::All(read.freeze()))
}

/// Whether a registry's answer says something about itself and nothing about what was asked for.
fn is_ill(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
