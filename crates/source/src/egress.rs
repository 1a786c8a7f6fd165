//! The egress guard: which addresses a request may be sent to, decided on the very address that is connected to.
//!
//! A name is resolved once; its addresses are checked here and only those that pass are connected to, at the first
//! request and at each redirect. So neither a redirect nor a name that resolves differently the next time leads past it.

use crate::Caller;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What an operator allows and forbids beyond what is never allowed.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    /// Networks that callers on other hosts may reach though they are loopback, a port of our own, or private.
    pub allow: Vec<IpNet>,
    /// Whether private networks are off limits.
    pub deny_private: bool,
    /// Where this process itself listens; an unspecified address means every address of this host.
    pub own_ports: Vec<SocketAddr>,
}

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Link-local addresses and those where clouds publish credentials: never asked, for nobody.
    #[error("{0} is a link-local or metadata address")]
    Metadata(IpAddr),
    /// Not the address of one host: unspecified, broadcast, multicast.
    #[error("{0} is not the address of a host")]
    NotAHost(IpAddr),
    /// This host's loopback, named by somebody on another host.
    #[error("{0} is this host's loopback (security.egress.allow may allow it)")]
    Loopback(IpAddr),
    /// A port of this very process, named by somebody on another host.
    #[error("{0} is a port of this process (security.egress.allow may allow it)")]
    OwnPort(SocketAddr),
    /// A private network, while these are denied.
    #[error("{0} is in a private network and security.egress.denyPrivate is set")]
    Private(IpAddr),
}

/// Metadata services outside the link-local networks: AWS and Google over IPv6, Alibaba, Azure, Oracle.
const METADATA: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl EgressPolicy {
    /// Whether a request named by `caller` may be sent to `address`.
    pub fn check(&self, address: SocketAddr, caller: Caller) -> Result<(), Refusal> {
        let ip = carried_ipv4(address.ip());
        let allowed = self.allow.iter().any(|net| net.contains(&ip));
        if is_link_local(ip) || METADATA.contains(&ip) {
            return Err(Refusal::Metadata(ip));
        }
        if !is_host(ip) {
            return Err(Refusal::NotAHost(ip));
        }
        if self.deny_private && is_private(ip) && !allowed {
            return Err(Refusal::Private(ip));
        }
        if caller == Caller::Local || allowed {
            return Ok(());
        }
        if ip.is_loopback() {
            return Err(Refusal::Loopback(ip));
        }
        if self.is_own_port(SocketAddr::new(ip, address.port())) {
            return Err(Refusal::OwnPort(SocketAddr::new(ip, address.port())));
        }
        Ok(())
    }

    /// Whether a host may say that it is called at `ip`: no address of many hosts or of none, and none where clouds
    /// publish credentials. Other link-local addresses are those of hosts without a router.
    pub fn may_be_a_host_of_ours(ip: IpAddr) -> bool {
        let ip = carried_ipv4(ip);
        // Amazon's networks of metadata and of credentials of containers.
        let published = matches!(ip, IpAddr::V4(v4) if matches!(v4.octets(), [169, 254, 169 | 170, _]));
        is_host(ip) && !published && !METADATA.contains(&ip)
    }

    fn is_own_port(&self, address: SocketAddr) -> bool {
        self.own_ports
            .iter()
            .filter(|own| own.port() == address.port())
            .any(|own| {
                carried_ipv4(own.ip()) == address.ip() || (own.ip().is_unspecified() && is_of_this_host(address.ip()))
            })
    }
}

/// An IPv6 address that only carries an IPv4 one leads where that one leads, so that one is judged: mapped
/// (`::ffff:a.b.c.d`), the old compatible form (`::a.b.c.d`), NAT64 and 6to4.
fn carried_ipv4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_host(ip: IpAddr) -> bool {
    match ip {
        // All of 0.0.0.0/8 means "this network"; Linux connects 0.0.0.0 to the loopback.
        IpAddr::V4(v4) => v4.octets()[0] != 0 && !v4.is_broadcast() && !v4.is_multicast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    const SHARED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);
    const SITE_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10);
    match ip {
        IpAddr::V4(v4) => v4.is_private() || SHARED.contains(&v4),
        IpAddr::V6(v6) => v6.is_unique_local() || SITE_LOCAL.contains(&v6),
    }
}

/// Only an address of this host can be bound to.
fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(policy: &EgressPolicy, text: &str, caller: Caller) -> Option<Refusal> {
        let ip: IpAddr = text.parse().unwrap();
        policy.check(SocketAddr::new(ip, 80), caller).err()
    }

    /// TOB-DF2-2: whoever asks, however the address is written.
    #[test]
    fn metadata_and_link_local_addresses_are_never_asked() {
        let everything = EgressPolicy {
            allow: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            ..EgressPolicy::default()
        };
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            for caller in [Caller::Local, Caller::Remote] {
                let refusal = refused(&everything, text, caller);
                assert!(matches!(refusal, Some(Refusal::Metadata(_))), "{text}: {refusal:?}");
            }
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "::ffff:0.0.0.0",
        ] {
            for caller in [Caller::Local, Caller::Remote] {
                let refusal = refused(&everything, text, caller);
                assert!(matches!(refusal, Some(Refusal::NotAHost(_))), "{text}: {refusal:?}");
            }
        }
    }

    #[test]
    fn only_local_callers_and_the_allow_list_reach_the_loopback() {
        let policy = EgressPolicy::default();
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            let refusal = refused(&policy, text, Caller::Remote);
            assert!(matches!(refusal, Some(Refusal::Loopback(_))), "{text}: {refusal:?}");
            assert_eq!(refused(&policy, text, Caller::Local), None, "{text}");
        }
        let allowing = EgressPolicy {
            allow: vec!["127.0.0.1/32".parse().unwrap()],
            ..EgressPolicy::default()
        };
        assert_eq!(refused(&allowing, "127.0.0.1", Caller::Remote), None);
        assert_eq!(refused(&allowing, "::ffff:127.0.0.1", Caller::Remote), None);
        assert!(refused(&allowing, "127.0.0.2", Caller::Remote).is_some());
    }

    #[test]
    fn private_networks_are_open_until_they_are_denied() {
        let open = EgressPolicy::default();
        let closed = EgressPolicy {
            deny_private: true,
            allow: vec!["10.1.0.0/16".parse().unwrap()],
            ..EgressPolicy::default()
        };
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            for caller in [Caller::Local, Caller::Remote] {
                assert_eq!(refused(&open, text, caller), None, "{text}");
                let refusal = refused(&closed, text, caller);
                assert!(matches!(refusal, Some(Refusal::Private(_))), "{text}: {refusal:?}");
            }
        }
        assert_eq!(refused(&closed, "10.1.2.3", Caller::Remote), None);
        assert_eq!(refused(&closed, "8.8.8.8", Caller::Remote), None);
        assert_eq!(refused(&closed, "2001:4860:4860::8888", Caller::Remote), None);
        assert_eq!(refused(&closed, "172.32.0.1", Caller::Remote), None);
    }

    #[test]
    fn our_own_ports_are_not_asked_for_another_host() {
        let policy = EgressPolicy {
            own_ports: vec!["10.1.2.3:4000".parse().unwrap(), "[::]:4001".parse().unwrap()],
            ..EgressPolicy::default()
        };
        let check = |text: &str, caller| policy.check(text.parse().unwrap(), caller).err();
        assert!(matches!(
            check("10.1.2.3:4000", Caller::Remote),
            Some(Refusal::OwnPort(_))
        ));
        assert!(matches!(
            check("[::ffff:10.1.2.3]:4000", Caller::Remote),
            Some(Refusal::OwnPort(_))
        ));
        assert_eq!(check("10.1.2.3:4000", Caller::Local), None);
        assert_eq!(check("10.1.2.3:443", Caller::Remote), None);
        // A listener on every address: documentation addresses are nobody's, so not this host's either.
        assert_eq!(check("192.0.2.1:4001", Caller::Remote), None);
        assert!(policy.is_own_port("127.0.0.1:4001".parse().unwrap()));
    }
}
