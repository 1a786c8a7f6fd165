//! What this host tells schedulers about itself.

use crate::identity::Identity;
use dragonfly_api::common;
use dragonfly_model::HostId;
use std::path::PathBuf;
use std::sync::Arc;

/// The ports that others use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// gRPC for peers and schedulers.
    pub(crate) grpc: u16,
    /// The HTTP proxy.
    pub(crate) proxy: u16,
}

/// Makes announcements of this host. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    fixed: Arc<Fixed>,
}

#[derive(Debug)]
struct Fixed {
    identity: Identity,
    ports: Ports,
    /// Bytes per second that are given to other peers.
    upload_bandwidth: u64,
    disable_shared: bool,
    storage_dir: PathBuf,
}

impl Announcement {
    pub(crate) fn new(identity: Identity, ports: Ports, config: &crate::Config) -> Self {
        Self {
            fixed: Arc::new(Fixed {
                identity,
                ports,
                upload_bandwidth: config.upload.bandwidth,
                disable_shared: config.upload.disable_shared,
                storage_dir: config.storage.dir.clone(),
            }),
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.fixed.identity
    }

    pub(crate) fn host_id(&self) -> &HostId {
        &self.fixed.identity.host_id
    }

    pub(crate) fn ports(&self) -> Ports {
        self.fixed.ports
    }

    /// This host now.
    pub(crate) fn host(&self) -> common::Host {
        let Fixed { identity, ports, .. } = &*self.fixed;
        common::Host {
            id: identity.host_id.to_string(),
            r#type: identity.kind.number(),
            hostname: identity.hostname.clone(),
            name: identity.hostname.clone(),
            ip: identity.ip.to_string(),
            port: i32::from(ports.grpc),
            download_port: i32::from(ports.grpc),
            proxy_port: i32::from(ports.proxy),
            os: std::env::consts::OS.to_owned(),
            platform: std::env::consts::OS.to_owned(),
            platform_family: std::env::consts::FAMILY.to_owned(),
            platform_version: String::new(),
            kernel_version: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu: Some(cpu()),
            memory: memory(),
            network: Some(self.network()),
            disk: disk(&self.fixed.storage_dir),
            build: Some(common::Build {
                git_version: env!("CARGO_PKG_VERSION").to_owned(),
                platform: Some(std::env::consts::ARCH.to_owned()),
                ..Default::default()
            }),
            scheduler_cluster_id: identity.scheduler_cluster_id,
            disable_shared: self.fixed.disable_shared,
        }
    }

    fn network(&self) -> common::Network {
        // Bandwidths are in bits per second on the wire.
        let max = self.fixed.upload_bandwidth.saturating_mul(8);
        common::Network {
            location: self.fixed.identity.location.clone(),
            idc: self.fixed.identity.idc.clone(),
            max_rx_bandwidth: max,
            max_tx_bandwidth: max,
            ..Default::default()
        }
    }
}

fn cpu() -> common::Cpu {
    let count = std::thread::available_parallelism().map_or(1, |n| n.get());
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    common::Cpu {
        logical_count: count,
        physical_count: count,
        ..Default::default()
    }
}

fn memory() -> Option<common::Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    let (total, free, available) = (bytes("MemTotal")?, bytes("MemFree")?, bytes("MemAvailable")?);
    let used = total.saturating_sub(available);
    Some(common::Memory {
        total,
        free,
        available,
        used,
        used_percent: percent(used, total),
        ..Default::default()
    })
}

fn disk(dir: &std::path::Path) -> Option<common::Disk> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let used = total.saturating_sub(stat.f_bfree.saturating_mul(stat.f_frsize));
    let inodes_used = stat.f_files.saturating_sub(stat.f_ffree);
    Some(common::Disk {
        total,
        free,
        used,
        used_percent: percent(used, total),
        inodes_total: stat.f_files,
        inodes_used,
        inodes_free: stat.f_ffree,
        inodes_used_percent: percent(inodes_used, stat.f_files),
        ..Default::default()
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
