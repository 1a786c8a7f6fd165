//! Which pods there will be, on which hosts, and what the names of services lead to.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::objects::{Labels, Objects, Workload, finds};
use super::spec::{Spec, Target};
use super::{CLUSTER, Release};
use crate::lab::Network;

/// What a cluster has for itself; the rest serves all clusters.
const MEMBERS: [&str; 3] = ["scheduler", "seed-peer", "dfdaemon"];

/// A pod that is going to be.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) spec: Spec,
    pub(super) claims: Vec<String>,
    /// The node that it is on, if that makes a difference.
    pub(super) node: Option<String>,
    /// The host that it is, or its node's.
    pub(super) host: String,
    /// The moment at which it is made, if that isn't the installation.
    pub(super) hook: Option<String>,
}

impl Planned {
    /// The cluster whose part it is, if it is that of one.
    pub(super) fn cluster(&self) -> Option<&str> {
        let component = self.labels.get("component")?;
        let is_member = MEMBERS.contains(&component.as_str());
        self.spec
            .node_selector
            .get(CLUSTER)
            .filter(|_| is_member)
            .map(String::as_str)
    }
}

/// The pods of all workloads of a release.
pub(super) fn pods(namespace: &str, objects: &Objects, nodes: &[(&str, Labels)]) -> Result<Vec<Planned>> {
    let mut pods = Vec::new();
    for workload in objects.workloads() {
        let spec: Spec = serde_json::from_value(workload.pod["spec"].clone())
            .with_context(|| format!("the lab can't do what {} {} says", workload.kind, workload.name))?;
        for (name, node) in places(&workload, &spec, nodes)? {
            pods.push(Planned {
                namespace: namespace.to_owned(),
                name,
                labels: workload.labels(),
                spec: spec.clone(),
                claims: workload.claims.clone(),
                host: node.clone().unwrap_or_default(),
                node,
                hook: workload.hook.clone(),
            });
        }
    }
    Ok(pods)
}

/// The names of a workload's pods, and of the nodes of those that are on one each.
fn places(workload: &Workload, spec: &Spec, nodes: &[(&str, Labels)]) -> Result<Vec<(String, Option<String>)>> {
    let name = &workload.name;
    if workload.kind == "DaemonSet" {
        let ours = nodes.iter().filter(|(_, labels)| finds(&spec.node_selector, labels));
        let places = ours.map(|(node, _)| (format!("{name}-{node}"), Some((*node).to_owned())));
        return Ok(places.collect());
    }
    ensure!(!spec.host_network, "the lab puts {name} on no node");
    Ok((0..workload.replicas).map(|n| (format!("{name}-{n}"), None)).collect())
}

/// What the services' names lead to.
pub(super) fn services(
    releases: &BTreeMap<String, Release>,
    network: &Network,
) -> Result<BTreeMap<String, Vec<Ipv4Addr>>> {
    let mut names = BTreeMap::new();
    for (namespace, release) in releases {
        for (name, service) in release.objects.of("Service") {
            let selector: Labels = serde_json::from_value(service["spec"]["selector"].clone())?;
            let mut addresses = Vec::new();
            for pod in release.pods.iter().filter(|pod| finds(&selector, &pod.labels)) {
                let ports = service["spec"]["ports"].as_array().into_iter().flatten();
                for port in ports {
                    same_port(pod, port).with_context(|| format!("service {name}"))?;
                }
                addresses.push(network.host(&pod.host)?.ip);
            }
            ensure!(!addresses.is_empty(), "service {name} selects no pod");
            names.insert(full_name(name, namespace), addresses);
        }
    }
    Ok(names)
}

/// A name leads to the pods themselves, so a service's port must be theirs.
fn same_port(pod: &Planned, port: &Value) -> Result<()> {
    let number = port["port"].as_u64().context("a port has a number")?;
    let target: Target = match port.get("targetPort") {
        Some(target) => serde_json::from_value(target.clone())?,
        None => Target::Number(u16::try_from(number)?),
    };
    let Some(container) = pod.spec.containers.first() else {
        bail!("{} has no container", pod.name);
    };
    let led_to = container.port(&target);
    ensure!(
        led_to.is_some_and(|led_to| u64::from(led_to) == number),
        "port {number} is {led_to:?} in {}",
        pod.name
    );
    Ok(())
}

/// A service's name everywhere.
pub(super) fn full_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.cluster.local")
}
