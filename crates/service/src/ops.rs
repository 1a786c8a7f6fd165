//! What operators and orchestrators ask a program: is it alive, is it ready, how is it doing.

use crate::metrics::Form;
use crate::web::{self, Limits};
use crate::{Metrics, Ready};
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What is served.
#[derive(Debug, Clone)]
pub struct Routes {
    /// `GET /healthy` answers 200 `OK` when it is set and 503 before.
    pub ready: Ready,
    /// `GET /metrics`, if there are any.
    pub metrics: Option<Metrics>,
}

impl Routes {
    /// The routes, for a program that serves them beside others.
    pub fn router(self) -> Router {
        let mut router = Router::new().route("/healthy", get(healthy).with_state(self.ready));
        if let Some(metrics) = self.metrics {
            router = router.route("/metrics", get(scrape).with_state(metrics));
        }
        router
    }
}

/// Serves the routes until `cancel`.
pub async fn serve(listener: TcpListener, routes: Routes, cancel: CancellationToken) {
    let limits = Limits {
        connections: 64,
        ..Limits::default()
    };
    web::serve(listener, routes.router(), limits, cancel).await;
}

async fn healthy(State(ready): State<Ready>) -> impl IntoResponse {
    if ready.is_set() {
        (StatusCode::OK, "OK")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    }
}

async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Form::accepted(accept.unwrap_or_default());
    ([(CONTENT_TYPE, form.content_type())], metrics.encode(form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workers;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn request(addr: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let text = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    struct Server {
        addr: SocketAddr,
        ready: Ready,
        workers: Workers,
    }

    fn start() -> Server {
        let listener = crate::net::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), "health").unwrap();
        let addr = listener.local_addr().unwrap();
        let routes = Routes {
            ready: Ready::new(),
            metrics: Some(Metrics::new()),
        };
        let workers = Workers::new(CancellationToken::new());
        let ready = routes.ready.clone();
        let cancel = workers.cancel_token();
        workers.spawn("ops", serve(listener, routes, cancel));
        Server { addr, ready, workers }
    }

    #[tokio::test]
    async fn health_follows_readiness_and_metrics_are_text() {
        let server = start();
        assert!(request(server.addr, "GET /healthy").await.starts_with("HTTP/1.1 503"));
        server.ready.set();
        let answer = request(server.addr, "GET /healthy").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nOK"),
            "{answer}"
        );
        let answer = request(server.addr, "GET /metrics").await;
        assert!(
            answer.contains("text/plain; version=0.0.4") && answer.contains("process_open_fds"),
            "{answer}"
        );
        assert!(
            request(server.addr, "DELETE /metrics")
                .await
                .starts_with("HTTP/1.1 405")
        );
        assert!(request(server.addr, "GET /secret").await.starts_with("HTTP/1.1 404"));
        server.workers.drain(Duration::from_secs(60)).await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_end() {
        let server = start();
        let _idle = TcpStream::connect(server.addr).await.unwrap();
        assert!(request(server.addr, "GET /healthy").await.starts_with("HTTP/1.1 503"));
        server.workers.drain(Duration::from_secs(60)).await.unwrap();
    }

    #[tokio::test]
    async fn a_header_without_end_is_refused() {
        let server = start();
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(64 * 1024));
        // The server may answer and close before all is written.
        stream.write_all(endless.as_bytes()).await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(
            answer.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        server.workers.drain(Duration::from_secs(60)).await.unwrap();
    }
}
