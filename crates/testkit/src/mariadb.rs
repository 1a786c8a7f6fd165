//! A real MariaDB with private data, on its own address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::packages::{self, MARIADB, MARIADB_CLIENT, MARIADB_INSTALL};
use crate::pki::{Authority, Identity};
use crate::place::Place;
use crate::process::run;
use crate::server::{Line, Server};
use crate::shared::share;

/// The one user, who may do everything from anywhere.
pub const USER: &str = "root";
/// The user's password. Its characters are those that a URL has to quote.
pub const PASSWORD: &str = "p@ss/w:rd#1%";
/// The same as it stands in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ard%231%25";

/// What its own client reads.
const CLIENT_FILE: &str = "client.cnf";
const INSTALL_WITHIN: Duration = Duration::from_secs(120);
const QUERY_WITHIN: Duration = Duration::from_secs(60);

/// A MariaDB. Dropping it kills it; its data stay in its directory.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    address: SocketAddr,
    client_file: PathBuf,
    ca: Option<PathBuf>,
}

impl MariaDb {
    /// Installs what is missing, makes an empty database in `dir` and starts it at `address` in `place`.
    ///
    /// # Errors
    /// When a package can't be installed or the server doesn't come up.
    pub async fn start(place: &Place, dir: &Path, address: SocketAddr) -> Result<Self> {
        Self::start_with(place, dir, address, None).await
    }

    /// The same, refusing connections that are not TLS.
    ///
    /// # Errors
    /// As [`MariaDb::start`].
    pub async fn start_tls(place: &Place, dir: &Path, address: SocketAddr, authority: &Authority) -> Result<Self> {
        let identity = authority.server("mariadb", address.ip())?;
        Self::start_with(place, dir, address, Some((identity, authority.certificate()))).await
    }

    /// One that other tests use, too, and that ends when nobody does. Each test makes a database of its own in it.
    ///
    /// # Errors
    /// As [`MariaDb::start`].
    pub async fn shared() -> Result<Self> {
        let prepare = async |dir: &Path, address| prepare(dir, address, None).await;
        let lines = |dir: &Path, address| Ok(lines(dir, address, None));
        let used = share("mariadb", prepare, lines).await?;
        let (address, client_file) = (used.address, used.dir.join(CLIENT_FILE));
        Ok(Self {
            server: Server::shared("mariadb", self::lines(&used.dir, address, None), used),
            address,
            client_file,
            ca: None,
        })
    }

    async fn start_with(place: &Place, dir: &Path, address: SocketAddr, tls: Option<Tls>) -> Result<Self> {
        prepare(dir, address, tls.as_ref()).await?;
        let (run, ask) = lines(dir, address, tls.as_ref());
        let mut server = Server::new("mariadb", place, dir, run, ask);
        server.start().await?;
        Ok(Self {
            server,
            address,
            client_file: dir.join(CLIENT_FILE),
            ca: tls.map(|(_, ca)| ca),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}:{PASSWORD_IN_URL}@{}/{database}", self.address)
    }

    /// The certificate that its clients must trust, if it is reached by TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// When there is one of this name already.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.query(&format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))
            .await?;
        Ok(())
    }

    /// Runs SQL with its own client and returns what that prints: a row a line, columns between tabs, no header.
    ///
    /// # Errors
    /// When the client or the server refuses.
    pub async fn query(&self, sql: &str) -> Result<String> {
        let mut command = self.server.place().command(MARIADB_CLIENT.1);
        command
            .arg(format!("--defaults-file={}", self.client_file.display()))
            .args(["--batch", "--skip-column-names", "--execute", sql]);
        run(command, QUERY_WITHIN).await
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.server.id()
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it isn't running.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it isn't running or doesn't end.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop().await
    }

    /// Starts it again on the same data at the same address, after [`MariaDb::kill`] or [`MariaDb::stop`].
    ///
    /// # Errors
    /// When it runs or doesn't come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start().await
    }
}

/// A server's certificate, and that of the authority behind it.
type Tls = (Identity, PathBuf);

/// Makes what a server finds at its first start, unless it is there.
async fn prepare(dir: &Path, address: SocketAddr, tls: Option<&Tls>) -> Result<()> {
    packages::require(&[MARIADB, MARIADB_INSTALL, MARIADB_CLIENT])?;
    let data = dir.join("data");
    std::fs::create_dir_all(&data)?;
    std::fs::create_dir_all(temporary(dir))?;
    if !data.join("mysql").exists() {
        let mut install = Place::Here.command(MARIADB_INSTALL.1);
        install
            .args([
                "--no-defaults",
                "--user=root",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg(format!("--datadir={}", data.display()))
            .env("TMPDIR", temporary(dir));
        run(install, INSTALL_WITHIN).await?;
    }
    std::fs::write(dir.join("init.sql"), first_statements())?;
    let ca = tls.map(|(_, ca)| ca.as_path());
    std::fs::write(dir.join(CLIENT_FILE), client_file(address, ca))?;
    Ok(())
}

/// How it is run, and how it is asked.
fn lines(dir: &Path, address: SocketAddr, tls: Option<&Tls>) -> (Line, Line) {
    let client = dir.join(CLIENT_FILE);
    let ask = [
        format!("--defaults-file={}", client.display()),
        "--execute=SELECT 1".into(),
    ];
    (server_line(dir, address, tls), Line::new(MARIADB_CLIENT.1, ask))
}

/// A server that starts clears this directory of the temporary tables of any other, so each has its own.
fn temporary(dir: &Path) -> PathBuf {
    dir.join("tmp")
}

fn server_line(dir: &Path, address: SocketAddr, tls: Option<&Tls>) -> Line {
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        "--user=root".to_owned(),
        format!("--datadir={}", dir.join("data").display()),
        format!("--tmpdir={}", temporary(dir).display()),
        format!("--socket={}", dir.join("socket").display()),
        format!("--pid-file={}", dir.join("pid").display()),
        format!("--init-file={}", dir.join("init.sql").display()),
        format!("--port={}", address.port()),
        format!("--bind-address={}", address.ip()),
        "--skip-name-resolve".to_owned(),
        "--innodb-buffer-pool-size=64M".to_owned(),
        "--performance-schema=OFF".to_owned(),
        "--max-connections=500".to_owned(),
        // What a killed process wrote is in the kernel's hands; only a crash of the host would need more.
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
    ];
    if let Some((identity, ca)) = tls {
        arguments.extend([
            format!("--ssl-ca={}", ca.display()),
            format!("--ssl-cert={}", identity.certificate.display()),
            format!("--ssl-key={}", identity.key.display()),
            "--require-secure-transport=ON".to_owned(),
        ]);
    }
    Line::new(MARIADB.1, arguments)
}

/// Run by the server at each start, before it answers anybody.
fn first_statements() -> String {
    format!(
        "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys' AND Host <> 'localhost';\n\
         DELETE FROM mysql.global_priv WHERE User = '';\n\
         FLUSH PRIVILEGES;\n\
         CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
    )
}

/// What its own client reads: arguments would be in every list of processes.
fn client_file(address: SocketAddr, ca: Option<&Path>) -> String {
    let tls = match ca {
        Some(ca) => format!("ssl-ca={}\nssl-verify-server-cert\n", ca.display()),
        None => String::new(),
    };
    format!(
        "[client]\nprotocol=tcp\nhost={}\nport={}\nuser={USER}\npassword=\"{PASSWORD}\"\nconnect-timeout=5\n{tls}",
        address.ip(),
        address.port()
    )
}
