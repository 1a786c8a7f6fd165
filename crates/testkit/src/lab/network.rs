//! Hosts as network namespaces: segments (a core and clusters) behind one router, links with a rate, and a count of
//! every packet that tries to go from cluster to cluster.
//!
//! The router keeps clusters apart unless [`Network::open`] is asked for; all reach the core. The machine that runs the
//! lab reaches every host, by a link of its own to the router. What a network was made of is gone when it is dropped;
//! what a killed process left is cleared by the next [`Network::create`] and by [`clear_left_behind`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::slot::Slot;
use crate::packages::{self, IP, NFT};
use crate::place::Place;
use crate::process::said_by;

const ROUTER: &str = "router";
/// Where namespaces are by their names.
const NAMESPACES: &str = "/var/run/netns";
const TC: &str = "/sbin/tc";
/// The router's counter of packets between clusters.
const COUNTER: &str = "crossed";
/// The segment of the link between the machine and the router.
const MACHINE: u8 = 255;
const GATEWAY: u8 = 1;
/// Hosts of a segment have the addresses from here on.
const FIRST_HOST: u8 = 10;
/// A link's name has at most 15 characters, of which the lab's number takes some.
const LONGEST_NAME: usize = 10;

/// A part of the network: its hosts reach each other without the router.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// The names of its hosts, each of a kind in the whole lab and no longer than 10 characters.
    pub hosts: Vec<String>,
}

/// How much a link carries, in bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// So many million bits per second.
    #[must_use]
    pub fn mbit(millions: u64) -> Self {
        Self(millions * 1_000_000)
    }

    /// Bytes per second.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0 / 8
    }

    /// Bytes that may leave at once: enough for the kernel's largest segment, and for 10 ms.
    fn burst(self) -> u64 {
        (self.bytes() / 100).max(128 * 1024)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1000)];
        let parsed = units.iter().find_map(|(unit, bits)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*bits).filter(|rate| *rate > 0)
        });
        parsed
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no rate; write for instance 400mbit, 1gbit or 500kbit"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000_000_000) {
            write!(to, "{}gbit", self.0 / 1_000_000_000)
        } else if self.0.is_multiple_of(1_000_000) {
            write!(to, "{}mbit", self.0 / 1_000_000)
        } else {
            write!(to, "{}kbit", self.0 / 1000)
        }
    }
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its namespace.
    pub namespace: String,
    /// The router's end of its link.
    plug: String,
}

impl Host {
    /// Where its programs run.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::Namespace(self.namespace.clone())
    }

    /// A port of the host at which the test itself answers.
    ///
    /// # Errors
    /// When the kernel doesn't let us in, or the port is taken.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let namespace = File::open(Path::new(NAMESPACES).join(&self.namespace))?;
        let address = (self.ip, port);
        // A socket stays where it was made. It is a thread that is in a namespace, so one that ends goes there.
        let made = std::thread::spawn(move || -> Result<TcpListener> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(TcpListener::bind(address)?)
        });
        let made = made.join().ok().context("the thread that listens panicked")?;
        made.with_context(|| format!("listening at {}:{port}", self.ip))
    }
}

/// A running network.
#[derive(Debug)]
pub struct Network {
    slot: Slot,
    router: String,
    hosts: BTreeMap<String, Host>,
    /// The numbers of the segments that are clusters.
    clusters: Vec<u8>,
}

impl Network {
    /// Makes the hosts of `core`, which all others reach, and of the clusters, which don't reach each other.
    ///
    /// # Errors
    /// When the packages are missing and can't be installed, this is not root, or the kernel refuses something.
    pub fn create(core: &Segment, clusters: &[Segment]) -> Result<Self> {
        packages::require(&[IP, NFT])?;
        let slot = Slot::take()?;
        clear(&slot)?;
        let router = format!("{}{ROUTER}", slot.prefix());
        let mut network = Self {
            slot,
            router,
            hosts: BTreeMap::new(),
            clusters: Vec::new(),
        };
        network.lay_router()?;
        network.lay_segment(0, core)?;
        for (number, cluster) in (1..).zip(clusters) {
            network.lay_segment(number, cluster)?;
            network.clusters.push(number);
        }
        network.filter("drop")?;
        Ok(network)
    }

    /// A host by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        let names = || self.hosts.keys().cloned().collect::<Vec<_>>().join(", ");
        let host = self.hosts.get(name);
        host.with_context(|| format!("no host {name}; there are {}", names()))
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Which lab this is.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Limits what a host sends and receives, each to `rate`, or lifts the limit.
    ///
    /// # Errors
    /// When there is no such host, or the kernel refuses.
    pub fn shape(&self, host: &str, rate: Option<Rate>) -> Result<()> {
        let host = self.host(host)?;
        let ends = [(host.place(), "eth0"), (self.router_place(), host.plug.as_str())];
        for (place, link) in ends {
            let mut command = place.command(TC);
            match rate {
                Some(rate) => {
                    let (bits, burst) = (format!("{}bit", rate.0), rate.burst().to_string());
                    command
                        .args(["qdisc", "replace", "dev", link, "root", "tbf"])
                        .args(["rate", &bits, "burst", &burst, "latency", "200ms"]);
                }
                None => {
                    // The kernel's own discipline in the place of whatever is there.
                    command.args(["qdisc", "replace", "dev", link, "root", "pfifo_fast"]);
                }
            }
            said_by(&mut command)?;
        }
        Ok(())
    }

    /// Opens the way between clusters: from now on only the programs themselves keep them apart.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(&self) -> Result<()> {
        self.filter("accept")
    }

    /// How many packets went, or tried to go, from cluster to cluster since the way was last closed or opened.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn crossed(&self) -> Result<u64> {
        let mut command = self.router_place().command(NFT.1);
        let listed = said_by(command.args(["--json", "list", "counter", "inet", "lab", COUNTER]))?;
        let listed: Value = serde_json::from_str(&listed)?;
        let packets = listed["nftables"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|entry| entry["counter"]["packets"].as_u64());
        packets.with_context(|| format!("no counter in {listed}"))
    }

    fn router_place(&self) -> Place {
        Place::Namespace(self.router.clone())
    }

    fn lay_router(&self) -> Result<()> {
        let (machine, router) = (format!("{}root", self.slot.prefix()), self.router.as_str());
        let [gateway, own] = [1, 2].map(|host| self.slot.address(MACHINE, host));
        ip(&["netns", "add", router])?;
        ip(&["-n", router, "link", "set", "lo", "up"])?;
        let mut forward = self.router_place().command("/bin/sh");
        said_by(forward.args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))?;
        ip(&[
            "link", "add", &machine, "type", "veth", "peer", "name", "machine", "netns", router,
        ])?;
        ip(&["addr", "add", &format!("{own}/30"), "dev", &machine])?;
        ip(&["link", "set", &machine, "up"])?;
        ip(&["-n", router, "addr", "add", &format!("{gateway}/30"), "dev", "machine"])?;
        ip(&["-n", router, "link", "set", "machine", "up"])?;
        let all = format!("{}/16", self.slot.address(0, 0));
        ip(&["route", "replace", &all, "via", &gateway.to_string()])?;
        Ok(())
    }

    fn lay_segment(&mut self, number: u8, segment: &Segment) -> Result<()> {
        let (router, bridge) = (self.router.as_str(), format!("br-{number}"));
        let gateway = self.slot.address(number, GATEWAY);
        ip(&["-n", router, "link", "add", &bridge, "type", "bridge"])?;
        ip(&["-n", router, "addr", "add", &format!("{gateway}/24"), "dev", &bridge])?;
        ip(&["-n", router, "link", "set", &bridge, "up"])?;
        for (at, name) in (FIRST_HOST..).zip(&segment.hosts) {
            ensure!(
                name.len() <= LONGEST_NAME,
                "{name:?} is longer than {LONGEST_NAME} characters"
            );
            ensure!(!self.hosts.contains_key(name), "two hosts are called {name:?}");
            let host = Host {
                name: name.clone(),
                ip: self.slot.address(number, at),
                namespace: format!("{}{name}", self.slot.prefix()),
                plug: format!("to-{name}"),
            };
            lay_host(&host, &self.router, &bridge, gateway)?;
            self.hosts.insert(name.clone(), host);
        }
        Ok(())
    }

    /// Sets what becomes of packets between clusters; they are counted in any case, from 0 on.
    fn filter(&self, verdict: &str) -> Result<()> {
        let of = |number: &u8| format!("{}/24", self.slot.address(*number, 0));
        let mut rules = String::new();
        for from in &self.clusters {
            for to in self.clusters.iter().filter(|to| *to != from) {
                let (from, to) = (of(from), of(to));
                rules.push_str(&format!(
                    "    ip saddr {from} ip daddr {to} counter name {COUNTER} {verdict}\n"
                ));
            }
        }
        let table = format!(
            "table inet lab\ndelete table inet lab\ntable inet lab {{\n  counter {COUNTER} {{ }}\n  chain forward {{\n    \
             type filter hook forward priority 0; policy accept;\n{rules}  }}\n}}\n"
        );
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), table)?;
        said_by(self.router_place().command(NFT.1).arg("--file").arg(file.path()))?;
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.slot) {
            eprintln!("clearing the lab {}: {error:#}", self.slot.prefix());
        }
    }
}

/// Ends and removes what labs have left behind that were killed. Returns what there was.
///
/// # Errors
/// When something can't be removed.
pub fn clear_left_behind() -> Result<Vec<String>> {
    packages::require(&[IP])?;
    let mut cleared = Vec::new();
    for slot in Slot::all_free()? {
        cleared.extend(clear(&slot)?);
    }
    Ok(cleared)
}

fn lay_host(host: &Host, router: &str, bridge: &str, gateway: Ipv4Addr) -> Result<()> {
    let namespace = host.namespace.as_str();
    ip(&["netns", "add", namespace])?;
    ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    let link = ["type", "veth", "peer", "name", "eth0", "netns", namespace];
    ip(&[&["-n", router, "link", "add", &host.plug][..], &link].concat())?;
    ip(&["-n", router, "link", "set", &host.plug, "master", bridge, "up"])?;
    ip(&[
        "-n",
        namespace,
        "addr",
        "add",
        &format!("{}/24", host.ip),
        "dev",
        "eth0",
    ])?;
    ip(&["-n", namespace, "link", "set", "eth0", "up"])?;
    ip(&["-n", namespace, "route", "add", "default", "via", &gateway.to_string()])?;
    Ok(())
}

/// Ends what runs in the namespaces of a lab and removes them. Nothing there is no error.
fn clear(slot: &Slot) -> Result<Vec<String>> {
    let prefix = slot.prefix();
    let listed = ip(&["netns", "list"])?;
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    let ours: Vec<String> = names
        .filter(|name| name.starts_with(&prefix))
        .map(str::to_owned)
        .collect();
    for name in &ours {
        for id in ip(&["netns", "pids", name])?.lines() {
            let id = id.trim().parse().with_context(|| format!("a process id: {id:?}"))?;
            // It may have ended by itself.
            kill(Pid::from_raw(id), Signal::SIGKILL).ok();
        }
        ip(&["netns", "delete", name])?;
    }
    // Gone with the router's end, but not at once.
    let machine = format!("{prefix}root");
    if Path::new("/sys/class/net").join(&machine).exists() {
        ip(&["link", "delete", &machine]).ok();
    }
    std::fs::remove_file(slot.description()).ok();
    Ok(ours)
}

fn ip(arguments: &[&str]) -> Result<String> {
    said_by(Command::new(IP.1).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in ["400mbit", "1gbit", "500kbit"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(Rate::mbit(50).bytes(), 6_250_000);
        for text in ["", "400", "0mbit", "-1mbit", "99999999999999gbit", "4 mbit"] {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.contains("400mbit"), "{error}");
        }
    }
}
