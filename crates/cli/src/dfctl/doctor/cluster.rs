//! What this host needs of others: the manager, its clock, the cluster that it chooses, that cluster's schedulers.

use super::super::output;
use super::finding::Finding;
use dragonfly_api::common::Host;
use dragonfly_api::manager::ListSchedulersResponse;
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::scheduler::ListHostsRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_peer::config::Remote;
use dragonfly_peer::{Config, Identity};
use dragonfly_service::chain;
use dragonfly_service::grpc::{self, MAX_MESSAGE_BYTES, Timeouts};
use dragonfly_service::tls::{ClientTls, Files};
use std::time::{Duration, SystemTime};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// How far clocks may differ: leases and tokens are a matter of minutes.
const SKEW: Duration = Duration::from_secs(60);

const MANAGER: &str = "manager";
const CLOCK: &str = "clock";
const CLUSTER: &str = "cluster";
const SCHEDULERS: &str = "schedulers";

/// All of it, in the order in which one needs the other.
pub(super) async fn examine(config: &Config, identity: &Identity) -> Vec<Finding> {
    let Some(manager) = &config.manager else {
        return alone(config, identity).await;
    };
    let asked = match connect(manager).await {
        Ok(client) => ask(client, identity).await,
        Err(reason) => {
            let found = format!("{}: {reason}", manager.addr);
            let remedy = "start the manager, correct manager.addr in dfdaemon.yaml, or open the way to it (port 65003)";
            let lacking = |check| Finding::skipped(check, "the manager does not answer");
            return vec![
                Finding::failed(MANAGER, found, remedy),
                lacking(CLOCK),
                lacking(CLUSTER),
                lacking(SCHEDULERS),
            ];
        }
    };
    let clock = clock(asked.date, SystemTime::now());
    let answers = Finding::ok(MANAGER, format!("{} answers", manager.addr));
    match asked.answer {
        Ok(listed) => {
            let cluster = match listed.schedulers.first() {
                Some(first) => Finding::ok(
                    CLUSTER,
                    format!("this host belongs to cluster {}", first.scheduler_cluster_id),
                ),
                None => no_cluster("the manager named no scheduler", identity),
            };
            let listed = listed.schedulers.iter();
            let port = |port: i32| u16::try_from(port).unwrap_or_default();
            let addrs: Vec<String> = listed.map(|one| output::address(&one.ip, port(one.port))).collect();
            vec![answers, clock, cluster, schedulers(&addrs, config, identity).await]
        }
        Err(status) if is_about_clusters(&status) => vec![
            answers,
            clock,
            no_cluster(status.message(), identity),
            Finding::skipped(SCHEDULERS, "no cluster was found"),
        ],
        Err(status) => {
            let found = format!("{}: {}", manager.addr, status.message());
            let remedy =
                "look into the manager's log; if it is no manager of Dragonfly, correct manager.addr in dfdaemon.yaml";
            let lacking = |check| Finding::skipped(check, "the manager gives no answer");
            vec![
                Finding::failed(MANAGER, found, remedy),
                clock,
                lacking(CLUSTER),
                lacking(SCHEDULERS),
            ]
        }
    }
}

/// Without a manager, the file names the schedulers.
async fn alone(config: &Config, identity: &Identity) -> Vec<Finding> {
    let no_manager = |check| Finding::skipped(check, "manager.addr names no manager");
    let named = &config.schedulers.local;
    let schedulers = match named.is_empty() {
        true => Finding::warning(
            SCHEDULERS,
            "neither a manager nor a scheduler is configured: this host fetches everything from the origin",
            "set manager.addr in dfdaemon.yaml",
        ),
        false => schedulers(named, config, identity).await,
    };
    vec![no_manager(MANAGER), no_manager(CLOCK), no_manager(CLUSTER), schedulers]
}

fn is_about_clusters(status: &Status) -> bool {
    let code = status.code();
    // A channel that breaks is UNAVAILABLE, too, but has a cause of its own.
    let is_answer = std::error::Error::source(status).is_none();
    is_answer && matches!(code, Code::Unavailable | Code::NotFound | Code::FailedPrecondition)
}

fn no_cluster(found: &str, identity: &Identity) -> Finding {
    let remedy = match identity.scheduler_cluster_id {
        0 => "start a scheduler of that cluster, or change the scopes of the clusters; `dfctl cluster match` says why it was chosen".to_owned(),
        pinned => format!(
            "host.schedulerClusterID pins this host to cluster {pinned}: correct it, take it out, or start a scheduler of that \
             cluster (`dfctl scheduler ls`)"
        ),
    };
    Finding::failed(CLUSTER, found, remedy)
}

/// What the manager said, and when by its own clock.
struct Asked {
    answer: Result<ListSchedulersResponse, Status>,
    date: Option<SystemTime>,
}

fn tls(files: Option<&Files>) -> Result<Option<ClientTls>, String> {
    let loaded = files.map(ClientTls::load).transpose();
    loaded.map_err(|error| chain(&error).to_string())
}

async fn connect(manager: &Remote) -> Result<ManagerClient<tonic::transport::Channel>, String> {
    let tls = tls(manager.tls.as_ref())?;
    let channel = grpc::connect(&manager.addr, tls.as_ref(), Timeouts::default()).await;
    let channel = channel.map_err(|error| chain(&error).to_string())?;
    Ok(ManagerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Asks as the daemon of this host does.
async fn ask(mut client: ManagerClient<tonic::transport::Channel>, identity: &Identity) -> Asked {
    let request = identity.schedulers_request();
    match client.list_schedulers(request).await {
        Ok(response) => Asked {
            date: date(response.metadata()),
            answer: Ok(response.into_inner()),
        },
        Err(status) => Asked {
            date: date(status.metadata()),
            answer: Err(status),
        },
    }
}

fn date(metadata: &MetadataMap) -> Option<SystemTime> {
    httpdate::parse_http_date(metadata.get("date")?.to_str().ok()?).ok()
}

fn clock(manager: Option<SystemTime>, own: SystemTime) -> Finding {
    let Some(manager) = manager else {
        return Finding::skipped(CLOCK, "the manager does not tell its time");
    };
    let (skew, word) = match own.duration_since(manager) {
        Ok(skew) => (skew, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let seconds = skew.as_secs();
    if skew <= SKEW {
        return Finding::ok(CLOCK, format!("within {} s of the manager's", seconds + 1));
    }
    Finding::failed(
        CLOCK,
        format!("{seconds} s {word} the manager's"),
        "let both hosts follow a time server (timedatectl set-ntp true): leases, tokens and certificates end at the wrong time",
    )
}

/// Whether the schedulers answer here, and know this host.
async fn schedulers(addrs: &[String], config: &Config, identity: &Identity) -> Finding {
    let tls = match tls(config.schedulers.tls.as_ref()) {
        Ok(tls) => tls,
        Err(reason) => {
            return Finding::failed(
                SCHEDULERS,
                reason,
                "correct the certificates under scheduler in dfdaemon.yaml",
            );
        }
    };
    let (mut silent, mut strange, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for addr in addrs {
        match hosts(addr, tls.as_ref()).await {
            Err(reason) => silent.push(format!("{addr}: {reason}")),
            Ok(hosts) if hosts.iter().any(|host| host.id == identity.host_id.as_str()) => known.push(addr.clone()),
            Ok(_) => strange.push(addr.clone()),
        }
    }
    if !silent.is_empty() {
        let remedy = "open the way from this host to the scheduler (port 8002), start it, or remove it from the manager's list \
                      (`dfctl scheduler ls`)";
        return Finding::failed(SCHEDULERS, format!("can't be reached: {}", silent.join("; ")), remedy);
    }
    if !strange.is_empty() {
        return Finding::failed(
            SCHEDULERS,
            format!("{} answers, but does not know {}", strange.join(", "), identity.host_id),
            "start the dfdaemon; if it runs, it has another host.ip or host.hostname than this file, or announced itself elsewhere: \
             its log says where",
        );
    }
    Finding::ok(SCHEDULERS, format!("{} know this host", known.join(", ")))
}

async fn hosts(addr: &str, tls: Option<&ClientTls>) -> Result<Vec<Host>, String> {
    let channel = grpc::connect(addr, tls, Timeouts::default()).await;
    let channel = channel.map_err(|error| chain(&error).to_string())?;
    let mut client = SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let listed = client.list_hosts(ListHostsRequest { r#type: None }).await;
    listed
        .map(|listed| listed.into_inner().hosts)
        .map_err(|status| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_clock_may_be_a_minute_off_either_way() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let state = |manager| clock(Some(manager), now).state;
        assert_eq!(state(now - SKEW), State::Ok);
        assert_eq!(state(now + SKEW), State::Ok);
        assert_eq!(state(now - SKEW - Duration::from_secs(1)), State::Failed);
        assert_eq!(state(now + SKEW + Duration::from_secs(1)), State::Failed);
        assert_eq!(clock(None, now).state, State::Skipped);
    }
}
