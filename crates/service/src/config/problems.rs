//! All that is impossible in a configuration, told at once.

use super::Error;
use std::fmt;

/// One value that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, as in the file: `proxy.server.port`.
    pub key: String,
    /// The value as the operator wrote it, empty if it is absent.
    pub value: String,
    /// What to write instead.
    pub remedy: String,
}

/// Collects problems while a `Raw` becomes a `Config`.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `key` can't be `value`.
    pub fn push(&mut self, key: impl Into<String>, value: impl fmt::Display, remedy: impl Into<String>) {
        self.0.push(Problem {
            key: key.into(),
            value: value.to_string(),
            remedy: remedy.into(),
        });
    }

    /// Notes a problem unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, value: impl fmt::Display, remedy: &str) {
        if !holds {
            self.push(key, value, remedy);
        }
    }

    /// The value, or a note of the error as the remedy; for values that are parsed.
    pub fn take<T, E: fmt::Display>(&mut self, key: &str, value: impl fmt::Display, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.push(key, value, error.to_string());
                None
            }
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing was noted, else all that was.
    pub fn into_result<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{} is missing: {}", self.key, self.remedy)
        } else {
            write!(f, "{} can't be {}: {}", self.key, self.value, self.remedy)
        }
    }
}

/// One line if there is one problem, else a list.
pub(super) fn all(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} problems:{}", problems.len(), lines.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once() {
        let mut problems = Problems::new();
        problems.require(true, "host.ip", "10.0.0.1", "never said");
        problems.require(false, "proxy.server.port", 70000, "use 1 to 65535");
        problems.push("auth.jwt.key", "", "set at least 16 characters");
        let parsed = problems.take("gc.interval", "soon", "soon".parse::<u32>());
        assert_eq!(parsed, None);
        let error = problems.into_result(()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "3 problems:\n  proxy.server.port can't be 70000: use 1 to 65535\n  \
             auth.jwt.key is missing: set at least 16 characters\n  \
             gc.interval can't be soon: invalid digit found in string"
        );
    }

    #[test]
    fn no_problem_gives_the_value() {
        assert_eq!(Problems::new().into_result(7).unwrap(), 7);
    }
}
