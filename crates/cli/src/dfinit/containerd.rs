//! containerd: `config.toml` says where the host files are, or has mirrors of its own.
//!
//! A configuration with `config_path` needs no change. One with `mirrors` keeps them, and the proxy becomes the first
//! endpoint of each: containerd accepts no `config_path` beside mirrors. Any other gets a `config_path`. Everything else
//! in the file, comments and order included, stays as it is.

use super::config::{Config, Containerd};
use super::plan::{Change, Error, Runtime, change, read};
use super::{config, hosts};
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

/// The directory of the hosts that have none.
const DEFAULT: &str = "_default";
/// For a file that does not exist: understood by containerd 1.3 and everything after.
const NEW: &str = "version = 2\n";

/// How registries are led through the proxy.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// By files in these directories, of which containerd takes the first that knows a host.
    Hosts(Vec<PathBuf>),
    /// By the mirrors in `config.toml`.
    Mirrors,
}

/// The changes for containerd.
pub(super) fn plan(config: &Config, containerd: &Containerd) -> Result<Vec<Change>, Error> {
    let path = &containerd.config_path;
    let before = read(path)?;
    let names: Vec<&str> = containerd
        .registries
        .iter()
        .map(|registry| &*registry.host_namespace)
        .chain(containerd.proxy_all_registries.then_some("*"))
        .collect();
    let text = before.clone().unwrap_or_else(|| NEW.to_owned());
    let (after, way) =
        edit(&text, &config.proxy, &names, &containerd.hosts_path).map_err(|what| Error::content(path, what))?;
    let is_needed = before.is_some() || after != NEW;
    let mut changes: Vec<Change> = change(path, before, after, Some(Runtime::Containerd))
        .filter(|_| is_needed)
        .into_iter()
        .collect();
    if let Way::Hosts(dirs) = way {
        changes.extend(host_files(config, containerd, &dirs)?);
    }
    Ok(changes)
}

fn host_files(config: &Config, containerd: &Containerd, dirs: &[PathBuf]) -> Result<Vec<Change>, Error> {
    let listed = containerd.registries.iter().map(|registry| {
        let host = hosts::Host {
            proxy: &config.proxy,
            server: Some(&registry.server_addr),
            capabilities: registry.capabilities.clone(),
            skip_verify: registry.skip_verify,
            ca: registry.ca.clone(),
        };
        (registry.host_namespace.as_str(), host)
    });
    let others = containerd.proxy_all_registries.then(|| {
        let host = hosts::Host {
            proxy: &config.proxy,
            server: None,
            capabilities: config::pull_and_resolve(),
            skip_verify: None,
            ca: None,
        };
        (DEFAULT, host)
    });
    let mut changes = Vec::new();
    for (name, host) in listed.chain(others) {
        let dir = dir_of(dirs, name);
        let path = dir.join("hosts.toml");
        let before = read(&path)?;
        refuse_hidden(&dir, before.is_some()).map_err(|what| Error::content(&path, what))?;
        // A host that gets a directory is no longer asked for at the hosts of the default, so it takes them along.
        let usual = dir_of(dirs, DEFAULT).join("hosts.toml");
        let base = match &before {
            None => read(&usual)?.filter(|text| hosts::has_others(text, &config.proxy)),
            known => known.clone(),
        };
        let after = hosts::edit(base.as_deref(), &host).map_err(|what| Error::content(&path, what))?;
        // containerd reads these at each pull.
        changes.extend(change(&path, before, after, None));
    }
    Ok(changes)
}

/// The directory of a host: where containerd finds it now. A default that is new goes where it hides no other directory.
fn dir_of(dirs: &[PathBuf], name: &str) -> PathBuf {
    let mut all = dirs.iter().map(|dir| dir.join(name));
    let known = all.clone().find(|dir| dir.exists());
    let new = if name == DEFAULT { all.next_back() } else { all.next() };
    known.or(new).unwrap_or_default()
}

/// A new `hosts.toml` would make containerd overlook the certificates beside it.
fn refuse_hidden(dir: &Path, is_known: bool) -> Result<(), String> {
    if is_known {
        return Ok(());
    }
    let mut beside = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_certificate = |name: &Path| {
        let kind = name.extension().and_then(|kind| kind.to_str());
        matches!(kind, Some("crt" | "cert" | "key"))
    };
    if beside.any(|entry| is_certificate(&entry.path())) {
        return Err(
            "containerd would no longer look at the certificates beside it; write a hosts.toml with them".to_owned(),
        );
    }
    Ok(())
}

/// The new text of `config.toml`, and the way that it leaves.
fn edit(text: &str, proxy: &str, names: &[&str], hosts: &Path) -> Result<(String, Way), String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("it is no TOML: {error}"))?;
    let plugin = plugin_of(&document)?;
    if is_disabled(&document, plugin) {
        // Nobody reads its settings, but other tools read the host files.
        return Ok((text.to_owned(), Way::Hosts(vec![hosts.to_owned()])));
    }
    let root: &mut dyn TableLike = document.as_table_mut();
    let registry = table(table(table(root, "plugins")?, plugin)?, "registry")?;
    let known = registry.get("config_path").and_then(Item::as_str).unwrap_or_default();
    let known: Vec<PathBuf> = known
        .split(':')
        .filter(|part| !part.is_empty())
        .map(PathBuf::from)
        .collect();
    if !known.is_empty() {
        return Ok((text.to_owned(), Way::Hosts(known)));
    }
    if has_mirrors(registry) {
        lead_mirrors(table(registry, "mirrors")?, proxy, names)?;
        return Ok((document.to_string(), Way::Mirrors));
    }
    let text = hosts.to_str().ok_or("the path of the host files is no text")?;
    set(registry, "config_path", text);
    Ok((document.to_string(), Way::Hosts(vec![hosts.to_owned()])))
}

/// The plugin that pulls, by the version of the file.
fn plugin_of(document: &DocumentMut) -> Result<&'static str, String> {
    match document.get("version").map(Item::as_integer) {
        None | Some(Some(1)) => Ok("cri"),
        Some(Some(2)) => Ok("io.containerd.grpc.v1.cri"),
        Some(Some(3)) => Ok("io.containerd.cri.v1.images"),
        Some(_) => Err("its version is not 1, 2 or 3".to_owned()),
    }
}

fn is_disabled(document: &DocumentMut, plugin: &str) -> bool {
    let disabled = document.get("disabled_plugins").and_then(Item::as_array);
    let names = disabled.into_iter().flatten().filter_map(Value::as_str);
    names.into_iter().any(|name| name == plugin || name == "cri")
}

/// Whether there are settings that containerd accepts only without `config_path`.
fn has_mirrors(registry: &dyn TableLike) -> bool {
    let tables = |name: &str| registry.get(name).and_then(Item::as_table_like);
    let has_tls = tables("configs").is_some_and(|configs| {
        let mut hosts = configs.iter().filter_map(|(_, host)| host.as_table_like());
        hosts.any(|host| host.contains_key("tls"))
    });
    has_tls || tables("mirrors").is_some_and(|mirrors| !mirrors.is_empty())
}

fn lead_mirrors(mirrors: &mut dyn TableLike, proxy: &str, names: &[&str]) -> Result<(), String> {
    for (name, mirror) in mirrors.iter_mut() {
        let mirror = mirror
            .as_table_like_mut()
            .ok_or_else(|| format!("the mirror {:?} is no table", name.get()))?;
        let endpoints = mirror.entry("endpoint").or_insert_with(|| value(Array::new()));
        let endpoints = endpoints
            .as_array_mut()
            .ok_or_else(|| format!("the endpoint of the mirror {:?} is no list", name.get()))?;
        put_first(endpoints, proxy);
    }
    // Who had no mirror was asked for at these, and stays so.
    let others = mirrors.get("*").and_then(|mirror| mirror.get("endpoint")?.as_array());
    let usual = others.cloned().unwrap_or_else(|| Array::from_iter([proxy]));
    for name in names {
        if !mirrors.contains_key(name) {
            let mut mirror = Table::new();
            mirror.insert("endpoint", value(usual.clone()));
            mirrors.insert(name, Item::Table(mirror));
        }
    }
    Ok(())
}

/// In front of the others, in the way in which they are written.
fn put_first(endpoints: &mut Array, proxy: &str) {
    if endpoints.iter().any(|endpoint| endpoint.as_str() == Some(proxy)) {
        return;
    }
    let mut new = Value::from(proxy);
    if let Some(first) = endpoints.get_mut(0) {
        let decor = first.decor().clone();
        let is_in_line = decor
            .prefix()
            .and_then(|raw| raw.as_str())
            .unwrap_or_default()
            .is_empty();
        *new.decor_mut() = decor;
        new.decor_mut().set_suffix("");
        if is_in_line {
            first.decor_mut().set_prefix(" ");
        }
    }
    endpoints.insert_formatted(0, new);
}

/// Sets a text in the place of another one, or behind the others.
fn set(table: &mut dyn TableLike, name: &str, text: &str) {
    let mut new = Value::from(text);
    if let Some(known) = table.get_mut(name).and_then(Item::as_value_mut) {
        *new.decor_mut() = known.decor().clone();
        *known = new;
    } else {
        table.insert(name, Item::Value(new));
    }
}

/// The table of that name, made if there is none.
fn table<'a>(parent: &'a mut dyn TableLike, name: &str) -> Result<&'a mut dyn TableLike, String> {
    if !parent.contains_key(name) {
        let mut new = Table::new();
        // Its header is written only if it has keys of its own.
        new.set_implicit(true);
        parent.insert(name, Item::Table(new));
    }
    let item = parent.get_mut(name).ok_or_else(|| format!("{name:?} is missing"))?;
    if item.is_none() {
        *item = value(InlineTable::new());
    }
    item.as_table_like_mut().ok_or_else(|| format!("{name:?} is no table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://127.0.0.1:4001";
    const HOSTS_DIR: &str = "/etc/containerd/certs.d";

    fn edited(text: &str) -> (String, Way) {
        let (after, way) = edit(text, PROXY, &["ghcr.io", "*"], Path::new(HOSTS_DIR)).unwrap();
        assert_eq!(
            edit(&after, PROXY, &["ghcr.io", "*"], Path::new(HOSTS_DIR)).unwrap().0,
            after,
            "a second run changes nothing"
        );
        (after, way)
    }

    #[test]
    fn a_file_of_each_version_gets_a_config_path_and_keeps_the_rest() {
        for (version, plugin) in [
            ("version = 2\n", "io.containerd.grpc.v1.cri"),
            ("version = 3\n", "io.containerd.cri.v1.images"),
        ] {
            let text = format!(
                "# ours\n{version}\n[plugins.\"{plugin}\"]\n  # the pause image\n  sandbox_image = \"pause:3.9\"\n\n[debug]\nlevel = \"info\"\n"
            );
            let (after, way) = edited(&text);
            let added = format!("[plugins.\"{plugin}\".registry]\nconfig_path = \"{HOSTS_DIR}\"\n");
            assert!(after.contains(&added), "{after}");
            let without = after.replace(&added, "");
            assert_eq!(
                without.split_whitespace().collect::<Vec<_>>(),
                text.split_whitespace().collect::<Vec<_>>()
            );
            assert_eq!(way, Way::Hosts(vec![HOSTS_DIR.into()]));
        }
        let (after, _) = edited("root = \"/data\"\n");
        assert!(after.contains("[plugins.cri.registry]\n"), "{after}");
    }

    #[test]
    fn a_config_path_is_taken_as_it_is() {
        let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/a/certs.d:/b\"\n";
        assert_eq!(
            edited(text),
            (text.to_owned(), Way::Hosts(vec!["/a/certs.d".into(), "/b".into()]))
        );
    }

    #[test]
    fn mirrors_and_their_tls_stay_and_the_proxy_comes_first() {
        let text = "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n  \
                    endpoint = [\"https://mirror.lab\", \"https://registry-1.docker.io\"]\n\n\
                    [plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"mirror.lab\".tls]\n  ca_file = \"/ca.pem\"\n\
                    [plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"mirror.lab\".auth]\n  username = \"me\"\n";
        let (after, way) = edited(text);
        assert_eq!(way, Way::Mirrors);
        assert!(
            after.contains(
                "endpoint = [\"http://127.0.0.1:4001\", \"https://mirror.lab\", \"https://registry-1.docker.io\"]"
            ),
            "{after}"
        );
        assert!(after.contains("ca_file = \"/ca.pem\"") && after.contains("username = \"me\""));
        assert!(
            after.contains(".registry.mirrors.\"ghcr.io\"]\nendpoint = [\"http://127.0.0.1:4001\"]"),
            "{after}"
        );
        assert!(after.contains(".registry.mirrors.\"*\"]"), "{after}");
        assert!(!after.contains("config_path"));
    }

    #[test]
    fn a_list_over_several_lines_stays_one() {
        let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"x\"]\nendpoint = [\n  \"https://a\",\n]\n";
        let (after, _) = edited(text);
        assert!(
            after.contains("[\n  \"http://127.0.0.1:4001\",\n  \"https://a\",\n]"),
            "{after}"
        );
    }

    #[test]
    fn a_new_mirror_asks_whom_everybody_else_asked_before() {
        let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"*\"]\nendpoint = [\"https://mirror.lab\"]\n";
        let (after, _) = edited(text);
        let both = "endpoint = [\"http://127.0.0.1:4001\", \"https://mirror.lab\"]";
        assert_eq!(after.matches(both).count(), 2, "{after}");
    }

    #[test]
    fn no_host_directory_of_a_later_root_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let roots = [dir.path().join("a"), dir.path().join("b")];
        std::fs::create_dir_all(roots[1].join("lab")).unwrap();
        assert_eq!(dir_of(&roots, "lab"), roots[1].join("lab"));
        assert_eq!(dir_of(&roots, "ghcr.io"), roots[0].join("ghcr.io"));
        assert_eq!(dir_of(&roots, DEFAULT), roots[1].join(DEFAULT));
        std::fs::write(roots[1].join("lab/ca.crt"), "").unwrap();
        assert!(refuse_hidden(&roots[1].join("lab"), false).is_err());
        assert!(refuse_hidden(&roots[1].join("lab"), true).is_ok());
        assert!(refuse_hidden(&roots[0].join("ghcr.io"), false).is_ok());
    }

    #[test]
    fn a_disabled_plugin_is_left_alone() {
        let text = "disabled_plugins = [\"cri\"]\n";
        assert_eq!(edited(text), (text.to_owned(), Way::Hosts(vec![HOSTS_DIR.into()])));
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        assert!(edit("version = \"2\"\n", PROXY, &[], Path::new("/x")).is_err());
        assert!(edit("version = 9\n", PROXY, &[], Path::new("/x")).is_err());
        assert!(edit("[plugins\n", PROXY, &[], Path::new("/x")).is_err());
        assert!(edit("version = 2\nplugins = 3\n", PROXY, &[], Path::new("/x")).is_err());
    }
}
