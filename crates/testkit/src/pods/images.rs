//! What stands for the images that manifests name: ours as it was made, and the others' programs as Debian has them,
//! since no registry of images can be asked here.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, BUSYBOX, MARIADB, MARIADB_INSTALL, REDIS, REDIS_CLIENT, RUNC, UMOCI};
use crate::process::said_by;

const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
const START_MARIADB: &str = "/usr/local/bin/start-mariadb";
/// What the entry of MariaDB's own image does with the variables that the chart sets.
const MARIADB_ENTRY: &str = r#"#!/bin/sh
set -eu
data=/var/lib/mysql
[ -d "$data/mysql" ] || mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db
cat >/tmp/first.sql <<END
CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'%' IDENTIFIED BY '$(cat "$MARIADB_PASSWORD_FILE")';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
ALTER USER root@localhost IDENTIFIED BY '$(cat "$MARIADB_ROOT_PASSWORD_FILE")';
END
exec mariadbd --no-defaults --datadir="$data" --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/pid \
    --init-file=/tmp/first.sql --skip-name-resolve --innodb-buffer-pool-size=64M --performance-schema=OFF
"#;
/// Any answer, a refusal included, is that of a server that takes connections.
const MARIADB_CHECK: &str = "#!/bin/sh\nexec mariadb-admin --no-defaults --socket=/run/mysqld/mysqld.sock ping\n";

/// Root file systems by the images that they stand for.
#[derive(Debug)]
pub(super) struct Images {
    dir: PathBuf,
}

/// A root file system, and what runs in it unless a manifest says otherwise.
#[derive(Debug)]
pub(super) struct Image {
    /// Its files, which stay as they are.
    pub(super) base: PathBuf,
    /// Files that it has beside them, or instead.
    pub(super) more: Option<PathBuf>,
    pub(super) entrypoint: Vec<String>,
}

impl Images {
    /// Unpacks our image from an OCI layout, and makes the others, in `dir`.
    ///
    /// # Errors
    /// When a package can't be installed, or the image can't be unpacked.
    pub(super) fn make(layout: &Path, dir: &Path) -> Result<Self> {
        packages::require(&[RUNC, UMOCI, BUSYBOX, MARIADB, MARIADB_INSTALL, REDIS, REDIS_CLIENT])?;
        std::fs::create_dir_all(dir)?;
        let images = Self { dir: dir.to_owned() };
        let tagged = format!("{}:latest", layout.display());
        said_by(
            Command::new(UMOCI.1)
                .args(["unpack", "--image", &tagged])
                .arg(images.at("dragonfly")),
        )?;
        images.write_busybox()?;
        images.write_program(START_MARIADB, MARIADB_ENTRY)?;
        images.write_program("/usr/local/bin/healthcheck.sh", MARIADB_CHECK)?;
        Ok(images)
    }

    /// Has our programs trust an authority beside the public ones, as companies add theirs to an image.
    ///
    /// # Errors
    /// When its certificate can't be read.
    pub(super) fn trust(&self, authority: &Path) -> Result<()> {
        let mut roots = std::fs::read(self.at("dragonfly/rootfs").join(ROOTS))?;
        roots.extend(std::fs::read(authority)?);
        let file = self.at("trust").join(ROOTS);
        std::fs::create_dir_all(file.parent().context("it has a directory")?)?;
        std::fs::write(file, roots)?;
        Ok(())
    }

    /// What stands for the image of this name.
    ///
    /// # Errors
    /// When nothing does.
    pub(super) fn get(&self, name: &str) -> Result<Image> {
        let (repository, _) = name.rsplit_once(':').with_context(|| format!("{name:?} has no tag"))?;
        let (base, more, entrypoint) = match repository {
            "dragonfly" => (self.at("dragonfly/rootfs"), Some("trust"), vec![]),
            "docker.io/library/busybox" => (self.at("busybox"), None, vec![]),
            "docker.io/library/mariadb" => ("/".into(), Some("mariadb"), vec![START_MARIADB.to_owned()]),
            "docker.io/library/redis" => ("/".into(), None, vec![]),
            _ => bail!("nothing here stands for the image {name}"),
        };
        Ok(Image {
            base,
            more: more.map(|more| self.at(more)).filter(|more| more.exists()),
            entrypoint,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write_busybox(&self) -> Result<()> {
        let bin = self.at("busybox/bin");
        std::fs::create_dir_all(&bin)?;
        std::fs::copy("/usr/bin/busybox", bin.join("busybox"))?;
        for applet in said_by(Command::new("/usr/bin/busybox").arg("--list"))?.lines() {
            if applet != "busybox" {
                symlink("busybox", bin.join(applet))?;
            }
        }
        Ok(())
    }

    /// A program of MariaDB's image.
    fn write_program(&self, path: &str, text: &str) -> Result<()> {
        let file = self.at("mariadb").join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().context("it has a directory")?)?;
        std::fs::write(&file, text)?;
        std::fs::set_permissions(file, Permissions::from_mode(0o755))?;
        Ok(())
    }
}
