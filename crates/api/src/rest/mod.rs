//! The JSON of the manager's REST API, which the manager answers and tools and consoles read. Field names, limits and
//! units are those of Dragonfly 2.5. Times are RFC 3339 in UTC.
//!
//! The parts of a cluster ([`Scopes`], [`SchedulerClusterConfig`], [`PeerClusterConfig`], [`BlockList`]) travel with the
//! same field names as bytes in `manager.v2`.

mod access;
mod account;
mod address;
mod application;
mod audit;
mod block_list;
mod check;
mod cluster;
mod cluster_config;
mod cluster_half;
mod cluster_match;
mod job;
mod job_args;
mod kept_task;
mod member;
mod oauth;
mod peer;
mod setting;
mod trace;
mod user;

pub use access::{
    CreateRole, CreateToken, CurrentSession, Permission, PersonalAccessToken, TokenFilter, TokenState, UpdateToken,
    UserSession,
};
pub use account::{CreateUser, UpdateUser, User, UserFilter, UserState};
pub use address::{Address, AddressSought};
pub use application::{Application, CreateApplication, Priority, UpdateApplication, UrlPriority};
pub use audit::{ActorType, Audit, AuditFilter, AuditState};
pub use block_list::{Block, BlockList, DownloadBlock, TransferBlock};
pub use check::{Check, Problems};
pub use cluster::{Cluster, CreateCluster, SchedulerCluster, SeedPeerCluster, UpdateCluster};
pub use cluster_config::{PeerClusterConfig, SchedulerClusterConfig, Scopes, SeedPeerClusterConfig};
pub use cluster_half::{CreateSchedulerCluster, CreateSeedPeerCluster, UpdateSchedulerCluster, UpdateSeedPeerCluster};
pub use cluster_match::{ClusterMatch, ClusterVerdict, MatchQuery, Verdict};
pub use job::{
    CachedLayer, CreateJob, DoneTask, FailedTask, Image, ImageDistribution, ImagePeer, Job, JobFilter, JobProgress,
    JobResult, JobState, JobTarget, JobType, JobUser, Layer, TargetCounts, TargetFilter, TargetState, TaskPeer,
    TaskPieces, UpdateJob, WorkResult, WorkState,
};
pub use job_args::{
    GcArgs, GcKind, HdfsArgs, JobArgs, ObjectStorageArgs, PreheatArgs, PreheatKind, PreheatScope, RetryJob, TaskArgs,
};
pub use kept_task::{KeptTask, KeptTaskFilter, KeptTaskHost, KeptTaskPeer};
pub use member::{
    CreateScheduler, CreateSeedPeer, FEATURE_PREHEAT, FEATURE_SCHEDULE, MemberState, Scheduler, SchedulerConfig,
    SchedulerFilter, SeedPeer, SeedPeerFilter, SeedPeerType, UpdateScheduler, UpdateSeedPeer,
};
pub use oauth::{ANYBODY, CreateOauth, Oauth, OauthFilter, SignInWay, UpdateOauth};
pub use peer::{CreatePeer, Peer, PeerFilter, PeerType};
pub use setting::{CreateSetting, Setting, SettingFilter, UpdateSetting};
pub use trace::{
    JaegerAnswer, JaegerError, JaegerLog, JaegerOperation, JaegerOperationQuery, JaegerProcess, JaegerQuery,
    JaegerReference, JaegerSpan, JaegerTag, JaegerTrace,
};
pub use user::{PASSWORD_CHARS, ResetPassword, Session, SignIn};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A refusal or failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// What happened, for people.
    pub message: String,
    /// The same for programs, where a program is expected to act on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The answer (422) to a body or query that can't be read or breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Errors {
    /// All problems, joined by `; `.
    pub errors: String,
}

/// [`Message::code`] of a session that may only set a new password.
pub const PASSWORD_CHANGE_REQUIRED: &str = "password_change_required";

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Page {
    /// Number of the page, from 1.
    #[param(minimum = 1, maximum = 4_294_967_295_i64)]
    pub page: u64,
    /// Entries on each page, 1 to 10 000 000.
    #[param(minimum = 1, maximum = 10_000_000)]
    pub per_page: u64,
}

impl Page {
    /// The most entries that a page may hold.
    pub const MAX_PER_PAGE: u64 = 10_000_000;

    /// How many entries come before this page.
    pub fn offset(&self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.per_page)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { page: 1, per_page: 10 }
    }
}

impl Check for Page {
    fn check(&self, problems: &mut Problems) {
        problems.within("page", self.page, 1..=u64::from(u32::MAX));
        problems.within("per_page", self.per_page, 1..=Self::MAX_PER_PAGE);
    }
}

/// The highest id: no database keeps a higher one.
pub const MAX_ID: u64 = i64::MAX as u64;

/// An id to look for.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let id = Option::<u64>::deserialize(deserializer)?;
    match id {
        Some(id) if id > MAX_ID => Err(serde::de::Error::custom(format_args!(
            "an id is at most {MAX_ID}, not {id}"
        ))),
        _ => Ok(id),
    }
}

/// `null` as the default: other writers leave lists and objects out that way.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
