//! A pod's `spec`, as far as the lab does what it says. What it doesn't know it refuses, so nothing is passed over in silence.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::objects::Labels;

/// `spec` of a pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) node_selector: Labels,
    #[serde(default)]
    pub(super) host_network: bool,
    #[serde(default, rename = "hostPID")]
    pub(super) host_pid: bool,
    #[serde(default)]
    pub(super) security_context: PodSecurity,
    #[serde(default)]
    pub(super) init_containers: Vec<Container>,
    pub(super) containers: Vec<Container>,
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
    // Every pod finds every service by its name, nobody has an account at an API, and one node is as good as another.
    #[serde(default, rename = "dnsPolicy")]
    _dns: IgnoredAny,
    #[serde(default, rename = "automountServiceAccountToken")]
    _account: IgnoredAny,
    #[serde(default, rename = "topologySpreadConstraints")]
    _spread: IgnoredAny,
}

/// Who a pod's programs are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodSecurity {
    #[serde(default)]
    pub(super) run_as_non_root: bool,
    #[serde(default)]
    pub(super) run_as_user: u32,
    #[serde(default)]
    pub(super) run_as_group: u32,
    pub(super) fs_group: Option<u32>,
    // Volumes are new here, and runc has no list of system calls of its own.
    #[serde(default, rename = "fsGroupChangePolicy")]
    _change: IgnoredAny,
    #[serde(default, rename = "seccompProfile")]
    _seccomp: IgnoredAny,
}

/// One program of a pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<Variable>,
    #[serde(default)]
    pub(super) ports: Vec<Port>,
    #[serde(default)]
    pub(super) volume_mounts: Vec<Mount>,
    #[serde(default)]
    pub(super) security_context: Security,
    pub(super) readiness_probe: Option<Probe>,
    // A program that is slow or fails is what a test wants to see, and one machine has to do for all.
    #[serde(default, rename = "startupProbe")]
    _startup: IgnoredAny,
    #[serde(default, rename = "livenessProbe")]
    _liveness: IgnoredAny,
    #[serde(default, rename = "resources")]
    _resources: IgnoredAny,
    #[serde(default, rename = "imagePullPolicy")]
    _pull: IgnoredAny,
}

/// A variable of the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// A port that others may name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) container_port: u16,
}

/// Where a volume is for a program.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) mount_path: PathBuf,
    #[serde(default)]
    pub(super) read_only: bool,
}

/// What a program may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Security {
    pub(super) allow_privilege_escalation: Option<bool>,
    #[serde(default)]
    pub(super) read_only_root_filesystem: bool,
    #[serde(default)]
    pub(super) privileged: bool,
    #[serde(default)]
    pub(super) capabilities: Capabilities,
}

/// Capabilities beside the usual ones.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    #[serde(default)]
    pub(super) add: Vec<String>,
    #[serde(default)]
    pub(super) drop: Vec<String>,
}

/// What says that a program is ready.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Probe {
    #[serde(flatten)]
    pub(super) ask: Ask,
}

/// A question that a program which is ready answers well.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Ask {
    HttpGet {
        path: String,
        port: Target,
        #[serde(default = "http")]
        scheme: String,
    },
    Grpc {
        port: u16,
    },
    Exec {
        command: Vec<String>,
    },
}

/// A port by its number or its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

/// A volume by its name.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Volume {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) source: Source,
}

/// What a volume holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Source {
    ConfigMap {
        name: String,
    },
    #[serde(rename_all = "camelCase")]
    Secret {
        secret_name: String,
    },
    EmptyDir {},
    HostPath {
        path: PathBuf,
        #[serde(rename = "type")]
        kind: HostPath,
    },
}

/// What must be there of a node, or is made.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum HostPath {
    DirectoryOrCreate,
}

impl Container {
    /// The number of one of its ports.
    pub(super) fn port(&self, target: &Target) -> Option<u16> {
        match target {
            Target::Number(number) => Some(*number),
            Target::Name(name) => {
                let named = self.ports.iter().find(|port| port.name == *name);
                named.map(|port| port.container_port)
            }
        }
    }
}

fn http() -> String {
    "HTTP".to_owned()
}
