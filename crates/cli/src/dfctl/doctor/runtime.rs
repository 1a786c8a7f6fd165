//! Whether the container runtimes of this host are led through its proxy.

use super::finding::Finding;
use crate::dfinit::{self, Wiring};
use dragonfly_peer::Config;
use std::path::Path;

/// What dfinit would still change, and whether it leads to the proxy that there is.
pub(super) fn wiring(file: Option<&Path>, config: &Config) -> Finding {
    let check = "runtime";
    let wiring = match dfinit::wiring(file) {
        Ok(Some(wiring)) => wiring,
        Ok(None) => {
            return Finding::skipped(
                check,
                "there is no /etc/dragonfly/dfinit.yaml that says how container runtimes are to be led",
            );
        }
        Err(failure) => {
            let remedy = "mend the file that is named; `dfinit --dry-run` says the same";
            return Finding::failed(check, failure.to_string(), remedy);
        }
    };
    let Wiring {
        file,
        proxy,
        port,
        to_change,
    } = wiring;
    let own = config.proxy.addr.port();
    if port != Some(own) {
        return Finding::failed(
            check,
            format!("{file} leads to {proxy}, but the proxy of this host listens on port {own}"),
            format!(
                "set proxy.addr in {file} to http://127.0.0.1:{own} and run dfinit, or set proxy.server.port of dfdaemon.yaml"
            ),
        );
    }
    if to_change.is_empty() {
        return Finding::ok(check, format!("led to {proxy}, as {file} says"));
    }
    let files: Vec<String> = to_change.iter().map(|path| path.display().to_string()).collect();
    Finding::failed(
        check,
        format!("not led to {proxy}: {} is not as {file} wants it", files.join(", ")),
        "run `dfinit --restart`; `dfinit --dry-run` shows what it would change",
    )
}
