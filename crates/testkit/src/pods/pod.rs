//! One pod: its init containers in their order, then its containers, ready when each has answered well.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use super::container::Container;
use super::objects::Labels;
use super::oci::{self, Surroundings};
use super::plan::Planned;
use super::spec::{self, Ask};
use super::{Node, Pods, Release, volumes};
use crate::client;
use crate::collector::Collector;
use crate::lab::Host;

const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const ASK_WITHIN: Duration = Duration::from_secs(3);
const JAEGER: &str = "docker.io/jaegertracing/jaeger:";
const OTLP: &str = "otlp-grpc";

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    namespace: String,
    name: String,
    labels: Labels,
    ip: Ipv4Addr,
    containers: Vec<(spec::Container, Container)>,
    collector: Option<Collector>,
}

impl Pod {
    pub(super) async fn start(pods: &Pods, release: &Release, planned: &Planned) -> Result<Self> {
        let host = pods.network.host(&planned.host)?;
        let node = planned.node.as_ref();
        let node = node.and_then(|name| pods.nodes.iter().find(|node| node.host().name == *name));
        let dir = pods.dir.path().join(&planned.namespace).join(&planned.name);
        let volumes_dir = dir.join("volumes");
        std::fs::create_dir_all(&volumes_dir)?;
        volumes::write(planned, &release.objects, node, &volumes_dir)?;
        let mut pod = Self {
            namespace: planned.namespace.clone(),
            name: planned.name.clone(),
            labels: planned.labels.clone(),
            ip: host.ip,
            containers: Vec::new(),
            collector: None,
        };
        let kubelet = Kubelet {
            pods,
            planned,
            host,
            node,
            dir: &dir,
        };
        for container in &planned.spec.init_containers {
            kubelet.start(container)?.done().await?;
        }
        for container in &planned.spec.containers {
            if container.image.starts_with(JAEGER) {
                pod.collector = Some(stand_in(host, container)?);
            } else {
                pod.containers.push((container.clone(), kubelet.start(container)?));
            }
        }
        Ok(pod)
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The collector that stands in Jaeger's place, if it is Jaeger's.
    #[must_use]
    pub fn collector(&self) -> Option<&Collector> {
        self.collector.as_ref()
    }

    /// Everything that its containers have logged.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn log(&self) -> Result<String> {
        self.containers.iter().map(|(_, container)| container.log()).collect()
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When one of its containers ends, or it takes too long.
    pub(super) async fn until_ready(&mut self) -> Result<()> {
        let end = Instant::now() + READY_WITHIN;
        for (said, container) in &mut self.containers {
            let Some(probe) = &said.readiness_probe else { continue };
            loop {
                container.runs().await?;
                let answer = answers(&probe.ask, said, self.ip, container).await;
                if matches!(answer, Ok(true)) {
                    break;
                }
                if Instant::now() > end {
                    let log = container.log()?;
                    bail!("{} was not ready within {READY_WITHIN:?}: {answer:?}\n{log}", self.name);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }
}

/// What runs the containers of one pod.
struct Kubelet<'a> {
    pods: &'a Pods,
    planned: &'a Planned,
    host: &'a Host,
    node: Option<&'a Node>,
    dir: &'a Path,
}

impl Kubelet<'_> {
    fn start(&self, container: &spec::Container) -> Result<Container> {
        let image = self.pods.images.get(&container.image)?;
        let dir = self.dir.join(&container.name);
        std::fs::create_dir_all(&dir)?;
        let mut mounts = volumes::mounts(container, &self.dir.join("volumes"))?;
        mounts.push((self.pods.write_hosts(dir.join("hosts"))?, "/etc/hosts".into(), false));
        let around = Surroundings {
            // A pod in its node's network has its name, too.
            hostname: match self.node {
                Some(node) if self.planned.spec.host_network => &node.host().name,
                _ => &self.planned.name,
            },
            network: &self.host.namespace,
            node: self.node.filter(|_| self.planned.spec.host_pid).map(Node::process),
            mounts,
        };
        let security = &self.planned.spec.security_context;
        let config =
            oci::config(container, &image.entrypoint, security, &around).with_context(|| self.planned.name.clone())?;
        let id = format!("{}-{}-{}", self.host.namespace, self.planned.name, container.name);
        Container::start(&id, &dir, &self.pods.dir.path().join("runc"), (&image, &config))
    }
}

/// A collector at the port of the pod that takes traces.
fn stand_in(host: &Host, container: &spec::Container) -> Result<Collector> {
    let port = container.port(&spec::Target::Name(OTLP.to_owned()));
    let port = port.with_context(|| format!("{} has no port {OTLP}", container.name))?;
    Collector::on(host.listen(port)?)
}

async fn answers(ask: &Ask, said: &spec::Container, ip: Ipv4Addr, container: &Container) -> Result<bool> {
    match ask {
        Ask::HttpGet { path, port, scheme } => {
            let port = said
                .port(port)
                .with_context(|| format!("{} has no port {port:?}", said.name))?;
            let url = format!("{}://{ip}:{port}{path}", scheme.to_lowercase());
            let client = client::builder()?.timeout(ASK_WITHIN).build()?;
            Ok(client.get(url).send().await?.status().is_success())
        }
        Ask::Grpc { port } => {
            let channel = tonic::transport::Endpoint::from_shared(format!("http://{ip}:{port}"))?
                .timeout(ASK_WITHIN)
                .connect()
                .await?;
            let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
            let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await?;
            let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
            Ok(answer.into_inner().status == i32::from(serving))
        }
        Ask::Exec { command } => container.ask(command).await,
    }
}
