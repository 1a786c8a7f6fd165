//! `cargo xtask deb`: the Debian package of the binary, its services, and files of configuration that say what they may say.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{root, step, succeed};
use crate::keys;
use crate::tools::{debian, epoch, fresh, output, product};

const STRIP: (&str, &str) = ("binutils", "/usr/bin/strip");
const OBJDUMP: (&str, &str) = ("binutils", "/usr/bin/objdump");
const PROGRAMS: [&str; 3] = ["manager", "scheduler", "dfdaemon"];
/// Called by users; the other programs are called by their services.
const TOOLS: [&str; 4] = ["dfget", "dfcache", "dfctl", "dfinit"];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Peers keep their pieces beside the other programs' data, as the services lay them out: what is said instead of what.
const OF_THE_PEER: [(&str, &str); 2] = [
    ("\n#storage:\n", "\nstorage:\n"),
    (
        "\n#  dir: /var/lib/dragonfly/\n",
        "\n  dir: /var/lib/dragonfly/dfdaemon/\n",
    ),
];

/// Makes `target/deb/dragonfly_<version>_<architecture>.deb`.
pub(crate) fn run(version: Option<String>) -> Result<String> {
    debian(STRIP.0, STRIP.1)?;
    let binary = product()?;
    let epoch = epoch()?;
    let dir = fresh("deb")?;
    let tree = dir.join("tree");
    let version = match version {
        Some(version) => version,
        None => of_binary(&output(Command::new(&binary).args(["dfdaemon", "--version"]))?),
    };
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let name = format!("dragonfly_{version}_{}.deb", architecture.trim());
    step("files", || {
        programs(&binary, &tree)?;
        configuration(&binary, &tree)?;
        documents(&tree)
    })?;
    step("package", || {
        control(&binary, &tree, [&version, architecture.trim()])?;
        let mut touch = Command::new("find");
        touch.arg(&tree).args(["-exec", "touch", "--no-dereference", "--date"]);
        succeed(touch.arg(format!("@{epoch}")).args(["{}", "+"]))?;
        let mut build = Command::new("dpkg-deb");
        build
            .args(["--root-owner-group", "-Zzstd", "-z9", "--build"])
            .arg(&tree)
            .arg(dir.join(&name));
        succeed(
            build
                .env("SOURCE_DATE_EPOCH", epoch.to_string())
                .stdout(std::io::stderr()),
        )
    })?;
    Ok(format!("deb: target/deb/{name}"))
}

/// Of `dfdaemon 0.0.0 (98ab3c9, 2026-11-26)`: later commits are later versions.
fn of_binary(said: &str) -> String {
    let mut words = said
        .split([' ', '(', ')', ','])
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let version = words.nth(1).unwrap_or("0.0.0");
    match (words.next(), words.next()) {
        (Some(commit), Some(date)) => format!("{version}+{}.{commit}", date.replace('-', "")),
        _ => version.to_owned(),
    }
}

fn programs(binary: &Path, tree: &Path) -> Result<()> {
    let bin = tree.join("usr/bin");
    std::fs::create_dir_all(&bin)?;
    succeed(Command::new(STRIP.1).arg("-o").arg(bin.join("dragonfly")).arg(binary))?;
    mode(&bin.join("dragonfly"), 0o755)?;
    for tool in TOOLS {
        symlink("dragonfly", bin.join(tool))?;
    }
    for program in PROGRAMS {
        let unit = format!("dragonfly-{program}.service");
        let text = std::fs::read_to_string(root().join("deploy/systemd").join(&unit))?;
        write(&tree.join("usr/lib/systemd/system").join(unit), &text, 0o644)?;
    }
    let completions = output(Command::new(binary).args(["completions", "bash"]))?;
    write(
        &tree.join("usr/share/bash-completion/completions/dragonfly"),
        &completions,
        0o644,
    )
}

/// Each program's defaults, as it prints them, behind `#`, and what they mean, as its code says: what stays there follows the program's own when it is upgraded.
fn configuration(binary: &Path, tree: &Path) -> Result<()> {
    for program in PROGRAMS {
        let room = if program == "dfdaemon" { "peer" } else { program };
        let keys = keys::file(binary, program, room)?;
        let mut text =
            format!("## What {program} may be told, with its defaults. See `dragonfly {program} --help`.\n\n{keys}");
        for (common, ours) in OF_THE_PEER.iter().filter(|_| room == "peer") {
            if !text.contains(common) {
                bail!("the peer prints no {common:?}");
            }
            text = text.replace(common, ours);
        }
        // Passwords may be written there.
        write(&tree.join(format!("etc/dragonfly/{program}.yaml")), &text, 0o640)?;
    }
    Ok(())
}

fn documents(tree: &Path) -> Result<()> {
    let doc = tree.join("usr/share/doc/dragonfly");
    for (from, to) in [("LICENSE", "copyright"), ("README.md", "README.md")] {
        write(&doc.join(to), &std::fs::read_to_string(root().join(from))?, 0o644)?;
    }
    Ok(())
}

fn control(binary: &Path, tree: &Path, [version, architecture]: [&str; 2]) -> Result<()> {
    let (from, to) = (root().join("deploy/debian"), tree.join("DEBIAN"));
    let control = std::fs::read_to_string(from.join("control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@LIBC@", &libc(&output(Command::new(OBJDUMP.1).arg("-T").arg(binary))?));
    write(&to.join("control"), &control, 0o644)?;
    let files = PROGRAMS.map(|program| format!("/etc/dragonfly/{program}.yaml\n"));
    write(&to.join("conffiles"), &files.concat(), 0o644)?;
    for script in SCRIPTS {
        write(&to.join(script), &std::fs::read_to_string(from.join(script))?, 0o755)?;
    }
    Ok(())
}

/// The newest version of glibc that a symbol asks for.
fn libc(symbols: &str) -> String {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let version = rest.split([')', ' ', '\n']).next()?;
        version
            .split('.')
            .map(|part| part.parse::<u32>().ok())
            .collect::<Option<Vec<_>>>()
    });
    let newest = versions.max().unwrap_or_else(|| vec![2, 34]);
    newest.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn write(path: &Path, text: &str, bits: u32) -> Result<()> {
    let parent = path.parent().context("a file has a directory")?;
    std::fs::create_dir_all(parent)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    mode(path, bits)
}

fn mode(path: &Path, bits: u32) -> Result<()> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(bits))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_the_commit() {
        assert_eq!(
            of_binary("dfdaemon 0.0.0 (98ab3c9, 2026-11-26)\n"),
            "0.0.0+20261126.98ab3c9"
        );
        assert_eq!(of_binary("dfdaemon 1.2.3\n"), "1.2.3");
    }

    #[test]
    fn the_newest_glibc_counts_not_the_longest_word() {
        assert_eq!(
            libc("  (GLIBC_2.9) a\n (GLIBC_2.34) b\n GLIBC_2.2.5 c\n(GLIBC_PRIVATE)"),
            "2.34"
        );
    }
}
