//! Who is told what origins are asked, and what they give.

use crate::{Body, Error, SCHEMES};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Is told of all that is asked of origins.
pub trait Observer: fmt::Debug + Send + Sync {
    /// An origin was asked, and has begun its answer or failed.
    fn asked(&self, asked: Asked);
    /// An origin gave so many bytes of a content.
    fn received(&self, bytes: u64);
}

/// One question, redirects and retries included.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// One of [`SCHEMES`].
    pub scheme: &'static str,
    /// `HEAD` for what a content is, `GET` for the content, `LIST` for a directory, `FORWARD` for what is passed on as it is.
    pub method: &'static str,
    /// From the question to the beginning of its answer.
    pub took: Duration,
    /// Whether no answer came, or one that is a failure.
    pub failed: bool,
}

/// The observer, if there is one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed(pub(crate) Option<Arc<dyn Observer>>);

impl Observed {
    /// Tells of the question whose answer `answer` is.
    pub(crate) async fn asking<T>(
        &self,
        scheme: &str,
        method: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let known = SCHEMES.iter().find(|known| **known == scheme);
        let Some((observer, scheme)) = self.0.as_ref().zip(known) else {
            return answer.await;
        };
        let begun = Instant::now();
        let answered = answer.await;
        observer.asked(Asked {
            scheme,
            method,
            took: begun.elapsed(),
            failed: answered.is_err(),
        });
        answered
    }

    /// The same body; its bytes are told of.
    pub(crate) fn counting(&self, mut body: Body) -> Body {
        if let Some(observer) = self.0.clone() {
            let told = move |bytes: &Result<bytes::Bytes, Error>| {
                if let Ok(bytes) = bytes {
                    observer.received(bytes.len() as u64);
                }
            };
            body.stream = body.stream.inspect(told).boxed();
        }
        body
    }
}
