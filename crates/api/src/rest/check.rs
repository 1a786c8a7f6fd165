//! Rules that types alone can't say, and all the ways in which a request breaks them.

use std::fmt;
use std::ops::RangeInclusive;

/// A value that can say what is wrong with it.
pub trait Check {
    /// Adds every rule that this value breaks.
    fn check(&self, problems: &mut Problems);

    /// All rules that this value breaks, or nothing.
    fn checked(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        self.check(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// What is wrong with a request: the caller's fault, all of it at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, field: &str, problem: impl fmt::Display) {
        self.0.push(format!("{field} {problem}"));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Requires a number within limits.
    pub fn within(&mut self, field: &str, value: u64, limits: RangeInclusive<u64>) {
        if !limits.contains(&value) {
            self.push(
                field,
                format_args!("must be {} to {}, not {value}", limits.start(), limits.end()),
            );
        }
    }

    /// Requires a text of so many characters, without control characters.
    pub fn chars(&mut self, field: &str, value: &str, limits: RangeInclusive<usize>) {
        let chars = value.chars().count();
        if !limits.contains(&chars) {
            self.push(
                field,
                format_args!(
                    "must have {} to {} characters, not {chars}",
                    limits.start(),
                    limits.end()
                ),
            );
        }
        if value.chars().any(char::is_control) {
            self.push(field, "must not have control characters");
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Problems {}
