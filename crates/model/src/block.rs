//! What a cluster refuses to move: the emergency brake of its operator, as peers and schedulers apply it.

use crate::Priority;
use regex::{Regex, RegexBuilder};
use std::collections::HashSet;

/// Bytes of a compiled pattern.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Rules of which one that matches is enough to refuse a download. Made once for many questions: the patterns are compiled.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    applications: HashSet<String>,
    tags: HashSet<String>,
    priorities: HashSet<i32>,
    urls: Vec<Regex>,
}

/// What is to be moved.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Where it comes from.
    pub url: &'a str,
    /// Empty or absent is no tag.
    pub tag: Option<&'a str>,
    /// Empty or absent is no application.
    pub application: Option<&'a str>,
    /// How urgent it is.
    pub priority: Priority,
}

/// The rule that refuses a download.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Its application.
    #[error("the cluster's block list refuses application {0:?}")]
    Application(String),
    /// Its tag.
    #[error("the cluster's block list refuses tag {0:?}")]
    Tag(String),
    /// Its priority.
    #[error("the cluster's block list refuses priority {0}")]
    Priority(i32),
    /// Its URL matches a pattern. The URL is not repeated, since it may hold a credential.
    #[error("the cluster's block list refuses URLs that match {0:?}")]
    Url(String),
}

/// A pattern that can't be used; the other rules hold all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no regular expression that can be used: {reason}")]
pub struct BadPattern {
    /// As it is written.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl Blocks {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses applications of these names.
    pub fn applications(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.applications.extend(names.into_iter().map(Into::into));
        self
    }

    /// Refuses these tags.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Refuses these priorities, numbers as on the wire.
    pub fn priorities(mut self, numbers: impl IntoIterator<Item = i32>) -> Self {
        self.priorities.extend(numbers);
        self
    }

    /// Refuses URLs in which `pattern` is found.
    pub fn url(&mut self, pattern: &str) -> Result<(), BadPattern> {
        let compiled = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
        self.urls.push(compiled.map_err(|error| BadPattern {
            pattern: pattern.to_owned(),
            reason: last_line(&error),
        })?);
        Ok(())
    }

    /// Whether nothing forbids this.
    pub fn check(&self, subject: &Subject<'_>) -> Result<(), Blocked> {
        let named = |names: &HashSet<String>, name: Option<&str>| {
            let name = name.filter(|name| !name.is_empty())?;
            names.get(name).cloned()
        };
        if let Some(application) = named(&self.applications, subject.application) {
            return Err(Blocked::Application(application));
        }
        if let Some(tag) = named(&self.tags, subject.tag) {
            return Err(Blocked::Tag(tag));
        }
        let priority = subject.priority.number();
        if self.priorities.contains(&priority) {
            return Err(Blocked::Priority(priority));
        }
        match self.urls.iter().find(|pattern| pattern.is_match(subject.url)) {
            Some(pattern) => Err(Blocked::Url(pattern.as_str().to_owned())),
            None => Ok(()),
        }
    }
}

/// The crate draws an arrow at the fault over several lines; the last says what it is.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Subject<'_> = Subject {
        url: "https://origin.test/file?token=s3cret",
        tag: Some("blue"),
        application: Some("ml"),
        priority: Priority::Level6,
    };

    #[test]
    fn one_rule_that_matches_is_enough_and_says_which_it_is() {
        let mut blocks = Blocks::new().applications(["games"]).tags(["red"]).priorities([2]);
        blocks.url("/secret/").unwrap();
        assert_eq!(blocks.check(&FREE), Ok(()));
        let cases = [
            (
                Subject {
                    application: Some("games"),
                    ..FREE
                },
                Blocked::Application("games".to_owned()),
            ),
            (
                Subject {
                    tag: Some("red"),
                    ..FREE
                },
                Blocked::Tag("red".to_owned()),
            ),
            (
                Subject {
                    priority: Priority::Level2,
                    ..FREE
                },
                Blocked::Priority(2),
            ),
            (
                Subject {
                    url: "https://origin.test/secret/x?token=s3cret",
                    ..FREE
                },
                Blocked::Url("/secret/".to_owned()),
            ),
        ];
        for (subject, rule) in cases {
            let blocked = blocks.check(&subject).unwrap_err();
            assert!(!blocked.to_string().contains("s3cret"));
            assert_eq!(blocked, rule);
        }
    }

    #[test]
    fn a_bad_pattern_is_named_and_the_other_rules_hold() {
        let mut blocks = Blocks::new().tags(["blue"]);
        let bad = blocks.url("(").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "\"(\" is no regular expression that can be used: unclosed group"
        );
        let huge = blocks.url("(\\pL{1000}){1000}").unwrap_err();
        assert!(huge.reason.contains("size limit"), "{huge}");
        assert!(blocks.check(&FREE).is_err());
    }

    #[test]
    fn an_empty_name_matches_nothing() {
        let blocks = Blocks::new().applications([""]).tags([""]);
        let nameless = Subject {
            tag: Some(""),
            application: None,
            ..FREE
        };
        assert_eq!(blocks.check(&nameless), Ok(()));
    }
}
