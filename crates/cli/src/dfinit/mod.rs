//! `dfinit`: leads the container runtimes of this host through the peer's proxy, and back.
//!
//! What is to be changed is planned first, as whole files before and after; then it is shown, or done with the originals
//! kept. Settings that are there already stay. A second run finds nothing to do.

mod config;
mod containerd;
mod docker;
mod hosts;
mod journal;
mod json;
mod plan;
mod registries;

use crate::failure::Failure;
use crate::{console, program};
use config::{Config, Raw};
use dragonfly_service::exit;
use journal::{Journal, Undone};
use plan::{Change, Runtime};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The flags of `dfinit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration file; without this /etc/dragonfly/dfinit.yaml
    #[arg(short, long, value_name = "FILE", env = "DFINIT_CONFIG")]
    config: Option<PathBuf>,

    /// Print what would be changed, as `diff -u` does, and change nothing
    #[arg(long, conflicts_with_all = ["undo", "restart"])]
    dry_run: bool,

    /// Put everything back as it was before the first run
    #[arg(long)]
    undo: bool,

    /// Restart (CRI-O: reload) a runtime whose configuration was changed in a way that it reads only at its start
    #[arg(long)]
    restart: bool,

    /// Where the originals are kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/dragonfly/dfinit",
        env = "DFINIT_STATE_DIR"
    )]
    state_dir: PathBuf,

    /// Accepted for the sake of older command lines; dfinit writes no log
    #[arg(short, long, value_name = "LEVEL", hide = true)]
    log_level: Option<String>,

    /// Accepted for the sake of older command lines; dfinit writes no log
    #[arg(long, hide = true)]
    console: bool,
}

/// Plans, and shows or does.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.undo {
        return undo(args);
    }
    let (raw, from) = program::read::<Raw>(args.config.as_deref(), "dfinit")?;
    let config = Config::try_from(raw).map_err(|error| Failure::config(&error).within(&from))?;
    let changes = plan(&config).map_err(|error| Failure::of(&error, exit::FAILURE))?;
    if args.dry_run {
        let diffs: String = changes.iter().map(Change::diff).collect();
        console::say(&diffs);
        return Ok(());
    }
    if changes.is_empty() {
        console::say("nothing to change\n");
        return Ok(());
    }
    let mut journal = open(&args.state_dir)?;
    journal
        .apply(&changes)
        .map_err(|error| Failure::of(&error, exit::FAILURE))?;
    for change in &changes {
        let verb = if change.before.is_some() { "changed" } else { "created" };
        console::say(&format!("{verb} {}\n", change.path.display()));
    }
    tell(changes.iter().filter_map(|change| change.restarts), args.restart)
}

fn open(dir: &Path) -> Result<Journal, Failure> {
    Journal::open(dir).map_err(|error| Failure::of(&error, exit::FAILURE))
}

fn plan(config: &Config) -> Result<Vec<Change>, plan::Error> {
    let mut changes = Vec::new();
    if let Some(runtime) = &config.containerd {
        changes.extend(containerd::plan(config, runtime)?);
    }
    if let Some(runtime) = &config.docker {
        changes.extend(docker::plan(config, runtime)?);
    }
    let crio = config.crio.as_ref().map(|wanted| (wanted, Some(Runtime::Crio)));
    let podman = config.podman.as_ref().map(|wanted| (wanted, None));
    for (wanted, runtime) in crio.into_iter().chain(podman) {
        let planned = registries::plan(config, wanted, runtime)?;
        // Both may read one file, which then is to be changed once.
        changes.extend(planned.filter(|new| changes.iter().all(|known: &Change| known.path != new.path)));
    }
    Ok(changes)
}

/// Restarts the runtimes, or says that it must be done.
fn tell(runtimes: impl Iterator<Item = Runtime>, restart: bool) -> Result<(), Failure> {
    let mut told: Vec<Runtime> = Vec::new();
    for runtime in runtimes {
        if told.contains(&runtime) {
            continue;
        }
        told.push(runtime);
        let (verb, unit) = (runtime.verb(), runtime.unit());
        if !restart {
            console::say(&format!("{unit} must be told: systemctl {verb} {unit}\n"));
            continue;
        }
        let status = Command::new("systemctl").args([verb, unit]).status();
        match status {
            Ok(status) if status.success() => console::say(&format!("{unit}: {verb}ed\n")),
            Ok(status) => return Err(Failure::new(format!("systemctl {verb} {unit} failed: {status}"))),
            Err(error) => return Err(Failure::new(format!("can't run systemctl {verb} {unit}: {error}"))),
        }
    }
    Ok(())
}

fn undo(args: &Args) -> Result<(), Failure> {
    let undone = open(&args.state_dir)?
        .undo()
        .map_err(|error| Failure::of(&error, exit::FAILURE))?;
    if undone.is_empty() {
        console::say("nothing to undo\n");
    }
    let (mut changed, mut runtimes) = (Vec::new(), Vec::new());
    for one in undone {
        match one {
            Undone::Restored(path, runtime) => {
                console::say(&format!("restored {}\n", path.display()));
                runtimes.extend(runtime);
            }
            Undone::Removed(path, runtime) => {
                console::say(&format!("removed {}\n", path.display()));
                runtimes.extend(runtime);
            }
            Undone::Changed(path, original) => {
                let original = original.map(|path| format!(" (the original is {})", path.display()));
                changed.push(format!("{}{}", path.display(), original.unwrap_or_default()));
            }
        }
    }
    tell(runtimes.into_iter(), args.restart)?;
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "left alone, because somebody has changed it since: {}",
        changed.join(", ")
    )))
}

/// How far the runtimes of this host are led through the proxy.
pub(crate) struct Wiring {
    /// The file that says how they are to be.
    pub(crate) file: String,
    /// Where they are to be led.
    pub(crate) proxy: String,
    pub(crate) port: Option<u16>,
    /// The files that a run would change.
    pub(crate) to_change: Vec<PathBuf>,
}

/// Looks, and changes nothing. `None` if no file says how it is to be.
pub(crate) fn wiring(named: Option<&Path>) -> Result<Option<Wiring>, Failure> {
    if named.is_none() && !Path::new("/etc/dragonfly/dfinit.yaml").exists() {
        return Ok(None);
    }
    let (raw, file) = program::read::<Raw>(named, "dfinit")?;
    let config = Config::try_from(raw).map_err(|error| Failure::config(&error).within(&file))?;
    let changes = plan(&config).map_err(|error| Failure::of(&error, exit::FAILURE))?;
    let port = config.proxy_authority.rsplit_once(':');
    Ok(Some(Wiring {
        file,
        port: port.and_then(|(_, port)| port.parse().ok()),
        proxy: config.proxy,
        to_change: changes.into_iter().map(|change| change.path).collect(),
    }))
}
