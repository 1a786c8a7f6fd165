//! What hosts say that they hold.

use crate::brain::{Brain, Stopped};
use crate::hosts::Hosts;
use dragonfly_api::{Invalid, ext};
use dragonfly_model::{HostId, TaskId};
use dragonfly_scheduling::{Content, Event, Holding};
use dragonfly_service::metrics::Call;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

/// Contents in one message.
const PART: usize = 1000;
/// Contents of one host.
const MOST: usize = 100_000;

/// Hears the reports of hosts. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Holdings {
    pub(super) brain: Brain,
    pub(super) hosts: Hosts,
    pub(super) calls: Call,
}

impl Holdings {
    /// Takes in what a host holds, and listens on until it goes or the scheduler stops.
    pub(super) async fn hear(
        &self,
        reports: Streaming<ext::HoldingsReport>,
        cancel: CancellationToken,
    ) -> Result<(), Status> {
        match cancel.run_until_cancelled(self.take_in(reports)).await {
            Some(heard) => self.calls.count(heard),
            None => self.calls.count(Ok(())).and(Err(Stopped.into())),
        }
    }

    async fn take_in(&self, mut reports: Streaming<ext::HoldingsReport>) -> Result<(), Status> {
        let mut taken = 0;
        loop {
            let report = match reports.message().await {
                Ok(Some(report)) => report,
                Ok(None) => return Ok(()),
                // It has gone.
                Err(status) if matches!(status.code(), Code::Cancelled | Code::Unknown) => return Ok(()),
                Err(status) => return Err(status),
            };
            taken += report.holdings.len();
            if report.holdings.len() > PART || taken > MOST {
                let limits = format!("a report has at most {PART} holdings, and a host tells at most {MOST}");
                return Err(Status::resource_exhausted(limits));
            }
            let host = HostId::parse(&report.host_id).map_err(Invalid::from)?;
            if self.hosts.get(&host).is_none() {
                return Err(Status::not_found(format!("host {host} has not announced itself")));
            }
            let held: Result<_, Invalid> = report.holdings.into_iter().map(holding).collect();
            self.brain.tell(Event::HoldingsReported { host, held: held? }).await?;
        }
    }
}

fn holding(told: ext::Holding) -> Result<Holding, Invalid> {
    Ok(Holding {
        task: TaskId::parse(&told.task_id)?,
        content: Content {
            length: Some(told.content_length),
            pieces: Some(told.piece_count),
        },
    })
}
