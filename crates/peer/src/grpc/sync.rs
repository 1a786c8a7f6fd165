//! Telling another peer which pieces are here, as they land.

use super::{Context, task_id};
use crate::engine::Running;
use dragonfly_api::dfdaemon::{SyncPiecesRequest, SyncPiecesResponse};
use dragonfly_model::PieceNumber;
use dragonfly_storage::{Pin, TaskState};
use futures::Stream;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;

/// How long a task that is just beginning may take to have a piece length.
const OPENING: Duration = Duration::from_secs(30);

/// One listener.
pub(super) struct PieceSync {
    pin: Pin,
    changes: watch::Receiver<u64>,
    /// The download that may bring more.
    running: Option<Running>,
    /// What the listener wants; everything if it named nothing.
    wanted: Option<HashSet<PieceNumber>>,
    told: HashSet<PieceNumber>,
    ready: VecDeque<SyncPiecesResponse>,
    ip: String,
    port: u16,
}

impl PieceSync {
    /// `kept` is whether a task is asked for that the cluster keeps.
    pub(super) async fn open(context: &Context, request: &SyncPiecesRequest, kept: bool) -> Result<Self, Status> {
        let task = task_id(&request.task_id)?;
        let running = context.engine.running(&task);
        let pin = match (&running, context.engine.local(&task)) {
            (_, Some(pin)) => pin,
            (Some(running), None) => tokio::time::timeout(OPENING, running.opened())
                .await
                .map_err(|_| Status::unavailable("the task is not open yet"))?
                .map_err(|error| Status::unavailable(error.to_string()))?,
            (None, None) => return Err(Status::not_found("the task is not here")),
        };
        if pin.record().policy.replica().is_some() != kept {
            return Err(Status::not_found("the task is not here"));
        }
        pin.touch();
        let numbers: HashSet<PieceNumber> = request
            .interested_piece_numbers
            .iter()
            .copied()
            .map(PieceNumber)
            .collect();
        Ok(Self {
            changes: pin.changes(),
            pin,
            running,
            wanted: Some(numbers).filter(|numbers| !numbers.is_empty()),
            told: HashSet::new(),
            ready: VecDeque::new(),
            ip: context.own_ip().to_string(),
            port: context.piece_port,
        })
    }

    /// Ends when everything wanted was told, or nothing more can come.
    pub(super) fn stream(self) -> impl Stream<Item = Result<SyncPiecesResponse, Status>> + Send + 'static {
        futures::stream::try_unfold(self, |mut sync| async move {
            Ok(sync.next().await?.map(|message| (message, sync)))
        })
    }

    async fn next(&mut self) -> Result<Option<SyncPiecesResponse>, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            self.changes.borrow_and_update();
            // Asked before looking, so that nothing which landed before the end is overlooked.
            let finished = match self.pin.record().state {
                TaskState::Finished { .. } => true,
                TaskState::Partial => false,
                TaskState::Quarantined { .. } => return Err(Status::data_loss("the content was found wrong")),
            };
            let satisfied = self.wanted.as_ref().is_some_and(HashSet::is_empty);
            let over = finished || satisfied || self.running.is_none();
            self.gather();
            if self.ready.is_empty() {
                if over {
                    return Ok(None);
                }
                self.wait().await;
            }
        }
    }

    fn gather(&mut self) {
        for number in self.pin.pieces().iter() {
            let wanted = self.wanted.as_mut().is_none_or(|wanted| wanted.remove(&number));
            if !wanted || !self.told.insert(number) {
                continue;
            }
            if let Some(piece) = self.pin.piece(number) {
                self.ready.push_back(SyncPiecesResponse {
                    number: number.0,
                    offset: piece.span.offset,
                    length: piece.span.length,
                    ip: self.ip.clone(),
                    tcp_port: Some(i32::from(self.port)),
                    quic_port: None,
                });
            }
        }
    }

    async fn wait(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let ended = tokio::select! {
            changed = self.changes.changed() => changed.is_err(),
            () = running.over() => true,
        };
        if ended {
            self.running = None;
        }
    }
}
