//! What the keys of a program's file mean, in the words that stand beside them in its code (`config_section!`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::root;
use crate::tools::{fresh, output};

/// Sections that several programs have.
const SHARED: [&str; 2] = ["crates/service/src/telemetry", "crates/service/src/tls.rs"];

/// A program's file with all keys, behind `#`, at the defaults that the binary prints, and above each what it means.
pub(crate) fn file(binary: &Path, program: &str, room: &str) -> Result<String> {
    let none = fresh("config")?.join("empty.yaml");
    std::fs::write(&none, "")?;
    let mut print = Command::new(binary);
    let defaults = output(print.args([program, "--print-config", "--config"]).arg(none))?;
    Keys::of(room)?.annotated(&defaults)
}

#[derive(Debug)]
struct Key {
    said: String,
    /// The section that stands below it, if its type is one.
    kind: String,
}

/// The keys of each section.
#[derive(Debug, Default)]
struct Keys(BTreeMap<String, BTreeMap<String, Key>>);

impl Keys {
    /// Those of the program whose code is in this room.
    fn of(room: &str) -> Result<Self> {
        let mut keys = Self::default();
        for path in SHARED {
            keys.read(&root().join(path))?;
        }
        keys.read(&root().join("crates").join(room).join("src/config"))?;
        Ok(keys)
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.read(&entry?.path())?;
            }
        } else {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            self.parse(&text);
        }
        Ok(())
    }

    fn parse(&mut self, text: &str) {
        let (mut section, mut said, mut renamed) = (String::new(), String::new(), None);
        for line in text.lines().map(str::trim) {
            if let Some(more) = line.strip_prefix("///") {
                said = format!("{said} {}", more.trim()).trim().to_owned();
            } else if line.starts_with("#[") {
                let name = line
                    .split_once("rename = \"")
                    .and_then(|(_, rest)| rest.split_once('"'));
                renamed = name.map(|(name, _)| name.to_owned()).or(renamed);
            } else if let Some(name) = line.strip_suffix(" {").map(last_word).filter(|name| is_a_type(name)) {
                section = name.to_owned();
                said.clear();
            } else {
                if let Some((field, kind)) = field(line).filter(|_| !said.is_empty()) {
                    let name = renamed.take().unwrap_or_else(|| camel_case(field));
                    let key = Key {
                        said: said.clone(),
                        kind: kind.to_owned(),
                    };
                    self.0.entry(section.clone()).or_default().entry(name).or_insert(key);
                }
                said.clear();
                renamed = None;
            }
        }
    }

    /// A file as the program prints it, behind `#`, with what each key means behind `##` above it.
    fn annotated(&self, printed: &str) -> Result<String> {
        let (mut out, mut silent) = (String::new(), Vec::new());
        let mut sections = vec!["Raw".to_owned()];
        for line in printed.lines() {
            let below = line.trim_start();
            let indent = &line[..line.len() - below.len()];
            if let Some((name, _)) = below.split_once(':').filter(|(name, _)| !name.starts_with('-')) {
                sections.truncate(indent.len() / 2 + 1);
                match sections.last().and_then(|section| self.0.get(section)?.get(name)) {
                    Some(key) => {
                        out.push_str(&format!("##{indent} {}\n", key.said));
                        sections.push(key.kind.clone());
                    }
                    None => silent.push(format!("{}.{name}", sections.join("."))),
                }
            }
            out.push_str(&format!("#{line}\n"));
        }
        if !silent.is_empty() {
            bail!("no words in the code for {}", silent.join(", "));
        }
        Ok(out)
    }
}

fn last_word(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

fn is_a_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Name and innermost type of `name: Option<a::Type> = …,`.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("pub ").unwrap_or(line).split_once(": ")?;
    let name = name.strip_prefix("r#").unwrap_or(name);
    let is_a_field = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let kind = rest.split(" =").next()?.trim_end_matches([',', '>']);
    let kind = kind.rsplit(['<', ':']).next()?;
    is_a_field.then_some((name, kind))
}

fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "config_section! {\n    /// All.\n    Raw {\n        /// Of it.\n        /// And more.\n        \
        tls_files: Option<tls::Files> = None,\n        /// A number.\n        #[serde(rename = \"theID\")]\n        \
        the_id: u64 = 1,\n    }\n}\npub struct Files {\n    /// The key.\n    pub key: Option<PathBuf>,\n}\n";

    #[test]
    fn a_key_is_told_in_the_words_of_the_code() {
        let mut keys = Keys::default();
        keys.parse(CODE);
        let told = keys.annotated("tlsFiles:\n  key: null\ntheID: 1\n").unwrap();
        let expected = "## Of it. And more.\n#tlsFiles:\n##   The key.\n#  key: null\n## A number.\n#theID: 1\n";
        assert_eq!(told, expected);
        let silent = keys.annotated("other: 1\n").unwrap_err().to_string();
        assert!(silent.contains("Raw.other"), "{silent}");
    }
}
