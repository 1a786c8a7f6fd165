//! What is to be told of any process, by the names that Prometheus gives it. Where the system does not say, it is 0.

use super::{Metrics, Reading};
use procfs::process::{LimitValue, Process, Stat};

/// Shows it.
pub(super) fn show(metrics: &Metrics) {
    metrics.register(
        "process_cpu_seconds",
        "Seconds of processor time that the process used",
        Reading::counter(|| stat(|stat| (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)),
    );
    metrics.register(
        "process_resident_memory_bytes",
        "Bytes of memory that the process holds",
        Reading::gauge(|| stat(|stat| (stat.rss * procfs::page_size()) as f64)),
    );
    metrics.register(
        "process_threads",
        "Threads of the process",
        Reading::gauge(|| stat(|stat| stat.num_threads as f64)),
    );
    metrics.register(
        "process_open_fds",
        "Files and sockets that the process has open",
        Reading::gauge(|| own(|own| own.fd_count().ok()).map_or(0.0, |count| count as f64)),
    );
    metrics.register(
        "process_max_fds",
        "Files and sockets that the process may have open",
        Reading::gauge(|| own(most_open).map_or(0.0, |most| most as f64)),
    );
    let started = procfs::boot_time_secs()
        .ok()
        .map(|boot| stat(|stat| boot as f64 + stat.starttime as f64 / procfs::ticks_per_second() as f64));
    metrics.register(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970",
        Reading::gauge(move || started.unwrap_or_default()),
    );
}

fn own<T>(read: impl FnOnce(Process) -> Option<T>) -> Option<T> {
    read(Process::myself().ok()?)
}

fn stat(read: impl FnOnce(&Stat) -> f64) -> f64 {
    own(|own| own.stat().ok()).map_or(0.0, |stat| read(&stat))
}

fn most_open(own: Process) -> Option<u64> {
    match own.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most),
        LimitValue::Unlimited => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_what_it_uses() {
        let metrics = Metrics::new();
        let text = metrics.encode(crate::metrics::Form::Prometheus);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
        };
        for name in [
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            assert!(value(name) > 0.0, "{name}");
        }
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
