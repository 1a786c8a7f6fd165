//! Requests and connections that are passed on as they are: behind the same egress guard and with the same verified
//! TLS as our own, but with no redirect followed, no retry and no header of ours.

use super::connect::{Connector, Connectors};
use super::exchange::no_answer;
use crate::error::BoxError;
use crate::request::redacted;
use crate::{Caller, Error};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use tokio::net::TcpStream;
use url::Url;

/// The body of a request that is passed on. An error in it breaks the request off.
pub type ForwardBody = UnsyncBoxBody<Bytes, BoxError>;

/// Passes on. Both kinds of callers have a pool of their own, see [`Connector`].
pub(crate) struct Forwarder {
    local: Lane,
    remote: Lane,
}

struct Lane {
    connector: Connector,
    client: Client<Connector, ForwardBody>,
}

impl Forwarder {
    pub(super) fn new(connectors: &Connectors) -> Self {
        let lane = |caller| Lane {
            connector: connectors.connector(caller),
            client: connectors.client(caller),
        };
        Self {
            local: lane(Caller::Local),
            remote: lane(Caller::Remote),
        }
    }

    pub(crate) async fn send(
        &self,
        request: Request<ForwardBody>,
        caller: Caller,
    ) -> Result<Response<Incoming>, Error> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| Error::Protocol {
            origin: request.uri().host().unwrap_or_default().to_owned(),
            what: "the URL can't be asked for over HTTP",
        })?;
        let sent = self.lane(caller).client.request(request).await;
        sent.map_err(|error| no_answer(&redacted(&url), error.into()))
    }

    pub(crate) async fn connect(&self, host: &str, port: u16, caller: Caller) -> Result<TcpStream, Error> {
        let opened = self.lane(caller).connector.tcp(host, port).await;
        opened.map_err(|error| no_answer(&format!("{host}:{port}"), error.into()))
    }

    fn lane(&self, caller: Caller) -> &Lane {
        match caller {
            Caller::Local => &self.local,
            Caller::Remote => &self.remote,
        }
    }
}
