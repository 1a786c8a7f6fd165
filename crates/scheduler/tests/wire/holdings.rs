//! What hosts say that they hold.

use crate::sim::peer::{LENGTH, PIECES, SimPeer, download, task};
use crate::sim::{Lab, raw, soon};
use dragonfly_api::ext::scheduler_client::SchedulerClient;
use dragonfly_api::ext::{Holding, HoldingsReport};
use dragonfly_service::grpc::{self, Timeouts};
use futures::StreamExt;
use futures::stream;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

fn held(host: &str, task: String) -> HoldingsReport {
    let holding = Holding {
        task_id: task,
        content_length: LENGTH,
        piece_count: PIECES,
    };
    HoldingsReport {
        host_id: host.to_owned(),
        holdings: vec![holding],
    }
}

async fn client(lab: &Lab) -> SchedulerClient<Channel> {
    let channel = grpc::connect(&lab.addr.to_string(), None, Timeouts::default()).await;
    SchedulerClient::new(channel.unwrap())
}

/// Reports and stays on the line, until the scheduler ends the call.
async fn report(lab: &Lab, report: HoldingsReport) -> JoinSet<Result<(), Status>> {
    let mut client = client(lab).await;
    let reports = stream::iter([report]).chain(stream::pending());
    let mut telling = JoinSet::new();
    telling.spawn(async move { client.report_holdings(reports).await.map(drop) });
    telling
}

#[tokio::test]
async fn after_a_restart_children_fetch_from_who_said_that_it_holds_and_nobody_asks_the_origin() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a", "b"]).await;
    lab.stop().await.unwrap();

    let lab = Lab::start(raw(dir.path())).await;
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    let mut told = report(&lab, held("a", task())).await;
    assert_eq!(b.parent_ids().await, ["a"]);
    lab.stop().await.unwrap();
    let ended = soon("the end of the report", told.join_next()).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn reports_of_strangers_of_no_task_and_of_too_much_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(raw(dir.path())).await;
    lab.announce_all(&["a"]).await;
    let mut many = held("a", task());
    many.holdings = vec![many.holdings[0].clone(); 1001];
    for (refused, code) in [
        (held("stranger", task()), Code::NotFound),
        (held("a", "../task".to_owned()), Code::InvalidArgument),
        (many, Code::ResourceExhausted),
    ] {
        let mut told = report(&lab, refused).await;
        let ended = soon("the refusal", told.join_next()).await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().code(), code);
    }
    // None of it is believed.
    let mut b = SimPeer::register(&lab.client, "b", download("")).await;
    b.back_to_source().await;
    lab.stop().await.unwrap();
}
