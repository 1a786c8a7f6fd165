//! Attending the manager: taking works of its jobs, reporting on them, and telling which hosts the cluster has, and
//! which tasks it keeps. The
//! scheduler opens the stream, since a manager may not be able to reach its clusters.
//!
//! A manager that knows nothing of this is left in peace, and one that is away is awaited; meanwhile the works go on.

mod hosts;
mod kept;
mod works;

pub(crate) use works::Works;

use crate::hosts::Hosts;
use crate::kept::Kept;
use dragonfly_api::ext::attend_request::Message as Word;
use dragonfly_api::ext::attend_response::Message as Call;
use dragonfly_api::ext::manager_client::ManagerClient;
use dragonfly_api::ext::{AttendRequest, AttendResponse, Hello};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// Words that may wait for the network.
const QUEUE: usize = 16;
/// Bytes of a message from the manager.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// First and longest pause before a stream is opened again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A stream that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// How long a manager is left in peace that does not know what this is about.
const UNKNOWN: Duration = Duration::from_secs(600);

/// The way to the manager's ear.
type Words = mpsc::Sender<AttendRequest>;

/// Attends.
#[derive(Debug)]
pub(crate) struct Attend {
    client: ManagerClient<Channel>,
    hello: Hello,
    hosts: Hosts,
    kept: Kept,
    works: Works,
}

impl Attend {
    pub(crate) fn new(channel: Channel, hello: Hello, (hosts, kept): (Hosts, Kept), works: Works) -> Self {
        Self {
            client: ManagerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            hello,
            hosts,
            kept,
            works,
        }
    }

    /// Attends for ever.
    pub(crate) async fn keep(&self) {
        let (mut pause, longest) = RETRY;
        loop {
            let began = Instant::now();
            let Err(status) = self.attend().await;
            if began.elapsed() >= GOOD {
                pause = RETRY.0;
            }
            let (code, message) = (status.code(), status.message());
            let wait = if code == Code::Unimplemented {
                tracing::info!("the manager hands out no works; they come from callers of this scheduler alone");
                UNKNOWN
            } else {
                tracing::debug!(%code, message, "the manager is not attended");
                pause.mul_f64(rand::random_range(0.8..1.2))
            };
            pause = (pause * 2).min(longest);
            tokio::time::sleep(wait).await;
        }
    }

    /// One stream, from its opening until it breaks.
    async fn attend(&self) -> Result<std::convert::Infallible, Status> {
        let (words, queue) = mpsc::channel(QUEUE);
        say(&words, Word::Hello(self.hello.clone())).await?;
        let calls = self
            .client
            .clone()
            .attend(ReceiverStream::new(queue))
            .await?
            .into_inner();
        tracing::debug!("the manager is attended");
        self.works.tell_all_again();
        tokio::select! {
            ended = self.listen(calls) => ended,
            ended = self.works.report(&words) => ended,
            ended = hosts::report(&self.hosts, &words) => ended,
            ended = kept::report(&self.kept, &words) => ended,
        }
    }

    async fn listen(&self, mut calls: Streaming<AttendResponse>) -> Result<std::convert::Infallible, Status> {
        loop {
            let call = calls.message().await?;
            let call = call.ok_or_else(|| Status::unavailable("the manager has ended the stream"))?;
            match call.message {
                Some(Call::Work(work)) => self.works.take(work),
                Some(Call::Cancelled(cancelled)) => self.works.leave(cancelled.id, cancelled.lease),
                None => {}
            }
        }
    }
}

async fn say(words: &Words, word: Word) -> Result<(), Status> {
    let request = AttendRequest { message: Some(word) };
    let said = words.send(request).await;
    said.map_err(|_| Status::unavailable("the stream to the manager is closed"))
}
