//! A real docker-registry as the origin of images: open, with passwords, or with bearer tokens; plain or TLS.
//!
//! What it served is read from its own request log, so a test can say how often each blob left the origin.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::image::Image;
use crate::packages::{self, HTPASSWD, REGISTRY, SKOPEO};
use crate::pki::Authority;
use crate::place::Place;
use crate::process::{Process, Ready, free_port, run};
use crate::tokens::{ISSUER, SERVICE, TokenServer, User};

const START_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(20);
const PUSH_WITHIN: Duration = Duration::from_secs(180);

/// The one user of a registry that has users.
pub const USER: User = User {
    name: "robot",
    password: "pull-and-push",
};

/// How a registry knows its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Anybody may read and write.
    Open,
    /// Basic credentials of [`USER`].
    Basic,
    /// Bearer tokens that a token server gives to [`USER`].
    Bearer,
}

/// How a registry is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP.
    Plain,
    /// HTTPS with a certificate of a private authority.
    Tls,
}

/// A running registry with a store of its own.
#[derive(Debug)]
pub struct Registry {
    login: Login,
    place: Place,
    address: SocketAddr,
    /// What it is called in its certificate.
    name: String,
    dir: TempDir,
    authority: Option<Authority>,
    tokens: Option<TokenServer>,
    process: Option<Process>,
    earlier: Vec<Request>,
}

/// One request as the registry logged it when its answer was done.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The HTTP method.
    #[serde(rename = "http.request.method")]
    pub method: String,
    /// The caller's address.
    #[serde(rename = "http.request.remoteaddr")]
    pub caller: SocketAddr,
    /// Path and query as sent.
    #[serde(rename = "http.request.uri")]
    pub uri: String,
    /// The caller's `User-Agent`.
    #[serde(rename = "http.request.useragent", default)]
    pub user_agent: String,
    /// The status of the answer.
    #[serde(rename = "http.response.status")]
    pub status: u16,
    /// Bytes of the answer's body.
    #[serde(rename = "http.response.written")]
    pub written: u64,
    /// From the request to the end of the answer.
    #[serde(rename = "http.response.duration")]
    pub duration: jiff::SignedDuration,
    /// When the answer was done.
    pub time: jiff::Timestamp,
}

impl Request {
    /// Whether this asked for the blob.
    #[must_use]
    pub fn is_for_blob(&self, digest: &str) -> bool {
        let path = self.uri.split('?').next().unwrap_or_default();
        path.ends_with(&format!("/blobs/{digest}"))
    }
}

impl Registry {
    /// Installs what is needed and starts a registry with an empty store.
    ///
    /// # Errors
    /// When a package is missing and can't be installed, or the registry doesn't come up.
    pub async fn start(login: Login, transport: Transport) -> Result<Self> {
        let at = (Place::Here, free_address()?, "localhost");
        Self::start_as(at, login, transport).await
    }

    /// An open registry without TLS at an address of another network.
    ///
    /// # Errors
    /// When a package is missing and can't be installed, or the registry doesn't come up.
    pub async fn start_in(place: Place, address: SocketAddr) -> Result<Self> {
        Self::start_as((place, address, "localhost"), Login::Open, Transport::Plain).await
    }

    /// An open registry with TLS at an address of another network, where others know it by a name.
    ///
    /// # Errors
    /// When a package is missing and can't be installed, or the registry doesn't come up.
    pub async fn start_named(place: Place, address: SocketAddr, name: &str) -> Result<Self> {
        Self::start_as((place, address, name), Login::Open, Transport::Tls).await
    }

    async fn start_as(
        (place, address, name): (Place, SocketAddr, &str),
        login: Login,
        transport: Transport,
    ) -> Result<Self> {
        packages::require(&[REGISTRY, SKOPEO])?;
        let dir = tempfile::Builder::new().prefix("testkit-registry-").tempdir()?;
        let authority = match transport {
            Transport::Plain => None,
            Transport::Tls => Some(Authority::create(dir.path())?),
        };
        let tokens = match login {
            Login::Bearer => Some(TokenServer::start(dir.path(), USER)?),
            Login::Open | Login::Basic => None,
        };
        let mut registry = Self {
            login,
            place,
            address,
            name: name.to_owned(),
            dir,
            authority,
            tokens,
            process: None,
            earlier: Vec::new(),
        };
        registry.configure().await?;
        registry.start_again().await?;
        Ok(registry)
    }

    /// `host:port`, as it stands in image names.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of the registry, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate that its clients must trust, if it is reached by TLS.
    #[must_use]
    pub fn ca(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(Authority::certificate)
    }

    /// Who must log in, if anybody must.
    #[must_use]
    pub fn user(&self) -> Option<User> {
        (self.login != Login::Open).then_some(USER)
    }

    /// The name of an image in this registry: `host:port/repository:tag`.
    #[must_use]
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host())
    }

    /// Pushes an image and returns its name in this registry.
    ///
    /// # Errors
    /// When skopeo fails.
    pub async fn push(&self, image: &Image, repository: &str, tag: &str) -> Result<String> {
        let reference = self.reference(repository, tag);
        let mut command = Command::new(SKOPEO.1);
        command.args(["copy", "--quiet", "--preserve-digests"]);
        match &self.authority {
            Some(authority) => command.arg("--dest-cert-dir").arg(authority.trust()),
            None => command.arg("--dest-tls-verify=false"),
        };
        if let Some(user) = self.user() {
            command
                .arg("--dest-creds")
                .arg(format!("{}:{}", user.name, user.password));
        }
        command
            .arg(format!("oci:{}", image.layout().display()))
            .arg(format!("docker://{reference}"));
        run(command, PUSH_WITHIN).await?;
        Ok(reference)
    }

    /// The `Authorization` value with which the registry lets its user pull from a repository: Basic credentials, or
    /// a fresh bearer token; `None` for an open registry.
    ///
    /// # Errors
    /// When the token server doesn't answer.
    pub async fn authorization(&self, repository: &str) -> Result<Option<String>> {
        let Some(tokens) = &self.tokens else {
            return Ok(self.user().map(|user| user.basic()));
        };
        let mut realm = url::Url::parse(&tokens.realm())?;
        let scope = format!("repository:{repository}:pull");
        realm
            .query_pairs_mut()
            .append_pair("service", SERVICE)
            .append_pair("scope", &scope);
        let request = crate::client::builder()?
            .build()?
            .get(realm)
            .header(http::header::AUTHORIZATION, USER.basic());
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let token = answer["token"].as_str().context("the token server gave no token")?;
        Ok(Some(format!("Bearer {token}")))
    }

    /// Stops it; its port then refuses connections.
    ///
    /// # Errors
    /// When it isn't running or doesn't stop.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the registry is stopped already")?;
        process.stop(STOP_WITHIN).await?;
        self.earlier.extend(requests(&process.stderr()?));
        Ok(())
    }

    /// Starts it again at the same address with the same store.
    ///
    /// # Errors
    /// When it doesn't come up.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("the registry is running already");
        }
        let mut command = self.place.command(REGISTRY.1);
        command.arg("serve").arg(self.dir.path().join("config.yml"));
        let mut process = Process::start("registry", command, self.dir.path())?;
        process.ready(&Ready::Port(self.address), START_WITHIN).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Every request it answered, in the order in which the answers were done.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let mut all = self.earlier.clone();
        if let Some(process) = &self.process {
            all.extend(requests(&process.stderr()?));
        }
        Ok(all)
    }

    /// How many bytes of a blob it gave away in answers to GET.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn blob_bytes_served(&self, digest: &str) -> Result<u64> {
        let requests = self.requests()?;
        let given = requests
            .iter()
            .filter(|one| one.method == "GET" && one.status < 300 && one.is_for_blob(digest));
        Ok(given.map(|one| one.written).sum())
    }

    /// Writes the registry's configuration (JSON is YAML) and the files it names.
    async fn configure(&self) -> Result<()> {
        let dir = self.dir.path();
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "info", "formatter": "json", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": dir.join("store") }, "delete": { "enabled": true } },
            "http": { "addr": self.host(), "secret": "testkit" },
        });
        if let Some(authority) = &self.authority {
            let identity = authority.server_named("registry", &self.name, self.address.ip())?;
            config["http"]["tls"] = json!({ "certificate": identity.certificate, "key": identity.key });
        }
        if self.login == Login::Basic {
            packages::require(&[HTPASSWD])?;
            let mut command = Command::new(HTPASSWD.1);
            command.args(["-B", "-b", "-n", USER.name, USER.password]);
            std::fs::write(dir.join("htpasswd"), run(command, START_WITHIN).await?)?;
            config["auth"] = json!({ "htpasswd": { "realm": "testkit", "path": dir.join("htpasswd") } });
        }
        if let Some(tokens) = &self.tokens {
            let bundle = tokens.certificate();
            let token = json!({
                "realm": tokens.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle,
            });
            config["auth"] = json!({ "token": token });
        }
        std::fs::write(dir.join("config.yml"), serde_json::to_vec_pretty(&config)?)?;
        Ok(())
    }
}

fn free_address() -> Result<SocketAddr> {
    let ip = Ipv4Addr::LOCALHOST.into();
    Ok(SocketAddr::new(ip, free_port(ip)?))
}

/// The requests in a registry's log; other lines, and one that is being written, are passed over.
fn requests(log: &str) -> Vec<Request> {
    let done = |line: &&str| line.contains("\"response completed");
    log.lines()
        .filter(done)
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
