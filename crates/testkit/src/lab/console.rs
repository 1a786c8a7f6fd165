//! What an operator does at the manager, by the same REST calls that the console makes.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client;

/// The first user.
pub const ROOT: &str = "root";
/// The password that the first user has on a manager's first start, good for nothing but choosing another.
const INITIAL_PASSWORD: &str = "dragonfly";
/// What the operator of a lab chooses.
pub const PASSWORD: &str = "lab-dragonfly";

/// An operator who has signed in.
#[derive(Clone, Debug)]
pub struct Console {
    client: Client,
    base: String,
    token: String,
}

/// A cluster as the API returns it: what the configuration of its members needs.
#[derive(Clone, Debug, Deserialize)]
pub struct Added {
    /// The cluster.
    pub id: u64,
    /// For schedulers, and for peers that are pinned to the cluster.
    pub scheduler_cluster_id: u64,
    /// For seed peers.
    pub seed_peer_cluster_id: u64,
}

/// A session as the sign-in returns it.
#[derive(Deserialize)]
struct Session {
    token: String,
}

/// What a session's token says of its user.
#[derive(Deserialize)]
struct Claims {
    id: u64,
}

impl Console {
    /// Signs in at a manager that nobody has signed in to before: chooses a password, then signs in with it.
    ///
    /// # Errors
    /// When the manager doesn't answer or refuses.
    pub async fn first(manager: Ipv4Addr) -> Result<Self> {
        let initial = Self::sign_in_with(manager, INITIAL_PASSWORD).await?;
        let claims = initial.token.split('.').nth(1).context("a token has three parts")?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        let reset = json!({ "old_password": INITIAL_PASSWORD, "new_password": PASSWORD });
        initial
            .post(&format!("users/{}/reset_password", claims.id), &reset)
            .await
            .context("choosing a password")?;
        Self::sign_in(manager).await
    }

    /// Signs in again, at any replica.
    ///
    /// # Errors
    /// When the manager doesn't answer or refuses.
    pub async fn sign_in(manager: Ipv4Addr) -> Result<Self> {
        Self::sign_in_with(manager, PASSWORD).await
    }

    async fn sign_in_with(manager: Ipv4Addr, password: &str) -> Result<Self> {
        let mut console = Self {
            client: client::builder()?.build()?,
            base: format!("http://{manager}:8080/api/v1"),
            token: String::new(),
        };
        let session = console
            .post("users/signin", &json!({ "name": ROOT, "password": password }))
            .await?;
        console.token = serde_json::from_value::<Session>(session)?.token;
        Ok(console)
    }

    /// ADD CLUSTER, with these scopes and the default configurations.
    ///
    /// # Errors
    /// When the manager refuses it.
    pub async fn add_cluster(&self, name: &str, scopes: &Value) -> Result<Added> {
        let cluster = json!({
            "name": name,
            "scopes": scopes,
            "scheduler_cluster_config": { "candidate_parent_limit": 4, "filter_parent_limit": 15, "job_rate_limit": 10 },
            "seed_peer_cluster_config": { "load_limit": 2000 },
            "peer_cluster_config": { "load_limit": 200 },
        });
        Ok(serde_json::from_value(self.post("clusters", &cluster).await?)?)
    }

    /// Gives a cluster other scopes.
    ///
    /// # Errors
    /// When the manager refuses them.
    pub async fn set_scopes(&self, cluster: u64, scopes: &Value) -> Result<()> {
        let patch = json!({ "scopes": scopes });
        let request = self
            .client
            .patch(format!("{}/clusters/{cluster}", self.base))
            .json(&patch);
        self.answer(request).await?;
        Ok(())
    }

    /// The cluster that every manager has from its first start.
    ///
    /// # Errors
    /// When the manager doesn't answer or refuses.
    pub async fn first_cluster(&self) -> Result<Added> {
        Ok(serde_json::from_value(self.get("clusters/1").await?)?)
    }

    /// How many active members of `kind` (`schedulers` or `seed-peers`) the manager knows in a cluster.
    ///
    /// # Errors
    /// When the manager doesn't answer or refuses.
    pub async fn active(&self, kind: &str, cluster: u64) -> Result<usize> {
        let members = self.get(&format!("{kind}?state=active&per_page=50")).await?;
        let members = members.as_array().context("a list")?;
        let key = match kind {
            "schedulers" => "scheduler_cluster_id",
            _ => "seed_peer_cluster_id",
        };
        let of_cluster = members.iter().filter(|member| member[key] == cluster);
        Ok(of_cluster.count())
    }

    /// GET of a path below `/api/v1/`.
    ///
    /// # Errors
    /// When the manager doesn't answer, or with anything but success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.answer(self.client.get(format!("{}/{path}", self.base))).await
    }

    /// POST of a JSON body to a path below `/api/v1/`.
    ///
    /// # Errors
    /// When the manager doesn't answer, or with anything but success.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}/{path}", self.base)).json(body);
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value> {
        let request = request.bearer_auth(&self.token).build()?;
        let what = format!("{} {}", request.method(), request.url());
        let response = self.client.execute(request).await.with_context(|| what.clone())?;
        let status = response.status();
        let body = response.text().await?;
        if !status.is_success() {
            bail!("{what}: {status}: {body}");
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).with_context(|| format!("{what}: {body}"))
    }
}
