//! A content in delivery.

use super::{Error, ReadError};
use bytes::Bytes;
use dragonfly_model::{ByteRange, PeerId, TaskId};
use dragonfly_storage::{PieceRecord, Pin};
use futures::Stream;
use http::HeaderMap;

/// A content that is on this host or on its way here. Holding it, or one of its streams, keeps the download alive.
#[derive(Clone)]
pub struct Content {
    pin: Pin,
}

impl Content {
    /// Which task this is.
    pub fn task_id(&self) -> &TaskId {
        self.pin.id()
    }

    /// The download that brings it; for a content that was finished before, an id made for this request.
    pub fn peer_id(&self) -> &PeerId {
        todo!()
    }

    /// Bytes of the whole content, once known.
    pub fn content_length(&self) -> Option<u64> {
        self.pin.content_length()
    }

    /// The origin's response headers for this content.
    pub fn headers(&self) -> HeaderMap {
        todo!()
    }

    /// Whether the content was complete on this host before it was asked for.
    pub fn was_finished(&self) -> bool {
        todo!()
    }

    /// The bytes in order, as they arrive. `None` reads all. The stream ends cleanly only after every check held; on
    /// a failed check it ends with an error, upon which the client's connection must be reset.
    pub fn read(&self, range: Option<ByteRange>) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static + use<> {
        let _ = range;
        futures::stream::empty()
    }

    /// Waits until everything that was asked for is here and checked.
    pub async fn finished(&self) -> Result<(), Error> {
        todo!()
    }

    /// The pieces that were asked for, those present first, then each as it lands. Ends with the download.
    pub fn pieces(&self) -> impl Stream<Item = Result<PieceRecord, Error>> + Send + 'static + use<> {
        futures::stream::empty()
    }
}
