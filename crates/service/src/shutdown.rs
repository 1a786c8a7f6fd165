//! How a program is asked to end.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGINT, SIGTERM or SIGQUIT. The second one ends the process at once with the
/// code 128 + its number, for those who can't wait for the drain.
///
/// Must be called inside a runtime, before anything that takes long, since a signal before it kills the process.
pub fn signal() -> io::Result<CancellationToken> {
    let signals = Signals::new()?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    #[allow(
        clippy::disallowed_methods,
        reason = "it must outlive every drain, to hear the second signal"
    )]
    tokio::spawn(async move {
        let mut signals = signals;
        let name = signals.next().await.0;
        tracing::info!(signal = name, "asked to end; once more ends at once");
        cancelled.cancel();
        let (name, number) = signals.next().await;
        tracing::warn!(signal = name, "asked to end again; ending without a drain");
        std::process::exit(128 + number);
    });
    Ok(token)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// Name and number of the next signal.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.quit.recv() => ("SIGQUIT", SignalKind::quit().as_raw_value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};

    #[tokio::test]
    async fn the_first_sigterm_cancels_the_token() {
        let token = signal().unwrap();
        assert!(!token.is_cancelled());
        kill_process(getpid(), Signal::TERM).unwrap();
        token.cancelled().await;
    }
}
