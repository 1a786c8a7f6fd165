//! Telling the manager which hosts the cluster has: all of them first, then what changes.

use super::{Words, say};
use crate::hosts::{Hosts, Told};
use dragonfly_api::ext::HostsReport;
use dragonfly_api::ext::attend_request::Message as Word;
use std::convert::Infallible;
use std::time::Duration;
use tonic::Status;

/// Hosts in one message.
const PART: usize = 500;
/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(500);

/// Tells until the stream breaks.
pub(super) async fn report(hosts: &Hosts, words: &Words) -> Result<Infallible, Status> {
    let mut changes = hosts.changes();
    let mut told = Told::new();
    let mut whole = true;
    loop {
        changes.borrow_and_update();
        for part in parts(hosts, &mut told, whole) {
            say(words, Word::Hosts(part)).await?;
        }
        whole = false;
        let changed = changes.changed().await;
        changed.map_err(|_| Status::unavailable("the table of hosts is closed"))?;
        tokio::time::sleep(GATHER).await;
    }
}

/// What is to be told, in parts; at least one if it is the whole.
fn parts(hosts: &Hosts, told: &mut Told, whole: bool) -> Vec<HostsReport> {
    let (hosts, gone) = hosts.news(told);
    let mut parts: Vec<HostsReport> = hosts
        .chunks(PART)
        .map(|hosts| HostsReport {
            hosts: hosts.iter().map(|host| (**host).clone()).collect(),
            ..HostsReport::default()
        })
        .collect();
    parts.extend(gone.chunks(PART).map(|gone| HostsReport {
        gone: gone.iter().map(ToString::to_string).collect(),
        ..HostsReport::default()
    }));
    if whole {
        if parts.is_empty() {
            parts.push(HostsReport::default());
        }
        if let Some(first) = parts.first_mut() {
            first.whole_begins = true;
        }
        if let Some(last) = parts.last_mut() {
            last.whole_ends = true;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::common::Host;
    use std::time::SystemTime;

    fn shape(parts: &[HostsReport]) -> Vec<(bool, bool, usize, usize)> {
        let shape = parts
            .iter()
            .map(|part| (part.whole_begins, part.whole_ends, part.hosts.len(), part.gone.len()));
        shape.collect()
    }

    #[test]
    fn a_whole_has_a_beginning_and_an_end_and_a_change_has_neither() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = Hosts::load(dir.path().join("hosts"), SystemTime::now()).unwrap();
        let mut told = Told::new();
        assert_eq!(shape(&parts(&hosts, &mut told, true)), [(true, true, 0, 0)]);
        for number in 0..1001 {
            let id = format!("h{number}");
            let host = Host {
                id: id.clone(),
                ..Host::default()
            };
            hosts
                .announce(id.parse().unwrap(), host, None, SystemTime::now())
                .unwrap();
        }
        let mut anew = Told::new();
        let whole = shape(&parts(&hosts, &mut anew, true));
        assert_eq!(
            whole,
            [(true, false, 500, 0), (false, false, 500, 0), (false, true, 1, 0)]
        );
        assert_eq!(shape(&parts(&hosts, &mut anew, false)), []);
        hosts.remove(&"h7".parse().unwrap());
        assert_eq!(shape(&parts(&hosts, &mut anew, false)), [(false, false, 0, 1)]);
    }
}
