//! Wake-ups between managers, in a bounded stream of Redis.
//!
//! A stream and not a channel: who was away for a moment reads what came meanwhile. After a longer absence, or on
//! another server than before, a manager takes everything for changed. The connection is made anew after every failure,
//! by the sentinels if there are some, so a replica that became the master is found. While Redis is away the manager goes
//! on with its database alone; that is logged once, and a metric shows it.

use super::{Topic, Wake};
use crate::config::{HostPort, Level, Login, RedisConfig, Security};
use dragonfly_service::chain;
use prometheus_client::metrics::gauge::Gauge;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamRangeReply, StreamReadReply};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates,
};
use secrecy::ExposeSecret;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The stream. Managers of other databases on the same Redis wake each other for nothing, which costs one query.
const STREAM: &str = "dragonfly:manager:changes";
/// About how many changes the stream keeps.
const MAX_LENGTH: usize = 1024;
/// How many are read at once.
const READ: usize = 256;
/// How long a read waits for a change before it is asked again.
const BLOCK: Duration = Duration::from_secs(5);
/// How long Redis may take for anything else.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Between two attempts to reach it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why there is no conversation with Redis.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("Redis at {0} failed")]
    Redis(String, #[source] RedisError),
    #[error("no sentinel of {addrs} names a master {name:?}")]
    NoMaster {
        addrs: String,
        name: String,
        #[source]
        last: Option<RedisError>,
    },
    #[error("{0} is a replica; the sentinels are late")]
    Replica(String),
    #[error("can't read {file}")]
    File {
        file: String,
        #[source]
        source: io::Error,
    },
}

/// Whether Redis is there, for those who look.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// 1 while it is.
    pub(crate) up: Gauge,
    told: Arc<AtomicBool>,
}

/// The link to the other managers.
#[derive(Debug)]
pub(crate) struct Link {
    config: RedisConfig,
    wake: Wake,
    state: State,
    /// Tells our own entries from those of others.
    name: String,
}

impl Link {
    pub(crate) fn new(config: RedisConfig, wake: Wake, state: State) -> Self {
        Self {
            config,
            wake,
            state,
            name: uuid::Uuid::new_v4().to_string(),
        }
    }

    /// Tells and hears until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let conversations = async {
            loop {
                let Err(error) = self.converse().await;
                self.state.is_away(&error);
                tokio::time::sleep(RETRY_AFTER).await;
            }
        };
        cancel.run_until_cancelled(conversations).await;
    }

    /// One conversation, until it breaks.
    async fn converse(&self) -> Result<Infallible, Error> {
        let (server, client) = self.master().await?;
        let failed = |error| Error::Redis(server.clone(), error);
        // The reader blocks its connection, so there are two.
        let mut hearing = connection(&client, BLOCK + ANSWER_WITHIN).await.map_err(failed)?;
        let mut telling = connection(&client, ANSWER_WITHIN).await.map_err(failed)?;
        let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut telling).await.map_err(failed)?;
        if role
            .first()
            .is_none_or(|role| redis::from_redis_value_ref::<String>(role).as_deref() != Ok("master"))
        {
            return Err(Error::Replica(server));
        }
        let mut last = newest(&mut hearing).await.map_err(failed)?;
        self.wake.all_woken();
        self.state.is_there(&server);
        loop {
            let read = {
                let read = after(&mut hearing, &last);
                tokio::pin!(read);
                loop {
                    tokio::select! {
                        read = &mut read => break read.map_err(failed)?,
                        topics = self.wake.untold() => {
                            if let Err(error) = self.tell(&mut telling, topics).await {
                                self.wake.still_untold(topics);
                                return Err(failed(error));
                            }
                        }
                    }
                }
            };
            for (id, entry) in self.heard(read) {
                if let Some(topic) = entry {
                    self.wake.woken(topic);
                }
                last = id;
            }
        }
    }

    /// A client of the server that takes writes, and what it is called.
    async fn master(&self) -> Result<(String, Client), Error> {
        let Some(name) = &self.config.master_name else {
            let addr = &self.config.addrs[0];
            return Ok((addr.to_string(), self.client(addr, &self.config.login, self.config.db)?));
        };
        let mut last = None;
        for sentinel in &self.config.addrs {
            let client = self.client(sentinel, &self.config.sentinel_login, 0)?;
            match ask_sentinel(&client, name).await {
                Ok(Some((host, port))) => {
                    let addr = HostPort { host, port };
                    let client = self.client(&addr, &self.config.login, self.config.db)?;
                    return Ok((addr.to_string(), client));
                }
                Ok(None) => {}
                Err(error) => last = Some(error),
            }
        }
        let addrs: Vec<String> = self.config.addrs.iter().map(ToString::to_string).collect();
        Err(Error::NoMaster {
            addrs: addrs.join(", "),
            name: name.clone(),
            last,
        })
    }

    fn client(&self, addr: &HostPort, login: &Login, db: u32) -> Result<Client, Error> {
        let failed = |error| Error::Redis(addr.to_string(), error);
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(db));
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password.expose_secret());
        }
        let target = match &self.config.tls {
            None => ConnectionAddr::Tcp(addr.host.clone(), addr.port),
            Some(security) => ConnectionAddr::TcpTls {
                host: addr.host.clone(),
                port: addr.port,
                insecure: security.level == Level::Encrypted,
                tls_params: None,
            },
        };
        let info = target
            .into_connection_info()
            .map_err(failed)?
            .set_redis_settings(settings);
        match &self.config.tls {
            None => Client::open(info).map_err(failed),
            Some(security) => Client::build_with_tls(info, certificates(security)?).map_err(failed),
        }
    }

    async fn tell(&self, connection: &mut MultiplexedConnection, topics: usize) -> Result<(), RedisError> {
        for topic in Topic::ALL.into_iter().filter(|topic| topics & topic.bit() != 0) {
            let mut add = redis::cmd("XADD");
            add.arg(STREAM).arg("MAXLEN").arg("~").arg(MAX_LENGTH).arg("*");
            add.arg("topic").arg(topic.word()).arg("from").arg(&self.name);
            add.query_async::<()>(connection).await?;
        }
        Ok(())
    }

    /// The entries of a reading with their topics; those of our own, and those of managers that know more than we, are
    /// passed over.
    fn heard(&self, read: StreamReadReply) -> Vec<(String, Option<Topic>)> {
        let entries = read.keys.into_iter().flat_map(|key| key.ids);
        let topic = |entry: &redis::streams::StreamId| {
            let from: Option<String> = entry.get("from");
            let word: Option<String> = entry.get("topic");
            word.filter(|_| from.as_deref() != Some(&self.name))
                .and_then(|word| Topic::of_word(&word))
        };
        entries
            .map(|entry| {
                let topic = topic(&entry);
                (entry.id, topic)
            })
            .collect()
    }
}

impl State {
    fn is_there(&self, server: &str) {
        self.up.set(1);
        if self.told.swap(false, Ordering::AcqRel) {
            tracing::info!("Redis at {server} is there again");
        } else {
            tracing::info!("Redis at {server} tells this manager what others change");
        }
    }

    /// Logged once, until it is there again.
    fn is_away(&self, error: &Error) {
        self.up.set(0);
        if !self.told.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                error = %chain(error),
                "without Redis this manager sees what others change some seconds later; everything else goes on"
            );
        }
    }
}

async fn connection(client: &Client, answer_within: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(answer_within));
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn ask_sentinel(client: &Client, name: &str) -> Result<Option<(String, u16)>, RedisError> {
    let mut connection = connection(client, ANSWER_WITHIN).await?;
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("get-master-addr-by-name").arg(name);
    ask.query_async(&mut connection).await
}

/// The id of the newest entry: what comes later is read.
async fn newest(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let mut ask = redis::cmd("XREVRANGE");
    ask.arg(STREAM).arg("+").arg("-").arg("COUNT").arg(1);
    let newest: StreamRangeReply = ask.query_async(connection).await?;
    let id = newest.ids.into_iter().next().map(|entry| entry.id);
    Ok(id.unwrap_or_else(|| "0-0".to_owned()))
}

/// What came after `last`, or nothing after a while.
async fn after(connection: &mut MultiplexedConnection, last: &str) -> Result<StreamReadReply, RedisError> {
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(READ).arg("BLOCK").arg(BLOCK.as_millis() as u64);
    read.arg("STREAMS").arg(STREAM).arg(last);
    let read: Option<StreamReadReply> = read.query_async(connection).await?;
    Ok(read.unwrap_or_default())
}

fn certificates(security: &Security) -> Result<TlsCertificates, Error> {
    let read = |file: &std::path::Path| {
        std::fs::read(file).map_err(|source| Error::File {
            file: file.display().to_string(),
            source,
        })
    };
    let client_tls = match &security.identity {
        Some((cert, key)) => Some(ClientTlsConfig {
            client_cert: read(cert)?,
            client_key: read(key)?,
        }),
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert: security.ca.as_deref().map(read).transpose()?,
    })
}
