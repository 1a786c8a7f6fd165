//! Sentences about the whole product, each a test in `tests/`: the release binary, alone or between a real registry and
//! real containerds. They move gigabytes, so they run one after the other.
//!
//! What stands here is what a user's own programs would do.

pub mod article;
pub mod made;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, bail};
use dragonfly_testkit::registry::Registry;
use dragonfly_testkit::{client, process};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

/// How much of an answer is kept for a message or a comparison.
const HEAD: usize = 4096;
/// Longer than any answer of these tests takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// A caller of a peer's proxy, as a container runtime is one, without what a runtime does on its own.
#[derive(Clone, Debug)]
pub struct Caller {
    client: reqwest::Client,
    authorization: Option<String>,
}

/// What a caller got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `sha256:<hex>` of the body.
    pub digest: String,
    /// Bytes of the body.
    pub length: u64,
    /// The first bytes of the body.
    pub head: Vec<u8>,
}

impl Caller {
    /// A caller that sends this `Authorization`, or none.
    ///
    /// # Errors
    /// When the machine has no TLS roots.
    pub fn new(authorization: Option<&str>) -> Result<Self> {
        let client = client::builder()?.timeout(ANSWER_WITHIN).build()?;
        Ok(Self {
            client,
            authorization: authorization.map(str::to_owned),
        })
    }

    /// Asks the proxy at `proxy` for a blob of `registry`.
    ///
    /// # Errors
    /// When there is no answer, or it ends early.
    pub async fn blob(&self, proxy: &str, registry: &Registry, repository: &str, digest: &str) -> Result<Answer> {
        let url = format!("{proxy}/v2/{repository}/blobs/{digest}?ns={}", registry.host());
        let mut request = self.client.get(url).header("X-Dragonfly-Registry", registry.url());
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let (mut hash, mut length, mut head) = (Sha256::new(), 0, Vec::new());
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            hash.update(&chunk);
            length += chunk.len() as u64;
            head.extend_from_slice(&chunk[..chunk.len().min(HEAD - head.len())]);
        }
        Ok(Answer {
            status,
            digest: format!("sha256:{}", hex::encode(hash.finalize())),
            length,
            head,
        })
    }
}

/// Runs `dfget` (with its first arguments in `command`) for `url` into the file `to`.
///
/// # Errors
/// When it can't be started or takes longer than any of these tests needs.
pub async fn dfget(mut command: Command, url: &str, to: &Path, more: &[&str]) -> Result<Output> {
    command.arg(url).arg("--output").arg(to).args(more);
    process::output(command, ANSWER_WITHIN).await
}

/// An error with what the command said, unless it succeeded.
///
/// # Errors
/// When its exit code isn't 0.
pub fn succeeded(output: &Output) -> Result<()> {
    if !output.status.success() {
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        bail!("{}\n{stdout}\n{stderr}", output.status);
    }
    Ok(())
}
