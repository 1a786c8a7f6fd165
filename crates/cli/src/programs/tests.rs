//! `docs/metrics.md` is what the programs say of themselves.

use super::*;
use dragonfly_service::config;
use dragonfly_service::metrics::Description;
use std::collections::BTreeSet;
use std::path::Path;

/// `cargo xtask metrics` sets it, to have the document written instead of compared.
const WRITE: &str = "DRAGONFLY_WRITE_METRICS";

const HEAD: &str = "\
# Metrics

The programs say this themselves; `cargo xtask metrics` writes it down, and `cargo xtask check` fails if it is not what they say.

Manager and scheduler serve `GET /metrics` on `metrics.addr` where `metrics.enable` is true (8000), a peer on `metrics.server.port`
(4002). Prometheus is answered in OpenMetrics, who does not ask for it in the form before that. Names are Dragonfly's where it has
one. No label holds a word that a caller could choose, so the number of series has a bound.

*What was saved*: callers of a cluster were given `sum(dragonfly_client_delivered_bytes_total)`, of which origins gave
`sum(dragonfly_client_download_traffic{type=\"BACK_TO_SOURCE\"})`; the rest they did not have to give. `dfctl stats` says it in words.

";

const ODD: &str = "\
## Names that break Prometheus' rules

They are Dragonfly's, whose dashboards ask for them. `promtool check metrics` warns of these and of nothing else: durations in
milliseconds, and numbers that go up and down and yet end in `_total`.

";

async fn build<P: Program>(text: &str) -> P {
    let raw: P::Raw = config::parse(text, P::NAME).unwrap();
    let built = P::build(P::Config::try_from(raw).unwrap()).await;
    built.unwrap_or_else(|failure| panic!("{}: {}", P::NAME, failure))
}

/// What each program shows, in the order of the document.
async fn described(dir: &Path) -> [(&'static str, &'static str, Vec<Description>); 3] {
    let at = |name: &str| dir.join(name).display().to_string();
    let manager = format!(
        "server: {{dataDir: {}, grpc: {{listenIP: 127.0.0.1, port: {{start: 0}}}}, rest: {{addr: '127.0.0.1:0'}}}}\n\
         metrics: {{enable: true, addr: '127.0.0.1:0'}}\ndatabase: {{redis: {{addrs: ['127.0.0.1:1']}}}}\n",
        at("manager")
    );
    let scheduler = format!(
        "server: {{dataDir: {}, listenIP: 127.0.0.1, port: 0}}\n",
        at("scheduler")
    );
    let port = "server: {ip: 127.0.0.1, port: 0}";
    let peer = format!(
        "host: {{ip: 127.0.0.1}}\ndownload: {{server: {{socketPath: {}}}}}\nupload: {{{port}}}\nproxy: {{{port}}}\n\
         metrics: {{{port}}}\nhealth: {{{port}}}\nstorage: {{dir: {}, server: {{ip: 127.0.0.1, tcpPort: 0}}}}\n",
        at("dfdaemon.sock"),
        at("peer"),
    );
    let manager: Manager = build(&manager).await;
    let scheduler: Scheduler = build(&scheduler).await;
    let peer: Peer = build(&peer).await;
    [
        ("Manager", "manager", manager.metrics().unwrap().described()),
        ("Scheduler", "scheduler", scheduler.metrics().described()),
        ("Peer and seed peer", "client", peer.metrics().described()),
    ]
}

fn rows(metrics: &[&Description]) -> String {
    let mut text = "| name | kind | labels | what it is |\n|---|---|---|---|\n".to_owned();
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind,
            labels.join(", "),
            metric.help
        ));
    }
    text
}

/// Whether `promtool` warns of a metric.
fn is_odd(metric: &Description) -> bool {
    metric.name.ends_with("_milliseconds") || metric.kind != "counter" && metric.name.ends_with("_total")
}

fn document(programs: &[(&str, &str, Vec<Description>)]) -> String {
    let mut text = HEAD.to_owned();
    let mut odd = BTreeSet::new();
    for (title, prefix, metrics) in programs {
        let prefix = format!("dragonfly_{prefix}_");
        let mut own: Vec<&Description> = metrics
            .iter()
            .filter(|metric| metric.name.starts_with(&prefix))
            .collect();
        own.sort();
        odd.extend(
            own.iter()
                .filter(|metric| is_odd(metric))
                .map(|metric| metric.name.clone()),
        );
        text.push_str(&format!("## {title}\n\n{}\n", rows(&own)));
    }
    let (_, _, last) = &programs[programs.len() - 1];
    let mut every: Vec<&Description> = last
        .iter()
        .filter(|metric| !metric.name.starts_with("dragonfly_"))
        .collect();
    every.sort();
    text.push_str(&format!("## Every program\n\n{}\n{ODD}", rows(&every)));
    for name in odd {
        text.push_str(&format!("- `{name}`\n"));
    }
    text
}

#[tokio::test]
async fn the_document_of_the_metrics_is_that_of_the_programs() {
    let dir = tempfile::tempdir().unwrap();
    let document = document(&described(dir.path()).await);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, document).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == document,
        "docs/metrics.md is stale; `cargo xtask metrics` writes it anew"
    );
}
