//! `dfctl traces`

use super::client::Manager;
use super::output::{self, Output};
use crate::failure::Failure;
use dragonfly_api::rest::{JaegerAnswer, JaegerQuery, JaegerSpan, JaegerTrace};
use dragonfly_service::exit;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Where Jaeger's query API is at a manager.
const API: &str = "/jaeger/api/traces";
/// How wide the time of a trace is drawn, in characters.
const WIDTH: u64 = 40;
/// Tags that say what a trace is about.
const ABOUT: [&str; 3] = ["http.url", "dragonfly.task.id", "rpc.method"];

const FIND_EXAMPLES: &str = "\
Examples:
  dfctl traces find --url '/v2/library/nginx/blobs/sha256:…?ns=docker.io'
  dfctl traces find --min-duration 5s --since 1h
  dfctl traces find --tag error=true --tag dragonfly.task.id=4f…";

/// What about them.
#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// Find traces, the newest first
    #[command(after_help = FIND_EXAMPLES)]
    Find(Sought),
    /// Show one, span by span
    Show {
        /// Its id
        id: String,
    },
}

/// Which traces: those with a span that is all of this.
#[derive(clap::Args)]
pub(super) struct Sought {
    /// The service that tells of it
    #[arg(long, value_name = "NAME", default_value = "dragonfly-dfget")]
    service: String,
    /// What the span is called
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// What was asked for, as the proxy was: path and, if there is one, the registry as ?ns=
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What the span or its process says; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// It takes at least so long, such as 100ms or 1.5s
    #[arg(long, value_name = "TIME")]
    min_duration: Option<String>,
    /// It takes no longer
    #[arg(long, value_name = "TIME")]
    max_duration: Option<String>,
    /// It began within this time, such as 1h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// At most so many traces
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1500))]
    limit: u32,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Sought {
    fn query(self, now: Timestamp) -> Result<JaegerQuery, Failure> {
        let mut tags: BTreeMap<String, String> = self.tag.into_iter().collect();
        tags.extend(self.url.map(|url| ("http.url".to_owned(), url)));
        let tags = match tags.is_empty() {
            true => None,
            false => Some(serde_json::to_string(&tags).map_err(|error| Failure::of(&error, exit::FAILURE))?),
        };
        let micros = |since: Duration| {
            let now = u128::try_from(now.as_microsecond()).unwrap_or_default();
            u64::try_from(now.saturating_sub(since.as_micros())).unwrap_or_default()
        };
        Ok(JaegerQuery {
            service: Some(self.service),
            operation: self.operation,
            tags,
            start: self.since.map(micros),
            end: None,
            min_duration: self.min_duration,
            max_duration: self.max_duration,
            limit: Some(self.limit),
        })
    }
}

pub(super) async fn run(manager: &Manager, verb: Verb, output: Output) -> Result<String, Failure> {
    match verb {
        Verb::Find(sought) => {
            let query = sought.query(Timestamp::now())?;
            let answer: JaegerAnswer<Vec<JaegerTrace>> = manager.get(API, &query).await?;
            match output {
                Output::Table => Ok(listed(&answer.data.unwrap_or_default())),
                Output::Json => output::json(&answer.data),
            }
        }
        Verb::Show { id } => {
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Failure::new("the id of a trace has hexadecimal digits only"));
            }
            let answer: JaegerAnswer<Vec<JaegerTrace>> = manager.get(&format!("{API}/{id}"), &()).await?;
            let traces = answer.data.unwrap_or_default();
            match output {
                Output::Table => Ok(traces.iter().map(waterfall).collect()),
                Output::Json => output::json(&traces),
            }
        }
    }
}

/// From its first microsecond to its last.
fn extent(trace: &JaegerTrace) -> (u64, u64) {
    let start = trace.spans.iter().map(|span| span.start_time).min();
    let end = trace
        .spans
        .iter()
        .map(|span| span.start_time.saturating_add(span.duration));
    (start.unwrap_or_default(), end.max().unwrap_or_default())
}

fn listed(traces: &[JaegerTrace]) -> String {
    let mut traces: Vec<&JaegerTrace> = traces.iter().collect();
    traces.sort_by_key(|trace| std::cmp::Reverse(extent(trace).0));
    let rows = traces.into_iter().map(|trace| {
        let (start, end) = extent(trace);
        let at = i64::try_from(start)
            .ok()
            .and_then(|start| Timestamp::from_microsecond(start).ok());
        let failed = trace.spans.iter().filter(|span| has_failed(span)).count();
        let first = trace
            .spans
            .iter()
            .min_by_key(|span| (span.start_time, std::cmp::Reverse(span.duration)));
        [
            trace.trace_id.clone(),
            at.map(output::time).unwrap_or_default(),
            millis(end - start),
            trace.spans.len().to_string(),
            failed.to_string(),
            first.map(|span| span.operation_name.clone()).unwrap_or_default(),
            about(trace),
        ]
    });
    output::table(["TRACE", "BEGAN", "TOOK", "SPANS", "FAILED", "WHAT", "OF"], rows)
}

fn about(trace: &JaegerTrace) -> String {
    let said = |key: &&str| {
        let mut tags = trace.spans.iter().flat_map(|span| &span.tags);
        tags.find(|tag| tag.key == **key).map(|tag| plain(&tag.text()))
    };
    ABOUT.iter().find_map(said).unwrap_or_default()
}

fn has_failed(span: &JaegerSpan) -> bool {
    span.tags.iter().any(|tag| tag.key == "error" && tag.text() == "true")
}

/// Each span below its parent, with the part of the trace's time that it takes.
fn waterfall(trace: &JaegerTrace) -> String {
    let extent = extent(trace);
    let rows = in_order(trace).into_iter().map(|(depth, span)| {
        let service = trace.processes.get(&span.process_id);
        let mark = if has_failed(span) { " FAILED" } else { "" };
        [
            format!("{}{}{mark}", "· ".repeat(depth), plain(&span.operation_name)),
            service.map(|process| plain(&process.service_name)).unwrap_or_default(),
            millis(span.start_time - extent.0),
            millis(span.duration),
            bar(span, extent),
        ]
    });
    let table = output::table(["SPAN", "SERVICE", "AFTER", "TOOK", ""], rows);
    let warnings = trace
        .warnings
        .iter()
        .flatten()
        .map(|warning| format!("{}\n", plain(warning)));
    format!(
        "{} {}\n\n{table}{}",
        trace.trace_id,
        about(trace),
        warnings.collect::<String>()
    )
}

/// Spans with their depth: parents before children, children by start. One whose parent is not there stands at the top.
fn in_order(trace: &JaegerTrace) -> Vec<(usize, &JaegerSpan)> {
    let known: HashSet<&str> = trace.spans.iter().map(|span| &*span.span_id).collect();
    let mut children: HashMap<Option<&str>, Vec<&JaegerSpan>> = HashMap::new();
    let mut by_start: Vec<&JaegerSpan> = trace.spans.iter().collect();
    by_start.sort_by_key(|span| span.start_time);
    for span in by_start {
        let parent = span.references.iter().find(|other| other.ref_type == "CHILD_OF");
        let parent = parent.map(|parent| &*parent.span_id);
        let parent = parent.filter(|parent| known.contains(parent) && *parent != span.span_id);
        children.entry(parent).or_default().push(span);
    }
    let mut ordered = Vec::new();
    let mut open: Vec<(usize, &JaegerSpan)> = Vec::new();
    let push =
        |open: &mut Vec<_>, depth: usize, of: Vec<_>| open.extend(of.into_iter().rev().map(|span| (depth, span)));
    push(&mut open, 0, children.remove(&None).unwrap_or_default());
    loop {
        while let Some((depth, span)) = open.pop() {
            ordered.push((depth, span));
            push(
                &mut open,
                depth + 1,
                children.remove(&Some(&*span.span_id)).unwrap_or_default(),
            );
        }
        // Spans that are each other's parents are under no root.
        match children.keys().min().copied() {
            Some(left) => push(&mut open, 0, children.remove(&left).unwrap_or_default()),
            None => return ordered,
        }
    }
}

fn bar(span: &JaegerSpan, (start, end): (u64, u64)) -> String {
    let whole = (end - start).max(1);
    let place = |micros: u64| u128::from(micros) * u128::from(WIDTH) / u128::from(whole);
    let from = place(span.start_time - start).min(u128::from(WIDTH - 1));
    let long = place(span.duration).max(1);
    let repeat = |text: &str, times: u128| text.repeat(usize::try_from(times).unwrap_or_default());
    format!(
        "|{}{}",
        repeat(" ", from),
        repeat("=", long.min(u128::from(WIDTH) - from))
    )
}

fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

/// Others wrote it; a terminal shall not act on it.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(id: &str, parent: &str, start: u64, duration: u64) -> serde_json::Value {
        let references = match parent {
            "" => json!([]),
            parent => json!([{"refType": "CHILD_OF", "traceID": "1", "spanID": parent}]),
        };
        json!({
            "traceID": "1", "spanID": id, "operationName": format!("op-{id}"), "references": references,
            "startTime": start, "duration": duration, "logs": [], "processID": "p1", "warnings": null,
            "tags": [{"key": "http.url", "type": "string", "value": "/blob\u{1b}[2J"}],
        })
    }

    fn trace(spans: Vec<serde_json::Value>) -> JaegerTrace {
        let processes = json!({"p1": {"serviceName": "dfget", "tags": []}});
        let trace = json!({"traceID": "1", "spans": spans, "processes": processes, "warnings": null});
        serde_json::from_value(trace).unwrap()
    }

    #[test]
    fn a_span_stands_below_its_parent_and_takes_its_part_of_the_time() {
        let shown = waterfall(&trace(vec![
            span("c", "b", 1500, 500),
            span("b", "a", 1000, 1000),
            span("d", "a", 1900, 100),
            span("a", "", 0, 2000),
            span("e", "absent", 0, 1),
        ]));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "1 /blob[2J");
        let firsts: Vec<&str> = lines[3..]
            .iter()
            .map(|line| line.split("  ").next().unwrap().trim())
            .collect();
        assert_eq!(firsts, ["op-a", "· op-b", "· · op-c", "· op-d", "op-e"]);
        assert!(lines[3].ends_with(&format!("|{}", "=".repeat(40))), "{shown}");
        assert!(
            lines[4].ends_with(&format!("|{}{}", " ".repeat(20), "=".repeat(20))),
            "{shown}"
        );
        assert!(lines[6].contains("1.9 ms"), "{shown}");
    }

    #[test]
    fn spans_that_are_each_others_parents_are_shown_once() {
        let strange = trace(vec![span("a", "b", 0, 1), span("b", "a", 0, 1), span("c", "c", 0, 1)]);
        assert_eq!(in_order(&strange).len(), 3);
        assert_eq!(listed(&[trace(Vec::new())]).lines().count(), 2);
    }

    #[test]
    fn a_url_is_a_tag_and_a_time_is_one_before_now() {
        let sought = Sought {
            service: "s".to_owned(),
            operation: None,
            url: Some("/x".to_owned()),
            tag: vec![tag("a=b=c").unwrap()],
            min_duration: None,
            max_duration: None,
            since: Some(Duration::from_secs(10)),
            limit: 5,
        };
        let query = sought.query(Timestamp::from_second(20).unwrap()).unwrap();
        let tags: serde_json::Value = serde_json::from_str(&query.tags.unwrap()).unwrap();
        assert_eq!(tags, json!({"a": "b=c", "http.url": "/x"}));
        assert_eq!(query.start, Some(10_000_000));
        assert!(tag("=x").is_err() && tag("x").is_err());
    }
}
