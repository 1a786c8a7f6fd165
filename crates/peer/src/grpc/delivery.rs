//! The answer to `DownloadTask`: first what is known of the content, then each piece.

use super::{Shared, stat, status_of};
use crate::engine::{Content, Error};
use dragonfly_api::dfdaemon::download_task_response::Response as Part;
use dragonfly_api::dfdaemon::{DownloadPieceFinishedResponse, DownloadTaskResponse, DownloadTaskStartedResponse};
use dragonfly_api::{common, piece_of};
use dragonfly_model::{ByteRange, PieceLayout};
use dragonfly_storage::{PieceRecord, Pin};
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Messages that may wait for the caller; those with a piece's bytes wait alone.
const QUEUE: usize = 64;

pub(super) type Messages = ReceiverStream<Result<DownloadTaskResponse, Status>>;

/// One content on its way to one caller.
pub(super) struct Delivery {
    context: Shared,
    content: Content,
    range: Option<ByteRange>,
    with_content: bool,
    messages: mpsc::Sender<Result<DownloadTaskResponse, Status>>,
}

impl Delivery {
    pub(super) fn new(
        context: Shared,
        content: Content,
        range: Option<ByteRange>,
        with_content: bool,
    ) -> (Self, Messages) {
        let (messages, receiver) = mpsc::channel(if with_content { 1 } else { QUEUE });
        let delivery = Self {
            context,
            content,
            range,
            with_content,
            messages,
        };
        (delivery, ReceiverStream::new(receiver))
    }

    /// Tells everything, then ends with what `last` says once the content is complete. Ends early if the caller goes.
    pub(super) async fn run<F>(self, timeout: Option<Duration>, last: impl FnOnce() -> F)
    where
        F: Future<Output = Result<(), Status>>,
    {
        let telling = async {
            self.tell().await?;
            last().await
        };
        let told = tokio::select! {
            told = telling => told,
            () = self.messages.closed() => return,
            () = after(timeout) => Err(status_of(&Error::Timeout(timeout.unwrap_or_default()))),
        };
        if let Err(status) = told {
            // A caller that has gone needs no word.
            self.messages.send(Err(status)).await.ok();
        }
    }

    async fn tell(&self) -> Result<(), Status> {
        let mut pieces = std::pin::pin!(self.content.pieces());
        let mut early = Vec::new();
        // The first message tells the length, so a content whose length nobody knows is told of when it is known.
        let length = loop {
            match self.content.content_length() {
                Some(length) => break length,
                None => match pieces.next().await {
                    Some(piece) => early.push(piece.map_err(|error| status_of(&error))?),
                    None => break self.content.content_length().unwrap_or(0),
                },
            }
        };
        self.send(Part::DownloadTaskStartedResponse(self.started(length)))
            .await?;
        for piece in early {
            self.piece(&piece).await?;
        }
        while let Some(piece) = pieces.next().await {
            self.piece(&piece.map_err(|error| status_of(&error))?).await?;
        }
        self.content.finished().await.map_err(|error| status_of(&error))
    }

    fn started(&self, content_length: u64) -> DownloadTaskStartedResponse {
        let layout = self.content.pin().layout();
        DownloadTaskStartedResponse {
            content_length,
            range: self.range.map(common::Range::from),
            response_header: stat::text_headers(&self.content.headers()),
            pieces: layout.map(|layout| self.expected(layout)).unwrap_or_default(),
            is_finished: self.content.was_finished(),
        }
    }

    /// The pieces that will be told of.
    fn expected(&self, layout: PieceLayout) -> Vec<common::Piece> {
        let range = self.range.unwrap_or(ByteRange::whole(layout.content_length()));
        let piece = |span: dragonfly_model::PieceSpan| common::Piece {
            number: span.number.0,
            offset: span.offset,
            length: span.length,
            ..Default::default()
        };
        layout.covering(range).map(piece).collect()
    }

    async fn piece(&self, record: &PieceRecord) -> Result<(), Status> {
        let mut piece = piece_of(
            record.span,
            record.crc32,
            record.parent.as_ref(),
            record.traffic,
            Duration::ZERO,
        );
        if self.with_content {
            let bytes = bytes_of(self.content.pin(), record).await?;
            self.content.delivered(bytes.len() as u64);
            piece.content = Some(bytes);
        }
        self.send(Part::DownloadPieceFinishedResponse(DownloadPieceFinishedResponse {
            piece: Some(piece),
        }))
        .await
    }

    async fn send(&self, part: Part) -> Result<(), Status> {
        let message = DownloadTaskResponse {
            host_id: self.context.announcement.host_id().to_string(),
            task_id: self.content.task_id().to_string(),
            peer_id: self.content.peer_id().to_string(),
            response: Some(part),
        };
        let sent = self.messages.send(Ok(message)).await;
        sent.map_err(|_| Status::cancelled("the caller has gone"))
    }
}

/// A piece's bytes; at most as many as the largest piece.
async fn bytes_of(pin: &Pin, piece: &PieceRecord) -> Result<Vec<u8>, Status> {
    let length =
        usize::try_from(piece.span.length).map_err(|_| Status::internal("the piece does not fit in memory"))?;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = piece.span.offset + bytes.len() as u64;
        let read = pin.read(at, length - bytes.len()).await;
        let read = read.map_err(|error| status_of(&error.into()))?;
        if read.is_empty() {
            return Err(Status::internal("the piece is shorter than its record says"));
        }
        bytes.extend_from_slice(&read);
    }
    Ok(bytes)
}

async fn after(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}
