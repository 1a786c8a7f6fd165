//! The table of hosts: what each said of itself, in memory and on disk, so that a restarted scheduler knows its cluster
//! before anybody announces itself again.

use dragonfly_api::common::Host;
use dragonfly_model::HostId;
use dragonfly_service::fs;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// First byte of the file: the layout of what follows.
const VERSION: u8 = 1;
/// More hosts than this are refused.
const MAX_HOSTS: usize = 100_000;
/// A host that did not announce itself for so long before a restart is not taken over.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long changes are gathered before the file is written.
const GATHER: Duration = Duration::from_secs(2);
/// After this time an announcement that changes nothing is a change all the same, so that the file knows who lives.
const REFRESH: Duration = Duration::from_secs(3600);

/// Why the table can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read. The disk's fault.
    #[error("can't read the table of hosts {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There are too many hosts. The cluster's fault; more schedulers don't help, more clusters do.
    #[error("there are {MAX_HOSTS} hosts already")]
    Full,
}

/// A host as it is kept. Times are seconds: since 1970, and of the interval.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    host: Vec<u8>,
    interval: Option<u64>,
    announced: u64,
}

/// A host in the table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What it said of itself.
    pub(crate) host: Arc<Host>,
    /// How often it announces itself.
    pub(crate) interval: Option<Duration>,
    announced: SystemTime,
    /// The announcement that was worth writing the file for.
    noted: SystemTime,
}

impl Entry {
    /// Whether the file should tell the same of both. What a host measures of itself changes all the time and is not
    /// worth a write.
    fn is_noted_by(&self, old: &Entry) -> bool {
        let (new, old_host) = (&self.host, &old.host);
        let network = |host: &Host| {
            let network = host.network.as_ref()?;
            Some((network.idc.clone(), network.location.clone(), network.max_tx_bandwidth))
        };
        let same = self.interval == old.interval
            && (&new.ip, new.port, new.r#type, new.disable_shared)
                == (&old_host.ip, old_host.port, old_host.r#type, old_host.disable_shared)
            && network(new) == network(old_host);
        same && self.announced.duration_since(old.noted).unwrap_or_default() < REFRESH
    }
}

/// The table. Clones are the same table.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    file: Arc<PathBuf>,
    entries: Arc<Mutex<BTreeMap<HostId, Entry>>>,
    /// Counts what is worth the file, or a word to the manager.
    changes: watch::Sender<u64>,
}

/// What somebody was told of the table: who is in it, by the announcement that was noted last.
pub(crate) type Told = HashMap<HostId, SystemTime>;

impl Hosts {
    /// Reads the table from `file`; an absent file is an empty table, a damaged one is given up, since it fills again.
    pub(crate) fn load(file: PathBuf, now: SystemTime) -> Result<Self, Error> {
        let entries = match std::fs::read(&file) {
            Ok(bytes) => decode(&bytes, now).unwrap_or_else(|| {
                tracing::warn!(file = %file.display(), "the table of hosts is damaged; hosts will announce themselves");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Error::Read { path: file, source }),
        };
        Ok(Self {
            file: Arc::new(file),
            entries: Arc::new(Mutex::new(entries)),
            changes: watch::Sender::default(),
        })
    }

    /// Takes in what a host says of itself.
    pub(crate) fn announce(
        &self,
        id: HostId,
        host: Host,
        interval: Option<Duration>,
        now: SystemTime,
    ) -> Result<(), Error> {
        let mut entries = self.entries();
        if entries.len() >= MAX_HOSTS && !entries.contains_key(&id) {
            return Err(Error::Full);
        }
        let mut entry = Entry {
            host: Arc::new(host),
            interval,
            announced: now,
            noted: now,
        };
        match entries.get(&id) {
            Some(old) if entry.is_noted_by(old) => entry.noted = old.noted,
            _ => self.changes.send_modify(|changes| *changes += 1),
        }
        entries.insert(id, entry);
        Ok(())
    }

    /// Forgets a host; whether there was one.
    pub(crate) fn remove(&self, id: &HostId) -> bool {
        let removed = self.entries().remove(id).is_some();
        if removed {
            self.changes.send_modify(|changes| *changes += 1);
        }
        removed
    }

    /// A host, as it announced itself.
    pub(crate) fn get(&self, id: &HostId) -> Option<Arc<Host>> {
        self.entries().get(id).map(|entry| entry.host.clone())
    }

    /// The address of a host.
    pub(crate) fn ip(&self, id: &HostId) -> Option<IpAddr> {
        self.get(id)?.ip.parse().ok()
    }

    /// All hosts.
    pub(crate) fn all(&self) -> Vec<(HostId, Entry)> {
        self.entries()
            .iter()
            .map(|(id, entry)| (id.clone(), entry.clone()))
            .collect()
    }

    /// Wakes whoever follows the table.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The hosts that are new or other than was told, and those that are gone; `told` then holds what this says.
    pub(crate) fn news(&self, told: &mut Told) -> (Vec<Arc<Host>>, Vec<HostId>) {
        let entries = self.entries();
        let mut gone = Vec::new();
        told.retain(|id, _| {
            let stays = entries.contains_key(id);
            if !stays {
                gone.push(id.clone());
            }
            stays
        });
        let mut hosts = Vec::new();
        for (id, entry) in entries.iter() {
            if told.insert(id.clone(), entry.noted) != Some(entry.noted) {
                hosts.push(entry.host.clone());
            }
        }
        (hosts, gone)
    }

    /// Writes the table after it changed, many changes at a time, until `cancel`; then once more.
    pub(crate) async fn keep(self, cancel: CancellationToken) {
        let mut changes = self.changes();
        // What was there before this began is in the file, or changed since it was read.
        changes.mark_changed();
        while let Some(Ok(())) = cancel.run_until_cancelled(changes.changed()).await {
            // When it is cancelled meanwhile, the last change is written at once.
            cancel.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            self.write().await;
        }
        self.write().await;
    }

    async fn write(&self) {
        let bytes = encode(&self.entries());
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || fs::write_atomic(&file, &bytes, 0o600)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = dragonfly_service::chain(&error);
                tracing::warn!(%error, "the table of hosts was not written; it is tried again at the next change");
            }
            Err(error) => tracing::warn!(%error, "the table of hosts was not written"),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<HostId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(entries: &BTreeMap<HostId, Entry>) -> Vec<u8> {
    let records: Vec<Record> = entries
        .values()
        .map(|entry| Record {
            host: entry.host.encode_to_vec(),
            interval: entry.interval.map(|interval| interval.as_secs()),
            announced: entry.announced.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        })
        .collect();
    postcard::to_extend(&records, vec![VERSION]).expect("records of bytes and numbers can be written to memory")
}

fn decode(bytes: &[u8], now: SystemTime) -> Option<BTreeMap<HostId, Entry>> {
    let (&VERSION, records) = bytes.split_first()? else {
        return None;
    };
    let records: Vec<Record> = postcard::from_bytes(records).ok()?;
    let mut entries = BTreeMap::new();
    for record in records {
        let host = Host::decode(record.host.as_slice()).ok()?;
        let announced = UNIX_EPOCH.checked_add(Duration::from_secs(record.announced))?;
        // A clock that was set back makes an age of nothing.
        if now.duration_since(announced).unwrap_or_default() <= MAX_AGE {
            let entry = Entry {
                interval: record.interval.map(Duration::from_secs),
                announced,
                noted: announced,
                host: Arc::new(host),
            };
            entries.insert(HostId::parse(&entry.host.id).ok()?, entry);
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str) -> (HostId, Host) {
        let host = Host {
            id: id.to_owned(),
            ip: "10.0.0.1".to_owned(),
            port: 4000,
            ..Default::default()
        };
        (id.parse().unwrap(), host)
    }

    #[tokio::test]
    async fn only_what_the_file_should_tell_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let hosts = Hosts::load(dir.path().join("hosts"), now).unwrap();
        let mut seen = 0;
        let mut is_change = |change: fn(&mut Host), after| {
            let (id, mut host) = host("a");
            change(&mut host);
            hosts
                .announce(id, host, None, now + Duration::from_secs(after))
                .unwrap();
            std::mem::replace(&mut seen, *hosts.changes.borrow()) != seen
        };
        assert!(is_change(|_| {}, 0));
        assert!(!is_change(|host| host.memory = Some(Default::default()), 300));
        assert!(is_change(|host| host.port = 4001, 600));
        assert!(!is_change(|host| host.port = 4001, 900));
        assert!(is_change(|host| host.port = 4001, 600 + 3600));
    }

    #[test]
    fn news_are_what_was_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let hosts = Hosts::load(dir.path().join("hosts"), now).unwrap();
        let mut told = Told::new();
        let mut announce = |name: &str, port: i32| {
            let (id, mut host) = host(name);
            host.port = port;
            hosts.announce(id, host, None, SystemTime::now()).unwrap();
            hosts.news(&mut told)
        };
        assert_eq!(announce("a", 1).0.len(), 1);
        assert_eq!(announce("b", 1).0[0].id, "b");
        assert!(announce("a", 1).0.is_empty());
        assert_eq!(announce("a", 2).0[0].port, 2);
        hosts.remove(&"b".parse().unwrap());
        let (changed, gone) = hosts.news(&mut told);
        assert!(changed.is_empty());
        assert_eq!(gone, ["b".parse().unwrap()]);
    }

    #[tokio::test]
    async fn the_table_survives_a_restart_without_hosts_that_were_silent_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hosts");
        let now = SystemTime::now();
        let hosts = Hosts::load(file.clone(), now).unwrap();
        let old = now - Duration::from_secs(25 * 3600);
        for (name, announced) in [("a", now), ("b", now), ("old", old)] {
            let (id, host) = host(name);
            hosts
                .announce(id, host, Some(Duration::from_secs(300)), announced)
                .unwrap();
        }
        assert!(hosts.remove(&"b".parse().unwrap()));
        let cancel = CancellationToken::new();
        cancel.cancel();
        hosts.keep(cancel).await;
        let again = Hosts::load(file.clone(), now).unwrap().all();
        assert_eq!(again.len(), 1);
        assert_eq!(*again[0].1.host, host("a").1);
        assert_eq!(again[0].1.interval, Some(Duration::from_secs(300)));
        let bytes = std::fs::read(&file).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &[9], &[]] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(Hosts::load(file.clone(), now).unwrap().all().len(), 0);
        }
    }
}
