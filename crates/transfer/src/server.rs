//! Serving pieces to other peers over TCP.
//!
//! One connection is one future; a piece's bytes go from the page cache to the socket by `sendfile`, on a blocking
//! thread that holds nothing while the receiver is slow. Only pieces that are present are served, of finished tasks and
//! of those still under way, and their task is pinned while they are.

use crate::RateLimit;
use crate::vortex::{Content, Family, HEADER_LEN, Header, Malformed, REMOTE_PEER, Refusal, RefusalCode, Request, Tag};
use dragonfly_model::PieceSpan;
use dragonfly_storage::{PieceRecord, Pin, Storage};
use futures::future::BoxFuture;
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A request that has begun must be here whole within this time, or within the idle timeout if that is shorter.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are given to the kernel at once, fewer under a low rate limit. A receiver that takes longer than the idle
/// timeout for so many is dropped.
const CHUNK: u64 = 1 << 20;
/// How long and how much is read after a refusal, so that the asker gets it before the connection is reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;
/// Pause after the system refused a connection (too many open files), so that the loop doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may fetch pieces.
pub trait Admission: Send + Sync {
    /// Whether a connection from this address is served.
    fn admit(&self, ip: IpAddr) -> BoxFuture<'_, bool>;
}

/// How pieces are served.
#[derive(Clone)]
pub struct ServerConfig {
    /// Limit of all connections together.
    pub upload_limit: RateLimit,
    /// Connections at the same time; those beyond are refused.
    pub max_connections: usize,
    /// How long a connection may wait for its next request, or a receiver for the next MiB of a piece (less
    /// under a low rate limit).
    pub idle_timeout: Duration,
    /// Who is served.
    pub admission: Arc<dyn Admission>,
}

/// What the server has done since it was made.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Pieces sent whole.
    pub pieces: AtomicU64,
    /// Bytes of pieces sent.
    pub bytes: AtomicU64,
    /// Pieces that are being sent.
    pub sending: AtomicU64,
    /// Requests for what is not here.
    pub not_found: AtomicU64,
    /// Connections refused because there were too many.
    pub refused_busy: AtomicU64,
    /// Connections refused because of their address.
    pub refused_address: AtomicU64,
    /// Connections that ended in an error: of the network, of the asker, or of our disk.
    pub failed: AtomicU64,
}

/// A piece that is being sent, until this is dropped.
struct Sending<'a>(&'a AtomicU64);

impl<'a> Sending<'a> {
    fn begin(sending: &'a AtomicU64) -> Self {
        sending.fetch_add(1, Ordering::Relaxed);
        Self(sending)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the pieces of a storage.
pub struct PieceServer {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    config: ServerConfig,
    stats: Arc<ServerStats>,
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("the connection failed")]
    Network(#[from] io::Error),
    #[error("the asker sent no proper request")]
    Malformed(#[from] Malformed),
    #[error("the asker was too slow")]
    Slow,
    #[error("the content could not be read")]
    Content(#[source] io::Error),
}

impl PieceServer {
    /// A server that serves nothing until it is run.
    pub fn new(storage: Storage, config: ServerConfig) -> Self {
        let stats = Arc::default();
        Self {
            inner: Arc::new(Inner { storage, config, stats }),
        }
    }

    /// What it does, also while it runs.
    pub fn stats(&self) -> Arc<ServerStats> {
        self.inner.stats.clone()
    }

    /// Serves until cancelled; then accepts no more, finishes the pieces in flight and returns. Dropped, it ends all
    /// connections at once.
    pub async fn run(self, listener: TcpListener, cancel: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.inner.config.max_connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a connection was not accepted"
                    );
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                self.inner.stats.refused_busy.fetch_add(1, Ordering::Relaxed);
                refuse_at_once(&stream, "too many connections, try another peer");
                continue;
            };
            let inner = self.inner.clone();
            let cancel = cancel.clone();
            connections.spawn(async move { inner.connection(stream, from.ip(), permit, cancel).await });
        }
        while connections.join_next().await.is_some() {}
    }
}

impl Inner {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        from: IpAddr,
        permit: OwnedSemaphorePermit,
        cancel: CancellationToken,
    ) {
        // An IPv4 peer on a socket for both families comes as an IPv6 address.
        let from = from.to_canonical();
        if !self.config.admission.admit(from).await {
            self.stats.refused_address.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer.ip = %from, "a host that is not of this cluster asked for pieces");
            refuse_at_once(&stream, "pieces are served to this cluster's hosts only");
            return;
        }
        let connection = Connection {
            inner: self.clone(),
            stream: Arc::new(stream),
            cancel,
        };
        if let Err(error) = connection.serve().await {
            self.stats.failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(peer.ip = %from, error = &error as &dyn std::error::Error, "a piece connection failed");
        }
        drop(permit);
    }
}

/// Says why, if the socket takes it; the connection ends when the stream is dropped.
fn refuse_at_once(stream: &TcpStream, message: &str) {
    let refusal = Refusal {
        code: RefusalCode::Internal,
        message: message.to_owned(),
    };
    if let Err(error) = stream.try_write(&refusal.encode(0)) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a refusal was not sent");
    }
}

struct Connection {
    inner: Arc<Inner>,
    stream: Arc<TcpStream>,
    cancel: CancellationToken,
}

impl Connection {
    async fn serve(self) -> Result<(), ConnectionError> {
        self.stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(5))
            .with_interval(Duration::from_secs(3))
            .with_retries(3);
        SockRef::from(&*self.stream).set_tcp_keepalive(&keepalive)?;

        let mut keep_open = false;
        while let Some(header) = self.next_header().await? {
            match header.tag {
                Tag::KeepOpen => keep_open = true,
                Tag::Request(_) | Tag::Choice => {
                    let request = self.request(header).await?;
                    let family = match header.tag {
                        Tag::Request(family) => family,
                        _ => Family::Standard,
                    };
                    self.answer(header.id, family, &request).await?;
                    // Upstream's peers may read until the end; only ours say that they ask for more.
                    if !keep_open {
                        return self.linger().await;
                    }
                }
                Tag::Close => return Ok(()),
                Tag::Content(_) | Tag::Error => return self.reject(header.unexpected()).await,
            }
        }
        Ok(())
    }

    /// The next packet's header; `None` if the asker is done or the server is stopping.
    async fn next_header(&self) -> Result<Option<Header>, ConnectionError> {
        let mut bytes = [0; HEADER_LEN];
        let idle = self.inner.config.idle_timeout;
        let first = tokio::select! {
            () = self.cancel.cancelled() => return Ok(None),
            first = timeout(idle, self.read_some(&mut bytes)) => first,
        };
        let read = match first {
            Ok(read) => read?,
            // Nothing was asked: that is how an idle connection ends.
            Err(_) => return Ok(None),
        };
        if read == 0 {
            return Ok(None);
        }
        self.read_all(&mut bytes[read..]).await?;
        match Header::decode(bytes) {
            Ok(header) => Ok(Some(header)),
            Err(malformed) => self.reject(malformed).await.map(|()| None),
        }
    }

    async fn request(&self, header: Header) -> Result<Request, ConnectionError> {
        // Its decoder let nothing pass but the lengths of a request.
        let mut value = vec![0; header.length as usize];
        self.read_all(&mut value).await?;
        match Request::decode(&value) {
            Ok(request) => Ok(request),
            Err(malformed) => self.reject(malformed.clone()).await.and(Err(malformed.into())),
        }
    }

    async fn answer(&self, id: u8, family: Family, request: &Request) -> Result<(), ConnectionError> {
        let stats = &self.inner.stats;
        let found = self.inner.storage.pin(&request.task_id).and_then(|pin| {
            let piece = pin.give(&request.numbers())?;
            Some((pin, piece))
        });
        let Some((pin, piece)) = found else {
            stats.not_found.fetch_add(1, Ordering::Relaxed);
            return self.write_all(&not_found(request).encode(id)).await;
        };
        pin.touch();
        let _sending = Sending::begin(&stats.sending);
        let span = piece.span;
        self.write_all(&content_of(&pin, piece).encode(id, family)).await?;
        self.send(&pin, span).await?;
        stats.pieces.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn send(&self, pin: &Pin, span: PieceSpan) -> Result<(), ConnectionError> {
        let mut at = span.offset;
        let end = span.offset + span.length;
        let portion = self.inner.config.upload_limit.portion(CHUNK);
        while at < end {
            let chunk = portion.min(end - at);
            self.inner.config.upload_limit.acquire(chunk).await;
            let sent = timeout(self.inner.config.idle_timeout, self.send_chunk(pin, at, at + chunk)).await;
            sent.map_err(|_| ConnectionError::Slow)??;
            self.inner.stats.bytes.fetch_add(chunk, Ordering::Relaxed);
            at += chunk;
        }
        Ok(())
    }

    async fn send_chunk(&self, pin: &Pin, mut at: u64, end: u64) -> Result<(), ConnectionError> {
        while at < end {
            self.stream.writable().await?;
            let (stream, file) = (self.stream.clone(), pin.content_file());
            let sent = tokio::task::spawn_blocking(move || send_what_fits(&stream, &file, at, end)).await;
            at = sent.map_err(io::Error::other)??;
        }
        Ok(())
    }

    /// Says what was wrong and fails with it.
    async fn reject(&self, malformed: Malformed) -> Result<(), ConnectionError> {
        let refusal = Refusal {
            code: RefusalCode::InvalidArgument,
            message: malformed.to_string(),
        };
        self.write_all(&refusal.encode(0)).await?;
        self.linger().await?;
        Err(malformed.into())
    }

    /// Ends the connection so that what was written last arrives: closing one with unread bytes would reset it.
    async fn linger(&self) -> Result<(), ConnectionError> {
        SockRef::from(&*self.stream).shutdown(Shutdown::Write)?;
        let drained = timeout(LINGER, async {
            let (mut buffer, mut left) = ([0; 4096], LINGER_BYTES);
            while left > 0 {
                match self.read_some(&mut buffer).await {
                    Ok(read @ 1..) => left = left.saturating_sub(read as u64),
                    Ok(0) | Err(_) => break,
                }
            }
        });
        // Whether the asker closed in time makes no difference: the connection ends now.
        drained.await.unwrap_or_default();
        Ok(())
    }

    async fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    async fn read_all(&self, buffer: &mut [u8]) -> Result<(), ConnectionError> {
        let whole = timeout(self.inner.config.idle_timeout.min(REQUEST_TIMEOUT), async {
            let mut at = 0;
            while at < buffer.len() {
                match self.read_some(&mut buffer[at..]).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    read => at += read,
                }
            }
            Ok(())
        });
        whole.await.map_err(|_| ConnectionError::Slow)??;
        Ok(())
    }

    async fn write_all(&self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        let written = timeout(self.inner.config.idle_timeout, async {
            while !bytes.is_empty() {
                self.stream.writable().await?;
                match self.stream.try_write(bytes) {
                    Ok(written) => bytes = &bytes[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        written.await.map_err(|_| ConnectionError::Slow)??;
        Ok(())
    }
}

/// Sends until the socket takes no more; where the next byte to send lies. The file is read here, so on a blocking
/// thread.
fn send_what_fits(stream: &TcpStream, file: &File, mut at: u64, end: u64) -> Result<u64, ConnectionError> {
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX);
        let sent = stream.try_io(Interest::WRITABLE, || {
            let sent = rustix::fs::sendfile(stream, file, Some(&mut at), want)?;
            Ok(sent)
        });
        match sent {
            Ok(0) => return Err(ConnectionError::Content(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                return Err(ConnectionError::Content(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}

fn not_found(request: &Request) -> Refusal {
    Refusal {
        code: RefusalCode::NotFound,
        message: format!("piece {} of task {} is not here", request.number.0, request.task_id),
    }
}

fn content_of(pin: &Pin, piece: PieceRecord) -> Content {
    let created_at = pin.record().created_at.duration_since(SystemTime::UNIX_EPOCH);
    Content {
        span: piece.span,
        crc32: Some(piece.crc32),
        parent: piece.parent.map(String::from).unwrap_or_default(),
        traffic: REMOTE_PEER,
        // Nobody reads it, and what a piece cost us says nothing about what it costs the asker.
        cost_secs: 0,
        created_at_secs: created_at.map_or(0, |since| since.as_secs().cast_signed()),
    }
}
