//! Members of clusters: schedulers and seed peers.

use super::{Address, Check, Problems, null_is_default};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

/// Feature of a scheduler that schedules.
pub const FEATURE_SCHEDULE: &str = "schedule";
/// Feature of a scheduler that preheats.
pub const FEATURE_PREHEAT: &str = "preheat";

/// The most characters of a hostname.
const MAX_HOSTNAME_CHARS: usize = 253;
/// The most characters of an IDC or a location.
const MAX_PLACE_CHARS: usize = 1024;
/// The most features of a scheduler.
const MAX_FEATURES: usize = 16;
/// The most characters of a feature.
const MAX_FEATURE_CHARS: usize = 64;

/// Whether a member is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Its lease runs.
    Active,
    /// Its lease has ended.
    Inactive,
}

impl MemberState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// What a seed peer is. There is one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeedPeerType {
    /// The one kind.
    #[default]
    Super,
}

/// How a scheduler behaves towards the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SchedulerConfig {
    /// Time between two of its KeepAlive messages, in nanoseconds. Three without one end its lease.
    #[schema(minimum = 100_000_000, maximum = 600_000_000_000_i64)]
    pub manager_keep_alive_interval: u64,
}

impl SchedulerConfig {
    /// The shortest and the longest interval, in nanoseconds.
    const INTERVAL_LIMITS: std::ops::RangeInclusive<u64> = 100_000_000..=600_000_000_000;
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            manager_keep_alive_interval: 5_000_000_000,
        }
    }
}

impl Check for SchedulerConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within(
            "config.manager_keep_alive_interval",
            self.manager_keep_alive_interval,
            Self::INTERVAL_LIMITS,
        );
    }
}

/// A scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scheduler {
    /// Its id.
    pub id: u64,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When it last registered or was changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Name of its host.
    pub host_name: String,
    /// Its data centre, or empty.
    pub idc: String,
    /// Its place, or empty.
    pub location: String,
    /// Where it is reached.
    pub ip: String,
    /// Its gRPC port.
    pub port: u16,
    /// Whether it is alive.
    pub state: MemberState,
    /// What it does: `schedule`, `preheat`.
    pub features: Vec<String>,
    /// How it behaves towards the manager.
    pub config: SchedulerConfig,
    /// Its cluster.
    pub scheduler_cluster_id: u64,
    /// When it last showed that it is alive.
    #[schema(required = true)]
    pub last_keep_alive_at: Option<Timestamp>,
}

/// A scheduler to be registered by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateScheduler {
    /// Name of its host.
    #[schema(min_length = 1, max_length = 253, pattern = r"^\S+$")]
    pub host_name: String,
    /// Where it is reached.
    #[schema(value_type = Address)]
    pub ip: IpAddr,
    /// Its gRPC port.
    #[schema(minimum = 1)]
    pub port: u16,
    /// Its cluster.
    #[schema(minimum = 1)]
    pub scheduler_cluster_id: u64,
    /// Its data centre, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub idc: String,
    /// Its place, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub location: String,
    /// What it does; empty means all that it can.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_items = 16, nullable)]
    pub features: Vec<String>,
    /// How it behaves towards the manager.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(value_type = Option<SchedulerConfig>)]
    pub config: SchedulerConfig,
}

impl Check for CreateScheduler {
    fn check(&self, problems: &mut Problems) {
        check_hostname(&self.host_name, problems);
        check_port("port", self.port, problems);
        problems.within("scheduler_cluster_id", self.scheduler_cluster_id, 1..=i64::MAX as u64);
        check_places(&self.idc, &self.location, problems);
        check_features(&self.features, problems);
        self.config.check(problems);
    }
}

/// Changes to a scheduler. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateScheduler {
    /// A new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Address>)]
    pub ip: Option<IpAddr>,
    /// A new gRPC port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// A new cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub scheduler_cluster_id: Option<u64>,
    /// A new data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub idc: Option<String>,
    /// A new place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub location: Option<String>,
    /// New features.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    pub features: Option<Vec<String>>,
    /// A new behaviour towards the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<SchedulerConfig>,
}

impl Check for UpdateScheduler {
    fn check(&self, problems: &mut Problems) {
        if let Some(port) = self.port {
            check_port("port", port, problems);
        }
        if let Some(id) = self.scheduler_cluster_id {
            problems.within("scheduler_cluster_id", id, 1..=i64::MAX as u64);
        }
        check_places(
            self.idc.as_deref().unwrap_or_default(),
            self.location.as_deref().unwrap_or_default(),
            problems,
        );
        check_features(self.features.as_deref().unwrap_or_default(), problems);
        if let Some(config) = &self.config {
            config.check(problems);
        }
    }
}

/// Which schedulers are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct SchedulerFilter {
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idc: Option<String>,
    /// Place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Address>)]
    pub ip: Option<IpAddr>,
    /// Whether alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MemberState>,
    /// Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_cluster_id: Option<u64>,
}

/// A seed peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeedPeer {
    /// Its id.
    pub id: u64,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When it last registered or was changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Name of its host.
    pub host_name: String,
    /// What it is.
    pub r#type: SeedPeerType,
    /// Its data centre, or empty.
    pub idc: String,
    /// Its place, or empty.
    pub location: String,
    /// Where it is reached.
    pub ip: String,
    /// Its gRPC port.
    pub port: u16,
    /// Its port for pieces.
    pub download_port: u16,
    /// Its object storage port; 0: it has none.
    pub object_storage_port: u16,
    /// Whether it is alive.
    pub state: MemberState,
    /// Its cluster.
    pub seed_peer_cluster_id: u64,
    /// When it last showed that it is alive.
    pub last_keep_alive_at: Option<Timestamp>,
}

/// A seed peer to be registered by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSeedPeer {
    /// Name of its host.
    #[schema(min_length = 1, max_length = 253, pattern = r"^\S+$")]
    pub host_name: String,
    /// What it is.
    pub r#type: SeedPeerType,
    /// Where it is reached.
    #[schema(value_type = Address)]
    pub ip: IpAddr,
    /// Its gRPC port.
    #[schema(minimum = 1)]
    pub port: u16,
    /// Its port for pieces.
    #[schema(minimum = 1)]
    pub download_port: u16,
    /// Its cluster.
    #[schema(minimum = 1)]
    pub seed_peer_cluster_id: u64,
    /// Its data centre, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub idc: String,
    /// Its place, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub location: String,
    /// Its object storage port; 0: it has none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub object_storage_port: u16,
}

impl Check for CreateSeedPeer {
    fn check(&self, problems: &mut Problems) {
        check_hostname(&self.host_name, problems);
        check_port("port", self.port, problems);
        check_port("download_port", self.download_port, problems);
        problems.within("seed_peer_cluster_id", self.seed_peer_cluster_id, 1..=i64::MAX as u64);
        check_places(&self.idc, &self.location, problems);
    }
}

/// Changes to a seed peer. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateSeedPeer {
    /// A new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Address>)]
    pub ip: Option<IpAddr>,
    /// A new gRPC port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// A new port for pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub download_port: Option<u16>,
    /// A new object storage port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_storage_port: Option<u16>,
    /// A new cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub seed_peer_cluster_id: Option<u64>,
    /// A new data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub idc: Option<String>,
    /// A new place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub location: Option<String>,
}

impl Check for UpdateSeedPeer {
    fn check(&self, problems: &mut Problems) {
        if let Some(port) = self.port {
            check_port("port", port, problems);
        }
        if let Some(port) = self.download_port {
            check_port("download_port", port, problems);
        }
        if let Some(id) = self.seed_peer_cluster_id {
            problems.within("seed_peer_cluster_id", id, 1..=i64::MAX as u64);
        }
        check_places(
            self.idc.as_deref().unwrap_or_default(),
            self.location.as_deref().unwrap_or_default(),
            problems,
        );
    }
}

/// Which seed peers are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct SeedPeerFilter {
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<SeedPeerType>,
    /// Data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idc: Option<String>,
    /// Place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Address>)]
    pub ip: Option<IpAddr>,
    /// gRPC port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MemberState>,
    /// Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_peer_cluster_id: Option<u64>,
}

fn check_hostname(hostname: &str, problems: &mut Problems) {
    problems.chars("host_name", hostname, 1..=MAX_HOSTNAME_CHARS);
    if hostname.contains(char::is_whitespace) {
        problems.push("host_name", "must not have spaces");
    }
}

fn check_port(field: &str, port: u16, problems: &mut Problems) {
    if port == 0 {
        problems.push(field, "must be 1 to 65535, not 0");
    }
}

fn check_places(idc: &str, location: &str, problems: &mut Problems) {
    problems.chars("idc", idc, 0..=MAX_PLACE_CHARS);
    problems.chars("location", location, 0..=MAX_PLACE_CHARS);
}

/// What a scheduler of another version can do is not ours to judge.
fn check_features(features: &[String], problems: &mut Problems) {
    if features.len() > MAX_FEATURES {
        problems.push("features", format_args!("must have at most {MAX_FEATURES} entries"));
    }
    for feature in features {
        problems.chars("features", feature, 1..=MAX_FEATURE_CHARS);
    }
}
