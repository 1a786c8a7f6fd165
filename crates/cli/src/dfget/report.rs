//! What stands on stdout at the end: one line, or one JSON object.

use super::directory::sum;
use super::download::Received;
use super::landed::Traffic;
use bytesize::ByteSize;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A download that ended well.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    url: &'a str,
    output: &'a Path,
    task_id: &'a str,
    peer_id: &'a str,
    content_length: u64,
    duration_ms: u128,
    bytes_from: Traffic,
}

impl<'a> Report<'a> {
    pub(super) fn new(url: &'a str, output: &'a Path, received: &'a Received, took: Duration) -> Self {
        Self {
            url,
            output,
            task_id: &received.task_id,
            peer_id: &received.peer_id,
            content_length: received.length,
            duration_ms: took.as_millis(),
            bytes_from: received.traffic,
        }
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let took = Duration::from_millis(u64::try_from(self.duration_ms).unwrap_or(u64::MAX));
        let Traffic { origin, peers, local } = self.bytes_from;
        format!(
            "{}: {} in {:.1} s ({}/s): origin {}, peers {}, local {}",
            self.output.display(),
            size(self.content_length),
            took.as_secs_f64(),
            size(rate(self.content_length, took)),
            size(origin),
            size(peers),
            size(local),
        )
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

/// One file of a directory, and what became of it.
pub(super) struct Fetched {
    pub(super) url: String,
    /// Below the output.
    pub(super) path: PathBuf,
    /// What arrived, or why nothing did.
    pub(super) outcome: Result<Received, String>,
}

/// A directory, whose files may not all have arrived.
pub(super) struct DirectoryReport<'a> {
    url: &'a str,
    output: &'a Path,
    files: &'a [Fetched],
    took: Duration,
}

impl<'a> DirectoryReport<'a> {
    pub(super) fn new(url: &'a str, output: &'a Path, files: &'a [Fetched], took: Duration) -> Self {
        Self {
            url,
            output,
            files,
            took,
        }
    }

    fn arrived(&self) -> usize {
        self.files.iter().filter(|file| file.outcome.is_ok()).count()
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let (length, Traffic { origin, peers, local }) = sum(self.files);
        format!(
            "{}: {} files, {} in {:.1} s ({}/s): origin {}, peers {}, local {}",
            self.output.display(),
            self.arrived(),
            size(length),
            self.took.as_secs_f64(),
            size(rate(length, self.took)),
            size(origin),
            size(peers),
            size(local),
        )
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let (length, traffic) = sum(self.files);
        let files: Vec<serde_json::Value> = self.files.iter().map(Fetched::json).collect();
        serde_json::json!({
            "url": self.url,
            "output": self.output,
            "arrived": self.arrived(),
            "failed": self.files.len() - self.arrived(),
            "contentLength": length,
            "durationMs": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "bytesFrom": traffic,
            "files": files,
        })
        .to_string()
    }
}

impl Fetched {
    fn json(&self) -> serde_json::Value {
        match &self.outcome {
            Ok(received) => serde_json::json!({
                "url": self.url,
                "path": self.path,
                "taskId": received.task_id,
                "peerId": received.peer_id,
                "contentLength": received.length,
                "bytesFrom": received.traffic,
            }),
            Err(reason) => serde_json::json!({ "url": self.url, "path": self.path, "error": reason }),
        }
    }
}

/// A download that did not, for programs.
pub(super) fn failure(message: &str) -> String {
    serde_json::json!({ "error": message }).to_string()
}

fn size(bytes: u64) -> impl std::fmt::Display {
    ByteSize::b(bytes).display().iec()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(bytes: u64, took: Duration) -> u64 {
    (bytes as f64 / took.as_secs_f64().max(0.001)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_where_the_bytes_came_from() {
        let received = Received {
            task_id: "t".to_owned(),
            peer_id: "p".to_owned(),
            length: 64 << 20,
            traffic: Traffic {
                origin: 16 << 20,
                peers: 48 << 20,
                local: 0,
            },
        };
        let report = Report::new("http://o/x", Path::new("/tmp/x"), &received, Duration::from_secs(2));
        assert_eq!(
            report.line(),
            "/tmp/x: 64.0 MiB in 2.0 s (32.0 MiB/s): origin 16.0 MiB, peers 48.0 MiB, local 0 B"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["bytesFrom"]["peers"], 48 << 20);
        assert_eq!(json["contentLength"], 64 << 20);
    }
}
