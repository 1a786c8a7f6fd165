//! Servers that the tests of a run share, since starting one takes longer than most tests.
//!
//! Tests are processes of their own (or threads of one), so the first that wants a server starts it, by a lock file, and
//! whoever uses it holds another one. A keeper, the server's parent, waits until nobody has used it for a while and ends
//! it: nothing is left when the tests are over, however they ended.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::place::Place;
use crate::process::{free_port, output};
use crate::server::Line;

const START_WITHIN: Duration = Duration::from_secs(120);
const ASK_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Runs the server as a child and ends it when nobody holds the file of users for ten seconds. The exclusive lock is kept
/// until the server is gone, so a newcomer waits for its end and starts another one. A successor's mark is left alone.
const KEEPER: &str = r#"
users=$1; mark=$2; shift 2
"$@" & server=$!
exec 9>>"$users"
while :; do
    flock --exclusive 9; flock --unlock 9
    sleep 10
    if flock --exclusive --nonblock 9; then
        read -r keeper address <"$mark"
        if [ "$keeper" = "$$" ]; then rm -f "$mark"; fi
        kill "$server"; wait "$server"
        exit
    fi
done
"#;

/// The use of a shared server; while it is held, the server runs.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
    _user: Flock<File>,
}

/// Uses the server of this name, starting it if it doesn't run. `prepare` makes its data in an empty directory; `lines`
/// gives how it is run and how it is asked.
pub(crate) async fn share(
    name: &str,
    prepare: impl AsyncFnOnce(&Path, SocketAddr) -> Result<()>,
    lines: impl Fn(&Path, SocketAddr) -> Result<(Line, Line)>,
) -> Result<Use> {
    let user_id = nix::unistd::geteuid();
    let home = std::env::temp_dir().join(format!("dragonfly-testkit-{name}-{user_id}"));
    std::fs::create_dir_all(&home)?;
    let user = lock(&home.join("users"), FlockArg::LockShared).await?;
    let _starting = lock(&home.join("starting"), FlockArg::LockExclusive).await?;
    let (dir, mark) = (home.join("server"), home.join("mark"));
    if let Some(address) = marked(&mark)
        && answers(&lines(&dir, address)?.1).await
    {
        return Ok(Use {
            address,
            dir,
            _user: user,
        });
    }
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let ip = Ipv4Addr::LOCALHOST.into();
    let address = SocketAddr::new(ip, free_port(ip)?);
    prepare(&dir, address).await?;
    let (run, ask) = lines(&dir, address)?;
    start(&home, &mark, address, &run)?;
    let end = Instant::now() + START_WITHIN;
    while !answers(&ask).await {
        if Instant::now() > end {
            let said = std::fs::read_to_string(home.join("log")).unwrap_or_default();
            bail!("the shared {name} did not answer within {START_WITHIN:?}\n{said}");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(Use {
        address,
        dir,
        _user: user,
    })
}

/// The keeper outlives the test that starts it, in a session of its own, and says nothing to that test's outputs.
fn start(home: &Path, mark: &Path, address: SocketAddr, run: &Line) -> Result<()> {
    let server = run.command(&Place::Here);
    let log = File::create(home.join("log"))?;
    let mut keeper = Command::new("setsid");
    keeper
        .args(["--fork", "sh", "-c"])
        .arg(format!("echo \"$$ {address}\" >\"$2\"; {KEEPER}"))
        .arg("keeper")
        .arg(home.join("users"))
        .arg(mark)
        .arg(server.get_program())
        .args(server.get_args())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let status = keeper.status().context("starting the keeper of a shared server")?;
    if !status.success() {
        bail!("the keeper of a shared server: {status}");
    }
    Ok(())
}

fn marked(mark: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(mark).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

async fn answers(ask: &Line) -> bool {
    let asked = output(ask.command(&Place::Here), ASK_WITHIN).await;
    asked.is_ok_and(|output| output.status.success())
}

/// Waiting for a lock blocks its thread, and the tests of a process may share one.
async fn lock(path: &Path, how: FlockArg) -> Result<Flock<File>> {
    let path = path.to_owned();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Flock::lock(file, how).map_err(|(_, error)| anyhow::Error::from(error))
    });
    locked.await?
}
