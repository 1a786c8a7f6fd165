//! The calls of `dragonfly.ext.v1` that a scheduler serves.

use super::holdings::Holdings;
use super::preheat::asker;
use super::trace::Tracing;
use crate::preheat::{Board, Order, Plan, Preheat};
use dragonfly_api::Invalid;
use dragonfly_api::ext::preheat_request::Task;
use dragonfly_api::ext::scheduler_server::Scheduler;
use dragonfly_api::ext::{HoldingsReport, PreheatReport, PreheatRequest, TraceRequest, TraceResponse};
use dragonfly_service::Workers;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How often a follower is told.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Targets in one message.
const PART: usize = 1000;
/// Messages that may wait for the network.
const QUEUE: usize = 4;

type Reports = mpsc::Sender<Result<PreheatReport, Status>>;

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Extension {
    pub(super) preheat: Preheat,
    pub(super) holdings: Holdings,
    pub(super) tracing: Tracing,
    pub(super) workers: Workers,
}

#[tonic::async_trait]
impl Scheduler for Extension {
    type PreheatStream = BoxStream<'static, Result<PreheatReport, Status>>;

    /// What can't be done at all is the answer; what could not be done on some host stands in the reports.
    async fn preheat(&self, request: Request<PreheatRequest>) -> Result<Response<Self::PreheatStream>, Status> {
        let asker = asker(&request);
        let order = match request.into_inner().task.ok_or(Invalid::Missing("task"))? {
            Task::PreheatImage(image) => Order::image(image, asker)?,
            Task::PreheatFiles(files) => Order::files(files.files, asker)?,
        };
        let place = self.preheat.admit()?;
        let plan = self.preheat.plan(order).await?;
        let (reports, told) = mpsc::channel(QUEUE);
        let this = self.clone();
        self.workers.spawn("preheat that is followed", async move {
            this.carry_out(plan, &reports).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(told).boxed()))
    }

    async fn report_holdings(&self, request: Request<Streaming<HoldingsReport>>) -> Result<Response<()>, Status> {
        let cancel = self.workers.cancel_token();
        self.holdings
            .hear(request.into_inner(), cancel)
            .await
            .map(Response::new)
    }

    async fn trace(&self, request: Request<TraceRequest>) -> Result<Response<TraceResponse>, Status> {
        self.tracing.tell(request.into_inner()).await.map(Response::new)
    }
}

impl Extension {
    /// To its end, or until nobody follows.
    async fn carry_out(&self, plan: Plan, reports: &Reports) {
        let (board, cancel) = (Board::default(), self.workers.cancel_token());
        let outcome = tokio::select! {
            outcome = self.preheat.run(&plan, &board, &cancel) => outcome,
            () = report(&board, reports) => {
                tracing::info!(targets = board.tally().done, "nobody follows a preheat any more; it is given up");
                return;
            }
        };
        if tell(&board, reports).await.is_ok() {
            let last = PreheatReport {
                targets: Vec::new(),
                outcome: Some(outcome.into()),
            };
            reports.send(Ok(last)).await.ok();
        }
    }
}

/// Reports until nobody listens.
async fn report(board: &Board, reports: &Reports) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = reports.closed() => return,
            _ = ticks.tick() => if tell(board, reports).await.is_err() {
                return;
            },
        }
    }
}

/// Tells what has changed. The error is that nobody listens.
async fn tell(board: &Board, reports: &Reports) -> Result<(), mpsc::error::SendError<()>> {
    loop {
        let targets = board.take_changes(PART);
        let more = targets.len() == PART;
        if !targets.is_empty() {
            let report = PreheatReport { targets, outcome: None };
            reports.send(Ok(report)).await.map_err(|_| mpsc::error::SendError(()))?;
        }
        if !more {
            return Ok(());
        }
    }
}
