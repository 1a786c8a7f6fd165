//! The calls by which a cluster is preheated without a manager, and asked what it has.

use super::service::Service;
use crate::preheat::{Asker, Board, Error, Order};
use dragonfly_api::scheduler::*;
use std::net::{IpAddr, Ipv4Addr};
use tonic::{Request, Status};

impl Service {
    pub(super) async fn begin_image(&self, request: Request<PreheatImageRequest>) -> Result<(), Status> {
        let asker = asker(&request);
        Ok(self.begin(Order::image(request.into_inner(), asker)?).await?)
    }

    pub(super) async fn begin_file(&self, request: Request<PreheatFileRequest>) -> Result<(), Status> {
        let asker = asker(&request);
        Ok(self.begin(Order::files(vec![request.into_inner()], asker)?).await?)
    }

    pub(super) async fn image_told(&self, request: Request<StatImageRequest>) -> Result<StatImageResponse, Status> {
        let asker = asker(&request);
        let _place = self.grpc.preheat.admit()?;
        Ok(self.grpc.preheat.stat_image(request.into_inner(), asker).await?)
    }

    pub(super) async fn file_told(&self, request: Request<StatFileRequest>) -> Result<StatFileResponse, Status> {
        let _place = self.grpc.preheat.admit()?;
        Ok(self.grpc.preheat.stat_file(request.into_inner()).await?)
    }

    /// Finds out what the order means, and carries it out while the caller goes its way: it is told nothing more, as in
    /// Dragonfly. What came of it stands in the log and in the metrics.
    async fn begin(&self, order: Order) -> Result<(), Error> {
        let place = self.grpc.preheat.admit()?;
        let plan = self.grpc.preheat.plan(order).await?;
        let preheat = self.grpc.preheat.clone();
        let cancel = self.workers.cancel_token();
        self.workers.spawn("preheat", async move {
            let board = Board::default();
            let outcome = preheat.run(&plan, &board, &cancel).await;
            let done = board.tally().done;
            if outcome.succeeded {
                tracing::info!(targets = done, "preheated");
            } else {
                let reason = outcome.description;
                tracing::warn!(targets = done, reason, "not everything was preheated");
            }
            drop(place);
        });
        Ok(())
    }
}

pub(super) fn asker<T>(request: &Request<T>) -> Asker {
    // Only a call that came over no socket has no address.
    let ip = request
        .remote_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |addr| addr.ip());
    Asker::Address(ip)
}
