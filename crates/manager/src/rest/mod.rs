//! The door for people, consoles and scripts: `/api/v1`, `/oapi/v1` and `/healthy`.
//!
//! Every path under `/api/v1` and `/oapi/v1` needs a right, but the few that [`guard`] excepts. Handlers parse, ask the room
//! behind, answer.

mod applications;
mod audit;
mod clusters;
mod configs;
mod error;
mod frame;
mod guard;
mod input;
mod origin;
mod page;
mod roles;
mod schedulers;
mod seed_peers;
mod tokens;
mod users;

use crate::clusters::Clusters;
use crate::metrics::Counts;
use crate::store::Store;
use crate::users::Users;
use crate::wake::{Topic, Wake};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router, middleware};
use dragonfly_service::tls::ServerTls;
use dragonfly_service::web::{self, Limits};
use error::Problem;
use guard::CookieRules;
use ipnet::IpNet;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Connections at a time.
const MAX_CONNECTIONS: usize = 1024;

/// What the door needs. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) store: Store,
    pub(crate) clusters: Clusters,
    pub(crate) wake: Wake,
    pub(crate) users: Arc<Users>,
    pub(crate) counts: Counts,
    /// Shown to those who have to sign in.
    pub(crate) realm: Arc<str>,
    pub(crate) cookie_readable: bool,
    /// The proxies before this door.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) tls: Option<ServerTls>,
}

impl Rest {
    /// Serves until `cancel`, then lets running requests end.
    pub(crate) async fn serve(self, listener: TcpListener, cancel: CancellationToken) {
        let limits = Limits {
            connections: MAX_CONNECTIONS,
            ..Limits::default()
        };
        let tls = self.tls.clone();
        web::serve_tls(listener, tls.as_ref(), self.router(), limits, cancel).await;
    }

    fn router(self) -> Router {
        Router::new()
            .nest(
                "/api/v1",
                self.guarded(
                    clusters()
                        .merge(self.waking(Topic::Members, members()))
                        .merge(users())
                        .merge(self.waking(Topic::Applications, settings())),
                ),
            )
            .nest("/oapi/v1", self.guarded(clusters()))
            .route("/healthy", get(healthy))
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(|| async { Problem::no_such_page() })
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
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
    }

    /// Says after every write that something of `topic` has changed.
    fn waking(&self, topic: Topic, routes: Router<Self>) -> Router<Self> {
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

fn users() -> Router<Rest> {
    Router::new()
        .route("/users/signin", post(users::sign_in))
        .route("/users/signout", post(users::sign_out))
        .route("/users/refresh_token", post(users::refresh))
        // Where the console of Dragonfly 2.5 makes users; it takes the same right here.
        .route("/users/signup", post(users::create))
        .route("/users", get(users::list).post(users::create))
        .route(
            "/users/{id}",
            get(users::get).patch(users::update).delete(users::delete),
        )
        .route("/users/{id}/reset_password", post(users::reset_password))
        .route("/users/{id}/roles", get(users::roles))
        .route("/users/{id}/roles/{role}", put(users::grant).delete(users::revoke))
        .route("/users/{id}/sessions", get(users::sessions).delete(users::end_sessions))
        .route("/users/{id}/sessions/{session}", delete(users::end_session))
        .route("/roles", get(roles::list).post(roles::create))
        .route("/roles/{role}", get(roles::get).delete(roles::delete))
        .route("/roles/{role}/permissions", post(roles::permit).delete(roles::forbid))
        .route("/permissions", get(roles::permissions))
        .route("/audits", get(audit::list))
        .route("/personal-access-tokens", get(tokens::list).post(tokens::create))
        .route(
            "/personal-access-tokens/{id}",
            get(tokens::get).patch(tokens::update).delete(tokens::delete),
        )
}

fn clusters() -> Router<Rest> {
    Router::new()
        .route("/clusters", get(clusters::list).post(clusters::create))
        .route(
            "/clusters/{id}",
            get(clusters::get).patch(clusters::update).delete(clusters::delete),
        )
        .route("/clusters/match", get(clusters::find))
}

fn members() -> Router<Rest> {
    Router::new()
        .route("/scheduler-clusters", get(clusters::list_scheduler_clusters))
        .route("/scheduler-clusters/{id}", get(clusters::get_scheduler_cluster))
        .route("/seed-peer-clusters", get(clusters::list_seed_peer_clusters))
        .route("/seed-peer-clusters/{id}", get(clusters::get_seed_peer_cluster))
        .route("/schedulers", get(schedulers::list).post(schedulers::create))
        .route(
            "/schedulers/{id}",
            get(schedulers::get)
                .patch(schedulers::update)
                .delete(schedulers::delete),
        )
        .route("/seed-peers", get(seed_peers::list).post(seed_peers::create))
        .route(
            "/seed-peers/{id}",
            get(seed_peers::get)
                .patch(seed_peers::update)
                .delete(seed_peers::delete),
        )
}

fn settings() -> Router<Rest> {
    Router::new()
        .route("/applications", get(applications::list).post(applications::create))
        .route(
            "/applications/{id}",
            get(applications::get)
                .patch(applications::update)
                .delete(applications::delete),
        )
        .route("/configs", get(configs::list).post(configs::create))
        .route(
            "/configs/{id}",
            get(configs::get).patch(configs::update).delete(configs::delete),
        )
}

/// Whether the manager can do its work, which it can't without its database.
async fn healthy(State(rest): State<Rest>) -> Result<Json<&'static str>, Problem> {
    rest.store.ping().await.map_err(|error| {
        tracing::warn!(%error, "the database does not answer");
        Problem::unavailable("the database does not answer")
    })?;
    Ok(Json("OK"))
}
