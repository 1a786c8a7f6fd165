//! Writing to stdout.

use std::io::Write;

/// Writes a text. A reader that has gone, as in `… | head`, is no failure.
pub(crate) fn say(text: &str) {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "nobody reads stdout");
    }
}
