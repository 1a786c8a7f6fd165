//! The door for people, consoles and scripts: `/api/v1` and `/healthy`.
//!
//! Every route under `/api/v1` needs a session and a right, but the few that are listed in [`open`] and [`own`]: see
//! [`guard`]. Handlers parse, ask the room behind, answer.

mod clusters;
mod error;
mod frame;
mod guard;
mod input;
mod page;
mod schedulers;
mod seed_peers;
mod users;

use crate::clusters::Clusters;
use crate::metrics::Counts;
use crate::store::Store;
use crate::users::Users;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use dragonfly_service::tls::ServerTls;
use dragonfly_service::web::{self, Limits};
use error::Problem;
use guard::CookieRules;
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
    pub(crate) users: Arc<Users>,
    pub(crate) counts: Counts,
    /// Shown to those who have to sign in.
    pub(crate) realm: Arc<str>,
    pub(crate) cookie_readable: bool,
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
        let api = Router::new()
            .merge(permitted().route_layer(middleware::from_fn_with_state(self.clone(), guard::permitted)))
            .merge(own().route_layer(middleware::from_fn_with_state(self.clone(), guard::signed_in)))
            .merge(open());
        Router::new()
            .nest("/api/v1", api)
            .route("/healthy", get(healthy))
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .fallback(|| async { Problem::no_such_page() })
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(middleware::from_fn_with_state(self.clone(), frame::frame))
            .with_state(self)
    }

    fn cookie(&self) -> CookieRules {
        CookieRules {
            readable: self.cookie_readable,
            secure: self.tls.is_some(),
        }
    }
}

/// Routes for anybody.
fn open() -> Router<Rest> {
    Router::new().route("/users/signin", post(users::sign_in))
}

/// Routes for every user, who acts on himself there.
fn own() -> Router<Rest> {
    Router::new()
        .route("/users/signout", post(users::sign_out))
        .route("/users/{id}/reset_password", post(users::reset_password))
}

/// Routes for users with a right to their object, which is the first segment of the path.
fn permitted() -> Router<Rest> {
    Router::new()
        .route("/clusters", get(clusters::list).post(clusters::create))
        .route(
            "/clusters/{id}",
            get(clusters::get).patch(clusters::update).delete(clusters::delete),
        )
        .route("/clusters/match", get(clusters::find))
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

/// Whether the manager can do its work, which it can't without its database.
async fn healthy(State(rest): State<Rest>) -> Result<Json<&'static str>, Problem> {
    rest.store.ping().await.map_err(|error| {
        tracing::warn!(%error, "the database does not answer");
        Problem::unavailable("the database does not answer")
    })?;
    Ok(Json("OK"))
}
