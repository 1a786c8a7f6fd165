//! Images in OCI and Docker registries: what a name means, and which blobs an image is made of.
//!
//! [`ImageRef`] is a name, [`Registry`] asks for it as one caller, [`Image`] is the answer: manifests, configuration and
//! layers with digests and sizes. Manifests are checked against the digests that name them. Blobs are not fetched here;
//! whoever fetches them takes the `Authorization` of the moment from [`Registry::authorization`].

mod challenge;
mod error;
mod login;
mod manifest;
mod platform;
mod reference;

pub use error::Error;
pub use login::Login;
pub use manifest::{Descriptor, Image};
pub use platform::{Platform, PlatformError};
pub use reference::{ImageRef, Reference, ReferenceError};

use crate::{Body, Caller, Request, Sources, Trust};
use bytes::{Bytes, BytesMut};
use dragonfly_model::{Algorithm, Digest};
use futures::TryStreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use login::Session;
use manifest::{ACCEPTED, Document};
use sha2::{Digest as _, Sha256, Sha512};
use url::Url;

/// Longest manifest, in bytes: what registries accept.
const MAX_MANIFEST: usize = 4 << 20;
/// An index may name indexes, but not deeper than this.
const MAX_DEPTH: usize = 3;

/// As whom a registry is asked.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who named the image; decides what the egress guard allows.
    pub caller: Caller,
    /// How the caller proves who it is.
    pub login: Login,
    /// Headers of the caller's that go along.
    pub headers: HeaderMap,
    /// Whose certificates are believed.
    pub trust: Trust,
}

/// One image's registry, asked as one caller. Keeps the caller's token and renews it.
#[derive(Debug)]
pub struct Registry {
    sources: Sources,
    image: ImageRef,
    access: Access,
    session: Session,
}

impl Registry {
    /// Asks nothing yet.
    pub fn new(sources: Sources, image: ImageRef, access: Access) -> Self {
        let session = Session::new(access.login.clone());
        Self {
            sources,
            image,
            access,
            session,
        }
    }

    /// The image that is asked for.
    pub fn image(&self) -> &ImageRef {
        &self.image
    }

    /// Finds what the image is made of on a platform. An image without an index is taken whatever its platform.
    pub async fn resolve(&self, platform: &Platform) -> Result<Image, Error> {
        let mut image = Image::default();
        let mut reference = self.image.reference().clone();
        for _ in 0..MAX_DEPTH {
            let (descriptor, document) = self.manifest(&reference).await?;
            image.manifests.push(descriptor);
            match document {
                Document::Manifest { config, layers } => {
                    image.config = config;
                    image.layers = layers;
                    return Ok(image);
                }
                Document::Index(entries) => {
                    let chosen = platform.choose(&entries).ok_or_else(|| Error::NoPlatform {
                        image: self.image.to_string(),
                        asked: platform.to_string(),
                        offered: platform::offered(&entries),
                    })?;
                    reference = Reference::Digest(chosen.clone());
                }
            }
        }
        Err(self.malformed("its indexes name each other"))
    }

    /// The `Authorization` with which blobs of the image can be fetched now; a token that is about to end is renewed.
    /// `None` if the registry wants none, or nothing was asked of it yet.
    pub async fn authorization(&self) -> Result<Option<HeaderValue>, Error> {
        self.session.authorization(self).await
    }

    /// The registry has refused this value. Whether there is another one to try now.
    pub async fn renew(&self, refused: Option<&HeaderValue>) -> Result<bool, Error> {
        self.session.renew(self, refused).await
    }

    async fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Document), Error> {
        let url = self.image.manifest_url(reference);
        let body = match self.ask(url.clone()).await {
            Err(crate::Error::Status {
                status: 401, headers, ..
            }) if self.session.answer(self, &headers).await? => self.ask(url).await,
            answer => answer,
        };
        let body = body.map_err(|error| self.failed(error))?;
        let content_type = body.head.headers.get(CONTENT_TYPE).cloned();
        let bytes = read(body, MAX_MANIFEST).await.map_err(|error| match error {
            ReadError::TooLong => self.malformed("it is longer than 4 MiB"),
            ReadError::Source(error) => self.failed(error),
        })?;
        let digest = match reference {
            Reference::Tag(_) => digest_of(Algorithm::Sha256, &bytes),
            Reference::Digest(asked) => {
                let found = digest_of(asked.algorithm(), &bytes);
                if found != *asked {
                    return Err(Error::Digest {
                        image: self.image.to_string(),
                        asked: asked.clone(),
                        found,
                    });
                }
                found
            }
        };
        let named = content_type.as_ref().and_then(|value| value.to_str().ok());
        let (media_type, document) = manifest::read(&bytes, named).map_err(|what| self.malformed(what))?;
        let descriptor = Descriptor {
            media_type,
            digest,
            size: bytes.len() as u64,
        };
        Ok((descriptor, document))
    }

    async fn ask(&self, url: Url) -> Result<Body, crate::Error> {
        let mut request = self.request(url);
        request.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        if let Some(authorization) = self.session.present().await {
            request.headers.insert(AUTHORIZATION, authorization);
        }
        self.sources.get(request).await
    }

    fn request(&self, url: Url) -> Request {
        Request {
            headers: self.access.headers.clone(),
            trust: self.access.trust.clone(),
            ..Request::new(url, self.access.caller)
        }
    }

    fn failed(&self, source: crate::Error) -> Error {
        match source.status() {
            Some(status @ (401 | 403)) => Error::Denied {
                image: self.image.to_string(),
                status,
                remedy: self.session.remedy(),
            },
            Some(404) => Error::NotFound(self.image.to_string()),
            _ => Error::Source(Box::new(source)),
        }
    }

    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            image: self.image.to_string(),
            what: what.into(),
        }
    }
}

enum ReadError {
    TooLong,
    Source(crate::Error),
}

/// A whole body, if it is not longer than `limit` bytes.
async fn read(body: Body, limit: usize) -> Result<Bytes, ReadError> {
    let mut stream = body.stream;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.try_next().await.map_err(ReadError::Source)? {
        if bytes.len() + chunk.len() > limit {
            return Err(ReadError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let hex = match algorithm {
        Algorithm::Sha512 => hex::encode(Sha512::digest(bytes)),
        // No reference holds a digest of another kind.
        Algorithm::Sha256 | Algorithm::Crc32 => {
            return Digest::new(Algorithm::Sha256, &hex::encode(Sha256::digest(bytes)))
                .expect("a SHA-256 in hex is a digest");
        }
    };
    Digest::new(Algorithm::Sha512, &hex).expect("a SHA-512 in hex is a digest")
}
