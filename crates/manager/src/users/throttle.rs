//! How often a password may be tried: per address and per name, whichever is exhausted first. What is remembered is
//! bounded, and forgotten when it is of no more use.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Attempts that may follow each other at once.
const BURST: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");
/// Then one attempt each.
const PERIOD: Duration = Duration::from_secs(3);
/// Addresses and names that are remembered.
const REMEMBERED: u64 = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Name(String),
}

/// Counts attempts.
pub(crate) struct Throttle {
    limiters: Cache<Key, Arc<DefaultDirectRateLimiter>>,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            limiters: Cache::builder()
                .max_capacity(REMEMBERED)
                // By then a limiter is full again.
                .time_to_idle(PERIOD * BURST.get())
                .build(),
        }
    }

    /// Counts an attempt, or says how long to wait.
    pub(crate) fn check(&self, address: IpAddr, name: &str) -> Result<(), Duration> {
        self.count([Key::Address(network(address)), Key::Name(name.to_owned())])
    }

    /// Counts an attempt by somebody who gives no name.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Duration> {
        self.count([Key::Address(network(address))])
    }

    fn count(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), Duration> {
        for key in keys {
            let quota = Quota::with_period(PERIOD)
                .expect("the period is not zero")
                .allow_burst(BURST);
            let limiter = self.limiters.get_with(key, || Arc::new(RateLimiter::direct(quota)));
            limiter
                .check()
                .map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))?;
        }
        Ok(())
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn attempts_are_counted_by_address_and_by_name() {
        let throttle = Throttle::new();
        for _ in 0..BURST.get() {
            throttle.check(address(1), "root").unwrap();
        }
        assert!(throttle.check(address(1), "other").unwrap_err() <= PERIOD);
        assert!(throttle.check(address(2), "root").unwrap_err() <= PERIOD);
        throttle.check(address(3), "third").unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let throttle = Throttle::new();
        for last in 0..BURST.get() {
            let address = format!("2001:db8::{last:x}").parse().unwrap();
            throttle.check(address, &format!("user-{last}")).unwrap();
        }
        assert!(throttle.check("2001:db8::ffff".parse().unwrap(), "last").is_err());
        throttle.check("2001:db8:0:1::1".parse().unwrap(), "last").unwrap();
    }
}
