//! A content travels: a little origin here, the proxy, the dfdaemon behind it, whoever that asks, and back.

use super::finding::Finding;
use super::node::reached;
use axum::Router;
use axum::routing::get;
use dragonfly_api::dfdaemon::DeleteTaskRequest;
use dragonfly_peer::{Config, Identity};
use dragonfly_service::web::{self, Limits};
use dragonfly_service::{Workers, chain, grpc, net};
use futures::TryStreamExt;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Larger than what is kept back of an answer, and more than one read.
const LENGTH: usize = 1 << 20;
/// For all of it: schedulers wait this long at most for a seed peer that can't reach this origin.
const WITHIN: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(3);

const CHECK: &str = "probe";

/// Fetches it and compares.
pub(super) async fn run(config: &Config, identity: &Identity) -> Finding {
    // Others may be sent to fetch it, so it listens where they reach this host.
    let wanted = SocketAddr::new(identity.ip, 0);
    let listener = match net::bind_tcp(wanted, "probe") {
        Ok(listener) => listener,
        Err(error) => {
            let remedy = "set host.ip to an address of this host: others are told to fetch from this one";
            return Finding::failed(CHECK, chain(&error).to_string(), remedy);
        }
    };
    let at = listener.local_addr().unwrap_or(wanted);
    let content: Vec<u8> = std::iter::repeat_with(rand::random).take(LENGTH).collect();
    let url = format!("http://{at}/probe-{:016x}", rand::random::<u64>());
    let expected = Sha256::digest(&content);
    let workers = Workers::new(CancellationToken::new());
    let body = bytes::Bytes::from(content);
    let router = Router::new().fallback(get(move || std::future::ready(body.clone())));
    workers.spawn(
        "probe",
        web::serve(listener, router, Limits::default(), workers.cancel_token()),
    );
    let begun = Instant::now();
    let fetched = fetch(config, &url).await;
    let took = begun.elapsed();
    if workers.drain(DRAIN).await.is_err() {
        tracing::debug!("the probe's origin was cut off");
    }
    let remedy = "`dfget` with the same URL of your own says more; the log of the dfdaemon says why it refused";
    match fetched {
        Err(reason) => Finding::failed(CHECK, reason, remedy),
        Ok(fetched) => {
            forget(config, fetched.task.as_deref()).await;
            match (Sha256::digest(&fetched.bytes) == expected, fetched.task) {
                (false, _) => Finding::failed(CHECK, "the content that came back is not the one that was sent", remedy),
                (true, None) => Finding::failed(
                    CHECK,
                    "it came, but not through the dfdaemon",
                    "look which proxy answers",
                ),
                (true, Some(_)) => Finding::ok(CHECK, format!("1 MiB travelled in {} ms", took.as_millis())),
            }
        }
    }
}

struct Fetched {
    bytes: Vec<u8>,
    /// The task that it was on its way.
    task: Option<String>,
}

/// By the proxy, as a container runtime would.
async fn fetch(config: &Config, url: &str) -> Result<Fetched, String> {
    let proxy = reqwest::Proxy::http(format!("http://{}", reached(config.proxy.addr)));
    let mut proxy = proxy.map_err(|error| chain(&error).to_string())?;
    if let Some(auth) = &config.proxy.basic_auth {
        proxy = proxy.basic_auth(&auth.username, auth.password.expose_secret());
    }
    let asking = async {
        let client = reqwest::Client::builder().proxy(proxy).timeout(WITHIN).build()?;
        let answer = client.get(url).header("X-Dragonfly-Use-P2P", "true").send().await?;
        let task = answer.headers().get("x-dragonfly-task-id");
        let task = task.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let status = answer.status();
        let mut bytes = Vec::new();
        let mut body = answer.bytes_stream();
        while let Some(more) = body.try_next().await? {
            bytes.extend_from_slice(&more);
            // Longer than what was sent is wrong, however much longer.
            if bytes.len() > LENGTH {
                break;
            }
        }
        Ok::<_, reqwest::Error>((status, task, bytes))
    };
    let (status, task, bytes) = asking.await.map_err(|error| chain(&error).to_string())?;
    if !status.is_success() {
        let said: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        return Err(format!("the proxy says {status}: {}", said.trim()));
    }
    Ok(Fetched { bytes, task })
}

/// Leaves no trace of it.
async fn forget(config: &Config, task: Option<&str>) {
    let Some(task) = task else { return };
    let channel = grpc::connect_unix(&config.download.socket, grpc::Timeouts::default()).await;
    let Ok(channel) = channel else { return };
    let mut client = dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient::new(channel);
    let request = DeleteTaskRequest {
        task_id: task.to_owned(),
        ..DeleteTaskRequest::default()
    };
    if let Err(status) = client.delete_task(request).await {
        tracing::debug!(%status, "the probe's content stays until it is evicted");
    }
}
