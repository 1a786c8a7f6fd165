//! Settings that an operator changes while the manager runs.

use super::{Check, Problems, null_is_default};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const MAX_NAME_CHARS: usize = 255;
const MAX_VALUE_CHARS: usize = 1024;
const MAX_BIO_CHARS: usize = 1000;

/// A setting, which Dragonfly 2.5 calls a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name, which no other setting has.
    pub name: String,
    /// Its value; of `gc` JSON, such as `{"audit":{"ttl":604800000000000}}`, in nanoseconds.
    pub value: String,
    /// What it is for.
    pub bio: String,
    /// Who made it.
    pub user_id: u64,
}

/// A setting to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSetting {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Its value.
    #[schema(min_length = 1, max_length = 1024)]
    pub value: String,
    /// What it is for.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
}

impl Check for CreateSetting {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        problems.chars("value", &self.value, 1..=MAX_VALUE_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
    }
}

/// Changes to a setting. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateSetting {
    /// A new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub value: Option<String>,
    /// A new description; it may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
}

impl Check for UpdateSetting {
    fn check(&self, problems: &mut Problems) {
        if let Some(value) = &self.value {
            problems.chars("value", value, 1..=MAX_VALUE_CHARS);
        }
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
    }
}

/// Which settings are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct SettingFilter {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Who made them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
}
