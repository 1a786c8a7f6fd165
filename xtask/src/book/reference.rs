//! The reference of the configuration: each program's file with all keys, in the words of its code, and the keys of Dragonfly 2.0 to
//! 2.5 that have no effect here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::docs;
use crate::cargo::root;
use crate::keys;

/// The programs, and the rooms of their code.
const PROGRAMS: [(&str, &str); 3] = [("manager", "manager"), ("scheduler", "scheduler"), ("dfdaemon", "peer")];

/// Writes the pages, or fails if one is not what it would be.
pub(super) fn write(binary: &Path, check_only: bool) -> Result<()> {
    let mut pages = Vec::new();
    for (program, room) in PROGRAMS {
        let text = page(program, &keys::file(binary, program, room)?);
        pages.push((format!("{program}.md"), text));
    }
    pages.push(("without-effect.md".to_owned(), without_effect()?));
    for (name, text) in pages {
        let path = docs().join("configuration").join(name);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        if known != text && check_only {
            bail!("{} is stale: run `cargo xtask book`", path.display());
        }
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn page(program: &str, file: &str) -> String {
    format!(
        "# {program}.yaml\n\n<!-- From the code; `cargo xtask book` writes it anew. -->\n\n`/etc/dragonfly/{program}.yaml`, all keys with their \
         defaults. `dragonfly {program} --check-config` judges a file, `--print-config` prints it with its defaults.\n\n```yaml\n{file}```\n"
    )
}

fn without_effect() -> Result<String> {
    let mut page = "# Keys without effect\n\n<!-- From the code; `cargo xtask book` writes it anew. -->\n\nDragonfly 2.0 to 2.5, its \
                    documentation or its charts know these keys. A file that has them still starts, and each is named in one warning.\n"
        .to_owned();
    for (program, room) in PROGRAMS {
        let path = root().join("crates").join(room).join("src/config/ineffective.rs");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let keys = keys_of(&text);
        if keys.is_empty() {
            bail!("no keys in {}", path.display());
        }
        page.push_str(&format!("\n## {program}.yaml\n\n| key | instead |\n|---|---|\n"));
        for (key, instead) in keys {
            page.push_str(&format!("| `{key}` | {instead} |\n"));
        }
    }
    Ok(page)
}

/// The keys of a table of such keys, with what takes their place: rows of `("key", |raw| …, "words")`, where a constant may stand for
/// the words.
fn keys_of(code: &str) -> BTreeMap<String, String> {
    let literals: Vec<&str> = code.split('"').collect();
    let constants: BTreeMap<&str, &str> = code
        .lines()
        .zip(code.lines().skip(1).chain([""]))
        .filter_map(|(line, next)| {
            let (name, rest) = line.trim().strip_prefix("const ")?.split_once(':')?;
            let words = rest.split('"').nth(1).or_else(|| next.split('"').nth(1))?;
            Some((name, words))
        })
        .collect();
    let mut keys = BTreeMap::new();
    for (key, after) in literals
        .iter()
        .skip(1)
        .step_by(2)
        .zip(literals.iter().skip(2).step_by(2))
    {
        let Some((_, row)) = after.split_once("|raw|") else {
            continue;
        };
        let named = row.split(',').nth(1).unwrap_or_default();
        let named = named.trim_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let words = match constants.get(named) {
            Some(words) => words,
            None => code
                .split(&format!("\"{key}\""))
                .nth(1)
                .and_then(|row| row.split('"').nth(1))
                .unwrap_or_default(),
        };
        keys.insert((*key).to_owned(), (*words).to_owned());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_row_or_of_its_constant() {
        let code = "const ONE: &str = \"use one\";\nconst TWO: &str =\n    \"use two\";\npub(super) const TABLE: &[Key<Raw>] = &[\n    \
                    (\"a.b\", |raw| raw.a.b, ONE),\n    (\n        \"a.c\",\n        |raw| raw.a.c,\n        \"nothing, or d\",\n    ),\n    \
                    (\"a.d\", |raw| raw.a.d, TWO),\n];\n";
        let keys = keys_of(code);
        let expected = [("a.b", "use one"), ("a.c", "nothing, or d"), ("a.d", "use two")];
        let expected: BTreeMap<String, String> = expected.map(|(key, words)| (key.to_owned(), words.to_owned())).into();
        assert_eq!(keys, expected);
    }
}
