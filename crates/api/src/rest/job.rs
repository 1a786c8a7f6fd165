//! Jobs: what the manager has the schedulers of clusters do. Field names and words are those of Dragonfly 2.5; what is ours
//! stands beside them.

use super::{Check, JobArgs, Problems, SchedulerCluster, SeedPeerCluster, null_is_default};
use dragonfly_model::Coverage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use utoipa::{IntoParams, ToSchema};

const MAX_BIO_CHARS: usize = 1000;
/// The most clusters that a job names.
const MAX_CLUSTERS: u64 = 1000;

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobType {
    /// Contents are fetched before anybody asks for them.
    Preheat,
    /// Who has a task.
    GetTask,
    /// A task is removed wherever it is.
    DeleteTask,
    /// Who has which layers of an image.
    GetImageDistribution,
    /// The table of peers is brought up to date, which it always is.
    SyncPeers,
    /// Old records are removed.
    Gc,
}

impl JobType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Preheat,
        Self::GetTask,
        Self::DeleteTask,
        Self::GetImageDistribution,
        Self::SyncPeers,
        Self::Gc,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preheat => "preheat",
            Self::GetTask => "get_task",
            Self::DeleteTask => "delete_task",
            Self::GetImageDistribution => "get_image_distribution",
            Self::SyncPeers => "sync_peers",
            Self::Gc => "gc",
        }
    }
}

/// How far a job, or a cluster's part of it, is. A job itself is `PENDING` until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// It waits, or, of a whole job, has not ended.
    Pending,
    /// Not used; Dragonfly 2.5 has it.
    Received,
    /// A scheduler has it.
    Started,
    /// A scheduler was lost with it; it waits for another.
    Retry,
    /// Every target has what was asked for.
    Success,
    /// Some target has not.
    Failure,
}

impl JobState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Received => "RECEIVED",
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
        }
    }

    /// Whether nothing happens any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failure)
    }
}

/// How far one content is on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Its turn comes.
    Waiting,
    /// Bytes move.
    Running,
    /// It is there.
    Done,
    /// It is not, and will not be.
    Failed,
    /// Nobody wants it any more.
    Cancelled,
}

impl TargetState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<crate::ext::TargetState> for TargetState {
    fn from(state: crate::ext::TargetState) -> Self {
        use crate::ext::TargetState as Told;
        match state {
            Told::Waiting => Self::Waiting,
            Told::Running => Self::Running,
            Told::Done => Self::Done,
            Told::Failed => Self::Failed,
            Told::Cancelled => Self::Cancelled,
        }
    }
}

/// A job to be done. Its arguments may hold secrets, so it is never shown as a whole.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateJob {
    /// What for.
    pub r#type: JobType,
    /// As the type needs them.
    #[serde(default)]
    #[schema(value_type = JobArgs)]
    pub args: Value,
    /// A description.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub bio: String,
    /// The caller; may be left out.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub user_id: u64,
    /// In which clusters; empty: in all.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_items = 1000)]
    pub scheduler_cluster_ids: Vec<u64>,
}

impl fmt::Debug for CreateJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateJob")
            .field("type", &self.r#type)
            .field("bio", &self.bio)
            .field("scheduler_cluster_ids", &self.scheduler_cluster_ids)
            .finish_non_exhaustive()
    }
}

impl Check for CreateJob {
    fn check(&self, problems: &mut Problems) {
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        problems.within(
            "scheduler_cluster_ids",
            self.scheduler_cluster_ids.len() as u64,
            0..=MAX_CLUSTERS,
        );
    }
}

/// Changes to a job. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateJob {
    /// A new description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// Another user whose job it is; 0 leaves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
}

impl Check for UpdateJob {
    fn check(&self, problems: &mut Problems) {
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
    }
}

/// Which jobs are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct JobFilter {
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<JobType>,
    /// How far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
}

/// Which targets are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct TargetFilter {
    /// How far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TargetState>,
    /// In which cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_cluster_id: Option<u64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Name of the group of its works; no task of a download.
    pub task_id: String,
    /// What it is about.
    pub bio: String,
    /// What for.
    pub r#type: JobType,
    /// How far.
    pub state: JobState,
    /// What was asked for, without secrets.
    #[schema(value_type = JobArgs)]
    pub args: Value,
    /// How far, in each cluster.
    pub result: JobResult,
    /// Whose.
    pub user_id: u64,
    /// Whose, by name; nothing if there is no such user any more.
    #[serde(default)]
    pub user: Option<JobUser>,
    /// In which clusters, as far as they still exist.
    pub scheduler_clusters: Vec<SchedulerCluster>,
    /// Always empty.
    pub seed_peer_clusters: Vec<SeedPeerCluster>,
}

/// Whose job it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobUser {
    /// The user's id.
    pub id: u64,
    /// The user's name.
    pub name: String,
}

/// How far a job is, cluster by cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobResult {
    /// Name of the group.
    pub group_uuid: String,
    /// The job's state.
    pub state: JobState,
    /// When the job was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Each cluster's part.
    pub job_states: Vec<WorkState>,
    /// All of it in numbers.
    pub progress: JobProgress,
}

/// One cluster's part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkState {
    /// Its name.
    pub task_uuid: String,
    /// The job's type.
    pub task_name: String,
    /// How far.
    pub state: JobState,
    /// What came of it: one entry, once there is something.
    pub results: Vec<WorkResult>,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// When the job was made.
    pub created_at: Timestamp,
    /// Always 0.
    pub ttl: u64,
    /// The cluster.
    pub scheduler_cluster_id: u64,
    /// How often it was handed to a scheduler.
    pub attempts: u32,
    /// How many targets it has in each state.
    pub targets: TargetCounts,
}

/// What came of a cluster's part. Lists have at most a thousand entries; all of them are the job's targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum WorkResult {
    /// Of an image's distribution.
    Image {
        /// What it consists of.
        image: Image,
        /// Who has what of it.
        peers: Vec<ImagePeer>,
        /// The cluster.
        scheduler_cluster_id: u64,
    },
    /// Of a question for a task.
    Peers {
        /// Who has it.
        peers: Vec<TaskPeer>,
        /// The cluster.
        scheduler_cluster_id: u64,
    },
    /// Of all others.
    Tasks {
        /// What was done.
        success_tasks: Vec<DoneTask>,
        /// What was not.
        failure_tasks: Vec<FailedTask>,
        /// The cluster.
        scheduler_cluster_id: u64,
    },
}

/// A content that is where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoneTask {
    /// The content.
    pub url: String,
    /// The host.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
}

/// A content that is not where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedTask {
    /// The content.
    pub url: String,
    /// The host.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// Why not.
    pub description: String,
}

/// A host that has a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPeer {
    /// The host's id.
    pub id: String,
    /// The host.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// `super` for a seed peer, else `normal`.
    pub host_type: String,
    /// When it was found.
    pub created_at: Timestamp,
    /// When it was found.
    pub updated_at: Timestamp,
    /// Whether it has all of it.
    pub task_finished: bool,
    /// Which pieces it has, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pieces: Option<TaskPieces>,
}

/// How many pieces a task has, and how many of each of equal stretches of it are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPieces {
    /// Pieces of the whole task.
    pub total: u32,
    /// Pieces that are there, stretch by stretch: as many stretches as pieces, 256 at most.
    pub held: Vec<u32>,
}

impl From<Coverage> for TaskPieces {
    fn from(coverage: Coverage) -> Self {
        Self {
            total: coverage.total(),
            held: coverage.stretches_held().to_vec(),
        }
    }
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its parts.
    pub layers: Vec<Layer>,
}

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Layer {
    /// Where it is.
    pub url: String,
}

/// A host that has parts of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImagePeer {
    /// The host's address.
    pub ip: String,
    /// The host.
    pub hostname: String,
    /// What it has.
    pub cached_layers: Vec<CachedLayer>,
    /// The cluster.
    pub scheduler_cluster_id: u64,
}

/// A part of an image on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CachedLayer {
    /// Where it is.
    pub url: String,
    /// Whether the host has all of it.
    pub is_finished: bool,
}

/// The answer to a job of the type `get_image_distribution` that ended within the time of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageDistribution {
    /// What the image consists of.
    pub image: Image,
    /// Who has what of it.
    pub peers: Vec<ImagePeer>,
}

/// A job in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// Clusters that take part.
    pub works: u64,
    /// Clusters that are ready, or have failed.
    pub works_ended: u64,
    /// Targets in each state.
    pub targets: TargetCounts,
    /// Targets of which there are no records, since a cluster had too many.
    pub targets_not_kept: u64,
    /// Bytes that are there.
    pub finished_length: u64,
    /// Bytes that will be there, as far as it is known.
    pub content_length: u64,
    /// When the job ends at the latest.
    pub deadline: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How many targets are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TargetCounts {
    /// Whose turn comes.
    pub waiting: u64,
    /// To which bytes move.
    pub running: u64,
    /// That have it.
    pub done: u64,
    /// That will not have it.
    pub failed: u64,
    /// For which it was given up.
    pub cancelled: u64,
}

impl TargetCounts {
    /// The number of those in this state.
    pub fn of(&mut self, state: TargetState) -> &mut u64 {
        match state {
            TargetState::Waiting => &mut self.waiting,
            TargetState::Running => &mut self.running,
            TargetState::Done => &mut self.done,
            TargetState::Failed => &mut self.failed,
            TargetState::Cancelled => &mut self.cancelled,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.waiting + self.running + self.done + self.failed + self.cancelled
    }
}

/// One content on one host, as a job wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobTarget {
    /// Its id.
    pub id: u64,
    /// The content.
    pub url: String,
    /// The content's task.
    pub task_id: String,
    /// The cluster.
    pub scheduler_cluster_id: u64,
    /// The host's id.
    pub host_id: String,
    /// The host.
    pub hostname: String,
    /// The host's address.
    pub ip: String,
    /// How far.
    pub state: TargetState,
    /// Bytes that are there.
    pub finished_length: u64,
    /// Bytes in all, once it is known.
    pub content_length: Option<u64>,
    /// Why it failed; empty if it did not.
    pub description: String,
    /// When that was reported.
    pub updated_at: Timestamp,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
