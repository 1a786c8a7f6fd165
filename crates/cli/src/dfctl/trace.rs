//! `dfctl scheduler trace`: how a scheduler judges the peers of a task, at the moment of the question.

use super::by_scheduler;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::ext::{TraceRequest, TraceResponse, TracedPeer, WeighedPeer};
use dragonfly_service::grpc::Timeouts;
use dragonfly_service::tls::Files;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Code;

const EXAMPLES: &str = "\
Examples:
  dfctl scheduler trace 4f53cda18c2baa0c… --scheduler 10.1.0.2:8002
  dfctl scheduler trace 4f53cda18c2baa0c… --scheduler 10.1.0.2:8002 --peer 10.2.0.9-node-9-…
  dfctl scheduler trace 4f53cda18c2baa0c… --scheduler https://scheduler-1:8002 --ca ca.pem --output json

With --peer, each row is a peer that was weighed as its parent, with the score and the verdict of this moment: parent, exchange
(a parent it does not depend on), fit, or why not: no_piece (has nothing that it lacks), busy (no slot or too many children),
paused and given_up (failed it), dry (nothing new since it was last offered), descendant (depends on it), not_begun, same_host,
shares_not, gone. Of two that fit the better score is taken, and a slow one only if no other fits.

Exit codes: 0 told, 1 the scheduler is not there or knows no such task or peer, 2 the command line is wrong.";

/// Which judgement is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Trace {
    /// The task's id
    #[arg(value_name = "TASK")]
    task: String,
    /// Only of this peer, with everybody who was weighed as its parent
    #[arg(long, value_name = "ID")]
    peer: Option<String>,
    /// The scheduler that the task's peers ask. Such as 10.1.0.2:8002, or https://scheduler-1:8002 for TLS
    #[arg(long = "scheduler", value_name = "ADDR")]
    addr: String,
    /// PEM file with a certificate for a scheduler that asks who calls
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Trace {
    pub(super) async fn run(self, ca: Option<&Path>, output: Output) -> Result<String, Failure> {
        let files = Files {
            ca_cert: ca.map(Path::to_owned),
            cert: self.cert,
            key: self.key,
        };
        let mut client = by_scheduler::client(&self.addr, &files, Timeouts::default()).await?;
        let request = TraceRequest {
            task_id: self.task,
            peer_id: self.peer,
        };
        let told = client.trace(request).await.map_err(|status| match status.code() {
            Code::Unimplemented => Failure::new("this scheduler can't tell, it is another program or an older release"),
            _ => Failure::new(format!("the scheduler says: {}", status.message())),
        })?;
        let told = Told::from(told.into_inner());
        match output {
            Output::Json => output::json(&told),
            Output::Table => Ok(told.text()),
        }
    }
}

/// What is printed.
#[derive(Serialize)]
struct Told {
    content_length: Option<u64>,
    piece_count: Option<u32>,
    peer_count: u32,
    waiting_count: u32,
    holder_count: u32,
    peers: Vec<Peer>,
    weighed: Vec<Weighed>,
    waits_for: Option<String>,
}

#[derive(Serialize)]
struct Peer {
    peer_id: String,
    host_id: String,
    state: String,
    pieces: u32,
    parent_ids: Vec<String>,
    children: u32,
}

#[derive(Serialize)]
struct Weighed {
    #[serde(flatten)]
    peer: Peer,
    verdict: String,
    score: f64,
    slow: bool,
    /// Bytes per second.
    goodput: Option<f64>,
    again_in_seconds: Option<f64>,
}

impl From<TraceResponse> for Told {
    fn from(told: TraceResponse) -> Self {
        Self {
            content_length: told.content_length,
            piece_count: told.piece_count,
            peer_count: told.peer_count,
            waiting_count: told.waiting_count,
            holder_count: told.holder_count,
            peers: told.peers.into_iter().map(Peer::from).collect(),
            weighed: told.weighed.into_iter().map(Weighed::from).collect(),
            waits_for: told.waits_for,
        }
    }
}

impl From<TracedPeer> for Peer {
    fn from(peer: TracedPeer) -> Self {
        Self {
            peer_id: peer.peer_id,
            host_id: peer.host_id,
            state: peer.state,
            pieces: peer.pieces,
            parent_ids: peer.parent_ids,
            children: peer.children,
        }
    }
}

impl From<WeighedPeer> for Weighed {
    fn from(weighed: WeighedPeer) -> Self {
        let again = weighed.again_in.and_then(|again| Duration::try_from(again).ok());
        Self {
            peer: weighed.peer.unwrap_or_default().into(),
            verdict: weighed.verdict,
            score: weighed.score,
            slow: weighed.slow,
            goodput: weighed.goodput,
            again_in_seconds: again.map(|again| again.as_secs_f64()),
        }
    }
}

impl Told {
    fn text(&self) -> String {
        let pieces = self.piece_count.map_or("?".to_owned(), |count| count.to_string());
        let mut text = format!(
            "{} peers, {} have it, {} wait; {pieces} pieces\n\n",
            self.peer_count, self.holder_count, self.waiting_count
        );
        let rows = self.peers.iter().map(|peer| {
            [
                peer.peer_id.clone(),
                peer.host_id.clone(),
                peer.state.clone(),
                peer.pieces.to_string(),
                peer.children.to_string(),
                peer.parent_ids.join(" "),
            ]
        });
        text += &output::table(["PEER", "HOST", "STATE", "PIECES", "CHILDREN", "PARENTS"], rows);
        if let Some(reason) = &self.waits_for {
            text += &format!("\nIt waits: {reason}\n");
        }
        if !self.weighed.is_empty() {
            text.push('\n');
            text += &self.weighed_text();
        }
        text
    }

    fn weighed_text(&self) -> String {
        let rows = self.weighed.iter().map(|weighed| {
            let speed = weighed.goodput.map(|goodput| format!("{:.1}", goodput / 1e6));
            let again = weighed.again_in_seconds.map(|seconds| format!("{seconds:.1} s"));
            [
                weighed.verdict.clone(),
                format!("{:.3}", weighed.score),
                if weighed.slow { "yes" } else { "" }.to_owned(),
                speed.unwrap_or_default(),
                again.unwrap_or_default(),
                weighed.peer.state.clone(),
                weighed.peer.pieces.to_string(),
                weighed.peer.children.to_string(),
                weighed.peer.host_id.clone(),
                weighed.peer.peer_id.clone(),
            ]
        });
        let headings = [
            "VERDICT", "SCORE", "SLOW", "MB/S", "AGAIN IN", "STATE", "PIECES", "CHILDREN", "HOST", "PEER",
        ];
        output::table(headings, rows)
    }
}
