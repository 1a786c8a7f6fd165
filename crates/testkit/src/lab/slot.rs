//! Which lab this is. Labs on one machine have a number each, held by a file lock, so that two can't get in each
//! other's way and what a killed one left behind can be told from what is in use.

use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How many labs there may be at once. Each takes the network 10.(200 + its number).0.0/16.
const SLOTS: u8 = 16;
const FIRST_NETWORK: u8 = 200;
/// Where the locks are, and what running labs tell of themselves.
const DIRECTORY: &str = "/run/dragonfly-lab";

/// A lab's number, for as long as it is held.
#[derive(Debug)]
pub struct Slot {
    number: u8,
    _lock: Flock<File>,
}

impl Slot {
    /// Takes the first number that nobody holds.
    ///
    /// # Errors
    /// When all are held, or the locks can't be written.
    pub fn take() -> Result<Self> {
        for number in 0..SLOTS {
            if let Some(slot) = Self::try_take(number)? {
                return Ok(slot);
            }
        }
        bail!("{SLOTS} labs run on this machine; end one with `cargo xtask lab down`")
    }

    /// All numbers that nobody holds: what is there of their labs is left behind.
    ///
    /// # Errors
    /// When the locks can't be written.
    pub fn all_free() -> Result<Vec<Self>> {
        (0..SLOTS)
            .filter_map(|number| Self::try_take(number).transpose())
            .collect()
    }

    fn try_take(number: u8) -> Result<Option<Self>> {
        std::fs::create_dir_all(DIRECTORY).with_context(|| format!("creating {DIRECTORY}; labs need root"))?;
        let path = PathBuf::from(DIRECTORY).join(format!("{number}.lock"));
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { number, _lock: lock })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// What the names of this lab's namespaces and links begin with.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("df{}-", self.number)
    }

    /// An address in the lab's network.
    #[must_use]
    pub fn address(&self, segment: u8, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, FIRST_NETWORK + self.number, segment, host)
    }

    /// The file in which the running lab of this number describes itself.
    #[must_use]
    pub fn description(&self) -> PathBuf {
        description(self.number)
    }
}

/// The descriptions of all labs that have one.
#[must_use]
pub fn descriptions() -> Vec<PathBuf> {
    (0..SLOTS).map(description).filter(|path| path.exists()).collect()
}

fn description(number: u8) -> PathBuf {
    PathBuf::from(DIRECTORY).join(format!("{number}.json"))
}
