//! CRI-O and Podman: `registries.conf` names the proxy as the first mirror of a registry.

use super::config::{Config, Registries, Registry};
use super::plan::{Change, Error, Runtime, change, read};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

pub(super) fn plan(config: &Config, wanted: &Registries, runtime: Option<Runtime>) -> Result<Option<Change>, Error> {
    let path = &wanted.config_path;
    let before = read(path)?;
    let text = before.clone().unwrap_or_default();
    let after = edit(&text, wanted, &config.proxy_authority).map_err(|what| Error::content(path, what))?;
    Ok(change(path, before, after, runtime))
}

fn edit(text: &str, wanted: &Registries, proxy: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("it is no TOML: {error}"))?;
    if document.contains_key("registries") {
        return Err(
            "it is in the first version of its format, which knows no mirrors; write it anew in the second".to_owned(),
        );
    }
    if !document.contains_key("unqualified-search-registries") {
        let names = wanted.unqualified_search_registries.iter().map(String::as_str);
        document.insert("unqualified-search-registries", value(Array::from_iter(names)));
    }
    let registries = document
        .entry("registry")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or("its registry is no list of tables")?;
    for registry in &wanted.registries {
        let known = registries.iter_mut().find(|table| is_named(table, registry));
        match known {
            Some(table) => put_first(table, proxy)?,
            None => {
                let mut table = Table::new();
                table.insert("prefix", value(&registry.prefix));
                table.insert("location", value(&registry.location));
                put_first(&mut table, proxy)?;
                registries.push(table);
            }
        }
    }
    Ok(document.to_string())
}

/// A registry without a prefix is named by its location.
fn is_named(table: &Table, registry: &Registry) -> bool {
    let text = |key: &str| table.get(key).and_then(Item::as_str);
    text("prefix").or_else(|| text("location")) == Some(&registry.prefix)
}

fn put_first(registry: &mut Table, proxy: &str) -> Result<(), String> {
    let mirrors = registry
        .entry("mirror")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or("a registry's mirror is no list of tables")?;
    let is_ours = |table: &Table| table.get("location").and_then(Item::as_str) == Some(proxy);
    if mirrors.iter().any(is_ours) {
        return Ok(());
    }
    let mut ours = Table::new();
    ours.insert("location", value(proxy));
    // It speaks plain HTTP.
    ours.insert("insecure", value(true));
    let others: Vec<Table> = mirrors.iter().cloned().collect();
    mirrors.clear();
    for table in std::iter::once(ours).chain(others) {
        mirrors.push(table);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Registries {
        Registries {
            registries: vec![Registry {
                prefix: "docker.io".to_owned(),
                location: "docker.io".to_owned(),
            }],
            ..Registries::default()
        }
    }

    fn edited(text: &str) -> String {
        let after = edit(text, &wanted(), "127.0.0.1:4001").unwrap();
        assert_eq!(edit(&after, &wanted(), "127.0.0.1:4001").unwrap(), after);
        after
    }

    /// The locations of the mirrors of a registry, in their order.
    fn mirrors(text: &str, registry: usize) -> Vec<String> {
        let document: DocumentMut = text.parse().unwrap();
        let mirrors = document["registry"][registry]["mirror"].as_array_of_tables().unwrap();
        mirrors
            .iter()
            .map(|mirror| mirror["location"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_empty_file_gets_everything() {
        let after = edited("");
        assert!(after.starts_with("unqualified-search-registries = ["), "{after}");
        assert_eq!(mirrors(&after, 0), ["127.0.0.1:4001"]);
    }

    #[test]
    fn what_was_there_stays_and_the_proxy_comes_first() {
        let before = "# ours\nunqualified-search-registries = [\"quay.io\"]\nshort-name-mode = \"enforcing\"\n\n\
                      [[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\nblocked = false\n\n\
                      [[registry.mirror]]\nlocation = \"mirror.lab\"\n\n\
                      [[registry]]\nlocation = \"other.lab\"\ninsecure = true\n";
        let after = edited(before);
        assert_eq!(mirrors(&after, 0), ["127.0.0.1:4001", "mirror.lab"]);
        let added = "[[registry.mirror]]\nlocation = \"127.0.0.1:4001\"\ninsecure = true\n";
        let without = after.replacen(added, "", 1);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&without), words(before), "{after}");
    }

    #[test]
    fn the_first_version_of_the_format_is_refused() {
        let old = "[registries.search]\nregistries = ['docker.io']\n";
        assert!(edit(old, &wanted(), "p:1").is_err());
    }
}
