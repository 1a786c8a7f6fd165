//! What hosts are given beside the chart: the image, the Debian package with its services, compose's file.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly_e2e::made::{made, root, said};
use dragonfly_testkit::manifests::Compose;
use dragonfly_testkit::packages::{self, IP, Tool};
use dragonfly_testkit::up::binary;
use serde_json::Value;

const SYSTEMD: Tool = ("systemd", "/usr/bin/systemd-analyze");
/// The services' worst grade by systemd's own measure, in tenths: 0 is best, 100 is worst.
const EXPOSURE_AT_MOST: &str = "15";
/// A root file system that is this one's and forgets everything, without a network; then what is asked of it.
const SANDBOX: &str = r#"
ip link set lo up
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mkdir "$1/root/packages"
cp "$2" "$3" "$1/root/packages/"
exec chroot "$1/root" sh -euxc "$4" sh "/packages/${2##*/}" "/packages/${3##*/}"
"#;
/// Installs, starts, upgrades and purges; `$1` is older than `$2`.
const LIFE: &str = r#"
dpkg -i "$1"
for program in manager scheduler dfdaemon; do
    unit=dragonfly-$program.service
    systemd-analyze verify "$unit" 2>/tmp/said
    if grep "$unit" /tmp/said; then exit 1; fi
    systemd-analyze security --offline=yes --threshold="$EXPOSURE_AT_MOST" "/usr/lib/systemd/system/$unit" >/tmp/said
    tail -1 /tmp/said
    install -d -o dragonfly -g dragonfly "/var/lib/dragonfly/$program"
done
install -d -o dragonfly -g dragonfly /var/run/dragonfly
as() { setpriv --reuid dragonfly --regid dragonfly --clear-groups --no-new-privs --bounding-set=-all -- "$@"; }
# As they are, and with everything in them that stands behind a #.
for program in manager scheduler dfdaemon; do
    as dragonfly "$program" --config "/etc/dragonfly/$program.yaml" --check-config
    sed -e '/^##/d' -e 's/^#//' "/etc/dragonfly/$program.yaml" >"/tmp/$program.yaml"
    dragonfly "$program" --config "/tmp/$program.yaml" --check-config
done
as timeout --foreground --preserve-status 5 dragonfly manager --config /etc/dragonfly/manager.yaml --console
test -n "$(ls /var/lib/dragonfly/manager)"
as timeout --foreground --preserve-status 5 dragonfly dfdaemon --config /etc/dragonfly/dfdaemon.yaml --console
test -n "$(ls /var/lib/dragonfly/dfdaemon)"
echo 'verbose: true' >>/etc/dragonfly/manager.yaml
dpkg -i "$2"
grep '^verbose: true' /etc/dragonfly/manager.yaml
dpkg --remove dragonfly
test -e /etc/dragonfly/manager.yaml
test -e /var/lib/dragonfly/manager
dpkg --purge dragonfly
test ! -e /etc/dragonfly
test ! -e /var/lib/dragonfly
if getent passwd dragonfly; then exit 1; fi
"#;

fn package(version: &str, dir: &Path) -> PathBuf {
    let line = made(&["deb", "--version", version]).unwrap();
    let made = root().join(line.strip_prefix("deb: ").unwrap());
    let kept = dir.join(made.file_name().unwrap());
    std::fs::copy(made, &kept).unwrap();
    kept
}

#[test]
fn the_debian_package_installs_starts_keeps_its_files_and_leaves_nothing() {
    packages::require(&[IP, SYSTEMD]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (package("0.0.1", dir.path()), package("0.0.2", dir.path()));
    let mut sandbox = Command::new("unshare");
    sandbox.args(["--mount", "--net", "--", "sh", "-euc", SANDBOX, "sh"]);
    let place = dir.path().join("sandbox");
    std::fs::create_dir(&place).unwrap();
    sandbox
        .arg(place)
        .arg(old)
        .arg(new)
        .arg(LIFE)
        .env("EXPOSURE_AT_MOST", EXPOSURE_AT_MOST);
    for score in said(&sandbox.output().unwrap())
        .unwrap()
        .lines()
        .filter(|line| line.contains("exposure"))
    {
        println!("{score}");
    }
}

#[test]
fn the_image_is_small_runs_without_anything_else_and_names_its_parts() {
    made(&["image"]).unwrap();
    let dir = root().join("target/image");
    let mut program = Command::new("chroot");
    program.args(["--userspec=65532:65532"]).arg(dir.join("rootfs"));
    let output = program
        .args(["/usr/local/bin/dfdaemon", "--check-config"])
        .output()
        .unwrap();
    assert!(said(&output).unwrap().contains("OK"));
    let bill: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("dragonfly.cdx.json")).unwrap()).unwrap();
    assert!(bill["components"].as_array().unwrap().len() > 100);
    let index = std::fs::read(dir.join("oci/index.json")).unwrap();
    made(&["image"]).unwrap();
    assert_eq!(index, std::fs::read(dir.join("oci/index.json")).unwrap(), "made twice");
}

#[test]
fn compose_accepts_the_file_and_the_programs_accept_their_command_lines() {
    let dir = root().join("deploy/compose");
    let file = dir.join("docker-compose.yaml");
    let judge = Compose::get(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    judge.judge(&file).unwrap();
    let wrong = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        wrong.path().join("wrong.yaml"),
        text.replace("depends_on", "depends_upon"),
    )
    .unwrap();
    judge.judge(&wrong.path().join("wrong.yaml")).unwrap_err();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let services = compose["services"].as_object().unwrap();
    assert_eq!(
        services.keys().collect::<Vec<_>>(),
        ["manager", "peer", "scheduler", "seed"]
    );
    for (name, service) in services {
        let words = service["command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap());
        let volumes = service["volumes"].as_array().unwrap();
        let mut program = Command::new(binary().unwrap());
        for word in words {
            let Some(path) = word.strip_prefix("--config=") else {
                program.arg(word);
                continue;
            };
            let mounted = volumes.iter().filter_map(Value::as_str).find_map(|volume| {
                let (from, to) = volume.trim_end_matches(":ro").split_once(':')?;
                (to == path).then(|| dir.join(from))
            });
            program
                .arg("--config")
                .arg(mounted.unwrap_or_else(|| panic!("{name} mounts no {path}")));
        }
        said(&program.arg("--check-config").output().unwrap()).unwrap();
    }
}

#[test]
fn the_dockerfile_names_its_bases_by_version_and_ends_as_nobody() {
    let text = std::fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rust = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    assert!(
        text.contains(&format!("docker.io/library/rust:{}-", rust.trim_matches('"'))),
        "not {rust}"
    );
    let bases: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases.last(), Some(&"scratch"));
    for base in &bases[..bases.len() - 1] {
        let tag = base.split(' ').next().unwrap().rsplit_once(':').unwrap().1;
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{base}");
    }
    let users: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
    assert_eq!(users, ["65532:65532"]);
}
