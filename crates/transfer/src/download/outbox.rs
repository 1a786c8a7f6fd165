//! Reports on their way: the driver never waits for their reader while there is something else to do.

use super::Report;
use super::control::Message;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Reports that were not sent yet. Their number is bounded because the driver starts no work while there are many.
pub(super) struct Outbox {
    unsent: VecDeque<Report>,
    /// `None` once nobody reads.
    reports: Option<mpsc::Sender<Report>>,
}

impl Outbox {
    pub(super) fn new(reports: mpsc::Sender<Report>) -> Self {
        Self {
            unsent: VecDeque::new(),
            reports: Some(reports),
        }
    }

    pub(super) fn push(&mut self, report: Report) {
        if self.reports.is_some() {
            self.unsent.push_back(report);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.unsent.len()
    }

    /// Sends the oldest report once its reader takes it; never, if there is none. Dropped while it waits, it has sent
    /// nothing.
    pub(super) async fn sent_one(&mut self) {
        let (false, Some(reports)) = (self.unsent.is_empty(), &self.reports) else {
            return std::future::pending().await;
        };
        if let Ok(permit) = reports.reserve().await {
            if let Some(report) = self.unsent.pop_front() {
                permit.send(report);
            }
            return;
        }
        self.reports = None;
        self.unsent.clear();
    }

    /// Sends what is left, unless nobody holds the download's control any more. What is told meanwhile comes too late
    /// to matter, but must not keep its sender waiting, who may be the reader.
    pub(super) async fn flush(&mut self, controls: &mut mpsc::Receiver<Message>) {
        while !self.unsent.is_empty() {
            tokio::select! {
                () = self.sent_one() => {}
                message = controls.recv() => if message.is_none() {
                    return;
                },
            }
        }
    }
}
