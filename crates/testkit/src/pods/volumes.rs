//! The volumes of a pod as directories.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::node::Node;
use super::objects::Objects;
use super::plan::Planned;
use super::spec::{Container, HostPath, Source};

/// Writes a pod's volumes, each by its name, in `dir`; those of its node are where the node has them.
pub(super) fn write(pod: &Planned, objects: &Objects, node: Option<&Node>, dir: &Path) -> Result<()> {
    for volume in &pod.spec.volumes {
        let at = dir.join(&volume.name);
        match &volume.source {
            Source::ConfigMap { name } => write_files(objects, ("ConfigMap", name), &at)?,
            Source::Secret { secret_name } => write_files(objects, ("Secret", secret_name), &at)?,
            Source::EmptyDir {} => std::fs::create_dir_all(&at)?,
            Source::HostPath {
                path,
                kind: HostPath::DirectoryOrCreate,
            } => {
                let node = node.with_context(|| format!("{} is on no node", pod.name))?;
                std::fs::create_dir_all(node.path(path))?;
                std::os::unix::fs::symlink(node.path(path), &at)?;
                continue;
            }
        }
        give(&at, pod.spec.security_context.fs_group)?;
    }
    for claim in &pod.claims {
        let at = dir.join(claim);
        std::fs::create_dir_all(&at)?;
        give(&at, pod.spec.security_context.fs_group)?;
    }
    Ok(())
}

/// A container's part of the volumes in `dir`: from where, to where, and whether it may write.
pub(super) fn mounts(container: &Container, dir: &Path) -> Result<Vec<(PathBuf, PathBuf, bool)>> {
    let mounts = container.volume_mounts.iter().map(|mount| {
        let from = dir.join(&mount.name).canonicalize();
        let from = from.with_context(|| format!("{} has no volume {}", container.name, mount.name))?;
        Ok((from, mount.mount_path.clone(), !mount.read_only))
    });
    mounts.collect()
}

fn write_files(objects: &Objects, (kind, name): (&str, &str), to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let files = objects.files(kind, name).with_context(|| format!("no {kind} {name}"))?;
    for (file, bytes) in files {
        std::fs::write(to.join(file), bytes)?;
    }
    Ok(())
}

/// What a group of the pod's may use: `fsGroup`. Without one a directory is root's.
fn give(dir: &Path, group: Option<u32>) -> Result<()> {
    let mode = if group.is_some() { 0o2775 } else { 0o755 };
    chown(dir, None, group)?;
    std::fs::set_permissions(dir, Permissions::from_mode(mode))?;
    Ok(())
}
