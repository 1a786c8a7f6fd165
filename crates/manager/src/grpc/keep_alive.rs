//! KeepAlive: a stream of signs of life. The first message says whose they are and takes a lease, each further one
//! extends it. A stream that the caller ends in order ends the lease; one that breaks leaves it to run out.

use super::service::Service;
use super::wire;
use crate::error::Error;
use crate::members::{Identity, Member, lease};
use crate::store::Time;
use crate::store::entity::{scheduler, seed_peer};
use crate::wake::Topic;
use dragonfly_api::manager::{KeepAliveRequest, SourceType};
use std::time::Duration;
use tonic::{Status, Streaming};

/// How long a stream may be silent. By then the longest of leases has run out several times.
const MAX_SILENCE: Duration = Duration::from_secs(3600);

impl Service {
    pub(super) async fn signs_of_life(&self, mut stream: Streaming<KeepAliveRequest>) -> Result<(), Status> {
        let Some(first) = self.next(&mut stream).await? else {
            return Ok(());
        };
        let identity = wire::identity(first.hostname.clone(), &first.ip, first.cluster_id)?;
        match first.source_type() {
            SourceType::SchedulerSource => self.follow::<scheduler::Entity>(&identity, stream).await,
            SourceType::SeedPeerSource => self.follow::<seed_peer::Entity>(&identity, stream).await,
            SourceType::PeerSource => Err(Status::invalid_argument(
                "peers have no lease; they announce to schedulers",
            )),
        }
    }

    async fn follow<M: Member>(
        &self,
        identity: &Identity,
        mut stream: Streaming<KeepAliveRequest>,
    ) -> Result<(), Status> {
        let lease = lease::take::<M>(&self.store, identity, Time::now())
            .await
            .map_err(wire::status)?;
        self.wake.changed(Topic::Members);
        tracing::debug!(member = %identity, "{} is alive", M::WHAT);
        while self.next(&mut stream).await?.is_some() {
            match lease::renew::<M>(&self.store, lease, Time::now()).await {
                // The next sign of life is the next attempt: a database that restarts need not break every stream.
                Ok(()) | Err(Error::Unavailable(_)) => {}
                Err(error) => return Err(wire::status(error)),
            }
        }
        tracing::debug!(member = %identity, "{} said goodbye", M::WHAT);
        lease::end::<M>(&self.store, lease, Time::now())
            .await
            .map_err(wire::status)?;
        self.wake.changed(Topic::Members);
        Ok(())
    }

    /// The next message; nothing at the end of the stream.
    async fn next(&self, stream: &mut Streaming<KeepAliveRequest>) -> Result<Option<KeepAliveRequest>, Status> {
        let message = tokio::time::timeout(MAX_SILENCE, stream.message());
        match self.cancel.run_until_cancelled(message).await {
            Some(Ok(message)) => message,
            Some(Err(_)) => Err(Status::deadline_exceeded("no sign of life for an hour")),
            None => Err(Status::unavailable("the manager is stopping; come back")),
        }
    }
}
