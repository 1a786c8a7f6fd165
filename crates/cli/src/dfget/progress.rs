//! The bar on stderr.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A bar while the length is known, a running count while it is not, and nothing if stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts it under this name.
    pub(crate) fn start(name: &str, wanted: bool) -> Self {
        let visible = wanted && std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style("{msg} {bytes} {bytes_per_sec} {elapsed}"))
            .with_message(name.to_owned());
        if visible {
            // Time goes on even if no byte comes.
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    /// So many bytes will come in all.
    pub(crate) fn expect(&self, length: u64) {
        self.0.set_length(length);
        self.0.set_style(
            style("{msg} [{wide_bar}] {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} eta {eta}")
                .progress_chars("=> "),
        );
    }

    /// What came so far counts for nothing.
    pub(crate) fn restart(&self) {
        self.0.reset();
    }

    /// So many bytes came.
    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant")
}
