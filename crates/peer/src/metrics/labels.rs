//! What tells the series of one metric apart. Every label's values are few and none is a caller's word.

use dragonfly_model::{PeerId, Priority, TrafficType};
use dragonfly_service::labels;
use prometheus_client::encoding::EncodeLabelValue;

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "they are the label's values, which are upstream's")]
pub(crate) enum Source {
    /// The origin.
    BACK_TO_SOURCE,
    /// Another peer.
    REMOTE_PEER,
    /// This host's storage.
    LOCAL_PEER,
}

impl Source {
    pub(crate) fn of(traffic: TrafficType) -> Self {
        match traffic {
            TrafficType::BackToSource => Source::BACK_TO_SOURCE,
            TrafficType::RemotePeer => Source::REMOTE_PEER,
            TrafficType::LocalPeer => Source::LOCAL_PEER,
        }
    }
}

/// Why a download asks the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SourceReason {
    /// The scheduler said so; it knows why.
    Scheduler,
    /// No scheduler is known here.
    NoScheduler,
    /// The schedulers that are known don't answer, or not to the point.
    SchedulerLost,
    /// No parent has what is missing, and the scheduler has named all that it may.
    NoParent,
}

impl SourceReason {
    /// As a label, and in traces.
    pub(crate) fn label(self) -> &'static str {
        match self {
            SourceReason::Scheduler => "scheduler",
            SourceReason::NoScheduler => "no_scheduler",
            SourceReason::SchedulerLost => "scheduler_lost",
            SourceReason::NoParent => "no_parent",
        }
    }

    /// As it is told to the scheduler.
    pub(crate) fn said(self) -> &'static str {
        match self {
            SourceReason::Scheduler => "the scheduler said so",
            SourceReason::NoScheduler | SourceReason::SchedulerLost => "no scheduler helps",
            SourceReason::NoParent => "no parent has what is missing",
        }
    }
}

/// Why a task was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Evicted {
    /// Nobody used it for long.
    Old,
    /// Room was needed.
    Room,
    /// The cluster keeps it no longer.
    Ended,
}

impl Evicted {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Evicted::Old => "old",
            Evicted::Room => "room",
            Evicted::Ended => "ended",
        }
    }
}

labels! {
    pub(super) struct OfDownload {
        r#type: u32,
        priority: i32,
    }

    pub(super) struct OfType {
        r#type: u32,
    }

    pub(super) struct OfSize {
        task_type: u32,
        task_size_level: u8,
    }

    pub(super) struct OfSource {
        pub(super) r#type: Source,
    }

    pub(super) struct OfParent {
        host_type: &'static str,
    }

    pub(super) struct For {
        pub(super) reason: &'static str,
    }

    pub(super) struct OfOrigin {
        pub(super) scheme: &'static str,
        pub(super) method: &'static str,
    }
}

/// The type of all tasks.
const STANDARD: u32 = 0;

impl OfDownload {
    pub(super) fn of(priority: Priority) -> Self {
        Self {
            r#type: STANDARD,
            priority: priority.number(),
        }
    }
}

impl OfType {
    pub(super) const STANDARD: Self = Self { r#type: STANDARD };
}

impl OfSize {
    /// By upstream's levels: the first is for what is smaller than a MiB, and the last for a TiB and more; 0 is not known.
    pub(super) fn of(bytes: Option<u64>) -> Self {
        let task_size_level = match bytes.map(|bytes| bytes >> 20) {
            None => 0,
            Some(0) => 1,
            Some(mib @ 1..1024) => (mib.ilog2().max(1) + 1) as u8,
            Some(mib @ 1024..) => ((mib >> 10).ilog2().clamp(1, 10) + 10) as u8,
        };
        Self {
            task_type: STANDARD,
            task_size_level,
        }
    }
}

impl OfParent {
    pub(super) const ALL: [Self; 2] = [Self { host_type: "seed" }, Self { host_type: "peer" }];

    /// Whether it is a seed peer is written at the end of a peer's id.
    pub(super) fn of(parent: &PeerId) -> Self {
        let is_seed = parent.as_str().ends_with("-seed");
        Self {
            host_type: if is_seed { "seed" } else { "peer" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_upstreams_levels() {
        let level = |bytes| OfSize::of(Some(bytes)).task_size_level;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let expected = [
            (0, 1),
            (MIB - 1, 1),
            (MIB, 2),
            (4 * MIB - 1, 2),
            (4 * MIB, 3),
            (8 * MIB, 4),
            (512 * MIB, 10),
            (GIB, 11),
            (4 * GIB - 1, 11),
            (4 * GIB, 12),
            (512 * GIB, 19),
            (1024 * GIB, 20),
            (u64::MAX, 20),
        ];
        for (bytes, expected) in expected {
            assert_eq!(level(bytes), expected, "{bytes}");
        }
        assert_eq!(OfSize::of(None).task_size_level, 0);
    }

    #[test]
    fn a_seed_peer_is_known_by_its_id() {
        let of = |seed| OfParent::of(&PeerId::random("10.0.0.1".parse().unwrap(), "node", seed)).host_type;
        assert_eq!((of(true), of(false)), ("seed", "peer"));
    }
}
