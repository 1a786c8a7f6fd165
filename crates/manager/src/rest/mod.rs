//! The door for people, consoles and scripts: `/api/v1`, `/oapi/v1` and `/healthy`, and the console itself; for traces
//! `/v1/traces` and `/jaeger/api`.
//!
//! Every path under these but the console and `/healthy` needs a right, but the few that [`guard`] excepts. Handlers parse, ask the room
//! behind, answer.

mod applications;
mod audit;
mod changes;
mod clusters;
mod configs;
mod console;
mod document;
mod error;
mod events;
mod frame;
mod guard;
mod input;
mod jobs;
mod json;
mod kept_tasks;
mod oauth;
mod openapi;
mod origin;
mod page;
mod peers;
mod roles;
mod scheduler_clusters;
mod schedulers;
mod seed_peer_clusters;
mod seed_peers;
mod session;
mod tokens;
mod traces;
mod users;

use crate::changes::Changes;
use crate::clusters::Clusters;
use crate::jobs::Jobs;
use crate::kept::Kept;
use crate::metrics::Counts;
use crate::oauth::Providers;
use crate::peers::Peers;
use crate::store::Store;
use crate::traces::{MAX_EXPORT_BYTES, Traces};
use crate::users::Users;
use crate::wake::{Topic, Wake};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::{Json, Router, middleware};
use dragonfly_service::tls::ServerTls;
use dragonfly_service::web::{self, Limits};
use error::Problem;
use guard::CookieRules;
use http::HeaderValue;
use ipnet::IpNet;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Connections at a time.
const MAX_CONNECTIONS: usize = 1024;

/// What the door needs. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) store: Store,
    pub(crate) clusters: Clusters,
    pub(crate) jobs: Jobs,
    pub(crate) kept: Kept,
    pub(crate) peers: Peers,
    /// Absent if none are kept here.
    pub(crate) traces: Option<Traces>,
    pub(crate) wake: Wake,
    pub(crate) changes: Changes,
    pub(crate) users: Arc<Users>,
    pub(crate) providers: Providers,
    pub(crate) counts: Counts,
    /// Shown to those who have to sign in.
    pub(crate) realm: Arc<str>,
    pub(crate) cookie_readable: bool,
    /// The proxies before this door.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) tls: Option<ServerTls>,
    /// Origins of pages, beside our own, that may call.
    pub(crate) origins: Vec<HeaderValue>,
    /// Room for those who listen to jobs.
    pub(crate) listeners: Arc<Semaphore>,
    /// Ends what would not end by itself.
    pub(crate) stopping: CancellationToken,
}

impl Rest {
    /// As many as may listen to jobs.
    pub(crate) fn listeners() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(events::MAX_LISTENERS))
    }

    /// Serves until `cancel`, then lets running requests end.
    pub(crate) async fn serve(mut self, listener: TcpListener, cancel: CancellationToken) {
        self.stopping = cancel.clone();
        let limits = Limits {
            connections: MAX_CONNECTIONS,
            ..Limits::default()
        };
        let tls = self.tls.clone();
        web::serve_tls(listener, tls.as_ref(), self.router(), limits, cancel).await;
    }

    fn router(self) -> Router {
        let (api, _) = api(|topic, routes| self.waking(topic, routes)).split_for_parts();
        let (open, _) = open_api().split_for_parts();
        let (outside, _) = outside().split_for_parts();
        let (received, _) = traces::received().split_for_parts();
        let (found, _) = traces::found().split_for_parts();
        let received = self.guarded_traces(received);
        let router = Router::new()
            .nest("/api/v1", self.guarded(api))
            .nest("/oapi/v1", self.guarded(open))
            .nest("/v1", received.layer(DefaultBodyLimit::max(MAX_EXPORT_BYTES)))
            .nest("/jaeger/api", self.guarded_traces(found))
            .merge(outside)
            .merge(document::reader())
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(console::answer)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
        let router = match self.origins.as_slice() {
            [] => router,
            origins => router.layer(frame::shared_with(origins)),
        };
        router
            .layer(middleware::from_fn_with_state(self.clone(), frame::frame))
            .layer(middleware::from_fn_with_state(
                self.trusted_proxies.clone(),
                origin::origin,
            ))
            .with_state(self)
    }

    /// With the guard before all paths, those that do not exist, too.
    fn guarded(&self, routes: Router<Self>) -> Router<Self> {
        routes
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(|| async { Problem::no_such_page() })
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .layer(middleware::from_fn_with_state(self.clone(), changes::after_writes))
    }

    /// The same with the guard of traces.
    fn guarded_traces(&self, routes: Router<Self>) -> Router<Self> {
        routes
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(|| async { Problem::no_such_page() })
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard_traces))
    }

    /// Says after every write that something of `topic` has changed.
    fn waking(&self, topic: Topic, routes: OpenApiRouter<Self>) -> OpenApiRouter<Self> {
        let wake = self.wake.clone();
        routes.route_layer(middleware::from_fn(move |request: Request, next: Next| {
            let (wake, reads) = (wake.clone(), request.method().is_safe());
            async move {
                let response = next.run(request).await;
                if !reads && response.status().is_success() {
                    wake.changed(topic);
                }
                response
            }
        }))
    }

    fn cookie(&self) -> CookieRules {
        CookieRules {
            readable: self.cookie_readable,
            secure: self.tls.is_some(),
        }
    }
}

/// What is under `/api/v1`: a route and its description are one declaration, in the file of its objects. `about` is
/// given the routes that write what others wait for, with what that is.
fn api(about: impl Fn(Topic, OpenApiRouter<Rest>) -> OpenApiRouter<Rest>) -> OpenApiRouter<Rest> {
    let members = scheduler_clusters::routes()
        .merge(seed_peer_clusters::routes())
        .merge(schedulers::routes())
        .merge(seed_peers::routes());
    open_api()
        .merge(about(Topic::Members, members))
        .merge(about(Topic::Applications, applications::routes()))
        .merge(peers::routes())
        .merge(kept_tasks::routes())
        .merge(users::routes())
        .merge(oauth::routes())
        .merge(session::routes())
        .merge(roles::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(changes::routes())
        .merge(configs::routes())
        .merge(document::routes())
}

/// What is under `/oapi/v1`, too, where scripts of Dragonfly 2.5 look for it.
fn open_api() -> OpenApiRouter<Rest> {
    clusters::routes().merge(jobs::routes())
}

/// What is outside of both.
fn outside() -> OpenApiRouter<Rest> {
    document::as_before().routes(routes!(healthy))
}

/// The description of the API, a document of OpenAPI 3.1. `docs/openapi.json` is the same.
pub fn openapi() -> String {
    openapi::document()
}

/// Whether the manager can do its work, which it can't without its database.
#[utoipa::path(
    get,
    path = "/healthy",
    responses((status = 200, description = "It can", body = String, content_type = "application/json", example = "OK")),
)]
async fn healthy(State(rest): State<Rest>) -> Result<Json<&'static str>, Problem> {
    rest.store.ping().await.map_err(|error| {
        tracing::warn!(%error, "the database does not answer");
        Problem::unavailable("the database does not answer")
    })?;
    Ok(Json("OK"))
}
