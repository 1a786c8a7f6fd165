//! What is printed: a table for people, JSON for programs.

use crate::failure::Failure;
use comfy_table::{ContentArrangement, Table, presets};
use dragonfly_service::exit;
use jiff::Timestamp;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// The manager's JSON
    Json,
}

/// Rows below their headings, without lines, as wide as the terminal.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

/// A time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Host and port; an IPv6 address stands in brackets.
pub(crate) fn address(ip: &str, port: u16) -> String {
    match ip.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{ip}:{port}"),
    }
}

/// The same as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::of(&error, exit::FAILURE))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets_before_its_port() {
        assert_eq!(address("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(address("::1", 80), "[::1]:80");
        assert_eq!(address("node", 80), "node:80");
    }

    #[test]
    fn columns_stand_below_their_headings() {
        let text = table(
            ["ID", "NAME"],
            [["1".into(), "cluster-1".into()], ["12".into(), "b".into()]],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].find("NAME"), lines[1].find("cluster-1"));
        assert_eq!(lines[0].find("NAME"), lines[2].find('b'));
    }
}
