//! The report as one HTML page without any other file: the clusters with the bytes on their edges, and a waterfall for
//! each pull.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{CLUSTERS, Kind, ORIGIN, Pull, Report};
use super::story::words;
use super::table::{headline, mib, time};

const WIDTH: f64 = 960.0;
const STYLE: &str = "
  :root { color-scheme: light dark; --ink: #1c2733; --paper: #ffffff; --soft: #8795a5; --box: #eef3f8; --way: #2f7ed8;
          --origin: #d9822b; --good: #1f8a4c; --bad: #c22f2f; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e4ebf2; --paper: #12181f; --soft: #7f8d9b; --box: #1e2831;
          --way: #6db1ff; --origin: #f0a45a; --good: #58c98a; --bad: #ff7b7b; } }
  body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
  table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--box) }
  .n { text-align: right; font-variant-numeric: tabular-nums } .held { color: var(--good) } .failed { color: var(--bad) }
  svg { width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: var(--ink) }
  svg .soft { fill: var(--soft) } svg .box { fill: var(--box) } svg .way { stroke: var(--way); fill: none }
  svg .from-origin { stroke: var(--origin) } svg .bar { fill: var(--way) } svg .largest { fill: var(--origin) }
";

pub(super) fn page(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Two clusters, one manager" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Two clusters, one manager" }
                p { (headline(report)) }
                (verdicts(report))
                h2 { "The ways that the blobs took" }
                (clusters(report))
                h2 { "Every pull" }
                (pulls(report))
                @for pull in &report.pulls { (waterfall(report, pull)) }
            }
        }
    };
    page.into_string()
}

fn verdicts(report: &Report) -> Markup {
    html! {
        table {
            @for verdict in &report.verdicts {
                tr {
                    @if verdict.held { td.held { "held" } } @else { td.failed { "FAILED" } }
                    td { (verdict.what) }
                    td.n { (verdict.seen) }
                }
            }
        }
    }
}

fn pulls(report: &Report) -> Markup {
    html! {
        table {
            tr {
                th { "node" } th { "the bytes come from" } th.n { "largest layer" } th.n { "whole pull" }
                th.n { "origin MiB" } th.n { "seed MiB" } th.n { "peers MiB" }
            }
            @for pull in &report.pulls {
                tr {
                    td { (pull.case.node) } td { (words(pull.case.kind)) }
                    td.n { (time(pull.largest_layer_ms)) } td.n { (time(pull.whole_ms)) }
                    td.n { (mib(pull.origin_bytes)) } td.n { (mib(pull.seed_bytes)) } td.n { (mib(pull.peer_bytes)) }
                }
            }
        }
    }
}

/// A point of the picture.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// The registry above, the clusters side by side, in each the seed above its nodes.
fn clusters(report: &Report) -> Markup {
    let places = places(report);
    let ways = ways(report);
    let (half, deepest) = (WIDTH / 2.0, places.values().map(|at| at.y).fold(0.0, f64::max));
    let height = deepest + 130.0;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="the two clusters and the bytes that moved" {
            @for (number, cluster) in CLUSTERS.iter().enumerate() {
                rect.box x=(number as f64 * half + 10.0) y="90" width=(half - 20.0) height=(height - 100.0) rx="10" {}
                text.soft x=(number as f64 * half + 24.0) y="114" { "cluster " (cluster) }
            }
            @for ((from, to), bytes) in &ways {
                @if let (Some(start), Some(end)) = (places.get(from), places.get(to)) {
                    (way(*start, *end, *bytes, from == ORIGIN))
                }
            }
            @for (name, at) in &places {
                circle cx=(at.x) cy=(at.y) r="9" fill="var(--ink)" {}
                text x=(at.x + 14.0) y=(at.y + 5.0) { (name) }
            }
            @if report.crossed_packets == 0 {
                text.soft x=(half) y=(height - 20.0) text-anchor="middle" { "0 packets between the clusters" }
            } @else {
                text.failed x=(half) y=(height - 20.0) text-anchor="middle" {
                    (report.crossed_packets) " packets between the clusters"
                }
            }
        }
    }
}

fn way(start: Point, end: Point, bytes: u64, from_origin: bool) -> Markup {
    // Between hosts of one row the way bends below them, where nothing else is written.
    let level = (start.y - end.y).abs() < 1.0;
    let (aside, below) = if level {
        (0.0, 34.0 + (start.x - end.x).abs() / 6.0)
    } else {
        (26.0, 0.0)
    };
    let middle = Point {
        x: f64::midpoint(start.x, end.x) + aside,
        y: f64::midpoint(start.y, end.y) + below,
    };
    // A curve comes half as near to its control point.
    let label = Point {
        x: middle.x - 6.0 - aside / 4.0,
        y: middle.y - below / 2.0 + if level { 14.0 } else { 0.0 },
    };
    let class = if from_origin { "way from-origin" } else { "way" };
    html! {
        path class=(class) stroke-width="2"
            d=(format!("M{} {} Q{} {} {} {}", start.x, start.y, middle.x, middle.y, end.x, end.y)) {}
        text x=(label.x) y=(label.y) text-anchor=(if level { "middle" } else { "start" }) { (mib(bytes)) " MiB" }
    }
}

fn places(report: &Report) -> BTreeMap<String, Point> {
    let mut places = BTreeMap::from([(
        ORIGIN.to_owned(),
        Point {
            x: WIDTH / 2.0,
            y: 40.0,
        },
    )]);
    for (number, cluster) in CLUSTERS.iter().enumerate() {
        let left = number as f64 * WIDTH / 2.0;
        let through = report.pulls.iter().filter(|pull| pull.case.cluster == *cluster);
        let mut nodes: Vec<&String> = through.map(|pull| &pull.case.node).collect();
        nodes.sort();
        nodes.dedup();
        let seed = Point {
            x: left + WIDTH / 4.0,
            y: 150.0,
        };
        places.insert(format!("{cluster}-seed"), seed);
        for (at, node) in nodes.iter().enumerate() {
            let column = (at % 4) as f64;
            let row = (at / 4) as f64;
            let columns = nodes.len().min(4) as f64;
            let point = Point {
                x: left + (column + 0.5) * (WIDTH / 2.0) / columns,
                y: 270.0 + row * 90.0,
            };
            places.insert((*node).clone(), point);
        }
    }
    places
}

/// All bytes that went from one host to another, without direct pulls.
fn ways(report: &Report) -> BTreeMap<(String, String), u64> {
    let mut ways = BTreeMap::new();
    let through = report.pulls.iter().filter(|pull| pull.case.kind != Kind::Direct);
    for edge in through.flat_map(|pull| &pull.edges) {
        *ways.entry((edge.from.clone(), edge.to.clone())).or_default() += edge.bytes;
    }
    ways
}

fn waterfall(report: &Report, pull: &Pull) -> Markup {
    let row = 22.0;
    let height = pull.blobs.len() as f64 * row + 8.0;
    let scale = (WIDTH - 330.0) / pull.whole_ms.max(1.0);
    html! {
        h2 { (pull.case.node) ": " (words(pull.case.kind)) ", " (time(pull.whole_ms)) }
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="when each blob was asked for and how long it took" {
            @for (number, blob) in pull.blobs.iter().enumerate() {
                @let y = number as f64 * row;
                @let class = if blob.digest == report.largest_layer { "bar largest" } else { "bar" };
                text x="0" y=(y + 15.0) { (short(&blob.digest)) }
                text.soft x="130" y=(y + 15.0) { (mib(blob.bytes)) " MiB" }
                rect class=(class) x=(230.0 + blob.begin_ms * scale) y=(y + 3.0)
                    width=((blob.took_ms * scale).max(1.5)) height="14" rx="2" {}
                text.soft x=((238.0 + (blob.begin_ms + blob.took_ms) * scale).min(WIDTH - 62.0)) y=(y + 15.0) {
                    (time(blob.took_ms))
                }
            }
        }
    }
}

/// The first characters of a digest, enough to tell blobs apart.
fn short(digest: &str) -> &str {
    let hex = digest.split(':').next_back().unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}
