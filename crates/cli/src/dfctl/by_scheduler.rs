//! A preheat that one scheduler carries out while this tool looks on: no manager is needed, and nothing is kept of it.

use super::follow::{self, Bar};
use super::output::{self, Output};
use super::preheat::Wanted;
use crate::console;
use crate::failure::Failure;
use dragonfly_api::ext::preheat_request::Task;
use dragonfly_api::ext::scheduler_client::SchedulerClient;
use dragonfly_api::ext::{PreheatReport, PreheatRequest, Target, WorkOutcome};
use dragonfly_api::order;
use dragonfly_api::rest::{JobTarget, PreheatKind, TargetCounts, TargetState};
use dragonfly_service::exit;
use dragonfly_service::grpc::{Timeouts, connect};
use dragonfly_service::tls::{ClientTls, Files};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// Bytes of a report: a thousand targets with their URLs and reasons.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// A scheduler that does it itself.
#[derive(clap::Args)]
pub(super) struct Scheduler {
    /// Let this scheduler do it, without a manager; it is given up when this tool ends. Such as 10.1.0.2:8002, or
    /// https://scheduler-1:8002 for TLS
    #[arg(long = "scheduler", value_name = "ADDR", conflicts_with_all = ["clusters", "bio", "no_wait"])]
    addr: Option<String>,
    /// PEM file with a certificate for a scheduler that asks who calls
    #[arg(long, value_name = "FILE", requires = "addr", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Scheduler {
    pub(super) fn is_named(&self) -> bool {
        self.addr.is_some()
    }

    async fn connect(self, ca: Option<&Path>) -> Result<SchedulerClient<Channel>, Failure> {
        let files = Files {
            ca_cert: ca.map(Path::to_owned),
            cert: self.cert,
            key: self.key,
        };
        // An image has to be resolved before there is an answer.
        let timeouts = Timeouts {
            request: None,
            ..Timeouts::default()
        };
        client(&self.addr.unwrap_or_default(), &files, timeouts).await
    }
}

/// Connects to a scheduler; with TLS if its address says so.
pub(super) async fn client(addr: &str, files: &Files, timeouts: Timeouts) -> Result<SchedulerClient<Channel>, Failure> {
    let tls = match addr.starts_with("https://") {
        true => Some(ClientTls::load(files).map_err(|error| Failure::config(&error))?),
        false => None,
    };
    let channel = connect(addr, tls.as_ref(), timeouts).await;
    let channel = channel.map_err(|error| Failure::of(&error, exit::FAILURE))?;
    Ok(SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Has it done, and looks on to the end.
pub(super) async fn run(ca: Option<&Path>, wanted: Wanted, output: Output) -> Result<String, Failure> {
    let mut client = wanted.scheduler.connect(ca).await?;
    let task = match wanted.args.r#type {
        PreheatKind::Image => Task::PreheatImage(order::image(wanted.args, wanted.timeout)),
        PreheatKind::File => Task::PreheatFiles(order::files(wanted.args, wanted.timeout)),
    };
    let begun = client.preheat(PreheatRequest { task: Some(task) }).await;
    let reports = begun.map_err(|status| refused(&status))?.into_inner();
    let (targets, outcome) = to_end(reports).await?;
    let text = match output {
        Output::Json => output::json(&targets)?,
        Output::Table if outcome.succeeded => done(&targets),
        Output::Table => String::new(),
    };
    if outcome.succeeded {
        return Ok(text);
    }
    console::say(&text);
    let has_it = |target: &JobTarget| target.state == TargetState::Done;
    let failed: Vec<JobTarget> = targets.into_iter().filter(|target| !has_it(target)).collect();
    let mut lines = vec![format!("not everything was preheated: {}", outcome.description)];
    lines.extend(follow::failures(&failed));
    Err(Failure::new(lines.join("\n")))
}

async fn to_end(mut reports: Streaming<PreheatReport>) -> Result<(Vec<JobTarget>, WorkOutcome), Failure> {
    let bar = Bar::start("preheat".to_owned());
    let mut targets = BTreeMap::new();
    loop {
        let report = reports.message().await.map_err(|status| refused(&status))?;
        let Some(report) = report else {
            return Err(Failure::new(
                "the scheduler has gone before everything was done; ask again",
            ));
        };
        for target in report.targets {
            targets.insert((target.url.clone(), target.host_id.clone()), shown(target));
        }
        if let Some(outcome) = report.outcome {
            return Ok((targets.into_values().collect(), outcome));
        }
        let mut counts = TargetCounts::default();
        targets.values().for_each(|target| *counts.of(target.state) += 1);
        let length = |target: &JobTarget| target.content_length.unwrap_or(target.finished_length);
        let finished = targets.values().map(|target| target.finished_length).sum();
        bar.show(&counts, finished, targets.values().map(length).sum());
    }
}

fn refused(status: &Status) -> Failure {
    match status.code() {
        Code::Unimplemented => Failure::new(
            "this scheduler can't be followed, it is another program; leave --scheduler out and let a manager do it",
        ),
        _ => Failure::new(format!("the scheduler says: {}", status.message())),
    }
}

/// As the manager's REST API shows targets of its jobs.
fn shown(target: Target) -> JobTarget {
    JobTarget {
        id: 0,
        state: target.state().into(),
        url: target.url,
        task_id: target.task_id,
        scheduler_cluster_id: 0,
        host_id: target.host_id,
        hostname: target.hostname,
        ip: target.ip,
        finished_length: target.finished_length,
        content_length: target.content_length,
        description: target.description,
        updated_at: Timestamp::now(),
    }
}

fn done(targets: &[JobTarget]) -> String {
    let bytes = targets.iter().map(|target| target.finished_length).sum();
    format!("{} targets have it, {}\n", targets.len(), bytesize::ByteSize::b(bytes))
}
