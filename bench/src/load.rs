//! Callers that ask one after the other, many at a time, and how long each answer took.

use anyhow::{Context, Result};
use futures::stream::{StreamExt, TryStreamExt};
use std::future::Future;
use std::time::{Duration, Instant};

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: u32,
    pub(crate) callers: u32,
}

/// How long the answers took, shortest first.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Load {
    /// A tenth of it.
    pub(crate) fn brief(self) -> Self {
        Self {
            requests: self.requests.div_ceil(10),
            ..self
        }
    }

    /// Asks; each request is told its number.
    pub(crate) async fn run<F: Future<Output = Result<()>>>(self, ask: impl Fn(u64) -> F) -> Result<Times> {
        let timed = self.all(|n| {
            let answer = ask(n);
            async move {
                let start = Instant::now();
                answer.await?;
                anyhow::Ok(start.elapsed())
            }
        });
        Ok(Times::of(timed.await?))
    }

    /// As [`Load::run`], for who measures by himself: what each request brought.
    pub(crate) async fn all<T, F: Future<Output = Result<T>>>(self, ask: impl Fn(u64) -> F) -> Result<Vec<T>> {
        let callers = usize::try_from(self.callers).context("so many callers")?;
        futures::stream::iter((0..u64::from(self.requests)).map(ask))
            .buffer_unordered(callers)
            .try_collect()
            .await
    }
}

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn p50(&self) -> Duration {
        self.share(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.share(99)
    }

    /// What so many percent of the answers did not take longer than.
    fn share(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_answers_the_last_is_beyond_the_99th_percent() {
        let times = Times::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (times.p50(), times.p99()),
            (Duration::from_millis(50), Duration::from_millis(99))
        );
        assert_eq!(Times(Vec::new()).p99(), Duration::ZERO);
    }
}
