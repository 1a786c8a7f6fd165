//! Fetching pieces from other peers over TCP.
//!
//! Upstream's peers answer one request per connection, for one piece. A parent that announced it (`dragonfly-piece-reuse`)
//! gets many, and chooses among the pieces that each names. Its connections wait here for the next request; one that died
//! while it waited is replaced once without anybody noticing.

use crate::vortex::{Content, Family, HEADER_LEN, Header, Malformed, Refusal, RefusalCode, Request, Tag};
use bytes::{Bytes, BytesMut};
use dragonfly_model::{PieceNumber, PieceSpan};
use futures::Stream;
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Idle connections kept per parent, and in all.
const MAX_IDLE_PER_PARENT: usize = 16;
const MAX_IDLE: usize = 512;
/// Shorter than any server of ours waits.
const MAX_IDLE_TIME: Duration = Duration::from_secs(20);
/// Bytes that are read from a connection at once.
const READ_BUFFER: usize = 256 << 10;

/// How pieces are fetched.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a piece may take as a whole.
    pub piece_timeout: Duration,
    /// How long a parent may send nothing.
    pub stall_timeout: Duration,
    /// Whether connections to parents that announced it are used again.
    pub reuse: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            piece_timeout: Duration::from_secs(360),
            stall_timeout: Duration::from_secs(10),
            reuse: true,
        }
    }
}

/// Who has to change something so that a fetch works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The parent, or the way to it: try another.
    Parent,
    /// This host.
    Us,
}

/// Why a piece was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection came about.
    #[error("no connection to {addr}")]
    Connect {
        /// The parent's address.
        addr: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The connection failed.
    #[error("the connection to the parent failed")]
    Connection(#[source] io::Error),
    /// The parent closed the connection before the piece's end.
    #[error("the parent closed the connection, {missing} bytes of the piece are missing")]
    Truncated {
        /// Bytes of the piece that did not come.
        missing: u64,
    },
    /// The parent sent nothing for too long, or the piece took too long as a whole.
    #[error("the parent was too slow")]
    Slow,
    /// The parent doesn't have the piece (any more).
    #[error("the parent does not have the piece")]
    NotFound,
    /// The parent refused for another reason.
    #[error("the parent refused ({code:?}): {message:?}")]
    Refused {
        /// Kind of the reason.
        code: RefusalCode,
        /// The parent's words.
        message: String,
    },
    /// The parent's answer is none.
    #[error("the parent's answer is damaged")]
    Malformed(#[from] Malformed),
    /// The parent sent another piece than those asked for.
    #[error("the parent sent piece {got} instead of {asked}", asked = asked.0, got = got.0)]
    WrongPiece {
        /// The piece that was wanted most.
        asked: PieceNumber,
        /// The piece that came.
        got: PieceNumber,
    },
    /// The task's id is too long for a peer that speaks only upstream's protocol.
    #[error("a task id of 128 digits can't be asked of this parent")]
    LongTaskId,
}

impl FetchError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::LongTaskId => Fault::Us,
            Self::Connect { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => Fault::Us,
                _ => Fault::Parent,
            },
            _ => Fault::Parent,
        }
    }
}

/// A piece whose bytes are on their way.
#[derive(Debug)]
pub struct Piece {
    /// Where the parent says it lies. Compare it with the layout before a byte is written.
    pub span: PieceSpan,
    /// What the parent says its CRC-32 is; the bytes are not compared with it here, the storage does that.
    pub crc32: Option<u32>,
    /// Its bytes: exactly as many as the span has, or an error.
    pub body: Body,
}

/// Fetches pieces. Clones share the idle connections.
#[derive(Clone)]
pub struct PieceClient {
    inner: Arc<Inner>,
    family: Family,
}

struct Inner {
    config: ClientConfig,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    by_parent: HashMap<SocketAddr, Vec<(TcpStream, Instant)>>,
    count: usize,
}

impl PieceClient {
    /// A client without connections.
    pub fn new(config: ClientConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                idle: Mutex::default(),
            }),
            family: Family::Standard,
        }
    }

    /// The same client, for pieces of tasks of this family.
    pub fn asking_of(&self, family: Family) -> Self {
        Self {
            inner: self.inner.clone(),
            family,
        }
    }

    /// Asks a parent for a piece and returns once its metadata is here. `reuse` says that the parent announced that it
    /// answers many requests per connection and chooses; any other is asked for the piece that is wanted most.
    pub async fn fetch(&self, addr: SocketAddr, mut request: Request, reuse: bool) -> Result<Piece, FetchError> {
        let reuse = reuse && self.inner.config.reuse;
        if !reuse {
            request.others.clear();
        }
        let packet = request.encode(rand::random(), self.family);
        if !reuse && packet.len() != HEADER_LEN + Request::LEN as usize {
            return Err(FetchError::LongTaskId);
        }
        let deadline = Instant::now() + self.inner.config.piece_timeout;
        let asked = async {
            if reuse && let Some(stream) = self.inner.take_idle(addr) {
                match self.inner.ask(stream, &packet).await {
                    // It died while it waited.
                    Err(FetchError::Connection(_) | FetchError::Truncated { .. }) => {}
                    answered => return answered,
                }
            }
            let stream = self.inner.connect(addr).await?;
            if reuse {
                let hello = Header {
                    id: 0,
                    tag: Tag::KeepOpen,
                    length: 0,
                };
                let both = [&hello.encode()[..], &packet].concat();
                self.inner.ask(stream, &both).await
            } else {
                self.inner.ask(stream, &packet).await
            }
        };
        let (stream, answer) = timeout_at(deadline, asked).await.map_err(|_| FetchError::Slow)??;
        let content = match answer {
            Answer::Content(content) => content,
            Answer::Refusal(refusal) => {
                if reuse && refusal.code == RefusalCode::NotFound {
                    self.inner.put_idle(addr, stream);
                }
                return Err(refused(refusal));
            }
        };
        if !request.numbers().contains(&content.span.number) {
            return Err(FetchError::WrongPiece {
                asked: request.number,
                got: content.span.number,
            });
        }
        let body = Body {
            client: self.inner.clone(),
            return_to: reuse.then_some(addr),
            stream: Some(stream),
            remaining: content.span.length,
            buffer: BytesMut::new(),
            deadline,
        };
        Ok(Piece {
            span: content.span,
            crc32: content.crc32,
            body: body.returned_if_done(),
        })
    }
}

fn refused(refusal: Refusal) -> FetchError {
    match refusal.code {
        RefusalCode::NotFound => FetchError::NotFound,
        code => FetchError::Refused {
            code,
            // Somebody else's words in our log: a few will do.
            message: refusal.message.chars().take(200).collect(),
        },
    }
}

enum Answer {
    Content(Content),
    Refusal(Refusal),
}

impl Inner {
    async fn connect(&self, addr: SocketAddr) -> Result<TcpStream, FetchError> {
        let failed = |source| FetchError::Connect { addr, source };
        let connected = timeout(self.config.connect_timeout, TcpStream::connect(addr)).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(5))
            .with_interval(Duration::from_secs(3))
            .with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(failed)?;
        Ok(stream)
    }

    async fn ask(&self, mut stream: TcpStream, packet: &[u8]) -> Result<(TcpStream, Answer), FetchError> {
        let answered = timeout(self.config.stall_timeout, async {
            // A parent that refuses at once may have closed its end before all of the request is sent; what it said
            // is still there to be read.
            let sent = stream.write_all(packet).await;
            match (sent, read_answer(&mut stream).await) {
                (Err(error), Err(FetchError::Connection(_) | FetchError::Truncated { .. })) => {
                    Err(FetchError::Connection(error))
                }
                (_, answer) => answer,
            }
        });
        let answer = answered.await.map_err(|_| FetchError::Slow)??;
        Ok((stream, answer))
    }

    /// The connection that waited for the shortest time, if it is still good.
    fn take_idle(&self, addr: SocketAddr) -> Option<TcpStream> {
        let mut idle = self.lock_idle();
        let waiting = idle.by_parent.get_mut(&addr)?;
        let mut tried = 0;
        let found = loop {
            let Some((stream, since)) = waiting.pop() else {
                break None;
            };
            tried += 1;
            if since.elapsed() < MAX_IDLE_TIME && is_quiet(&stream) {
                break Some(stream);
            }
        };
        if waiting.is_empty() {
            idle.by_parent.remove(&addr);
        }
        idle.count -= tried;
        found
    }

    fn put_idle(&self, addr: SocketAddr, stream: TcpStream) {
        let mut idle = self.lock_idle();
        if idle.count >= MAX_IDLE {
            idle.drop_expired();
        }
        if idle.count >= MAX_IDLE {
            return;
        }
        let waiting = idle.by_parent.entry(addr).or_default();
        if waiting.len() < MAX_IDLE_PER_PARENT {
            waiting.push((stream, Instant::now()));
            idle.count += 1;
        }
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn drop_expired(&mut self) {
        self.by_parent.retain(|_, waiting| {
            waiting.retain(|(_, since)| since.elapsed() < MAX_IDLE_TIME);
            !waiting.is_empty()
        });
        self.count = self.by_parent.values().map(Vec::len).sum();
    }
}

/// Whether nothing came on a connection that waits: neither its end nor bytes that nobody asked for.
fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn read_answer(stream: &mut TcpStream) -> Result<Answer, FetchError> {
    let mut header = [0; HEADER_LEN];
    read_exact(stream, &mut header).await?;
    let header = Header::decode(header)?;
    // The header's decoder has bounded the length.
    let mut value = vec![0; header.length as usize];
    match header.tag {
        Tag::Content(_) => {
            read_exact(stream, &mut value).await?;
            Ok(Answer::Content(Content::decode(&value)?))
        }
        Tag::Error => {
            read_exact(stream, &mut value).await?;
            Ok(Answer::Refusal(Refusal::decode(&value)?))
        }
        Tag::Request(_) | Tag::Choice | Tag::KeepOpen | Tag::Close => Err(header.unexpected().into()),
    }
}

async fn read_exact(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), FetchError> {
    match stream.read_exact(buffer).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FetchError::Truncated {
            missing: buffer.len() as u64,
        }),
        Err(error) => Err(FetchError::Connection(error)),
    }
}

/// The bytes of a piece as they come. Dropped before its end, its connection is closed.
pub struct Body {
    client: Arc<Inner>,
    /// Where the connection waits for its next request once the piece is whole.
    return_to: Option<SocketAddr>,
    stream: Option<TcpStream>,
    remaining: u64,
    buffer: BytesMut,
    deadline: Instant,
}

impl Body {
    /// Bytes that are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes; `None` behind the last. After an error there are none.
    pub async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        let stream = self.stream.as_mut().filter(|_| self.remaining > 0)?;
        let wanted = usize::try_from(self.remaining).map_or(READ_BUFFER, |n| n.min(READ_BUFFER));
        // What is left of the last buffer is used unless it would make the reads tiny.
        if self.buffer.capacity() < wanted.min(READ_BUFFER / 4) {
            self.buffer.reserve(wanted);
        }
        let until = self.deadline.min(Instant::now() + self.client.config.stall_timeout);
        let read = timeout_at(until, stream.take(self.remaining).read_buf(&mut self.buffer)).await;
        let failure = match read {
            Ok(Ok(0)) => FetchError::Truncated {
                missing: self.remaining,
            },
            Ok(Ok(read)) => {
                self.remaining -= read as u64;
                let bytes = self.buffer.split().freeze();
                self.return_if_done();
                return Some(Ok(bytes));
            }
            Ok(Err(error)) => FetchError::Connection(error),
            Err(_) => FetchError::Slow,
        };
        self.stream = None;
        Some(Err(failure))
    }

    /// As a stream for combinators.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, FetchError>> + Send {
        futures::stream::unfold(self, |mut body| async move { Some((body.next().await?, body)) })
    }

    fn returned_if_done(mut self) -> Self {
        self.return_if_done();
        self
    }

    fn return_if_done(&mut self) {
        if self.remaining == 0
            && let Some(stream) = self.stream.take()
            && let Some(addr) = self.return_to
        {
            self.client.put_idle(addr, stream);
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}
