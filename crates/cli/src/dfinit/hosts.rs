//! One registry's `hosts.toml`: the proxy is asked first, whoever else was asked before comes after it.

use std::fmt::Write;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, value};

const HEADER: &str = "X-Dragonfly-Registry";

/// The proxy as the host of a registry.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) proxy: &'a str,
    /// The registry's URL; absent for registries that are not known by name, which containerd then names itself.
    pub(super) server: Option<&'a str>,
    pub(super) capabilities: Vec<String>,
    pub(super) skip_verify: Option<bool>,
    pub(super) ca: Option<Vec<String>>,
}

/// The new text of a file, which may not be there yet.
pub(super) fn edit(before: Option<&str>, host: &Host<'_>) -> Result<String, String> {
    let Some(before) = before.filter(|text| !text.trim().is_empty()) else {
        let server = host
            .server
            .map(|server| format!("server = {}\n\n", value(server).to_string().trim()));
        return Ok(format!("{}{}", server.unwrap_or_default(), block(host)));
    };
    let mut document = parse(before)?;
    if document.get("host").and_then(|hosts| hosts.get(host.proxy)).is_some() {
        complete(&mut document, host)?;
        return Ok(document.to_string());
    }
    let after = inserted(before, &block(host));
    check(&parse(&after)?, host.proxy)?;
    Ok(after)
}

/// Whether a file names hosts besides the proxy.
pub(super) fn has_others(text: &str, proxy: &str) -> bool {
    let document = text.parse::<DocumentMut>().ok();
    let hosts = document.as_ref().and_then(|all| all.get("host")?.as_table_like());
    hosts.is_some_and(|hosts| hosts.iter().any(|(name, _)| name != proxy))
}

fn parse(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|error| format!("it is no TOML: {error}"))
}

/// In front of the first host, since containerd asks in the order of the file; else at the end.
fn inserted(text: &str, block: &str) -> String {
    let is_host = |line: &str| {
        let rest = line.trim_start().strip_prefix('[').map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with("host"))
    };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if is_host(line) {
            return format!("{}{block}\n{}", &text[..at], &text[at..]);
        }
        at += line.len();
    }
    let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
    format!("{text}{gap}{block}")
}

/// Whether containerd will ask the proxy first.
fn check(document: &DocumentMut, proxy: &str) -> Result<(), String> {
    let hosts = document.get("host").and_then(Item::as_table_like);
    let first = hosts.and_then(|hosts| hosts.iter().next().map(|(name, _)| name.to_owned()));
    match first {
        Some(first) if first == proxy => Ok(()),
        _ => Err(
            "its hosts are written in a way that leaves no place in front of them; write each as [host.\"…\"]"
                .to_owned(),
        ),
    }
}

fn block(host: &Host<'_>) -> String {
    let name = quoted(host.proxy);
    let mut text = format!("[host.{name}]\n  capabilities = {}\n", list(&host.capabilities));
    let mut line = |line: String| text.push_str(&line);
    if let Some(skip) = host.skip_verify {
        line(format!("  skip_verify = {skip}\n"));
    }
    if let Some(ca) = &host.ca {
        line(format!("  ca = {}\n", list(ca)));
    }
    if let Some(server) = host.server {
        write!(text, "\n  [host.{name}.header]\n    {HEADER} = {}\n", quoted(server)).expect("a String takes all");
    }
    text
}

/// Sets what is not as it should be in a host that is there already.
fn complete(document: &mut DocumentMut, host: &Host<'_>) -> Result<(), String> {
    let entry = document.get_mut("host").and_then(|hosts| hosts.get_mut(host.proxy));
    let entry = entry
        .and_then(Item::as_table_like_mut)
        .ok_or("the proxy's host is no table")?;
    set_list(entry, "capabilities", &host.capabilities);
    if let Some(skip) = host.skip_verify
        && entry.get("skip_verify").and_then(Item::as_bool) != Some(skip)
    {
        entry.insert("skip_verify", value(skip));
    }
    if let Some(ca) = &host.ca {
        set_list(entry, "ca", ca);
    }
    let Some(server) = host.server else {
        return Ok(());
    };
    let header = entry.entry("header").or_insert_with(|| Item::Table(Table::new()));
    let header = header.as_table_like_mut().ok_or("the proxy's header is no table")?;
    let told = header.get(HEADER);
    // containerd takes a text or a list of texts.
    let first = told.and_then(|told| told.as_str().or_else(|| told.as_array()?.get(0)?.as_str()));
    if first != Some(server) {
        // In its place, if it is there, so that its line keeps its indent.
        *header.entry(HEADER).or_insert(Item::None) = value(server);
    }
    Ok(())
}

fn set_list(table: &mut dyn TableLike, name: &str, wanted: &[String]) {
    let is_list = |item: &Item| {
        let texts = item.as_array().into_iter().flatten().filter_map(|word| word.as_str());
        texts.eq(wanted.iter().map(String::as_str))
    };
    if !table.get(name).is_some_and(is_list) {
        table.insert(name, value(Array::from_iter(wanted.iter().map(String::as_str))));
    }
}

fn list(words: &[String]) -> String {
    value(Array::from_iter(words.iter().map(String::as_str)))
        .to_string()
        .trim()
        .to_owned()
}

fn quoted(text: &str) -> String {
    value(text).to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(server: Option<&str>) -> Host<'_> {
        Host {
            proxy: "http://127.0.0.1:4001",
            server,
            capabilities: super::super::config::pull_and_resolve(),
            skip_verify: Some(true),
            ca: None,
        }
    }

    const OURS: &str = "[host.\"http://127.0.0.1:4001\"]\n  capabilities = [\"pull\", \"resolve\"]\n  skip_verify = true\n\n  \
                        [host.\"http://127.0.0.1:4001\".header]\n    X-Dragonfly-Registry = \"https://ghcr.io\"\n";

    #[test]
    fn a_new_file_names_the_registry_and_the_proxy() {
        let text = edit(None, &host(Some("https://ghcr.io"))).unwrap();
        assert_eq!(text, format!("server = \"https://ghcr.io\"\n\n{OURS}"));
        assert_eq!(edit(Some(&text), &host(Some("https://ghcr.io"))).unwrap(), text);
        let others = edit(None, &host(None)).unwrap();
        assert!(!others.contains("server") && !others.contains("header"), "{others}");
    }

    #[test]
    fn hosts_that_were_there_stay_behind_the_proxy_letter_for_letter() {
        let before = "server = \"https://ghcr.io\"\n\n# inside\n[host.\"https://mirror.lab\"]\n  capabilities = [\"pull\"]\n  ca = \"/ca.pem\"\n";
        let after = edit(Some(before), &host(Some("https://ghcr.io"))).unwrap();
        assert_eq!(after.replace(&format!("{OURS}\n"), ""), before);
        assert!(after.find("4001") < after.find("mirror.lab"));
        assert_eq!(edit(Some(&after), &host(Some("https://ghcr.io"))).unwrap(), after);
    }

    #[test]
    fn a_file_with_the_proxy_alone_has_no_other_hosts() {
        let ours = edit(None, &host(None)).unwrap();
        assert!(!has_others(&ours, host(None).proxy));
        assert!(has_others("[host.\"https://mirror.lab\"]\n", host(None).proxy));
    }

    #[test]
    fn another_registry_or_authority_is_set_in_place() {
        let before = format!("server = \"https://ghcr.io\"\n\n{OURS}")
            .replace("Registry = \"https://ghcr.io\"", "Registry = [\"https://old\"]");
        let after = edit(Some(&before), &host(Some("https://ghcr.io"))).unwrap();
        assert_eq!(after, format!("server = \"https://ghcr.io\"\n\n{OURS}"));
    }

    #[test]
    fn hosts_in_another_form_are_refused_rather_than_reordered() {
        let before = "host = { \"https://mirror.lab\" = { capabilities = [\"pull\"] } }\n";
        assert!(edit(Some(before), &host(None)).is_err());
    }
}
