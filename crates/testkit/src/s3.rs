//! A real object store that speaks S3: moto's server. It checks signatures and knows whose key may do what, once it is
//! told to.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use tempfile::TempDir;
use url::Url;

use crate::process::{Process, Ready, free_port, own_loopback};
use crate::python::program;

const PROGRAM: (&str, &str) = ("moto_server", "moto[s3]==5.2.1 flask==3.1.3 flask-cors==6.0.5");
const START_WITHIN: Duration = Duration::from_secs(60);
/// The bucket that every store has.
pub const BUCKET: &str = "models";
/// Whoever is not asked for a signature must pretend to have one all the same; it says which service is meant.
const UNSIGNED: &str = "AWS4-HMAC-SHA256 Credential=anybody/20200101/us-east-1/s3/aws4_request";
const UNSIGNED_FOR_USERS: &str = "AWS4-HMAC-SHA256 Credential=anybody/20200101/us-east-1/iam/aws4_request";
/// What the key of [`ObjectStore::guard`] may do.
const READER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*"}]}"#;

/// A key that may read and list.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub id: String,
    /// What it signs with.
    pub secret: String,
}

/// A running store with one bucket. Dropping it kills it and all that it holds.
#[derive(Debug)]
pub struct ObjectStore {
    address: SocketAddr,
    client: reqwest::Client,
    process: Process,
    _logs: TempDir,
}

impl ObjectStore {
    /// Starts one, from an environment of Python in `cache` that is made if it isn't there.
    ///
    /// # Errors
    /// When moto can't be installed or doesn't come up.
    pub async fn start(cache: &Path) -> Result<Self> {
        let cache = cache.to_owned();
        let server = tokio::task::spawn_blocking(move || program(&cache, PROGRAM)).await??;
        let ip = own_loopback();
        let address = SocketAddr::from((ip, free_port(ip.into())?));
        let logs = TempDir::new()?;
        let mut command = Command::new(server);
        command.args(["-H", &ip.to_string(), "-p", &address.port().to_string()]);
        let mut process = Process::start("moto", command, logs.path())?;
        process.ready(&Ready::Port(address), START_WITHIN).await?;
        let store = Self {
            address,
            client: crate::client::builder()?.build()?,
            process,
            _logs: logs,
        };
        store
            .send(store.client.put(store.url("")).header(AUTHORIZATION, UNSIGNED), "")
            .await?;
        Ok(store)
    }

    /// Its server.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an object into the bucket; a public one is read by anybody. Not after [`Self::guard`].
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn put(&self, key: &str, content: impl Into<Vec<u8>>, public: bool) -> Result<()> {
        let access = if public { "public-read" } else { "private" };
        let put = self.client.put(self.url(key)).header("x-amz-acl", access);
        let put = put
            .header(AUTHORIZATION, UNSIGNED)
            .header(CONTENT_TYPE, "application/octet-stream");
        self.send(put, content.into()).await.map(drop)
    }

    /// From now on every request is judged by its signature. The key that may read.
    ///
    /// # Errors
    /// When the store does not obey.
    pub async fn guard(&self) -> Result<Key> {
        self.manage(&[("Action", "CreateUser")]).await?;
        self.manage(&[
            ("Action", "PutUserPolicy"),
            ("PolicyName", "read"),
            ("PolicyDocument", READER),
        ])
        .await?;
        let made = self.manage(&[("Action", "CreateAccessKey")]).await?;
        let key = Key {
            id: element(&made, "AccessKeyId")?,
            secret: element(&made, "SecretAccessKey")?,
        };
        let reset = self.client.post(format!("{}/moto-api/reset-auth", self.endpoint()));
        self.send(reset.header(CONTENT_TYPE, "text/plain"), "0").await?;
        Ok(key)
    }

    /// How often bytes of an object were sent, by the store's own log.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn gets(&self, key: &str) -> Result<usize> {
        let line = format!("GET {} HTTP", self.path(key));
        let log = self.process.stderr()?;
        let sent = |line: &&str| line.contains("\" 200 ") || line.contains("\" 206 ");
        Ok(log.lines().filter(|log| log.contains(&line)).filter(sent).count())
    }

    async fn manage(&self, what: &[(&str, &str)]) -> Result<String> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(what);
        form.extend_pairs([("UserName", "reader"), ("Version", "2010-05-08")]);
        let post = self
            .client
            .post(self.endpoint())
            .header(AUTHORIZATION, UNSIGNED_FOR_USERS)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(post, form.finish()).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, body: impl Into<reqwest::Body>) -> Result<String> {
        let response = request.body(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if status != StatusCode::OK {
            bail!("the object store answered {status}: {text}");
        }
        Ok(text)
    }

    fn path(&self, key: &str) -> String {
        // As clients write it; the empty key is the bucket.
        let mut url = Url::parse("http://host/").expect("the URL is constant");
        url.set_path(&format!("/{BUCKET}/{}", key.replace('%', "%25")));
        url.path().trim_end_matches('/').to_owned()
    }

    fn url(&self, key: &str) -> String {
        format!("{}{}", self.endpoint(), self.path(key))
    }
}

fn element(xml: &str, name: &str) -> Result<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>")).context("an element is missing")?;
    let (text, _) = rest.split_once('<').context("an element has no end")?;
    Ok(text.to_owned())
}
