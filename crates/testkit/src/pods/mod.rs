//! Pods as processes: what a chart's manifests say, done on one machine without Kubernetes.
//!
//! Each pod is a host of the lab's network, or its node where it asks for the node's network. Its containers are run by runc
//! as their manifests say: commands, variables, users and capabilities, files of ConfigMaps and Secrets, volumes, probes; init
//! containers come first, one after the other. A service's name leads to the pods that it selects.
//!
//! Of Helm's hooks those before an uninstallation are done, without jobs, which would ask an API whether pods are ready.
//!
//! What is missing: an API, restarts of what ends (that is an error here), limits of resources, network policies. Images come from
//! `images`; in Jaeger's place a collector of OTLP stands, since no package has it.

mod container;
mod cri;
mod images;
mod node;
mod objects;
mod oci;
mod plan;
mod pod;
mod spec;
mod volumes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use tempfile::TempDir;

pub use self::node::Node;
pub use self::objects::{Labels, Objects, Workload};
pub use self::pod::Pod;

use self::images::Images;
use self::plan::Planned;
use crate::lab::{Host, Network, Segment};

/// Where what is outside of Kubernetes lives.
const OUTSIDE: &str = "outside";
/// The hook of Helm that comes before a release goes.
const BEFORE_THE_END: &str = "pre-delete";
/// The label of a node that says which cluster it is part of.
const CLUSTER: &str = "cluster";

/// Nodes, and the releases that are installed on them.
#[derive(Debug)]
pub struct Pods {
    running: Vec<Pod>,
    /// The nodes, in the order in which they were named.
    pub nodes: Vec<Node>,
    /// The pods and nodes as hosts.
    pub network: Network,
    releases: BTreeMap<String, Release>,
    /// What names lead to.
    names: BTreeMap<String, Vec<Ipv4Addr>>,
    images: Images,
    dir: TempDir,
}

/// What is installed as one.
#[derive(Debug)]
struct Release {
    objects: Objects,
    pods: Vec<Planned>,
}

impl Pods {
    /// Makes the nodes, of which each has a name and labels, and a network for them and for all pods that the releases, each in
    /// a namespace, are going to have. Our image is unpacked from the OCI layout.
    ///
    /// # Errors
    /// When a manifest says what the lab can't do, or a node doesn't come up.
    pub async fn prepare(layout: &Path, nodes: &[(&str, Labels)], releases: &[(&str, &Objects)]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("dragonfly-pods-").tempdir()?;
        let images = Images::make(layout, &dir.path().join("images"))?;
        let mut planned = BTreeMap::new();
        for (namespace, objects) in releases {
            let release = Release {
                pods: plan::pods(namespace, objects, nodes)?,
                objects: (*objects).clone(),
            };
            planned.insert((*namespace).to_owned(), release);
        }
        let network = network(nodes, planned.values_mut().flat_map(|release| &mut release.pods))?;
        let mut pods = Self {
            running: Vec::new(),
            nodes: Vec::new(),
            names: plan::services(&planned, &network)?,
            network,
            releases: planned,
            images,
            dir,
        };
        for (name, labels) in nodes {
            let at = pods.dir.path().join("nodes").join(name);
            let node = Node::start(pods.network.host(name)?, labels.clone(), at).await?;
            pods.nodes.push(node);
        }
        Ok(pods)
    }

    /// The host of what is outside: pods find it by this name, nodes don't, and its certificates are trusted by programs of ours if they
    /// come from `authority`.
    ///
    /// # Errors
    /// When the authority's certificate can't be read.
    pub fn outside(&mut self, name: &str, authority: &Path) -> Result<()> {
        let ip = self.network.host(OUTSIDE)?.ip;
        self.names.insert(name.to_owned(), vec![ip]);
        self.images.trust(authority)
    }

    /// The host on which runs what is outside.
    ///
    /// # Errors
    /// Never, once there is a network.
    pub fn outside_host(&self) -> Result<&Host> {
        self.network.host(OUTSIDE)
    }

    /// `helm install --wait`: starts all pods of a release at once and waits until each is ready.
    ///
    /// # Errors
    /// When a pod doesn't come up, or ends.
    pub async fn install(&mut self, namespace: &str) -> Result<()> {
        let started = self.start(namespace, None).await?;
        self.running.extend(started);
        Ok(())
    }

    /// `helm uninstall`: before the pods of a release end, those come up that are made for that, as its hooks say.
    ///
    /// # Errors
    /// When such a pod doesn't come up.
    pub async fn uninstall(&mut self, namespace: &str) -> Result<()> {
        drop(self.start(namespace, Some(BEFORE_THE_END)).await?);
        self.running.retain(|pod| pod.namespace() != namespace);
        Ok(())
    }

    /// The pods of a release that are made at this moment, when all are ready.
    async fn start(&self, namespace: &str, hook: Option<&str>) -> Result<Vec<Pod>> {
        let release = self.releases.get(namespace);
        let release = release.with_context(|| format!("no release was prepared for {namespace}"))?;
        let of_moment = release.pods.iter().filter(|pod| pod.hook.as_deref() == hook);
        let mut started = try_join_all(of_moment.map(|pod| Pod::start(self, release, pod))).await?;
        try_join_all(started.iter_mut().map(Pod::until_ready)).await?;
        Ok(started)
    }

    /// The running pods that a selector finds in a namespace.
    #[must_use]
    pub fn selected(&self, namespace: &str, selector: &Labels) -> Vec<&Pod> {
        let of_namespace = self.running.iter().filter(|pod| pod.namespace() == namespace);
        of_namespace
            .filter(|pod| objects::finds(selector, pod.labels()))
            .collect()
    }

    /// The running pods of a component.
    #[must_use]
    pub fn component(&self, namespace: &str, component: &str) -> Vec<&Pod> {
        self.selected(
            namespace,
            &Labels::from([("component".to_owned(), component.to_owned())]),
        )
    }

    /// The address that a service's name leads to, if it is that of one pod.
    ///
    /// # Errors
    /// When there is no such service, or several pods.
    pub fn service(&self, namespace: &str, name: &str) -> Result<Ipv4Addr> {
        let addresses = self.names.get(&plan::full_name(name, namespace));
        match addresses.map(Vec::as_slice) {
            Some([address]) => Ok(*address),
            other => bail!("{name} in {namespace} leads to {other:?}"),
        }
    }

    /// What a pod finds under `/etc/hosts`, in a file of its own.
    fn write_hosts(&self, to: PathBuf) -> Result<PathBuf> {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (name, addresses) in &self.names {
            for address in addresses {
                text.push_str(&format!("{address} {name}\n"));
            }
        }
        std::fs::write(&to, text)?;
        Ok(to)
    }
}

/// The hosts: what both clusters use in the core, their own pods and nodes apart from each other.
fn network<'a>(nodes: &[(&str, Labels)], pods: impl Iterator<Item = &'a mut Planned>) -> Result<Network> {
    let mut segments: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, labels) in nodes {
        let cluster = labels
            .get(CLUSTER)
            .with_context(|| format!("{name} is in no cluster"))?;
        segments.entry(cluster.clone()).or_default().push((*name).to_owned());
    }
    let mut core = vec![OUTSIDE.to_owned()];
    for (number, pod) in pods.enumerate().filter(|(_, pod)| !pod.spec.host_network) {
        pod.host = format!("pod-{number}");
        let hosts = match pod.cluster() {
            Some(cluster) => segments
                .get_mut(cluster)
                .with_context(|| format!("no node has {cluster:?}"))?,
            None => &mut core,
        };
        hosts.push(pod.host.clone());
    }
    let core = Segment {
        name: "core".to_owned(),
        hosts: core,
    };
    let clusters: Vec<Segment> = segments
        .into_iter()
        .map(|(name, hosts)| Segment { name, hosts })
        .collect();
    Network::create(&core, &clusters)
}
