//! What programs took of the machine, as the kernel counted it.

use anyhow::{Context, Result};
use dragonfly_testkit::lab::Program;
use procfs::process::Process;
use std::time::Duration;

/// Seconds of all cores, and the most memory that a program had at a time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// Bytes.
    pub(super) peak: u64,
}

impl Usage {
    /// Of all of these since they were started: the sum of their time, the largest memory.
    pub(super) fn of<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Result<Self> {
        programs.into_iter().try_fold(Self::default(), |sum, program| {
            let one = Self::of_process(program.id().context("a program has ended")?)?;
            Ok(Self {
                cpu: sum.cpu + one.cpu,
                peak: sum.peak.max(one.peak),
            })
        })
    }

    fn of_process(id: u32) -> Result<Self> {
        let process = Process::new(id.try_into()?)?;
        let stat = process.stat()?;
        let ticks = stat.utime + stat.stime;
        Ok(Self {
            cpu: Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second())?,
            peak: process.status()?.vmhwm.context("a kernel without VmHWM")? * 1024,
        })
    }
}

/// Bytes that a process has in memory now.
pub(super) fn resident(id: u32) -> Result<u64> {
    let status = Process::new(id.try_into()?)?.status()?;
    Ok(status.vmrss.context("a kernel without VmRSS")? * 1024)
}
