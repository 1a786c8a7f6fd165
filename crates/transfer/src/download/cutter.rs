//! Cuts a stream of bytes into pieces as it passes: one request to the origin fills many pieces.

use super::error::Unwritten;
use super::stream::{News, StreamError};
use bytes::Bytes;
use dragonfly_model::{PieceLayout, PieceNumber, PieceSpan, TrafficType};
use dragonfly_storage::{PieceWriter, Pin};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Stands at one byte of the content and writes on from there.
pub(super) struct Cutter {
    task: Pin,
    news: mpsc::Sender<News>,
    at: u64,
    current: Option<Current>,
    landed: u64,
    reached: u64,
}

struct Current {
    span: PieceSpan,
    /// `None`: the piece is here or somebody else writes it, so its bytes pass by.
    writer: Option<PieceWriter>,
    begun: Instant,
}

impl Cutter {
    /// A cutter at byte `at`, where a piece begins.
    pub(super) fn new(task: Pin, news: mpsc::Sender<News>, at: u64) -> Self {
        Self {
            task,
            news,
            at,
            current: None,
            landed: 0,
            reached: at,
        }
    }

    /// The next byte of the content.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes were written, again and again included.
    pub(super) fn landed(&self) -> u64 {
        self.landed
    }

    /// How far the stream ever came, as a measure of progress.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Goes back to the first byte, for a stream that begins there. A piece that was not ended is dropped.
    pub(super) fn restart(&mut self) {
        self.at = 0;
        self.current = None;
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => self.begin()?,
            };
            let room = current.span.offset + current.span.length - self.at;
            let part = bytes.split_to(usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len())));
            self.at += part.len() as u64;
            self.reached = self.reached.max(self.at);
            if let Some(writer) = &mut current.writer {
                self.landed += part.len() as u64;
                writer.write(part).await.map_err(StreamError::of)?;
            }
            if self.at == current.span.offset + current.span.length {
                self.commit(current).await?;
            } else {
                self.current = Some(current);
            }
        }
        Ok(())
    }

    /// The content has ended here, and its length is known now if it was not before.
    pub(super) async fn end(&mut self) -> Result<(), StreamError> {
        if self.task.content_length().is_some_and(|length| length != self.at) {
            return Err(StreamError::Changed);
        }
        let begun = self.current.take().filter(|current| self.at > current.span.offset);
        if let Some(Current {
            writer: Some(writer),
            begun,
            ..
        }) = begun
        {
            let record = writer.commit_as_last().await.map_err(StreamError::of)?;
            if let Some(record) = record {
                self.tell(News::Arrived(record, begun.elapsed())).await;
            }
        } else {
            self.task.set_content_length(self.at).map_err(StreamError::of)?;
        }
        Ok(())
    }

    fn begin(&self) -> Result<Current, StreamError> {
        let span = self.span().ok_or(StreamError::Changed)?;
        let writer = match self
            .task
            .begin_piece(span, TrafficType::BackToSource, None)
            .map_err(Unwritten::from)
        {
            Ok(writer) => Some(writer),
            Err(Unwritten::Present | Unwritten::Elsewhere) => None,
            Err(Unwritten::OutOfLayout) => return Err(StreamError::Changed),
            Err(Unwritten::Damaged(error) | Unwritten::Storage(error)) => return Err(StreamError::of(error)),
        };
        Ok(Current {
            span,
            writer,
            begun: Instant::now(),
        })
    }

    /// The piece at the next byte; behind the known end there is none.
    fn span(&self) -> Option<PieceSpan> {
        match self.task.layout() {
            Some(layout) => PieceLayout::piece_at(&layout, self.at),
            None => Some(PieceSpan {
                number: PieceNumber(u32::try_from(self.at / self.task.piece_length()).ok()?),
                offset: self.at,
                length: self.task.piece_length(),
            }),
        }
    }

    async fn commit(&self, current: Current) -> Result<(), StreamError> {
        if let Some(writer) = current.writer {
            let record = writer.commit(None).await.map_err(StreamError::of)?;
            self.tell(News::Arrived(record, current.begun.elapsed())).await;
        }
        Ok(())
    }

    async fn tell(&self, news: News) {
        // A driver that has gone is about to drop this stream too.
        drop(self.news.send(news).await);
    }
}
