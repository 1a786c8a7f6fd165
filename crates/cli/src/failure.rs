//! How a verb ends badly: a line for stderr and an exit code.

use anstyle::{AnsiColor, Style};
use dragonfly_service::exit;
use std::error::Error;
use std::fmt;

/// Names cause, value and remedy, and decides the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Anything that may work another time.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            code: exit::FAILURE,
            message: message.into(),
        }
    }

    /// A configuration that never works.
    pub(crate) fn config(error: &(dyn Error + 'static)) -> Self {
        Self::of(error, exit::BAD_CONFIG)
    }

    /// An error with its causes.
    pub(crate) fn of(error: &(dyn Error + 'static), code: u8) -> Self {
        Self {
            code,
            message: dragonfly_service::chain(error).to_string(),
        }
    }

    /// The same with the place that it concerns in front.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What the process exits with.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Writes `<tool>: error: <message>` to stderr, coloured where the terminal and `NO_COLOR` allow it.
    pub(crate) fn tell(&self, tool: &str) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        anstream::eprintln!("{tool}: {red}error:{red:#} {self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
