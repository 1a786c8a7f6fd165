//! A real Redis with private data, on its own address: a master, a replica, or a sentinel that watches them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::packages::{self, REDIS, REDIS_CLIENT};
use crate::pki::Authority;
use crate::place::Place;
use crate::process::run;
use crate::server::{Line, Server};
use crate::shared::share;

const ASK_WITHIN: Duration = Duration::from_secs(30);
/// How long a replica may take to have all that its master has.
const SYNC_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After how long without an answer a sentinel takes a server for gone.
const DOWN_AFTER: Duration = Duration::from_secs(1);

/// What a Redis is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Master,
    /// It copies a master.
    Replica {
        /// The master.
        of: SocketAddr,
    },
}

/// How its callers are known and reached.
#[derive(Clone, Debug, Default)]
pub struct Access<'a> {
    /// The password that clients and replicas must say; none: anybody may come.
    pub password: Option<&'a str>,
    /// Reached by TLS with a certificate of this authority.
    pub tls: Option<&'a Authority>,
}

/// A Redis. Dropping it kills it; its data stay in its directory.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    address: SocketAddr,
    client: Client,
}

impl Redis {
    /// Installs what is missing and starts a Redis with its data in `dir` at `address` in `place`; anybody may come.
    ///
    /// # Errors
    /// When a package can't be installed or the server doesn't come up.
    pub async fn start(place: &Place, dir: &Path, address: SocketAddr, role: Role) -> Result<Self> {
        Self::start_with(place, dir, address, (role, Access::default())).await
    }

    /// One that other tests use, too, and that ends when nobody does; anybody may come.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn shared() -> Result<Self> {
        let prepare = async |_: &Path, _| packages::require(&[REDIS, REDIS_CLIENT]);
        let lines = |dir: &Path, address| {
            let run = Line::new(REDIS.1, own_place(dir, address, false));
            Ok((run, Client::open(address).line(&["PING"])))
        };
        let used = share("redis", prepare, lines).await?;
        let address = used.address;
        Ok(Self {
            server: Server::shared("redis", lines(&used.dir, address)?, used),
            address,
            client: Client::open(address),
        })
    }

    /// The same with a password, TLS, or both.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn start_with(
        place: &Place,
        dir: &Path,
        address: SocketAddr,
        (role, access): (Role, Access<'_>),
    ) -> Result<Self> {
        packages::require(&[REDIS, REDIS_CLIENT])?;
        std::fs::create_dir_all(dir)?;
        let mut arguments = own_place(dir, address, access.tls.is_some());
        arguments.extend(words(&["--save", "", "--appendonly", "yes", "--appendfsync", "no"]));
        if let Some(password) = access.password {
            arguments.extend(words(&["--requirepass", password, "--masterauth", password]));
        }
        if let Some(authority) = access.tls {
            let identity = authority.server("redis", address.ip())?;
            let files = [
                ("--tls-cert-file", identity.certificate),
                ("--tls-key-file", identity.key),
                ("--tls-ca-cert-file", authority.certificate()),
            ];
            for (name, file) in files {
                arguments.extend([name.to_owned(), file.display().to_string()]);
            }
            arguments.extend(words(&["--tls-auth-clients", "no", "--tls-replication", "yes"]));
        }
        // By its connection it would seem to be at the address from which the kernel lets it out.
        arguments.extend(words(&["--replica-announce-ip", &address.ip().to_string()]));
        if let Role::Replica { of } = role {
            arguments.extend(["--replicaof".to_owned(), of.ip().to_string(), of.port().to_string()]);
        }
        let client = Client {
            address,
            password: access.password.map(str::to_owned),
            ca: access.tls.map(Authority::certificate),
        };
        let ask = client.line(&["PING"]);
        let mut server = Server::new("redis", place, dir, Line::new(REDIS.1, arguments), ask);
        server.start().await?;
        Ok(Self {
            server,
            address,
            client,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.client.ca.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address)
    }

    /// Runs one command with its own client and returns what that prints.
    ///
    /// # Errors
    /// When the client or the server refuses.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        run(self.client.line(words).command(self.server.place()), ASK_WITHIN).await
    }

    /// Waits until this replica has all that its master has, or, if it is the master, until `replicas` are attached.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn in_step(&self, replicas: usize) -> Result<()> {
        let attached = format!("connected_slaves:{replicas}");
        let end = Instant::now() + SYNC_WITHIN;
        loop {
            let said = self.command(&["INFO", "replication"]).await?;
            let mut lines = said.lines().map(str::trim);
            if lines.any(|line| line == "master_link_status:up" || line == attached) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the replica did not get in step within {SYNC_WITHIN:?}:\n{said}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.server.id()
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it isn't running.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Starts it again on the same data at the same address, in the role with which it was started first.
    ///
    /// # Errors
    /// When it runs or doesn't come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start().await
    }
}

/// A sentinel, which makes a replica the master when the master is gone. Dropping it kills it.
#[derive(Debug)]
pub struct Sentinel {
    server: Server,
    address: SocketAddr,
    name: String,
    client: Client,
}

impl Sentinel {
    /// Starts a sentinel that watches `master` under `name` and acts when `quorum` sentinels agree that it is gone. Its
    /// replicas it learns from the master.
    ///
    /// # Errors
    /// When a package can't be installed or it doesn't come up.
    pub async fn start(
        place: &Place,
        dir: &Path,
        address: SocketAddr,
        (name, master, quorum): (&str, &Redis, usize),
    ) -> Result<Self> {
        packages::require(&[REDIS, REDIS_CLIENT])?;
        std::fs::create_dir_all(dir)?;
        let watched = master.address;
        let mut config = format!(
            "sentinel monitor {name} {} {} {quorum}\n\
             sentinel down-after-milliseconds {name} {}\n\
             sentinel failover-timeout {name} 5000\n",
            watched.ip(),
            watched.port(),
            DOWN_AFTER.as_millis()
        );
        if let Some(password) = &master.client.password {
            config.push_str(&format!("sentinel auth-pass {name} {password}\n"));
        }
        let file = dir.join("sentinel.conf");
        std::fs::write(&file, config)?;
        let mut arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        arguments.extend(own_place(dir, address, false));
        let client = Client::open(address);
        let ask = client.line(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]);
        let mut server = Server::new("sentinel", place, dir, Line::new(REDIS.1, arguments), ask);
        server.start().await?;
        Ok(Self {
            server,
            address,
            name: name.to_owned(),
            client,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The master as this sentinel sees it.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn master(&self) -> Result<SocketAddr> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.name];
        let said = run(self.client.line(&words).command(self.server.place()), ASK_WITHIN).await?;
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        match lines[..] {
            [ip, port] => Ok(SocketAddr::new(ip.parse()?, port.parse()?)),
            _ => bail!("the sentinel said {said:?}"),
        }
    }

    /// Waits until it knows so many replicas of its master, without which it can't replace it.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn knows_replicas(&self, count: usize) -> Result<()> {
        let end = Instant::now() + SYNC_WITHIN;
        let words = ["SENTINEL", "REPLICAS", &self.name];
        loop {
            let said = run(self.client.line(&words).command(self.server.place()), ASK_WITHIN).await?;
            if said.lines().filter(|line| line.trim() == "runid").count() >= count {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the sentinel did not learn of {count} replicas within {SYNC_WITHIN:?}:\n{said}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it isn't running.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }
}

/// How its own client reaches a server.
#[derive(Clone, Debug)]
struct Client {
    address: SocketAddr,
    password: Option<String>,
    ca: Option<PathBuf>,
}

impl Client {
    /// Of a server where anybody may come.
    fn open(address: SocketAddr) -> Self {
        Self {
            address,
            password: None,
            ca: None,
        }
    }

    /// A line that ends well only if the server did what it says.
    fn line(&self, words: &[&str]) -> Line {
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let mut arguments = self::words(&["-e", "-h", &ip, "-p", &port]);
        if let Some(password) = &self.password {
            arguments.extend(self::words(&["--no-auth-warning", "-a", password]));
        }
        if let Some(ca) = &self.ca {
            arguments.extend(["--tls".to_owned(), "--cacert".to_owned(), ca.display().to_string()]);
        }
        arguments.extend(self::words(words));
        Line::new(REDIS_CLIENT.1, arguments)
    }
}

/// The settings of where a server listens and keeps its files.
fn own_place(dir: &Path, address: SocketAddr, tls: bool) -> Vec<String> {
    let port = address.port().to_string();
    let (plain, secured) = if tls {
        ("0", Some(port.as_str()))
    } else {
        (port.as_str(), None)
    };
    let mut arguments = words(&[
        "--bind",
        &address.ip().to_string(),
        "--port",
        plain,
        "--protected-mode",
        "no",
    ]);
    if let Some(port) = secured {
        arguments.extend(words(&["--tls-port", port]));
    }
    arguments.extend(["--dir".to_owned(), dir.display().to_string()]);
    arguments
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
