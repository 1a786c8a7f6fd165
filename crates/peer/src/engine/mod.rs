//! The download engine: one content, one download, however many ask for it.
//!
//! [`Engine::open`] finds a content on this host, joins the download that already brings it, or starts one. A download
//! asks the origin for the content's head, registers with the task's scheduler, fetches pieces from the parents that it
//! names or from the origin, and falls back to the origin when no scheduler answers. The proxy and the gRPC services
//! are its callers.

mod content;
mod error;
mod request;

pub use content::Content;
pub use error::{Error, ReadError};
pub use request::Request;

use dragonfly_model::TaskId;
use dragonfly_storage::Pin;
use std::sync::Arc;

/// Opens contents. Cheap to clone; all clones share their downloads.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {}

impl Engine {
    /// Finds, joins or starts; returns as soon as the content's length and headers are known, or that they can't be
    /// known before its end. A content that is finished on this host contacts nobody.
    pub async fn open(&self, request: Request) -> Result<Content, Error> {
        let _ = (&self.inner, request);
        todo!()
    }

    /// What this host holds of a task.
    pub fn local(&self, task: &TaskId) -> Option<Pin> {
        let _ = task;
        todo!()
    }

    /// Forgets a task here; a running download of it ends with [`Error::Deleted`]. Whether there was one.
    pub async fn delete(&self, task: &TaskId) -> Result<bool, Error> {
        let _ = task;
        todo!()
    }
}
