//! `dfctl doctor`: whether this host is wired as it should be, from its container runtime to the schedulers, and what is to be
//! done if it is not.
//!
//! Every check asks the real thing and says one finding. What can't be known because something before it is broken is skipped, so
//! that the first failure is the cause. Nothing is changed; what the probe fetched is removed again.

mod cluster;
mod finding;
mod node;
mod probe;
mod runtime;

use super::output::{self, Output};
use crate::console;
use crate::failure::Failure;
use crate::program;
use dragonfly_peer::{Config, Identity};
use dragonfly_service::tls;
use finding::{Finding, State};
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  dfctl doctor
  dfctl doctor --output json
  dfctl doctor --dfdaemon-config /etc/dragonfly/dfdaemon.yaml --dfinit-config /etc/dragonfly/dfinit.yaml
  dfctl doctor --no-probe

Run it on the host that is to be examined, as root or as the user of its dfdaemon. No manager is asked for by name: the files of the
host say where it is.

Exit codes: 0 nothing is broken (there may be warnings), 1 something is broken, 2 the command line is wrong.";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration of this host's dfdaemon; without this /etc/dragonfly/dfdaemon.yaml, and the defaults if that does not
    /// exist
    #[arg(long, value_name = "FILE")]
    dfdaemon_config: Option<PathBuf>,

    /// The file of dfinit, which says how container runtimes are to be led; without this /etc/dragonfly/dfinit.yaml
    #[arg(long, value_name = "FILE")]
    dfinit_config: Option<PathBuf>,

    /// Fetch nothing: leave the probe out
    #[arg(long)]
    no_probe: bool,
}

/// Examines, prints, and fails if something is broken.
pub(super) async fn run(args: Args, output: Output) -> Result<String, Failure> {
    tls::install_provider();
    let findings = examine(&args).await;
    let broken = findings.iter().filter(|finding| finding.state == State::Failed).count();
    let text = match output {
        Output::Table => finding::table(&findings),
        Output::Json => output::json(&findings)?,
    };
    if broken == 0 {
        return Ok(text);
    }
    console::say(&text);
    let checks = findings.len();
    Err(Failure::new(format!(
        "{broken} of {checks} checks found something broken"
    )))
}

async fn examine(args: &Args) -> Vec<Finding> {
    let (config, file) = match configuration(args) {
        Ok(read) => read,
        Err(finding) => return vec![finding],
    };
    let identity = Identity::resolve(&config).await;
    let mut findings = vec![Finding::ok(
        "configuration",
        format!("{file}; this host is {}", identity.host_id),
    )];
    findings.push(node::disk(&config));
    let daemon = node::daemon(&config).await;
    let runs = daemon.state == State::Ok;
    findings.push(daemon);
    findings.push(node::ports(&config, runs).await);
    let socket = node::socket(&config).await;
    let answers = socket.state != State::Failed;
    findings.push(socket);
    let proxy = node::proxy(&config).await;
    let is_proxy = proxy.state == State::Ok;
    findings.push(proxy);
    findings.push(runtime::wiring(args.dfinit_config.as_deref(), &config));
    findings.extend(cluster::examine(&config, &identity).await);
    findings.push(match (args.no_probe, runs && answers && is_proxy) {
        (true, _) => Finding::skipped("probe", "--no-probe"),
        (false, false) => Finding::skipped("probe", "the dfdaemon or its proxy is broken, see above"),
        (false, true) => probe::run(&config, &identity).await,
    });
    findings
}

/// The daemon's own reading of its file.
fn configuration(args: &Args) -> Result<(Config, String), Finding> {
    let read = program::read::<dragonfly_peer::config::Raw>(args.dfdaemon_config.as_deref(), "dfdaemon");
    let read = read.and_then(|(raw, from)| {
        let config = Config::try_from(raw).map_err(|error| Failure::config(&error).within(&from))?;
        Ok((config, from))
    });
    read.map_err(|failure| {
        Finding::failed(
            "configuration",
            failure.to_string(),
            "mend the file (dfdaemon --check-config says whether it is), or name another with --dfdaemon-config",
        )
    })
}
