//! The bar on stderr.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// The bars of a directory: one for each file that is on its way, and one for all.
pub(super) struct Bars {
    group: MultiProgress,
    total: ProgressBar,
    files: ProgressBar,
}

impl Bars {
    /// Starts them, for so many bytes in so many files.
    pub(super) fn start(length: u64, files: usize, wanted: bool) -> Self {
        let visible = wanted && std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let group = MultiProgress::with_draw_target(target);
        let files = group.add(ProgressBar::new(files as u64).with_style(style("{pos}/{len} files {elapsed}")));
        let total = group.add(ProgressBar::new(length).with_style(known("total")));
        if visible {
            files.enable_steady_tick(Duration::from_millis(200));
        }
        Self { group, total, files }
    }

    /// A bar of its own for a file.
    pub(super) fn file(&self, name: &str) -> Progress {
        let bar = ProgressBar::no_length().with_style(style("{msg} {bytes} {bytes_per_sec}"));
        let bar = self.group.insert_before(&self.files, bar.with_message(name.to_owned()));
        Progress {
            bar,
            total: Some(self.total.clone()),
        }
    }

    /// One of them is there, or will not be.
    pub(super) fn file_ended(&self) {
        self.files.inc(1);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.files.finish_and_clear();
        self.total.finish_and_clear();
    }
}

/// A bar while the length is known, a running count while it is not, and nothing if stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The one of all files that are on their way together.
    total: Option<ProgressBar>,
}

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
        Self { bar, total: None }
    }

    /// So many bytes will come in all.
    pub(crate) fn expect(&self, length: u64) {
        self.bar.set_length(length);
        self.bar.set_style(known("{msg}"));
    }

    /// What came so far counts for nothing.
    pub(crate) fn restart(&self) {
        if let Some(total) = &self.total {
            total.dec(self.bar.position());
        }
        self.bar.reset();
    }

    /// So many bytes came.
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(total) = &self.total {
            total.inc(bytes);
        }
        self.bar.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Of what has a known length.
fn known(name: &str) -> ProgressStyle {
    style(&format!(
        "{name} [{{wide_bar}}] {{percent:>3}}% {{bytes}}/{{total_bytes}} {{bytes_per_sec}} eta {{eta}}"
    ))
    .progress_chars("=> ")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant")
}
