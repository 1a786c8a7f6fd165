//! The advertised address in real network namespaces: which one, and from the route to whom.
//!
//! Needs root, since namespaces and links are the kernel's.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use dragonfly_service::net::advertised_ip;
use dragonfly_testkit::packages::{self, IP};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace that is removed when it is dropped.
struct Namespace {
    name: String,
}

impl Namespace {
    /// A fresh one with nothing but a loopback interface that is up.
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        packages::require(&[IP]).unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("dfly-ip-{}-{count}", std::process::id()),
        };
        ip(&["netns", "add", &namespace.name]);
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` inside.
    fn ip(&self, arguments: &str) -> &Self {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        ip(&all);
        self
    }

    /// Adds an interface that is up and has these addresses.
    fn link(&self, name: &str, addresses: &[&str]) -> &Self {
        // The other end of the cable has no address; it must be up for the link to be.
        self.ip(&format!("link add {name} type veth peer name {name}-far"));
        self.ip(&format!("link set {name}-far addrgenmode none"));
        self.ip(&format!("link set {name}-far up"));
        // Without duplicate address detection an IPv6 address is usable at once; the kernel's own link-local address
        // would appear only after it.
        self.ip(&format!("link set {name} addrgenmode none"));
        for address in addresses {
            let detection = if address.contains(':') { "nodad" } else { "" };
            self.ip(&format!("address add {address} dev {name} {detection}"));
        }
        self.ip(&format!("link set {name} up"))
    }

    fn advertised_ip(&self, toward: &[&str]) -> IpAddr {
        let toward: Vec<SocketAddr> = toward.iter().map(|addr| addr.parse().unwrap()).collect();
        let path = format!("/run/netns/{}", self.name);
        // The namespace is the thread's, which ends with the answer.
        let thread = std::thread::spawn(move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            advertised_ip(&toward)
        });
        thread.join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new(IP.1).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "`ip {}` failed (this test needs root): {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_ipv4_host_advertises_the_source_of_its_default_route() {
    let namespace = Namespace::new();
    namespace
        .link("eth0", &["10.1.0.5/24"])
        .ip("route add default via 10.1.0.1");
    assert_eq!(namespace.advertised_ip(&[]), address("10.1.0.5"));
    assert_eq!(namespace.advertised_ip(&["10.9.9.9:8002"]), address("10.1.0.5"));
}

#[test]
fn an_ipv6_only_host_advertises_its_global_address() {
    let namespace = Namespace::new();
    namespace
        .link("eth0", &["fe80::5/64", "fd00:1::5/64"])
        .ip("-6 route add default via fd00:1::1");
    assert_eq!(namespace.advertised_ip(&["[fd00:2::1]:65003"]), address("fd00:1::5"));
    assert_eq!(namespace.advertised_ip(&[]), address("fd00:1::5"));
}

#[test]
fn a_multi_homed_host_advertises_the_address_toward_its_manager() {
    let namespace = Namespace::new();
    namespace
        .link("eth0", &["10.1.0.5/24"])
        .link("eth1", &["10.2.0.5/24"])
        .ip("route add default via 10.1.0.1")
        .ip("route add 10.20.0.0/16 via 10.2.0.1");
    assert_eq!(namespace.advertised_ip(&["10.20.3.4:65003"]), address("10.2.0.5"));
    assert_eq!(namespace.advertised_ip(&["8.8.8.8:65003"]), address("10.1.0.5"));
}

#[test]
fn the_first_manager_that_can_be_routed_to_decides() {
    let namespace = Namespace::new();
    namespace.link("eth0", &["10.1.0.5/24"]).link("eth1", &["fd00:2::5/64"]);
    let toward = ["192.168.7.7:65003", "[fd00:2::9]:65003", "10.1.0.9:65003"];
    assert_eq!(namespace.advertised_ip(&toward), address("fd00:2::5"));
}

#[test]
fn a_manager_on_this_host_does_not_make_loopback_the_address() {
    let namespace = Namespace::new();
    namespace.link("eth0", &["10.1.0.5/24"]);
    assert_eq!(namespace.advertised_ip(&["127.0.0.1:65003"]), address("10.1.0.5"));
}

#[test]
fn the_docker_bridge_is_advertised_only_if_nothing_else_is_there() {
    let namespace = Namespace::new();
    namespace.link("docker0", &["172.17.0.1/16"]);
    assert_eq!(namespace.advertised_ip(&["172.17.0.9:65003"]), address("172.17.0.1"));
    namespace.link("eth0", &["10.1.0.5/24"]);
    assert_eq!(namespace.advertised_ip(&["172.17.0.9:65003"]), address("10.1.0.5"));
}

#[test]
fn a_link_local_address_is_advertised_only_if_nothing_else_is_there() {
    let namespace = Namespace::new();
    namespace.link("eth0", &["169.254.7.7/16"]);
    assert_eq!(namespace.advertised_ip(&[]), address("169.254.7.7"));
    namespace.link("eth1", &["10.1.0.5/24"]);
    assert_eq!(namespace.advertised_ip(&["169.254.1.1:65003"]), address("10.1.0.5"));
}

#[test]
fn a_host_without_a_network_advertises_loopback() {
    let namespace = Namespace::new();
    assert_eq!(namespace.advertised_ip(&["10.1.0.9:65003"]), address("127.0.0.1"));
}
