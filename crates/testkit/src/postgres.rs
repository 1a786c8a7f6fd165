//! A real PostgreSQL with private data, on its own address.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::User;

use crate::packages::{self, POSTGRES};
use crate::pki::{Authority, Identity};
use crate::place::Place;
use crate::process::{output, run};
use crate::server::{Line, Server};
use crate::shared::share;

/// The one user, who may do everything from anywhere.
pub const USER: &str = "root";
/// The user's password. Its characters are those that a URL has to quote.
pub const PASSWORD: &str = "p@ss/w:rd#1%";
/// The same as it stands in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ard%231%25";

/// Where Debian keeps each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user of the system that it runs as: it refuses to run as root.
const SYSTEM_USER: &str = "postgres";
/// Changes a process's user and what it inherits, then becomes the program.
const SETPRIV: &str = "/usr/bin/setpriv";
const INSTALL_WITHIN: Duration = Duration::from_secs(120);
const QUERY_WITHIN: Duration = Duration::from_secs(60);

/// A PostgreSQL. Dropping it kills it; its data stay in its directory.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    address: SocketAddr,
    programs: PathBuf,
    ca: Option<PathBuf>,
}

impl Postgres {
    /// Installs what is missing, makes an empty database in `dir` and starts it at `address` in `place`.
    ///
    /// # Errors
    /// When a package can't be installed, the caller isn't root, or the server doesn't come up.
    pub async fn start(place: &Place, dir: &Path, address: SocketAddr) -> Result<Self> {
        Self::start_with(place, dir, address, None).await
    }

    /// The same, refusing connections that are not TLS.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_tls(place: &Place, dir: &Path, address: SocketAddr, authority: &Authority) -> Result<Self> {
        let identity = authority.server("postgres", address.ip())?;
        Self::start_with(place, dir, address, Some((identity, authority.certificate()))).await
    }

    /// One that other tests use, too, and that ends when nobody does. Each test makes a database of its own in it.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn shared() -> Result<Self> {
        let prepare = async |dir: &Path, _| prepare(dir, None).await;
        let lines = |dir: &Path, address| Ok(lines(&newest_version()?, dir, address, None));
        let used = share("postgres", prepare, lines).await?;
        let (address, programs) = (used.address, newest_version()?);
        Ok(Self {
            server: Server::shared("postgres", self::lines(&programs, &used.dir, address, None), used),
            address,
            programs,
            ca: None,
        })
    }

    async fn start_with(place: &Place, dir: &Path, address: SocketAddr, tls: Option<Tls>) -> Result<Self> {
        prepare(dir, tls.as_ref()).await?;
        let programs = newest_version()?;
        let (run, ask) = lines(&programs, dir, address, tls.as_ref());
        let mut server = Server::new("postgres", place, dir, run, ask);
        server.start().await?;
        Ok(Self {
            server,
            address,
            programs,
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
        format!("postgres://{USER}:{PASSWORD_IN_URL}@{}/{database}", self.address)
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
        self.query("postgres", &format!("CREATE DATABASE \"{name}\"")).await?;
        Ok(())
    }

    /// Runs SQL in one of its databases with its own client and returns what that prints: a row a line, columns between
    /// tabs, no header.
    ///
    /// # Errors
    /// When the client or the server refuses.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        let line = client(&self.programs, self.address, self.ca.as_deref(), database, sql);
        run(line.command(self.server.place()), QUERY_WITHIN).await
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

    /// Asks it to end without waiting for its clients, and waits.
    ///
    /// # Errors
    /// When it isn't running or doesn't end.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop().await
    }

    /// Starts it again on the same data at the same address, after [`Postgres::kill`] or [`Postgres::stop`].
    ///
    /// # Errors
    /// When it runs or doesn't come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start().await
    }
}

fn newest_version() -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(VERSIONS)
        .context("looking for PostgreSQL")?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    versions.sort();
    let (_, programs) = versions
        .pop()
        .with_context(|| format!("no PostgreSQL server below {VERSIONS}"))?;
    Ok(programs)
}

/// A server's certificate, and that of the authority behind it.
type Tls = (Identity, PathBuf);

/// Makes what a server finds at its first start, unless it is there.
async fn prepare(dir: &Path, tls: Option<&Tls>) -> Result<()> {
    packages::require(&[POSTGRES])?;
    let data = dir.join("data");
    if !data.join("PG_VERSION").exists() {
        make_data(&newest_version()?, dir, &data).await?;
    }
    std::fs::write(data.join("pg_hba.conf"), access(tls.is_some()))?;
    if let Some((identity, _)) = tls {
        let own = own_identity(&data);
        for (from, to) in [(&identity.certificate, &own.certificate), (&identity.key, &own.key)] {
            std::fs::copy(from, to)?;
            std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600))?;
            give_away(to)?;
        }
    }
    Ok(())
}

/// How it is run, and how it is asked.
fn lines(programs: &Path, dir: &Path, address: SocketAddr, tls: Option<&Tls>) -> (Line, Line) {
    let data = dir.join("data");
    let own = tls.map(|_| own_identity(&data));
    let run = server_line(programs, &data, address, own.as_ref());
    let ca = tls.map(|(_, ca)| ca.as_path());
    (run, client(programs, address, ca, "postgres", "SELECT 1"))
}

async fn make_data(programs: &Path, dir: &Path, data: &Path) -> Result<()> {
    std::fs::create_dir_all(data)?;
    give_away(data)?;
    let password = dir.join("password");
    std::fs::write(&password, PASSWORD)?;
    let line = as_system_user(
        &programs.join("initdb"),
        [
            format!("--pgdata={}", data.display()),
            format!("--username={USER}"),
            format!("--pwfile={}", password.display()),
            "--auth=scram-sha-256".to_owned(),
            "--encoding=UTF8".to_owned(),
            "--locale=C.UTF-8".to_owned(),
            "--no-sync".to_owned(),
        ],
    );
    let made = output(line.command(&Place::Here), INSTALL_WITHIN).await?;
    if !made.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

fn give_away(path: &Path) -> Result<()> {
    let user = User::from_name(SYSTEM_USER)?.with_context(|| format!("there is no user {SYSTEM_USER}"))?;
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("giving {} to {SYSTEM_USER}, which only root can", path.display()))
}

/// The server's own copy of its key, which it takes only from its own user.
fn own_identity(data: &Path) -> Identity {
    Identity {
        certificate: data.join("server.crt"),
        key: data.join("server.key"),
    }
}

/// A line that is run by PostgreSQL's own user, who may pass through directories of the test that are closed to others.
fn as_system_user(program: &Path, arguments: impl IntoIterator<Item = String>) -> Line {
    let mut line = vec![
        format!("--reuid={SYSTEM_USER}"),
        format!("--regid={SYSTEM_USER}"),
        "--clear-groups".to_owned(),
        "--inh-caps=+dac_override".to_owned(),
        "--ambient-caps=+dac_override".to_owned(),
        "--".to_owned(),
        // The kernel forgets this wish when the user changes, so it is made again.
        SETPRIV.to_owned(),
        "--pdeathsig=KILL".to_owned(),
        "--".to_owned(),
        program.display().to_string(),
    ];
    line.extend(arguments);
    Line::new(SETPRIV, line)
}

fn server_line(programs: &Path, data: &Path, address: SocketAddr, tls: Option<&Identity>) -> Line {
    let mut settings = vec![
        format!("listen_addresses={}", address.ip()),
        format!("port={}", address.port()),
        // No socket: its path could be longer than the kernel allows.
        "unix_socket_directories=".to_owned(),
        "max_connections=400".to_owned(),
        // What a killed process wrote is in the kernel's hands; only a crash of the host would need more.
        "fsync=off".to_owned(),
    ];
    if let Some(identity) = tls {
        settings.extend([
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", identity.certificate.display()),
            format!("ssl_key_file={}", identity.key.display()),
        ]);
    }
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    as_system_user(&programs.join("postgres"), arguments)
}

fn access(tls: bool) -> &'static str {
    if tls {
        "hostssl all all all scram-sha-256\n"
    } else {
        "host all all all scram-sha-256\n"
    }
}

fn client(programs: &Path, address: SocketAddr, ca: Option<&Path>, database: &str, sql: &str) -> Line {
    let tls = match ca {
        Some(ca) => format!("sslmode=verify-full sslrootcert={}", ca.display()),
        None => "sslmode=disable".to_owned(),
    };
    let connection = format!(
        "host={} port={} user={USER} password='{PASSWORD}' dbname={database} connect_timeout=5 {tls}",
        address.ip(),
        address.port()
    );
    Line::new(
        programs.join("psql"),
        [
            "--no-psqlrc".to_owned(),
            "--quiet".to_owned(),
            "--tuples-only".to_owned(),
            "--no-align".to_owned(),
            "--field-separator=\t".to_owned(),
            "--set=ON_ERROR_STOP=1".to_owned(),
            format!("--command={sql}"),
            connection,
        ],
    )
}
