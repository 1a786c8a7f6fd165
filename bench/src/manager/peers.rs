//! Peers as the manager knows them: the schedulers of their clusters report them, and they are in no hurry.

use super::room::CLUSTERS;
use anyhow::{Context, Result};
use dragonfly_api::common::{Host, Network};
use dragonfly_api::ext::manager_client::ManagerClient;
use dragonfly_api::ext::{AttendRequest, Hello, HostsReport, attend_request};
use dragonfly_service::Workers;
use futures::stream::{self, StreamExt};
use tonic::transport::Channel;

/// Hosts in one message, as the protocol has it.
const PER_REPORT: usize = 1000;

/// Attends as one scheduler of each cluster, and reports so many peers, spread evenly. The streams stay until `living` ends.
pub(super) async fn report(channel: &Channel, peers: u32, living: &Workers) -> Result<()> {
    for n in 0..CLUSTERS {
        let hosts: Vec<Host> = (n..peers).step_by(usize::try_from(CLUSTERS)?).map(host).collect();
        let hello = attend_request::Message::Hello(Hello {
            hostname: format!("scheduler-{n}"),
            ip: format!("10.0.{n}.1"),
            scheduler_cluster_id: super::room::cluster_of(n),
        });
        let parts = hosts.len().div_ceil(PER_REPORT);
        let reports = hosts.chunks(PER_REPORT).enumerate().map(|(part, hosts)| {
            attend_request::Message::Hosts(HostsReport {
                whole_begins: part == 0,
                whole_ends: part + 1 == parts,
                hosts: hosts.to_vec(),
                gone: Vec::new(),
            })
        });
        let messages: Vec<_> = std::iter::once(hello)
            .chain(reports)
            .map(|message| AttendRequest { message: Some(message) })
            .collect();
        let mut heard = ManagerClient::new(channel.clone())
            .attend(stream::iter(messages).chain(stream::pending()))
            .await
            .context("attending")?
            .into_inner();
        let cancel = living.cancel_token();
        living.spawn("attendance", async move {
            if let Some(Err(error)) = cancel.run_until_cancelled(heard.message()).await {
                eprintln!("error: a scheduler's attendance ended: {error}");
            }
        });
    }
    Ok(())
}

fn host(n: u32) -> Host {
    let ip = format!("10.{}.{}.{}", 64 + n / 62_500, n / 250 % 250, n % 250 + 1);
    Host {
        id: format!("{ip}-peer-{n}"),
        hostname: format!("peer-{n}"),
        ip,
        port: 4000,
        download_port: 4001,
        os: "linux".to_owned(),
        network: Some(Network {
            idc: Some(format!("idc-{}", n % CLUSTERS + 1)),
            ..Network::default()
        }),
        ..Host::default()
    }
}
