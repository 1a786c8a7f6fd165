//! Who may call the service for peers and schedulers, where no certificates say so.

use crate::cluster::Neighbours;
use crate::metrics::Metrics;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

/// Health checks say nothing that a stranger may not know.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Refuses calls from hosts that are neither neighbours nor schedulers.
#[derive(Clone)]
pub(crate) struct AdmitLayer {
    admit: Option<(Neighbours, Metrics)>,
}

impl AdmitLayer {
    /// Admits by address.
    pub(crate) fn by_address(neighbours: Neighbours, metrics: Metrics) -> Self {
        Self {
            admit: Some((neighbours, metrics)),
        }
    }

    /// Admits everybody: who got this far has shown a certificate.
    pub(crate) fn everybody() -> Self {
        Self { admit: None }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit {
            inner,
            admit: self.admit.clone(),
        }
    }
}

/// See [`AdmitLayer`].
#[derive(Clone)]
pub(crate) struct Admit<S> {
    inner: S,
    admit: Option<(Neighbours, Metrics)>,
}

impl<S, B, R> Service<Request<B>> for Admit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is the one that must be called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let Some((neighbours, metrics)) = self.admit.clone() else {
            return Box::pin(inner.call(request));
        };
        Box::pin(async move {
            if request.uri().path().starts_with(HEALTH) {
                return inner.call(request).await;
            }
            let from = request.extensions().get::<TcpConnectInfo>();
            let ip = from.and_then(TcpConnectInfo::remote_addr).map(|addr| addr.ip());
            let admitted = match ip {
                Some(ip) => neighbours.knows_or_schedules(ip).await,
                None => false,
            };
            if admitted {
                return inner.call(request).await;
            }
            metrics.refused_stranger();
            tracing::warn!(
                ?ip,
                rpc.method = request.uri().path(),
                "refused a host that no scheduler has named"
            );
            let text = "no scheduler of this cluster has named your host; announce it, or configure certificates";
            Ok(Status::permission_denied(text).into_http())
        })
    }
}
