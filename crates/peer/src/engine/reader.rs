//! Reading a content in order while it arrives.
//!
//! What may leave when:
//! - With a digest that names the content, bytes may leave as they arrive, since the digest is checked before the end.
//!   A response that reaches the content's end keeps its last [`TAIL`] until the digest held.
//! - Without one, the origin's bytes leave as they arrive and a parent's after their piece's check.
//! - In any case the last [`TAIL`] of a response leaves after the checks of the pieces that hold it.
//!
//! Bytes that left before their piece's check are remembered by their CRC. If the piece is then fetched anew, because
//! its check failed or its sender went away, they must be the same in the piece that is kept, or the stream breaks off.

use super::content::{Held, Progress};
use super::{Error, ReadError};
use bytes::Bytes;
use dragonfly_model::{ByteRange, PieceNumber, TrafficType};
use dragonfly_storage as storage;
use dragonfly_storage::{PieceRecord, Pin};
use std::sync::Arc;

/// How much of a response is kept back until its checks held, in bytes.
const TAIL: u64 = 64 * 1024;

pub(super) struct Reader {
    held: Arc<Held>,
    progress: Progress,
    range: Option<ByteRange>,
    /// Whether the content is named by its digest.
    named: bool,
    at: u64,
    early: Option<Early>,
}

/// Bytes of one piece that left before its check.
struct Early {
    number: PieceNumber,
    attempt: u64,
    from: u64,
    crc: crc32fast::Hasher,
}

/// How far may be read now.
enum Reach {
    /// To here, all of it checked.
    Checked(u64),
    /// To here, not checked yet.
    Unchecked(u64, u64),
    /// This piece is checked, but another attempt brought it than the one whose bytes have left.
    Replaced(PieceRecord),
    /// Not at all.
    Nothing,
}

impl Reader {
    pub(super) fn new(held: Arc<Held>, range: Option<ByteRange>) -> Self {
        Self {
            progress: Progress::new(&held),
            named: held.pin.record().digest.is_some(),
            at: range.map_or(0, |range| range.start),
            range,
            early: None,
            held,
        }
    }

    /// The next bytes, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            self.progress.note();
            if self.is_at_end()? {
                return Ok(None);
            }
            let reach = self.reach();
            if let Reach::Replaced(piece) = &reach {
                self.compare(piece).await?;
                continue;
            }
            if let Some(bytes) = self.read_to(reach).await? {
                return Ok(Some(bytes));
            }
            self.progress.more().await?;
        }
    }

    /// Where the response ends, once that is known.
    fn end(&self) -> Option<u64> {
        let length = self.pin().content_length()?;
        Some(self.range.map_or(length, |range| range.end().min(length)))
    }

    fn is_at_end(&self) -> Result<bool, ReadError> {
        let Some(content_length) = self.pin().content_length() else {
            // Content goes on behind the range, so the range is all there is to wait for.
            let range_end = self.range.map(|range| range.end());
            return Ok(range_end.is_some_and(|end| self.at >= end && self.received(end) > end));
        };
        if self
            .range
            .is_some_and(|range| range.start > content_length || (range.start == content_length && range.length > 0))
        {
            return Err(ReadError::Unsatisfiable { content_length });
        }
        let reached = self.end().is_some_and(|end| self.at >= end);
        // Everything before was kept back, but of an empty response nothing was.
        Ok(reached && (!self.ends_content() || self.is_verified()))
    }

    /// Whether the response reaches the end of the content, or may do so.
    fn ends_content(&self) -> bool {
        match (self.range, self.pin().content_length()) {
            (None, _) => true,
            (Some(range), Some(length)) => range.end() >= length,
            (Some(range), None) => self.received(range.end()) <= range.end(),
        }
    }

    fn is_verified(&self) -> bool {
        !self.named || self.progress.is_verified() || self.pin().record().is_finished()
    }

    fn reach(&self) -> Reach {
        let Some(number) = self.piece_at(self.at) else {
            return Reach::Nothing;
        };
        let early = self.early.as_ref();
        if let Some(before) = early.filter(|early| early.number != number) {
            // Nothing of the next piece leaves before what has left of this one was vouched for.
            match self.pin().piece(before.number) {
                Some(piece) if piece.attempt == before.attempt => {}
                Some(piece) => return Reach::Replaced(piece),
                None => return Reach::Nothing,
            }
        }
        let early = early.filter(|early| early.number == number);
        if let Some(piece) = self.pin().piece(number) {
            return match early {
                Some(early) if early.attempt != piece.attempt => Reach::Replaced(piece),
                _ => Reach::Checked(piece.span.offset + piece.span.length),
            };
        }
        let Some(arriving) = self.pin().arriving(number) else {
            return Reach::Nothing;
        };
        let may_pass = self.named || arriving.traffic == TrafficType::BackToSource;
        if !may_pass || early.is_some_and(|early| early.attempt != arriving.attempt) {
            return Reach::Nothing;
        }
        let start = u64::from(number.0) * self.pin().piece_length();
        Reach::Unchecked(start + arriving.written, arriving.attempt)
    }

    /// The next bytes within reach, `None` if they must be kept back still.
    async fn read_to(&mut self, reach: Reach) -> Result<Option<Bytes>, ReadError> {
        let (to, attempt) = match reach {
            Reach::Checked(to) => (self.keep_back(to, true), None),
            Reach::Unchecked(to, attempt) => (self.keep_back(to, false), Some(attempt)),
            Reach::Replaced(_) | Reach::Nothing => return Ok(None),
        };
        let Some(length) = to.checked_sub(self.at).filter(|length| *length > 0) else {
            return Ok(None);
        };
        let max = usize::try_from(length).map_or(self.held.reads.chunk, |length| length.min(self.held.reads.chunk));
        let bytes = match self.pin().read(self.at, max).await {
            Ok(bytes) => bytes,
            // The attempt was given up between the look and the read.
            Err(storage::Error::NotPresent { .. }) if attempt.is_some() => return Ok(None),
            Err(error) => return Err(Error::from(error).into()),
        };
        self.remember(&bytes, attempt);
        self.at += bytes.len() as u64;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// How far a response may go whose bytes are here up to `to`, `checked` or not.
    fn keep_back(&self, to: u64, checked: bool) -> u64 {
        let range_end = self.range.map_or(u64::MAX, |range| range.end());
        let end = self.end().unwrap_or(range_end);
        let to = to.min(end);
        let waits_for_digest = self.named && self.ends_content() && !self.is_verified();
        if checked && !waits_for_digest {
            return to;
        }
        // An end that is not known lies at the last byte received or behind it.
        let earliest_end = match self.pin().content_length() {
            Some(_) => end,
            None => self.received(to).min(end),
        };
        to.min(earliest_end.saturating_sub(TAIL))
    }

    /// Bytes from the start that are here without a gap, looking one piece ahead of `from`.
    fn received(&self, from: u64) -> u64 {
        let pin = self.pin();
        let end_of = |number: PieceNumber| -> Option<u64> {
            let start = u64::from(number.0) * pin.piece_length();
            match (pin.piece(number), pin.arriving(number)) {
                (Some(piece), _) => Some(start + piece.span.length),
                (None, Some(arriving)) => Some(start + arriving.written),
                (None, None) => None,
            }
        };
        let mut received = from;
        for _ in 0..2 {
            match self.piece_at(received).and_then(end_of) {
                Some(end) if end > received => received = end,
                _ => break,
            }
        }
        received
    }

    fn remember(&mut self, bytes: &Bytes, attempt: Option<u64>) {
        let number = self.piece_at(self.at);
        let Some((attempt, number)) = attempt.zip(number) else {
            // Checked bytes: what left early of this piece has been vouched for by its attempt.
            self.early = None;
            return;
        };
        if self.early.as_ref().is_none_or(|early| early.number != number) {
            self.early = Some(Early {
                number,
                attempt,
                from: self.at,
                crc: crc32fast::Hasher::new(),
            });
        }
        if let Some(early) = &mut self.early {
            early.crc.update(bytes);
        }
    }

    /// Compares what has left of a piece with what is kept of it.
    async fn compare(&mut self, piece: &PieceRecord) -> Result<(), ReadError> {
        let Some(early) = self.early.take() else {
            return Ok(());
        };
        let mut crc = crc32fast::Hasher::new();
        let mut from = early.from;
        while from < self.at {
            let max =
                usize::try_from(self.at - from).map_or(self.held.reads.chunk, |left| left.min(self.held.reads.chunk));
            let bytes = self.pin().read(from, max).await.map_err(Error::from)?;
            if bytes.is_empty() {
                return Err(ReadError::Retracted);
            }
            crc.update(&bytes);
            from += bytes.len() as u64;
        }
        if crc.finalize() == early.crc.finalize() {
            return Ok(());
        }
        tracing::warn!(
            task.id = %self.pin().id(),
            piece.number = piece.span.number.0,
            "bytes that were passed on early were wrong; breaking the response off"
        );
        Err(ReadError::Retracted)
    }

    fn piece_at(&self, offset: u64) -> Option<PieceNumber> {
        u32::try_from(offset / self.pin().piece_length()).ok().map(PieceNumber)
    }

    fn pin(&self) -> &Pin {
        &self.held.pin
    }
}

#[cfg(test)]
mod tests;
