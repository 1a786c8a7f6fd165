//! `cargo xtask image`: the image as an OCI layout, made without Docker, and beside it the list of what it is made of.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cargo::{root, step, succeed};
use crate::sbom;
use crate::tools::{debian, epoch, fresh, output, product};

const UMOCI: (&str, &str) = ("umoci", "/usr/bin/umoci");
const STRIP: (&str, &str) = ("binutils", "/usr/bin/strip");
const ROOTS: (&str, &str) = ("ca-certificates", "/etc/ssl/certs/ca-certificates.crt");
/// Of the image as it is pulled.
const LIMIT_BYTES: u64 = 60 * 1024 * 1024;
/// Nobody's, as the chart has it.
const USER: &str = "65532:65532";

/// Makes `target/image/oci` and `target/image/dragonfly.cdx.json`.
pub(crate) fn run() -> Result<String> {
    for (package, program) in [UMOCI, STRIP, ROOTS] {
        debian(package, program)?;
    }
    let binary = product()?;
    let epoch = epoch()?;
    let dir = fresh("image")?;
    step("root file system", || rootfs(&binary, &dir.join("rootfs"), epoch))?;
    let date = ["--utc", "--date", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"];
    let moment = output(Command::new("date").args(date))?;
    step("image", || image(&dir, moment.trim()))?;
    step("SBOM", || sbom::write(&dir.join("dragonfly.cdx.json"), moment.trim()))?;
    let bytes = size(&dir.join("oci"))?;
    if bytes > LIMIT_BYTES {
        bail!("the image has {bytes} bytes, more than {LIMIT_BYTES}");
    }
    #[allow(clippy::cast_precision_loss, reason = "it is shown with one digit")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    Ok(format!(
        "image: target/image/oci, {mebibytes:.1} MiB; target/image/dragonfly.cdx.json"
    ))
}

fn rootfs(binary: &Path, dir: &Path, epoch: u64) -> Result<()> {
    let mut script = Command::new(root().join("deploy/docker/rootfs.sh"));
    script.arg(binary).arg(dir).env("SOURCE_DATE_EPOCH", epoch.to_string());
    succeed(script.stdout(std::io::stderr()))
}

fn image(dir: &Path, created: &str) -> Result<()> {
    let layout = dir.join("oci");
    let tagged = format!("{}:latest", layout.display());
    let umoci = |arguments: &[&str]| succeed(Command::new(UMOCI.1).args(arguments).stdout(std::io::stderr()));
    umoci(&["init", "--layout", &layout.display().to_string()])?;
    umoci(&["new", "--image", &tagged])?;
    let rootfs = dir.join("rootfs").display().to_string();
    let layer = [
        "insert",
        "--history.created",
        created,
        "--history.created_by",
        "cargo xtask image",
    ];
    umoci(&[&layer[..], &["--image", &tagged, &rootfs, "/"]].concat())?;
    let mut config = vec!["config", "--no-history", "--image", &tagged, "--created", created];
    for pair in [
        ["--config.user", USER],
        ["--config.entrypoint", "/usr/local/bin/dragonfly"],
        ["--config.cmd", "--help"],
        ["--config.label", "org.opencontainers.image.licenses=Apache-2.0"],
        ["--config.label", "org.opencontainers.image.title=dragonfly"],
    ] {
        config.extend(pair);
    }
    umoci(&config)?;
    umoci(&["gc", "--layout", &layout.display().to_string()])
}

/// Bytes of all files below a directory.
fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
