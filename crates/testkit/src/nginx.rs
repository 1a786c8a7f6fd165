//! A real nginx that gives files by `sendfile`: the origin that others' speed is measured by. What it served is read from its
//! own log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use tempfile::TempDir;

use crate::packages::{self, NGINX};
use crate::place::Place;
use crate::process::{Process, Ready};

const START_WITHIN: Duration = Duration::from_secs(20);

/// A running server of the files in a directory.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    log: PathBuf,
    _dir: TempDir,
    _process: Process,
}

/// One answer, as nginx logged it when it was done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Served {
    /// The HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub uri: String,
    /// The status.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

impl Nginx {
    /// Installs it if need be, and serves the files of `root` at `address`.
    ///
    /// # Errors
    /// When the package can't be installed, or the server doesn't come up.
    pub async fn start_in(place: &Place, address: SocketAddr, root: &Path) -> Result<Self> {
        packages::require(&[NGINX])?;
        let dir = tempfile::Builder::new().prefix("testkit-nginx-").tempdir()?;
        let log = dir.path().join("access.log");
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, text(dir.path(), address, root))?;
        let mut command = place.command(NGINX.1);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&config);
        let mut process = Process::start("nginx", command, dir.path())?;
        process.ready(&Ready::Port(address), START_WITHIN).await?;
        Ok(Self {
            address,
            log,
            _dir: dir,
            _process: process,
        })
    }

    /// The URL of a file; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every answer so far, in the order in which they were done.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn served(&self) -> Result<Vec<Served>> {
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// One process in the foreground, which ends as its parent wants it; a log that tells what [`Served`] has.
fn text(dir: &Path, address: SocketAddr, root: &Path) -> String {
    let (dir, root) = (dir.display(), root.display());
    format!(
        r#"daemon off;
master_process off;
user root;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  log_format told escape=json '{{"method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent}}';
  access_log {dir}/access.log told;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{ listen {address} backlog=4096; root {root}; }}
}}
"#
    )
}
