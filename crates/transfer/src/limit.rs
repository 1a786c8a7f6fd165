//! Bandwidth limits that pace: bytes are let through evenly, not a second's worth at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that are granted at once: small enough that several users of one limit interleave, large enough that a fast
/// limit costs few timers.
const MIN_GRANT: u64 = 4 << 10;
const MAX_GRANT: u64 = 256 << 10;
/// How far an idle or late user may catch up: covers the granularity of timers, and is no burst that anyone notices.
const CATCH_UP: Duration = Duration::from_millis(20);

/// A limit of bytes per second. Clones share it, in the order in which they ask.
#[derive(Debug, Clone)]
pub struct RateLimit {
    pace: Option<Arc<Pace>>,
}

#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    /// When all that was granted so far will have passed.
    passed_at: Mutex<Instant>,
    /// Nanoseconds that its users have waited.
    waited: AtomicU64,
    granted: AtomicU64,
}

impl RateLimit {
    /// A limit of so many bytes per second; `None` or 0 is no limit.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let pace = bytes_per_second.filter(|rate| *rate > 0).map(|rate| {
            Arc::new(Pace {
                bytes_per_second: rate,
                passed_at: Mutex::new(Instant::now()),
                waited: AtomicU64::new(0),
                granted: AtomicU64::new(0),
            })
        });
        Self { pace }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self { pace: None }
    }

    /// How long all its users together have waited for it.
    pub fn waited(&self) -> Duration {
        let nanos = self.pace.as_ref().map(|pace| pace.waited.load(Ordering::Relaxed));
        Duration::from_nanos(nanos.unwrap_or_default())
    }

    /// How many bytes were let through so far; 0 without a limit.
    pub fn granted(&self) -> u64 {
        let granted = |pace: &Arc<Pace>| pace.granted.load(Ordering::Relaxed);
        self.pace.as_ref().map_or(0, granted)
    }

    /// How many bytes to acquire and move at once: at most `max`, and so few that a slow limit stays smooth.
    pub fn portion(&self, max: u64) -> u64 {
        // About fifty milliseconds' worth.
        let smooth = |pace: &Arc<Pace>| (pace.bytes_per_second / 20).max(MIN_GRANT);
        self.pace.as_ref().map_or(max, |pace| smooth(pace).min(max))
    }

    /// Waits until `bytes` may pass. Ask before moving them, in portions as they move: a large number is granted in
    /// small parts that interleave with those of other users. Dropped while it waits, it has used what was granted.
    pub async fn acquire(&self, bytes: u64) {
        let Some(pace) = &self.pace else {
            return;
        };
        // About five milliseconds' worth.
        let grant = (pace.bytes_per_second / 200).clamp(MIN_GRANT, MAX_GRANT);
        let mut rest = bytes;
        while rest > 0 {
            let part = rest.min(grant);
            pace.wait_for(part).await;
            rest -= part;
        }
    }
}

impl Pace {
    /// Takes the next free stretch of time for `bytes`, and waits until it begins.
    async fn wait_for(&self, bytes: u64) {
        let now = Instant::now();
        let begin = {
            let mut passed_at = self.passed_at.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*passed_at).max(now.checked_sub(CATCH_UP).unwrap_or(now));
            *passed_at = begin + self.duration_of(bytes);
            begin
        };
        if begin > now {
            let nanos = u64::try_from((begin - now).as_nanos()).unwrap_or(u64::MAX);
            self.waited.fetch_add(nanos, Ordering::Relaxed);
            tokio::time::sleep_until(begin).await;
        }
        self.granted.fetch_add(bytes, Ordering::Relaxed);
    }

    fn duration_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinSet;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate_and_not_a_second_ahead() {
        let limit = RateLimit::new(Some(10 * MIB));
        let start = Instant::now();
        for tenth in 1..=20u32 {
            limit.acquire(MIB).await;
            let (at, even) = (start.elapsed(), Duration::from_millis(100) * tenth);
            assert!(at <= even + Duration::from_millis(5), "late: {tenth} MiB after {at:?}");
            assert!(
                at + Duration::from_millis(30) >= even,
                "early: {tenth} MiB after {at:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_saves_up_no_burst() {
        let limit = RateLimit::new(Some(MIB));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        limit.acquire(MIB).await;
        assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
        assert!(limit.waited() >= Duration::from_millis(900), "{:?}", limit.waited());
        assert_eq!(RateLimit::unlimited().waited(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn users_share_evenly_though_one_asks_for_much() {
        let limit = RateLimit::new(Some(10 * MIB));
        let start = Instant::now();
        let mut users = JoinSet::new();
        for bytes in [100 * MIB, MIB, MIB] {
            let limit = limit.clone();
            users.spawn(async move {
                limit.acquire(bytes).await;
                (bytes, Instant::now())
            });
        }
        while let Some(done) = users.join_next().await {
            let (bytes, at) = done.unwrap();
            let took = at - start;
            let fair = if bytes == MIB { 300 } else { 10_200 };
            let fair = Duration::from_millis(fair);
            assert!(
                took.abs_diff(fair) < Duration::from_millis(50),
                "{bytes} bytes took {took:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_costs_no_time() {
        let start = Instant::now();
        RateLimit::unlimited().acquire(u64::MAX).await;
        RateLimit::new(None).acquire(u64::MAX).await;
        RateLimit::new(Some(0)).acquire(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
