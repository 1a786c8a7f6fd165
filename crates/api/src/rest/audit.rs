//! The audit log.

use super::Address;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

/// As what somebody did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActorType {
    /// A user with a session.
    User,
    /// A personal access token.
    Pat,
    /// Somebody who signs in.
    Unknown,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditState {
    /// It was done.
    Success,
    /// It was refused, or failed, or was cut off.
    Failure,
}

/// Something that somebody did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Its id.
    pub id: u64,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When the record was completed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// As what it was done.
    pub actor_type: ActorType,
    /// The user; of a token, `user/token`.
    pub actor_name: String,
    /// From where.
    pub address: String,
    /// Always `API`.
    pub event_type: String,
    /// The method of HTTP.
    pub operation: String,
    /// The kind of object.
    pub object: String,
    /// What the path names of that kind; empty if it names none.
    pub object_id: String,
    /// When it was done.
    pub operated_at: Timestamp,
    /// How it ended.
    pub state: AuditState,
    /// The whole path.
    pub path: String,
    /// The answer's status; 0 if it was cut off before.
    pub status_code: u16,
    /// The change that was asked for, without its secrets.
    #[schema(required = true)]
    pub detail: Option<serde_json::Value>,
}

/// Which records are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct AuditFilter {
    /// As what it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_type: Option<ActorType>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Address>)]
    pub address: Option<IpAddr>,
    /// The kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The method of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The kind of object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AuditState>,
    /// The whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}
