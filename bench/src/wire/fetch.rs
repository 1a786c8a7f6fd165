//! curl, which fetches and tells how long it took: the same client for nginx and for a peer's proxy.

use anyhow::{Context, Result, ensure};
use dragonfly_testkit::packages::CURL;
use dragonfly_testkit::place::Place;
use dragonfly_testkit::process::run;
use std::process::Command;
use std::time::Duration;

/// Longer than any fetch here takes.
const WITHIN: Duration = Duration::from_secs(1200);
/// What curl is to print of a fetch.
const TOLD: &str = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}\\n";

/// One fetch, as curl saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetched {
    pub(super) bytes: u64,
    /// From the start to the first byte of the body.
    pub(super) first: Duration,
    /// From the start to the last byte.
    pub(super) total: Duration,
}

/// Where the bytes go.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    Nowhere,
    File(&'a std::path::Path),
}

/// Fetches a URL on a host.
pub(super) async fn fetch(place: &Place, url: &str, to: To<'_>) -> Result<Fetched> {
    let mut command = curl(place);
    command.arg("--output");
    match to {
        To::Nowhere => command.arg("/dev/null"),
        To::File(path) => command.arg(path),
    };
    command.arg(url);
    told(&run(command, WITHIN).await?)
}

/// Fetches many URLs by one curl, so many at a time over connections that stay; how long each took.
pub(super) async fn fetch_all(place: &Place, urls: &[String], at_a_time: u32) -> Result<Vec<Fetched>> {
    let mut config = tempfile::NamedTempFile::new()?;
    for url in urls {
        use std::io::Write;
        writeln!(config, "url = \"{url}\"\noutput = \"/dev/null\"")?;
    }
    let mut command = curl(place);
    command
        .args(["--parallel", "--parallel-max"])
        .arg(at_a_time.to_string())
        .arg("--config")
        .arg(config.path());
    let fetched: Vec<_> = run(command, WITHIN).await?.lines().map(told).collect::<Result<_>>()?;
    ensure!(
        fetched.len() == urls.len(),
        "{} of {} fetches",
        fetched.len(),
        urls.len()
    );
    Ok(fetched)
}

/// On a host, without a proxy, and to tell what [`told`] reads.
fn curl(place: &Place) -> Command {
    let mut command = place.command(CURL.1);
    command.args(["--silent", "--show-error", "--noproxy", "*", "--write-out", TOLD]);
    command
}

fn told(line: &str) -> Result<Fetched> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [status, bytes, first, total] = words[..] else {
        anyhow::bail!("curl told {line:?}");
    };
    ensure!(status == "200", "the answer was {status}");
    let seconds = |text: &str| -> Result<Duration> { Ok(Duration::try_from_secs_f64(text.parse()?)?) };
    Ok(Fetched {
        bytes: bytes.parse().with_context(|| format!("curl told {line:?}"))?,
        first: seconds(first)?,
        total: seconds(total)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_tells_is_read_and_a_refusal_is_no_fetch() {
        let fetched = told("200 67108864 0.000812 0.534211\n").unwrap();
        assert_eq!(fetched.bytes, 64 << 20);
        assert_eq!(fetched.total, Duration::from_micros(534_211));
        assert!(told("404 153 0.1 0.1").is_err());
        assert!(told("").is_err());
    }
}
