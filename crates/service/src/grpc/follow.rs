//! Streams that a client keeps open to be told of something, beside asking for it now and then.

use std::time::Duration;
use tonic::{Code, Response, Status, Streaming};

/// First and longest pause before a stream that broke is opened again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A server that does not know the call may be replaced by one that does.
const UNSERVED: Duration = Duration::from_secs(600);

/// Opens a stream again and again and gives each message to `heard`; never ends. What goes wrong is nobody's error: the
/// caller asks now and then anyway.
pub async fn follow<T, O>(what: &'static str, mut open: impl FnMut() -> O, mut heard: impl FnMut(T))
where
    O: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let (mut pause, longest) = RETRY;
    loop {
        let ended = match open().await {
            Ok(answer) => {
                let mut messages = answer.into_inner();
                loop {
                    match messages.message().await {
                        Ok(Some(message)) => {
                            pause = RETRY.0;
                            heard(message);
                        }
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                }
            }
            Err(status) => Some(status),
        };
        let wait = match ended {
            Some(status) if status.code() == Code::Unimplemented => UNSERVED,
            Some(status) => {
                let (code, message) = (status.code(), status.message());
                tracing::debug!(%code, message, "{what} broke");
                pause
            }
            None => pause,
        };
        // Those who lost the same server do not come back all at once.
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.2..2.0))).await;
        pause = (pause * 2).min(longest);
    }
}
