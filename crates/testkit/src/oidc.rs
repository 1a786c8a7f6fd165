//! A real provider of OpenID Connect: npm's `oidc-provider`, which is certified, with people of the test's own.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::npm::npm;
use crate::process::{Process, Ready, free_port, said_by};

/// Runs with every Node.js from 18 on.
const PACKAGE: &str = "oidc-provider@8.8.1";
const SCRIPT: &str = include_str!("oidc/provider.mjs");
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The only client that it knows, and that one's secret.
pub const CLIENT: (&str, &str) = ("dragonfly", "a secret of the lab");
/// The cookie by which it knows who a browser is.
pub const PERSON: &str = "person";

/// A running provider; dropped, it is gone.
#[derive(Debug)]
pub struct OidcProvider {
    issuer: String,
    _process: Process,
}

impl OidcProvider {
    /// Starts one that sends browsers back to `redirect`, and knows `people`: claims by subject.
    ///
    /// # Errors
    /// When Node.js is missing and can't be installed, the package can't be had, or it does not start.
    pub async fn start(cache: &Path, redirect: &str, people: Value) -> Result<Self> {
        let home = cache.join("oidc-provider");
        install(&home).with_context(|| format!("installing npm's package {PACKAGE}"))?;
        let port = free_port(Ipv4Addr::LOCALHOST.into())?;
        let issuer = format!("http://127.0.0.1:{port}");
        let mut node = Command::new("node");
        node.arg("provider.mjs")
            .current_dir(&home)
            .env("ISSUER", &issuer)
            .env("PORT", port.to_string())
            .env(
                "SETTINGS",
                json!({"redirect_uris": [redirect], "people": people}).to_string(),
            );
        let logs = home.join(format!("log-{port}"));
        let mut process = Process::start("oidc-provider", node, &logs)?;
        let answers = Ready::Port((Ipv4Addr::LOCALHOST, port).into());
        process.ready(&answers, READY_WITHIN).await?;
        Ok(Self {
            issuer,
            _process: process,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn install(home: &Path) -> Result<()> {
    std::fs::create_dir_all(home)?;
    let lock = File::create(home.join("lock"))?;
    let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    std::fs::write(home.join("provider.mjs"), SCRIPT)?;
    if !home.join("node_modules/oidc-provider").exists() {
        let mut install = Command::new(npm()?);
        install
            .args(["install", "--silent", "--no-audit", "--no-fund", "--no-save", PACKAGE])
            .current_dir(home);
        said_by(&mut install)?;
    }
    Ok(())
}
