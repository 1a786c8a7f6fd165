//! The manager's applications: which priority a download has that names none.

use dragonfly_api::common::Download;
use dragonfly_api::{Invalid, manager};
use dragonfly_model::Priority;
use regex::{Regex, RegexBuilder};

/// Longest pattern of an application, compiled, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Application {
    name: String,
    priority: Option<Priority>,
    urls: Vec<(Regex, Priority)>,
}

/// All applications, their patterns compiled.
#[derive(Debug, Default)]
pub(crate) struct Applications(Vec<Application>);

impl Applications {
    /// From the manager's answer; what is malformed in it is left out and logged.
    pub(crate) fn of(answer: manager::ListApplicationsResponse) -> Self {
        Self(answer.applications.into_iter().map(Application::of).collect())
    }

    /// The priority of a download: its own, else that of the first pattern of its application that matches the address,
    /// else the application's.
    pub(crate) fn priority(&self, download: &Download) -> Result<Priority, Invalid> {
        let own = download.level()?;
        if own != Priority::Level0 {
            return Ok(own);
        }
        let name = download.application.as_deref().filter(|name| !name.is_empty());
        let application = self
            .0
            .iter()
            .find(|application| Some(application.name.as_str()) == name);
        Ok(application.map_or(own, |application| {
            let matching = application
                .urls
                .iter()
                .find(|(pattern, _)| pattern.is_match(&download.url));
            matching
                .map(|(_, priority)| *priority)
                .or(application.priority)
                .unwrap_or(own)
        }))
    }
}

impl Application {
    fn of(application: manager::Application) -> Self {
        let priority = application.priority.unwrap_or_default();
        let urls = priority.urls.iter().filter_map(|url| {
            let level = Priority::from_number(url.value)?;
            match RegexBuilder::new(&url.regex).size_limit(MAX_PATTERN_BYTES).build() {
                Ok(pattern) => Some((pattern, level)),
                Err(error) => {
                    tracing::warn!(application = application.name, %error, "a pattern of an application is malformed");
                    None
                }
            }
        });
        Self {
            urls: urls.collect(),
            priority: Priority::from_number(priority.value),
            name: application.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_without_a_priority_takes_its_applications() {
        let url = |regex: &str, value| manager::UrlPriority {
            regex: regex.to_owned(),
            value,
        };
        let applications = Applications::of(manager::ListApplicationsResponse {
            applications: vec![manager::Application {
                name: "ml".to_owned(),
                priority: Some(manager::ApplicationPriority {
                    value: 4,
                    urls: vec![url("(", 1), url("/weights/", 3), url("/", 2)],
                }),
                ..Default::default()
            }],
        });
        let priority = |application: Option<&str>, url: &str, priority| {
            let download = Download {
                application: application.map(str::to_owned),
                url: url.to_owned(),
                priority,
                ..Default::default()
            };
            applications.priority(&download).ok()
        };
        assert_eq!(priority(Some("ml"), "https://o/weights/1", 0), Some(Priority::Level3));
        assert_eq!(priority(Some("ml"), "https://o/x", 0), Some(Priority::Level2));
        assert_eq!(priority(Some("ml"), "none", 0), Some(Priority::Level4));
        assert_eq!(priority(Some("ml"), "none", 5), Some(Priority::Level5));
        assert_eq!(priority(Some("other"), "none", 0), Some(Priority::Level0));
        assert_eq!(priority(None, "none", 99), None);
    }
}
