//! The one owner of the graph. Everybody else sends it facts and questions through a bounded queue; it applies them one
//! after the other and carries out the decisions, which never makes it wait: answers go to streams that take them or are
//! ended, calls to seed peers are workers of their own.

mod answer;
mod owner;
mod streams;

pub(crate) use answer::task_state;
pub(crate) use owner::{Owner, Parts};
pub(crate) use streams::{Answers, Enrolment};

use dragonfly_api::common::Task;
use dragonfly_model::{PeerId, TaskId};
use dragonfly_scheduling::{Event, Explained, PeerKey, PeerView, TaskView};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Facts and questions that may wait for the owner; who has another waits with it.
const QUEUE: usize = 8192;
/// Peers of a task that are told of at once: more would keep the owner from its work.
pub(crate) const MOST_TRACED: usize = 1000;

/// The owner is gone: the scheduler is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scheduler is stopping")]
pub(crate) struct Stopped;

impl From<Stopped> for Status {
    fn from(stopped: Stopped) -> Self {
        Status::unavailable(stopped.to_string())
    }
}

/// Numbers the streams, so that the end of an old stream of a peer is not taken for the end of its new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId(u64);

/// A task with what is told of it.
#[derive(Debug, Clone)]
pub(crate) struct KnownTask {
    /// As the graph sees it.
    pub(crate) view: TaskView,
    /// As peers described it, if any did.
    pub(crate) described: Option<Task>,
}

/// How a task's peers were judged.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) view: TaskView,
    pub(crate) peers: TracedPeers,
    /// The time of the graph.
    pub(crate) now: Duration,
}

/// Of which peers there is word.
#[derive(Debug)]
pub(crate) enum TracedPeers {
    /// Of all, up to [`MOST_TRACED`].
    All(Vec<(PeerId, PeerView)>),
    /// Of one, and those that were weighed for it.
    One(PeerId, Box<Explained>),
}

/// What the owner is sent.
#[derive(Debug)]
pub(crate) enum Command {
    /// Something happened.
    Event(Event),
    /// A peer registers over a stream.
    Register(Box<Enrolment>),
    /// A stream ended without a last word.
    Broken { peer: PeerKey, stream: StreamId },
    /// A stream said something impossible, and is to be ended with this.
    Reject {
        peer: PeerKey,
        stream: StreamId,
        status: Status,
    },
    /// Which task is this?
    Task(TaskId, oneshot::Sender<Option<KnownTask>>),
    /// Which peer is this?
    Peer(PeerKey, oneshot::Sender<Option<PeerView>>),
    /// How were a task's peers judged, or this one of them?
    Trace(TaskId, Option<PeerId>, oneshot::Sender<Option<Traced>>),
}

/// The way to the owner. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Brain {
    commands: mpsc::Sender<Command>,
    next_stream: Arc<AtomicU64>,
}

impl Brain {
    /// A way to an owner that gets its commands from the other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        let brain = Self {
            commands,
            next_stream: Arc::default(),
        };
        (brain, queue)
    }

    /// A number for a new stream.
    pub(crate) fn stream_id(&self) -> StreamId {
        StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells what happened.
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Stopped> {
        self.send(Command::Event(event)).await
    }

    /// Registers a peer; the answers go to its stream.
    pub(crate) async fn register(&self, enrolment: Enrolment) -> Result<(), Stopped> {
        self.send(Command::Register(Box::new(enrolment))).await
    }

    /// Tells that a stream ended without a last word.
    pub(crate) async fn broken(&self, peer: PeerKey, stream: StreamId) -> Result<(), Stopped> {
        self.send(Command::Broken { peer, stream }).await
    }

    /// Ends a stream with an error of its caller.
    pub(crate) async fn reject(&self, peer: PeerKey, stream: StreamId, status: Status) -> Result<(), Stopped> {
        self.send(Command::Reject { peer, stream, status }).await
    }

    /// Looks at a task.
    pub(crate) async fn task(&self, id: TaskId) -> Result<Option<KnownTask>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Task(id, answer)).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Looks at a peer.
    pub(crate) async fn peer(&self, key: PeerKey) -> Result<Option<PeerView>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Peer(key, answer)).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Tells how a task's peers were judged, or one of them. `None` if there is no such task or peer.
    pub(crate) async fn trace(&self, task: TaskId, peer: Option<PeerId>) -> Result<Option<Traced>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Trace(task, peer, answer)).await?;
        answered.await.map_err(|_| Stopped)
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}
