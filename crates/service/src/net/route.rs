//! Which of this host's addresses others shall use.

use nix::ifaddrs::getifaddrs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Bridges that only containers on this host reach; their addresses are the same on many hosts.
const CONTAINER_BRIDGES: &[&str] = &["docker0", "podman0", "cni0", "nerdctl0", "lxcbr0", "virbr0"];

/// Stand for "the rest of the network" where no peer is known: they are routed like any distant address, and nothing
/// is ever sent to them (RFC 5737, RFC 3849).
const ANYWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// The address under which others reach this host: the source address of the route to the first of `toward` (managers,
/// schedulers), else of the default route, else of the first interface that is up. Loopback, container bridges and
/// link-local addresses are taken only if the host has nothing else, in the order link-local, bridge, loopback.
pub fn advertised_ip(toward: &[SocketAddr]) -> IpAddr {
    let interfaces = interfaces();
    let rank = |ip: IpAddr| rank(ip, &interfaces);
    let routed = toward.iter().chain(&ANYWHERE).filter_map(|to| source_of_route(*to));
    let listed = interfaces.iter().map(|interface| interface.ip);
    routed
        .chain(listed)
        // The first of the best rank: `min_by_key` keeps the earliest among equals.
        .min_by_key(|ip| rank(*ip))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[derive(Debug)]
struct Interface {
    name: String,
    ip: IpAddr,
}

/// How unsuitable an address is to be advertised; the order of the variants is the order of preference.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Usable,
    LinkLocal,
    ContainerBridge,
    Loopback,
    Unspecified,
}

fn rank(ip: IpAddr, interfaces: &[Interface]) -> Rank {
    let on_bridge = || {
        interfaces
            .iter()
            .any(|interface| interface.ip == ip && CONTAINER_BRIDGES.contains(&interface.name.as_str()))
    };
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    match ip {
        _ if ip.is_unspecified() => Rank::Unspecified,
        _ if ip.is_loopback() => Rank::Loopback,
        _ if on_bridge() => Rank::ContainerBridge,
        _ if link_local => Rank::LinkLocal,
        _ => Rank::Usable,
    }
}

/// The kernel's choice of a source address. Connecting a datagram socket looks up the route and sends nothing.
fn source_of_route(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// All addresses of interfaces that are up, IPv4 first, in the kernel's order.
fn interfaces() -> Vec<Interface> {
    // A host that can't list its interfaces still has routes.
    let Ok(addresses) = getifaddrs() else {
        return Vec::new();
    };
    let mut interfaces: Vec<Interface> = addresses
        .filter(|entry| entry.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
        .filter_map(|entry| {
            let address = entry.address?;
            let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                _ => return None,
            };
            Some(Interface {
                name: entry.interface_name,
                ip,
            })
        })
        .collect();
    interfaces.sort_by_key(|interface| interface.ip.is_ipv6());
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(name: &str, ip: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            ip: ip.parse().unwrap(),
        }
    }

    #[test]
    fn loopback_bridges_and_link_local_addresses_come_last() {
        let interfaces = [
            on("docker0", "172.17.0.1"),
            on("eth0", "10.0.0.7"),
            on("eth0", "fe80::1"),
        ];
        let of = |ip: &str| rank(ip.parse().unwrap(), &interfaces);
        assert_eq!(of("10.0.0.7"), Rank::Usable);
        assert_eq!(of("fe80::1"), Rank::LinkLocal);
        assert_eq!(of("169.254.3.4"), Rank::LinkLocal);
        assert_eq!(of("172.17.0.1"), Rank::ContainerBridge);
        assert_eq!(of("127.0.0.1"), Rank::Loopback);
        assert_eq!(of("::"), Rank::Unspecified);
        assert!(Rank::Usable < Rank::LinkLocal && Rank::LinkLocal < Rank::ContainerBridge);
    }
}
