//! What every gRPC server and client of Dragonfly shares: limits, timeouts, request ids, and panics that stay inside
//! their call.

mod connect;
mod follow;
mod guard;
mod incoming;

pub use connect::{ConnectError, Timeouts, connect, connect_lazy, connect_unix};
pub use follow::follow;
pub use guard::{Guard, GuardLayer, REQUEST_ID, retry_after};
pub use incoming::{Accept, Conn, incoming};

use prometheus_client::metrics::counter::Counter;
use std::num::NonZeroU32;
use std::time::Duration;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

/// Bytes of one message. Upstream's daemons send whole pieces (64 MiB at most) in one message.
pub const MAX_MESSAGE_BYTES: usize = 80 << 20;

/// What a server grants.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per second over all connections, with as many at once.
    pub requests_per_second: NonZeroU32,
    /// Requests that may wait for the rate; more are answered RESOURCE_EXHAUSTED.
    pub waiting: u32,
    /// Calls at a time on one connection.
    pub streams_per_connection: u32,
    /// Time after which a silent connection is asked whether it lives.
    pub keepalive: Duration,
    /// How often a request was refused.
    pub refused: Counter,
}

impl Limits {
    /// The usual limits with this request rate, for which nobody waits.
    pub fn per_second(requests: NonZeroU32) -> Self {
        Self {
            requests_per_second: requests,
            waiting: 0,
            streams_per_connection: 1024,
            keepalive: Duration::from_secs(30),
            refused: Counter::default(),
        }
    }

    /// The same limits; who is refused is counted here.
    pub fn counted(self, refused: Counter) -> Self {
        Self { refused, ..self }
    }
}

/// The layer that limits calls, names them and catches their panics.
pub fn limits(limits: Limits) -> GuardLayer {
    GuardLayer::new(limits)
}

/// A server with the limits and frame sizes of this project; the caller adds services (with
/// [`MAX_MESSAGE_BYTES`]), TLS, and serves [`incoming`].
pub fn server(limits: Limits) -> Server<Stack<GuardLayer, Identity>> {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .http2_max_header_list_size(64 * 1024)
        .initial_stream_window_size(512 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .max_frame_size(256 * 1024)
        .layer(self::limits(limits))
}
