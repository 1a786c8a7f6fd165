//! A scheduler as far as jobs go: it attends a manager by real gRPC and does nothing but what a test tells it.

use crate::room::{Room, scheduler};
use dragonfly_api::ext::manager_client::ManagerClient;
use dragonfly_api::ext::{
    AttendRequest, AttendResponse, Hello, HostsReport, KeptTasksReport, Target, TargetState, Work, WorkCancelled,
    WorkOutcome, WorkReport, attend_request, attend_response,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// No manager takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hello of [`scheduler`].
pub(crate) fn hello(host: &str, cluster: u64) -> attend_request::Message {
    attend_request::Message::Hello(Hello {
        hostname: host.into(),
        ip: "10.0.0.1".into(),
        scheduler_cluster_id: cluster,
    })
}

pub(crate) struct Attendant {
    said: mpsc::Sender<AttendRequest>,
    heard: Streaming<AttendResponse>,
}

impl Attendant {
    /// Registers a scheduler of [`scheduler`] and attends.
    pub(crate) async fn register(room: &Room, host: &str, cluster: u64) -> Self {
        room.grpc()
            .await
            .update_scheduler(scheduler(host, cluster))
            .await
            .unwrap();
        Self::open(room, host, cluster).await
    }

    /// Attends as a scheduler that has registered.
    pub(crate) async fn open(room: &Room, host: &str, cluster: u64) -> Self {
        Self::saying(room, hello(host, cluster)).await
    }

    /// Opens a stream whose first message this is.
    pub(crate) async fn saying(room: &Room, first: attend_request::Message) -> Self {
        Self::on(room.channel().await, first).await
    }

    /// The same on a connection of the test's.
    pub(crate) async fn on(channel: Channel, first: attend_request::Message) -> Self {
        let (said, receiver) = mpsc::channel(64);
        let mut client = ManagerClient::new(channel);
        let heard = client.attend(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let attendant = Self { said, heard };
        attendant.say(first).await;
        attendant
    }

    pub(crate) async fn say(&self, message: attend_request::Message) {
        let request = AttendRequest { message: Some(message) };
        // The stream may have been ended by the manager; the test will see that.
        self.said.send(request).await.ok();
    }

    pub(crate) async fn next(&mut self) -> Result<attend_response::Message, Status> {
        let next = tokio::time::timeout(PATIENCE, self.heard.message()).await;
        let message = next.expect("the manager says nothing")?;
        Ok(message.expect("the stream ended").message.expect("a message"))
    }

    pub(crate) async fn work(&mut self) -> Work {
        match self.next().await.unwrap() {
            attend_response::Message::Work(work) => work,
            other => panic!("no work: {other:?}"),
        }
    }

    pub(crate) async fn cancelled(&mut self) -> WorkCancelled {
        match self.next().await.unwrap() {
            attend_response::Message::Cancelled(cancelled) => cancelled,
            other => panic!("not cancelled: {other:?}"),
        }
    }

    /// Why the manager ended the stream.
    pub(crate) async fn ended(mut self) -> Status {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }

    /// Says how far a work is.
    pub(crate) async fn report(&self, work: &Work, targets: Vec<Target>) {
        self.say(attend_request::Message::Work(report(work, targets, None)))
            .await;
    }

    /// Says how a work ended, and waits until the manager has recorded it.
    pub(crate) async fn end(&mut self, work: &Work, targets: Vec<Target>, outcome: WorkOutcome) {
        self.say(attend_request::Message::Work(report(work, targets, Some(outcome))))
            .await;
        let cancelled = self.cancelled().await;
        assert_eq!((cancelled.id, cancelled.lease), (work.id, work.lease));
    }

    /// Says that all is done.
    pub(crate) async fn succeed(&mut self, work: &Work, targets: Vec<Target>) {
        let outcome = WorkOutcome {
            succeeded: true,
            ..WorkOutcome::default()
        };
        self.end(work, targets, outcome).await;
    }

    /// Says that all is done, whatever the manager says next.
    pub(crate) async fn succeed_quietly(&self, work: &Work) {
        let outcome = WorkOutcome {
            succeeded: true,
            ..WorkOutcome::default()
        };
        self.say(attend_request::Message::Work(report(work, Vec::new(), Some(outcome))))
            .await;
    }

    pub(crate) async fn hosts(&self, report: HostsReport) {
        self.say(attend_request::Message::Hosts(report)).await;
    }

    pub(crate) async fn kept(&self, report: KeptTasksReport) {
        self.say(attend_request::Message::KeptTasks(report)).await;
    }
}

fn report(work: &Work, targets: Vec<Target>, outcome: Option<WorkOutcome>) -> WorkReport {
    WorkReport {
        id: work.id,
        lease: work.lease,
        targets,
        outcome,
    }
}

pub(crate) fn failure(description: &str) -> WorkOutcome {
    WorkOutcome {
        description: description.into(),
        ..WorkOutcome::default()
    }
}

/// A content of ten bytes on the host with this number.
pub(crate) fn target(url: &str, host: u8, state: TargetState) -> Target {
    Target {
        url: url.into(),
        task_id: "0123456789abcdef".repeat(4),
        host_id: format!("10.0.1.{host}-h{host}"),
        hostname: format!("h{host}"),
        ip: format!("10.0.1.{host}"),
        state: state.into(),
        finished_length: if state == TargetState::Done { 10 } else { 4 },
        content_length: Some(10),
        description: match state {
            TargetState::Failed => "no space left".into(),
            _ => String::new(),
        },
        pieces: None,
    }
}
