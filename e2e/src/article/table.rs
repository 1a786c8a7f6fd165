//! The article's table for a terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::report::Report;
use super::story::words;

const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn render(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "cluster",
        "node",
        "the bytes come from",
        "largest layer",
        "whole pull",
        "origin MiB",
        "seed MiB",
        "peers MiB",
        "exact",
    ]);
    for pull in &report.pulls {
        table.add_row([
            pull.case.cluster.clone(),
            pull.case.node.clone(),
            words(pull.case.kind).to_owned(),
            time(pull.largest_layer_ms),
            time(pull.whole_ms),
            mib(pull.origin_bytes),
            mib(pull.seed_bytes),
            mib(pull.peer_bytes),
            if pull.exact { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    for column in 3..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n\n{table}\n\n", headline(report));
    for verdict in &report.verdicts {
        let sign = if verdict.held { "held  " } else { "FAILED" };
        text.push_str(&format!("{sign}  {}: {}\n", verdict.what, verdict.seen));
    }
    text
}

/// What was pulled over which links, in a sentence.
pub(super) fn headline(report: &Report) -> String {
    let or_free = |rate: &Option<String>| rate.clone().unwrap_or_else(|| "not limited".to_owned());
    format!(
        "an image of {} MiB, largest layer {} MiB; the registry's link: {}; the nodes' links: {}",
        mib(report.image_bytes),
        mib(report.largest_layer_bytes),
        or_free(&report.origin_rate),
        or_free(&report.rate),
    )
}

pub(super) fn time(ms: f64) -> String {
    if ms < 1000.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}

pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / MIB)
}
