//! How many streams of an origin run at the same time: one, and one more as long as that brings more. Pure: the time is
//! told.
//!
//! Streams that share a link bring their pieces all at the same moment, late; one after the other the first piece is there
//! sooner, and peers can pass it on. An origin that limits each connection brings more by several, and that is found out by
//! trying.

use std::time::Duration;

/// Pieces after which the speed counts as known, for each stream.
const SAMPLE: u32 = 4;
/// It takes at least so long, too: pieces that lay ready in buffers say nothing.
const SAMPLE_TIME: Duration = Duration::from_millis(100);
/// A further stream must bring so many times as much.
const GAIN: f64 = 1.15;
/// After so many samples another stream is tried again: what limits an origin changes.
const STEADY: u32 = 8;

/// The streams of one download.
#[derive(Debug)]
pub struct Streams {
    most: usize,
    count: usize,
    /// Bytes per second before the latest stream came, while that is on trial.
    before: Option<f64>,
    /// Samples until another stream is tried.
    rest: u32,
    sample: Option<Sample>,
}

/// What has come since a moment at which a piece did.
#[derive(Debug, Clone, Copy)]
struct Sample {
    since: Duration,
    pieces: u32,
    bytes: u64,
}

impl Streams {
    /// One stream, and in time at most so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            count: 1,
            before: None,
            rest: 0,
            sample: None,
        }
    }

    /// How many streams there should be now.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many pieces a stream that starts now should bring at most: one on trial may soon be too many.
    pub fn run(&self, usual: u32) -> u32 {
        match self.before {
            Some(_) => usual.min(SAMPLE),
            None => usual,
        }
    }

    /// A piece of `length` bytes has come from the origin at `now`.
    pub fn landed(&mut self, length: u64, now: Duration) {
        let Some(sample) = &mut self.sample else {
            self.sample = Some(Sample {
                since: now,
                pieces: 0,
                bytes: 0,
            });
            return;
        };
        sample.pieces += 1;
        sample.bytes += length;
        let elapsed = now.saturating_sub(sample.since);
        let streams = u32::try_from(self.count).unwrap_or(u32::MAX);
        if sample.pieces < SAMPLE.saturating_mul(streams) || elapsed < SAMPLE_TIME {
            return;
        }
        let speed = sample.bytes as f64 / elapsed.as_secs_f64();
        self.sample = Some(Sample {
            since: now,
            pieces: 0,
            bytes: 0,
        });
        self.judge(speed);
    }

    fn judge(&mut self, speed: f64) {
        match self.before.take() {
            Some(before) if speed < before * GAIN => {
                self.count -= 1;
                self.rest = STEADY;
            }
            _ if self.rest > 0 => self.rest -= 1,
            _ if self.count < self.most => {
                self.count += 1;
                self.before = Some(speed);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 1 << 20;

    /// How many streams there are after each piece of an origin that gives every stream `each` and all together `all`
    /// pieces per second.
    fn counts(most: usize, each: f64, all: f64) -> Vec<usize> {
        let mut streams = Streams::new(most);
        let mut now = Duration::ZERO;
        let land = |_| {
            let speed = (streams.count() as f64 * each).min(all);
            now += Duration::from_secs_f64(1.0 / speed);
            streams.landed(LENGTH, now);
            streams.count()
        };
        (0..400).map(land).collect()
    }

    #[test]
    fn an_origin_that_one_stream_exhausts_is_seldom_asked_by_two() {
        let counts = counts(4, 30.0, 30.0);
        assert_eq!(counts[0], 1);
        assert!(counts.contains(&2) && !counts.contains(&3));
        let alone = counts.iter().filter(|count| **count == 1).count();
        assert!(alone > 300, "{alone}");
    }

    #[test]
    fn an_origin_that_limits_each_stream_is_asked_by_as_many_as_bring_more() {
        assert_eq!(counts(4, 30.0, f64::INFINITY).last(), Some(&4));
        assert!(counts(8, 30.0, 90.0).iter().filter(|count| **count == 3).count() > 200);
        assert_eq!(counts(1, 30.0, f64::INFINITY).last(), Some(&1));
    }

    #[test]
    fn a_stream_on_trial_is_given_little() {
        let mut streams = Streams::new(2);
        assert_eq!(streams.run(16), 16);
        for n in 0..=SAMPLE {
            streams.landed(LENGTH, Duration::from_millis(100) * n);
        }
        assert_eq!((streams.count(), streams.run(16), streams.run(2)), (2, SAMPLE, 2));
    }
}
