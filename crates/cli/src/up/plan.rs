//! Who listens where and keeps what where, when everything runs in one process. Pure: from the files' contents to the
//! programs' configurations.

use crate::failure::Failure;
use crate::program::Program;
use dragonfly_peer::Peer;
use dragonfly_service::config::Problems;
use dragonfly_service::telemetry::{Protocol, Traces};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Between the ports of one peer and those of the next.
const PEER_STEP: u16 = 100;
/// Between the ports of a peer and those of the seed peer.
const SEED_STEP: u16 = 10_000;
/// Where the scheduler's metrics are told, since the manager's have the usual port.
const SCHEDULER_METRICS: u16 = 8001;
/// The cluster that a manager's first start makes.
const CLUSTER: u64 = 1;

/// The contents of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) manager: dragonfly_manager::config::Raw,
    pub(super) scheduler: dragonfly_scheduler::config::Raw,
    pub(super) seed: dragonfly_peer::config::Raw,
    pub(super) peer: dragonfly_peer::config::Raw,
}

/// Where the cluster lives.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) ip: IpAddr,
    pub(super) data_dir: PathBuf,
    /// Name of this host; each peer's name starts with it.
    pub(super) host: String,
    pub(super) peers: u16,
}

/// A configuration for each program.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) manager: dragonfly_manager::Config,
    pub(super) scheduler: dragonfly_scheduler::Config,
    pub(super) seed: dragonfly_peer::Config,
    pub(super) peers: Vec<dragonfly_peer::Config>,
    /// Where the traces of all of them go, and under which name.
    pub(super) traces: Option<Traces>,
}

/// A peer's part of the plan.
struct PeerPlace {
    /// Name of its directory, and the end of its host name.
    name: String,
    step: u16,
    seed: bool,
}

impl Plan {
    /// All programs' configurations, or everything that is wrong with the first that is impossible.
    pub(super) fn new(files: Files, place: &Place) -> Result<Self, Failure> {
        let manager = manager(files.manager, place)?;
        let traces = traces(&files.peer, &manager)?;
        let seed = PeerPlace {
            name: "seed".to_owned(),
            step: SEED_STEP,
            seed: true,
        };
        let peers = (0..place.peers).map(|n| {
            let peer = PeerPlace {
                name: format!("peer-{}", n + 1),
                step: PEER_STEP * n,
                seed: false,
            };
            self::peer(files.peer.clone(), &peer, place, manager.grpc.addr)
        });
        Ok(Self {
            scheduler: scheduler(files.scheduler, place, manager.grpc.addr)?,
            seed: self::peer(files.seed, &seed, place, manager.grpc.addr)?,
            peers: peers.collect::<Result<_, _>>()?,
            traces,
            manager,
        })
    }
}

/// Where the peers' file says; without that to our own manager, if it takes traces in the clear. One process is one service to
/// those who look: that of the peers, whose pulls they look for.
fn traces(raw: &dragonfly_peer::config::Raw, manager: &dragonfly_manager::Config) -> Result<Option<Traces>, Failure> {
    let (service, tracing) = <Peer as Program>::tracing(raw);
    let mut tracing = tracing.clone();
    if tracing.endpoint.is_empty()
        && let Some(own) = receiver(manager)
    {
        tracing.protocol = Some(Protocol::Grpc);
        tracing.endpoint = own.to_string();
    }
    let traces = tracing.traces(service);
    traces.map_err(|error| Failure::config(&error).within("peers"))
}

fn receiver(manager: &dragonfly_manager::Config) -> Option<SocketAddr> {
    let otlp = manager.otlp.as_ref()?;
    let beside = manager.grpc.tls.is_none().then_some(manager.grpc.addr);
    otlp.listen.or(beside)
}

fn manager(mut raw: dragonfly_manager::config::Raw, place: &Place) -> Result<dragonfly_manager::Config, Failure> {
    raw.server.data_dir = place.data_dir.join("manager");
    raw.server.grpc.listen_ip = Some(place.ip.to_string());
    raw.server.rest.addr = on(place.ip, &raw.server.rest.addr);
    raw.metrics.enable = true;
    raw.metrics.addr = on(place.ip, &raw.metrics.addr);
    raw.otlp.listen = match raw.otlp.listen.as_str() {
        "" => String::new(),
        listen => on(place.ip, listen),
    };
    raw.database.sqlite.path = None;
    checked("manager", raw)
}

fn scheduler(
    mut raw: dragonfly_scheduler::config::Raw,
    place: &Place,
    manager: SocketAddr,
) -> Result<dragonfly_scheduler::Config, Failure> {
    raw.server.listen_ip = Some(place.ip.to_string());
    raw.server.advertise_ip = Some(place.ip.to_string());
    raw.server.advertise_port = None;
    raw.server.host = Some(place.host.clone());
    raw.server.data_dir = place.data_dir.join("scheduler");
    raw.manager.addr = Some(manager.to_string());
    raw.manager.scheduler_cluster_id = CLUSTER;
    raw.metrics.enable = true;
    raw.metrics.addr = SocketAddr::new(place.ip, SCHEDULER_METRICS).to_string();
    checked("scheduler", raw)
}

fn peer(
    mut raw: dragonfly_peer::config::Raw,
    peer: &PeerPlace,
    place: &Place,
    manager: SocketAddr,
) -> Result<dragonfly_peer::Config, Failure> {
    let home = place.data_dir.join(&peer.name);
    let mut problems = Problems::new();
    let mut shift = |key: &str, port: u16| {
        let shifted = port.checked_add(peer.step);
        problems.require(
            shifted.is_some(),
            key,
            port,
            "use a lower port: those of further peers lie above",
        );
        shifted.unwrap_or(port)
    };
    raw.upload.server.port = shift("upload.server.port", raw.upload.server.port);
    raw.storage.server.tcp_port = shift("storage.server.tcpPort", raw.storage.server.tcp_port);
    raw.proxy.server.port = shift("proxy.server.port", raw.proxy.server.port);
    raw.metrics.server.port = Some(shift("metrics.server.port", raw.metrics.server.port.unwrap_or(4002)));
    raw.health.server.port = Some(shift("health.server.port", raw.health.server.port.unwrap_or(4003)));
    raw.upload.server.ip = Some(place.ip);
    raw.storage.server.ip = Some(place.ip);
    raw.proxy.server.ip = Some(place.ip);
    raw.metrics.server.ip = Some(place.ip);
    raw.health.server.ip = Some(place.ip);
    raw.host.ip = Some(place.ip);
    raw.host.hostname = Some(format!("{}-{}", place.host, peer.name));
    raw.download.server.socket_path = home.join("dfdaemon.sock");
    raw.storage.dir = home.join("data");
    raw.manager.addr = Some(manager.to_string());
    raw.seed_peer.enable = peer.seed;
    raw.seed_peer.cluster_id = peer.seed.then_some(CLUSTER);
    problems
        .into_result(())
        .map_err(|error| Failure::config(&error).within(&peer.name))?;
    checked(&peer.name, raw)
}

/// The same port on this address; what is no port stays for the program to complain about.
fn on(ip: IpAddr, listen: &str) -> String {
    let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.map_or_else(|| listen.to_owned(), |port| SocketAddr::new(ip, port).to_string())
}

fn checked<R, C>(whose: &str, raw: R) -> Result<C, Failure>
where
    C: TryFrom<R, Error = dragonfly_service::config::Error>,
{
    C::try_from(raw).map_err(|error| Failure::config(&error).within(whose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(peers: u16) -> Place {
        Place {
            ip: "10.0.0.5".parse().unwrap(),
            data_dir: "/data".into(),
            host: "node".to_owned(),
            peers,
        }
    }

    #[test]
    fn every_listener_has_an_address_of_its_own() {
        let plan = Plan::new(Files::default(), &place(32)).unwrap();
        let peer = |config: &dragonfly_peer::Config| {
            [
                config.upload.grpc,
                config.upload.pieces,
                config.proxy.addr,
                config.metrics,
                config.health,
            ]
        };
        let mut all: Vec<SocketAddr> = plan.peers.iter().chain([&plan.seed]).flat_map(peer).collect();
        all.extend([plan.manager.rest.addr, plan.manager.grpc.addr]);
        all.extend(plan.manager.metrics);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|addr| addr.ip() == place(1).ip));
    }

    #[test]
    fn peers_have_upstreams_ports_in_steps_and_names_of_their_own() {
        let plan = Plan::new(Files::default(), &place(2)).unwrap();
        let [first, second] = plan.peers.as_slice() else {
            panic!("two peers were asked for");
        };
        assert_eq!((first.proxy.addr.port(), second.proxy.addr.port()), (4001, 4101));
        assert_eq!(plan.seed.upload.grpc.port(), 14_000);
        assert_eq!(second.host.hostname.as_deref(), Some("node-peer-2"));
        assert_eq!(plan.seed.host.hostname.as_deref(), Some("node-seed"));
        assert_eq!(second.download.socket, PathBuf::from("/data/peer-2/dfdaemon.sock"));
        assert!(plan.seed.seed.is_some() && first.seed.is_none());
    }

    #[test]
    fn traces_go_to_our_own_manager_unless_a_file_says_otherwise() {
        let traces = |change: fn(&mut Files)| {
            let mut files = Files::default();
            change(&mut files);
            let plan = Plan::new(files, &place(1)).unwrap();
            plan.traces.map(|traces| format!("{traces:?}"))
        };
        assert!(traces(|_| {}).unwrap().contains("http://10.0.0.5:65003"));
        let door = |files: &mut Files| files.manager.otlp.listen = ":4317".to_owned();
        assert!(traces(door).unwrap().contains("http://10.0.0.5:4317"));
        assert!(
            traces(|files| files.peer.tracing.endpoint = "jaeger:4317".to_owned())
                .unwrap()
                .contains("http://jaeger:4317")
        );
        assert_eq!(traces(|files| files.manager.otlp.enable = Some(false)), None);
    }

    #[test]
    fn ports_of_a_file_are_the_first_peers() {
        let mut files = Files::default();
        files.peer.proxy.server.port = 65001;
        let plan = Plan::new(files.clone(), &place(2)).unwrap();
        assert_eq!(plan.peers[1].proxy.addr.port(), 65101);
        let failure = Plan::new(files, &place(32)).unwrap_err();
        assert_eq!(failure.code(), dragonfly_service::exit::BAD_CONFIG);
        assert!(
            failure
                .to_string()
                .starts_with("peer-7: proxy.server.port can't be 65001"),
            "{failure}"
        );
    }
}
