//! Peers: the hosts that the schedulers of clusters know.

use super::{Address, Check, MemberState, Problems, SchedulerCluster, null_is_default};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

const MAX_HOSTNAME_CHARS: usize = 253;
const MAX_PLACE_CHARS: usize = 1024;
const MAX_WORD_CHARS: usize = 255;

/// What a peer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerType {
    /// A seed peer.
    Super,
    /// Any other.
    #[default]
    Normal,
}

impl PeerType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Super => "super",
            Self::Normal => "normal",
        }
    }
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its id.
    pub id: u64,
    /// When it was first reported.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Name of its host.
    pub host_name: String,
    /// What it is.
    pub r#type: PeerType,
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
    /// Its proxy's port.
    pub proxy_port: u16,
    /// Always 0; Dragonfly 2.5 has it.
    pub object_storage_port: u16,
    /// Whether a scheduler that is alive knows it.
    pub state: MemberState,
    /// Its operating system.
    pub os: String,
    /// Its platform.
    pub platform: String,
    /// Its platform's family.
    pub platform_family: String,
    /// Its platform's version.
    pub platform_version: String,
    /// Its kernel's version.
    pub kernel_version: String,
    /// Version of the program.
    pub git_version: String,
    /// Commit of the program.
    pub git_commit: String,
    /// For which platform the program was built.
    pub build_platform: String,
    /// Its cluster.
    pub scheduler_cluster_id: u64,
    /// Its cluster.
    pub scheduler_cluster: Option<SchedulerCluster>,
}

/// A peer to be written down by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatePeer {
    /// Name of its host.
    pub host_name: String,
    /// What it is.
    pub r#type: PeerType,
    /// Its data centre.
    #[serde(default, deserialize_with = "null_is_default")]
    pub idc: String,
    /// Its place.
    #[serde(default, deserialize_with = "null_is_default")]
    pub location: String,
    /// Where it is reached.
    #[schema(value_type = Address)]
    pub ip: IpAddr,
    /// Its gRPC port.
    pub port: u16,
    /// Its port for pieces.
    pub download_port: u16,
    /// Its proxy's port.
    #[serde(default, deserialize_with = "null_is_default")]
    pub proxy_port: u16,
    /// Its cluster.
    pub scheduler_cluster_id: u64,
    /// Its operating system.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// Its platform.
    #[serde(default, deserialize_with = "null_is_default")]
    pub platform: String,
    /// Its platform's family.
    #[serde(default, deserialize_with = "null_is_default")]
    pub platform_family: String,
    /// Its platform's version.
    #[serde(default, deserialize_with = "null_is_default")]
    pub platform_version: String,
    /// Its kernel's version.
    #[serde(default, deserialize_with = "null_is_default")]
    pub kernel_version: String,
    /// Version of the program.
    #[serde(default, deserialize_with = "null_is_default")]
    pub git_version: String,
    /// Commit of the program.
    #[serde(default, deserialize_with = "null_is_default")]
    pub git_commit: String,
    /// For which platform the program was built.
    #[serde(default, deserialize_with = "null_is_default")]
    pub build_platform: String,
}

impl Check for CreatePeer {
    fn check(&self, problems: &mut Problems) {
        problems.chars("host_name", &self.host_name, 1..=MAX_HOSTNAME_CHARS);
        for (field, port) in [("port", self.port), ("download_port", self.download_port)] {
            if port == 0 {
                problems.push(field, "must be 1 to 65535, not 0");
            }
        }
        problems.within("scheduler_cluster_id", self.scheduler_cluster_id, 1..=i64::MAX as u64);
        problems.chars("idc", &self.idc, 0..=MAX_PLACE_CHARS);
        problems.chars("location", &self.location, 0..=MAX_PLACE_CHARS);
        for (field, text) in [
            ("os", &self.os),
            ("platform", &self.platform),
            ("platform_family", &self.platform_family),
            ("platform_version", &self.platform_version),
            ("kernel_version", &self.kernel_version),
            ("git_version", &self.git_version),
            ("git_commit", &self.git_commit),
            ("build_platform", &self.build_platform),
        ] {
            problems.chars(field, text, 0..=MAX_WORD_CHARS);
        }
    }
}

/// Which peers are listed: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct PeerFilter {
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<PeerType>,
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
    /// Port for pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_port: Option<u16>,
    /// Port of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_port: Option<u16>,
    /// Whether a scheduler that is alive knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MemberState>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Platform's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_family: Option<String>,
    /// Platform's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// Kernel's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<String>,
    /// Version of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_version: Option<String>,
    /// Commit of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// For which platform the program was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_platform: Option<String>,
    /// Cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_cluster_id: Option<u64>,
}
