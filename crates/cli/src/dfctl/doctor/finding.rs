//! What a check found.

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well or not as safely as it could.
    Warning,
    /// Broken.
    Failed,
    /// Not known, because something else is missing.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "FAILED",
            State::Skipped => "skipped",
        }
    }
}

/// One check, and what is to be done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self {
            state: State::Skipped,
            ..Self::ok(check, why)
        }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(check, found)
        }
    }

    pub(super) fn failed(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Failed,
            ..Self::warning(check, found, remedy)
        }
    }
}

/// For people: a line for each check, and below it what is to be done.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let line = format!("{:<8} {:<14} {}", finding.state.word(), finding.check, finding.found);
        text.push_str(&format!("{}\n", line.trim_end()));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("{:>8} {:<14} {remedy}\n", "", "to mend it:"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_below_what_was_found() {
        let text = table(&[
            Finding::ok("disk", "12 GiB are free"),
            Finding::failed("proxy", "nobody listens", "start it"),
        ]);
        let expected = "ok       disk           12 GiB are free\nFAILED   proxy          nobody listens\n         \
                        to mend it:    start it\n";
        assert_eq!(text, expected);
    }
}
