//! Applications and the priorities of their downloads.

use super::{Check, Problems, null_is_default};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MAX_NAME_CHARS: usize = 255;
const MAX_URL_CHARS: usize = 1024;
const MAX_BIO_CHARS: usize = 1000;
/// The least urgent of the priorities, of which 0 is the default.
const MAX_PRIORITY: u64 = 20;
/// The most patterns of an application.
const MAX_PATTERNS: u64 = 100;
const MAX_PATTERN_CHARS: usize = 1024;

/// Priority of an application's downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Priority {
    /// Of those that no pattern matches, 0 to 20.
    #[schema(minimum = 0, maximum = 20)]
    pub value: i32,
    /// Of those whose URL a pattern matches; the first counts.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_items = 100, nullable)]
    pub urls: Vec<UrlPriority>,
}

/// Priority of the downloads whose URL a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UrlPriority {
    /// A regular expression; the manager checks that it is one.
    #[schema(min_length = 1, max_length = 1024, format = Regex)]
    pub regex: String,
    /// 0 to 20.
    #[schema(minimum = 0, maximum = 20)]
    pub value: i32,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Application {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name, which no other application has, and which its downloads give.
    pub name: String,
    /// Where it is described.
    pub url: String,
    /// What it is.
    pub bio: String,
    /// Which of its downloads come first.
    #[schema(required = true)]
    pub priority: Option<Priority>,
    /// Who made it.
    pub user_id: u64,
}

/// An application to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateApplication {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Where it is described.
    #[schema(min_length = 1, max_length = 1024)]
    pub url: String,
    /// What it is.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
    /// Which of its downloads come first.
    #[serde(default)]
    pub priority: Option<Priority>,
}

impl Check for CreateApplication {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        problems.chars("url", &self.url, 1..=MAX_URL_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        self.priority.iter().for_each(|priority| priority.check(problems));
    }
}

/// Changes to an application. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateApplication {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// A new place where it is described.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub url: Option<String>,
    /// A new description; it may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
    /// New priorities, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl Check for UpdateApplication {
    fn check(&self, problems: &mut Problems) {
        let texts = [
            ("name", &self.name, 1..=MAX_NAME_CHARS),
            ("url", &self.url, 1..=MAX_URL_CHARS),
            ("bio", &self.bio, 0..=MAX_BIO_CHARS),
        ];
        for (field, text, limits) in texts {
            if let Some(text) = text {
                problems.chars(field, text, limits);
            }
        }
        self.priority.iter().for_each(|priority| priority.check(problems));
    }
}

impl Check for Priority {
    fn check(&self, problems: &mut Problems) {
        problems.within("priority.value", unsigned(self.value), 0..=MAX_PRIORITY);
        let patterns = self.urls.len().try_into().unwrap_or(u64::MAX);
        problems.within("priority.urls", patterns, 0..=MAX_PATTERNS);
        for UrlPriority { regex, value } in &self.urls {
            problems.chars("priority.urls.regex", regex, 1..=MAX_PATTERN_CHARS);
            problems.within("priority.urls.value", unsigned(*value), 0..=MAX_PRIORITY);
        }
    }
}

/// A negative priority is beyond any limit.
fn unsigned(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
