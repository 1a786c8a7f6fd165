//! Back to source: asks the origin of a content for its head and its bytes.
//!
//! This room owns everything that leaves the cluster on behalf of a caller: which addresses may be asked at all (the
//! egress guard), which of the caller's headers travel and how far, redirects, retries and time limits. It never keeps
//! bytes and never asks again for bytes it has delivered: whoever reads a [`Body`] resumes with a new [`Request`].
//!
//! A kind of origin is one module that implements [`Source`]; [`Sources`] picks it by the URL's scheme. Whatever is not
//! HTTP itself is asked over HTTP in the end, by the same client. [`oci`] finds out what an image is made of.

mod access;
mod egress;
mod entry;
mod error;
mod hdfs;
mod http;
mod hub;
mod observer;
pub mod oci;
mod request;
mod store;
mod trust;

pub use access::{Access, AccessKey, HubAccess, StoreAccess};
pub use egress::{EgressPolicy, Refusal};
pub use entry::{Entry, MAX_ENTRIES};
pub use error::{Error, Fault};
pub use http::ForwardBody;
pub use observer::{Asked, Observer};
pub use request::{Body, Caller, Head, Request, Validator};
pub use trust::Trust;

use ::http::HeaderMap;
use ::http::Response;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use observer::Observed;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// What every request to an origin has in common. No proxy is ever taken from the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which addresses may be asked.
    pub egress: EgressPolicy,
    /// Certificate authorities trusted beside those of the operating system.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// How often a request that failed in passing is repeated, beyond the first try.
    pub max_retries: u32,
    /// The `User-Agent` of requests whose caller sent none.
    pub user_agent: String,
    /// How long one connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// Headers added to every request whose caller did not send them.
    pub request_headers: HeaderMap,
    /// How long an origin may take to answer, redirects and retries included, if the request does not say.
    pub response_timeout: Duration,
    /// How long a body may pause between two chunks.
    pub stall_timeout: Duration,
    /// Who is told of what is asked.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            egress: EgressPolicy::default(),
            extra_roots: Vec::new(),
            max_retries: 2,
            user_agent: "dragonfly".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_headers: HeaderMap::new(),
            response_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            observer: None,
        }
    }
}

/// The schemes of URLs that there is a source for.
pub const SCHEMES: &[&str] = &[
    "http",
    "https",
    "s3",
    "gs",
    "abs",
    "oss",
    "obs",
    "cos",
    "hf",
    "modelscope",
    "hdfs",
];

/// One kind of origin.
pub(crate) trait Source: Send + Sync {
    /// See [`Sources::stat`].
    fn stat<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Head, Error>>;

    /// See [`Sources::get`].
    fn get<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Body, Error>>;

    /// See [`Sources::list`].
    fn list<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Vec<Entry>, Error>>;
}

/// Every origin this process can ask. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Sources {
    http: Arc<dyn Source>,
    stores: Arc<dyn Source>,
    hubs: Arc<dyn Source>,
    hdfs: Arc<dyn Source>,
    forwarder: Arc<http::Forwarder>,
    observed: Observed,
}

impl Sources {
    /// Loads the certificate authorities and prepares the clients; opens no connection.
    ///
    /// Fails only if one of `extra_roots` is no certificate.
    pub fn new(config: Config) -> Result<Self, Error> {
        let response_timeout = config.response_timeout;
        let observed = Observed(config.observer.clone());
        let http::Doors {
            source,
            bare,
            forwarder,
        } = http::open(config)?;
        let stores = store::StoreSource::new(bare.clone(), forwarder.clone(), response_timeout);
        Ok(Self {
            http: source,
            stores: Arc::new(stores),
            hubs: Arc::new(hub::HubSource::new(bare.clone())),
            hdfs: Arc::new(hdfs::HdfsSource::new(bare)),
            forwarder,
            observed,
        })
    }

    /// Asks for the head of a content: its length, its headers, whether it can be read in ranges. Moves at most one
    /// byte of the content itself. An answer other than success is [`Error::Status`].
    pub async fn stat(&self, request: &Request) -> Result<Head, Error> {
        let answer = self.of(request)?.stat(request);
        self.observed.asking(request.url.scheme(), "HEAD", answer).await
    }

    /// Asks for the content, or for `request.range` of it. An origin that can't do ranges answers with the whole
    /// content, which [`Body::range`] tells. An origin whose content is not the one of `request.if_match` is
    /// [`Error::Changed`].
    pub async fn get(&self, request: Request) -> Result<Body, Error> {
        let answer = self.of(&request)?.get(&request);
        let body = self.observed.asking(request.url.scheme(), "GET", answer).await?;
        Ok(self.observed.counting(body))
    }

    /// All that is below a directory, in the origin's order; at most [`MAX_ENTRIES`]. HTTP has no directories.
    pub async fn list(&self, request: &Request) -> Result<Vec<Entry>, Error> {
        let answer = self.of(request)?.list(request);
        self.observed.asking(request.url.scheme(), "LIST", answer).await
    }

    /// Passes a client's request on to the http or https URL in it, and the answer back, whatever its status: redirects
    /// are the client's to follow, no header is added but `Host`, and nothing is repeated. Fails if there is no answer.
    pub async fn forward(
        &self,
        request: ::http::Request<ForwardBody>,
        caller: Caller,
    ) -> Result<Response<Incoming>, Error> {
        let scheme = request.uri().scheme_str().unwrap_or_default().to_owned();
        let answer = self.forwarder.send(request, caller);
        self.observed.asking(&scheme, "FORWARD", answer).await
    }

    /// A connection to a host for a tunnel whose bytes nobody reads here. `host` is a name or an address.
    pub async fn tunnel(&self, host: &str, port: u16, caller: Caller) -> Result<TcpStream, Error> {
        self.forwarder.connect(host, port, caller).await
    }

    fn of(&self, request: &Request) -> Result<&dyn Source, Error> {
        match request.url.scheme() {
            "http" | "https" => Ok(&*self.http),
            scheme if store::serves(scheme) => Ok(&*self.stores),
            scheme if hub::serves(scheme) => Ok(&*self.hubs),
            scheme if hdfs::serves(scheme) => Ok(&*self.hdfs),
            other => Err(Error::UnsupportedScheme(other.to_owned())),
        }
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
