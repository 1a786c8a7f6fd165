//! A container of a pod as runc is told of it: the runtime specification's `config.json`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::spec::{Container, PodSecurity};

/// Those that a container has unless its manifest says otherwise.
const USUAL: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// What a privileged one has beside them, as far as pods of ours use it.
const PRIVILEGED: [&str; 3] = ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"];
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a container runs, and what it finds there.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// Its pod's name, or its node's.
    pub(super) hostname: &'a str,
    /// The network namespace.
    pub(super) network: &'a str,
    /// A process of the node whose processes it sees, if it sees them.
    pub(super) node: Option<u32>,
    /// Directories and files of its volumes, where it finds them, and whether it may write.
    pub(super) mounts: Vec<(PathBuf, PathBuf, bool)>,
}

/// The whole of `config.json`.
///
/// # Errors
/// When root would run what must not be run by root.
pub(super) fn config(
    container: &Container,
    entrypoint: &[String],
    pod: &PodSecurity,
    around: &Surroundings<'_>,
) -> Result<Value> {
    let name = &container.name;
    ensure!(
        !pod.run_as_non_root || pod.run_as_user != 0,
        "{name} must not be run by root and no other user is named"
    );
    let command = if container.command.is_empty() {
        entrypoint
    } else {
        &container.command
    };
    let arguments: Vec<&String> = command.iter().chain(&container.args).collect();
    let variables = container
        .env
        .iter()
        .map(|variable| format!("{}={}", variable.name, variable.value));
    let environment: Vec<String> = std::iter::once(PATH.to_owned()).chain(variables).collect();
    let groups: Vec<u32> = pod.fs_group.into_iter().collect();
    let security = &container.security_context;
    let escalates = security.allow_privilege_escalation.unwrap_or(true) || security.privileged;
    Ok(json!({
        "ociVersion": "1.0.2",
        "hostname": around.hostname,
        "root": { "path": "root", "readonly": security.read_only_root_filesystem },
        "process": {
            "cwd": "/",
            "args": arguments,
            "env": environment,
            "user": {
                "uid": pod.run_as_user,
                "gid": pod.run_as_group,
                "additionalGids": groups,
            },
            "capabilities": capabilities(container, pod.run_as_user),
            "noNewPrivileges": !escalates,
        },
        "mounts": mounts(&around.mounts),
        "linux": { "namespaces": namespaces(around) },
    }))
}

/// A user who isn't root has none, and may at most come to those of the bounding set.
fn capabilities(container: &Container, user: u32) -> Value {
    let security = &container.security_context;
    let changes = &security.capabilities;
    let drops_all = changes.drop.iter().any(|name| name == "ALL");
    let mut names: Vec<String> = USUAL
        .iter()
        .filter(|name| !drops_all && !changes.drop.iter().any(|dropped| dropped == *name))
        .chain(PRIVILEGED.iter().filter(|_| security.privileged))
        .map(|name| format!("CAP_{name}"))
        .collect();
    names.extend(changes.add.iter().map(|name| format!("CAP_{name}")));
    let held: &[String] = if user == 0 { &names } else { &[] };
    json!({ "bounding": names, "effective": held, "permitted": held })
}

fn namespaces(around: &Surroundings<'_>) -> Value {
    let processes = match around.node {
        Some(process) => json!({ "type": "pid", "path": format!("/proc/{process}/ns/pid") }),
        None => json!({ "type": "pid" }),
    };
    let network = Path::new("/var/run/netns").join(around.network);
    json!([
        { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, processes,
        { "type": "network", "path": network },
    ])
}

fn mounts(volumes: &[(PathBuf, PathBuf, bool)]) -> Vec<Value> {
    let kernels = [
        ("/proc", "proc", vec![]),
        ("/dev", "tmpfs", vec!["nosuid", "mode=755"]),
        ("/dev/pts", "devpts", vec!["newinstance", "ptmxmode=0666", "mode=0620"]),
        ("/dev/shm", "tmpfs", vec!["nosuid", "noexec", "nodev", "mode=1777"]),
        ("/sys", "sysfs", vec!["nosuid", "noexec", "nodev", "ro"]),
    ];
    let kernels = kernels
        .into_iter()
        .map(|(to, kind, options)| json!({ "destination": to, "type": kind, "source": kind, "options": options }));
    let volumes = volumes.iter().map(|(from, to, writable)| {
        let access = if *writable { "rw" } else { "ro" };
        json!({ "destination": to, "type": "bind", "source": from, "options": ["rbind", access] })
    });
    kernels.chain(volumes).collect()
}
