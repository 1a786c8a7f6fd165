//! The command line of `dragonfly up`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// `dragonfly up`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept; without this $XDG_DATA_HOME/dragonfly or ~/.local/share/dragonfly
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// How many peers, beside the seed peer; peer n has its ports at the usual ones + 100·(n-1)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub(super) peers: u16,

    /// The address of this host that everything listens on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) ip: IpAddr,

    /// A manager.yaml; addresses and directories in it are replaced
    #[arg(long, value_name = "FILE")]
    pub(super) manager_config: Option<PathBuf>,

    /// A scheduler.yaml; addresses and directories in it are replaced
    #[arg(long, value_name = "FILE")]
    pub(super) scheduler_config: Option<PathBuf>,

    /// A dfdaemon.yaml for the seed peer; addresses and directories in it are replaced
    #[arg(long, value_name = "FILE")]
    pub(super) seed_config: Option<PathBuf>,

    /// A dfdaemon.yaml for the peers; addresses and directories in it are replaced
    #[arg(long, value_name = "FILE")]
    pub(super) dfdaemon_config: Option<PathBuf>,

    /// Written when all is serving: where everything listens, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,

    /// What is logged to stderr: error, warn, info, debug, trace, or directives such as info,dragonfly_peer=debug
    #[arg(short, long, value_name = "LEVEL", default_value = "warn")]
    pub(super) log_level: String,

    #[command(flatten)]
    pub(super) environment: Environment,
}

/// What the environment says about the user.
#[derive(clap::Args)]
pub(super) struct Environment {
    #[arg(long, hide = true, env = "XDG_DATA_HOME", hide_env = true)]
    xdg_data_home: Option<PathBuf>,
    #[arg(long, hide = true, env = "HOME", hide_env = true)]
    home: Option<PathBuf>,
    #[arg(long, hide = true, env = "PATH", hide_env = true)]
    search_path: Option<OsString>,
}

impl Environment {
    /// Where this user's data belongs, by the XDG base directory specification.
    pub(super) fn data_dir(&self) -> Option<PathBuf> {
        let absolute = |path: &&PathBuf| path.is_absolute();
        let xdg = self.xdg_data_home.as_ref().filter(absolute).cloned();
        let usual = || {
            self.home
                .as_ref()
                .filter(absolute)
                .map(|home| home.join(".local/share"))
        };
        xdg.or_else(usual).map(|base| base.join("dragonfly"))
    }

    /// The first program of this name that a shell would find.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        let dirs = std::env::split_paths(self.search_path.as_ref()?);
        dirs.map(|dir| dir.join(program)).find(|path| path.is_file())
    }
}

/// For `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  dragonfly up
  dragonfly up --peers 3 --data-dir /tmp/dragonfly
  dragonfly up --ip 10.0.0.5 --dfdaemon-config dfdaemon.yaml --ready-file ready.json

Exit codes: 0 ended as asked, 1 failed, 2 the command line is wrong, 64 a configuration is wrong.";

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(xdg: &str, home: &str) -> Environment {
        Environment {
            xdg_data_home: Some(xdg.into()),
            home: Some(home.into()),
            search_path: None,
        }
    }

    #[test]
    fn data_belongs_where_xdg_says() {
        let of = |xdg, home| environment(xdg, home).data_dir();
        assert_eq!(of("/data", "/home/u"), Some("/data/dragonfly".into()));
        // The specification says that relative paths are to be ignored; an empty one is the usual "not set".
        assert_eq!(of("", "/home/u"), Some("/home/u/.local/share/dragonfly".into()));
        assert_eq!(of("data", ""), None);
    }
}
