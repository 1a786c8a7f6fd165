//! The values in the chart's README: `cargo xtask chart-docs` writes them anew from values.yaml, the test compares.

use std::collections::BTreeMap;
use std::fmt::Write;

use granit_parser::{Event, Parser, ScanError, StructureStyle};

use crate::chart;

/// Set by `cargo xtask chart-docs`.
const WRITE: &str = "DRAGONFLY_WRITE_CHART_DOCS";
const BEGIN: &str = "<!-- From values.yaml; `cargo xtask chart-docs` writes them anew. -->\n";
const END: &str = "<!-- End of what is written. -->\n";

/// A key of values.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    path: Vec<String>,
    /// As it is written there; `None` if keys follow below it.
    default: Option<String>,
    said: String,
}

/// A mapping that is being read: whether a key comes next, and how long the path is without its keys.
struct Level {
    key_is_next: bool,
    depth: usize,
}

#[derive(Default)]
struct Reader {
    rows: Vec<Row>,
    levels: Vec<Level>,
    path: Vec<String>,
    /// What was said since the last key, from `# --` on. It belongs to the next one.
    said: Option<String>,
    /// What was said of the key whose value comes next.
    said_of_key: String,
    /// Collections in a default, which is text to us: how deep, and where it began.
    inside: usize,
    began: usize,
}

impl Reader {
    fn read(text: &str) -> Result<Vec<Row>, ScanError> {
        let mut reader = Self::default();
        for next in Parser::new_from_str(text) {
            let (event, span) = next?;
            let range = span.byte_range().unwrap_or_default();
            reader.take(event, range, text);
        }
        Ok(reader.rows)
    }

    fn take(&mut self, event: Event<'_>, range: std::ops::Range<usize>, text: &str) {
        match event {
            Event::Comment(comment, _) => self.comment(comment.trim()),
            Event::MappingStart(StructureStyle::Block, ..) if self.inside == 0 => {
                if !self.levels.is_empty() {
                    self.row(None);
                }
                let depth = self.path.len();
                self.levels.push(Level {
                    key_is_next: true,
                    depth,
                });
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if self.inside == 0 {
                    self.began = range.start;
                }
                self.inside += 1;
            }
            Event::MappingEnd if self.inside == 0 => {
                self.levels.pop();
                self.value_ended();
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.inside -= 1;
                if self.inside == 0 {
                    self.row(Some(&text[self.began..range.end]));
                    self.value_ended();
                }
            }
            Event::Scalar(key, ..) if self.inside == 0 => {
                if let Some(level) = self.levels.last_mut().filter(|level| level.key_is_next) {
                    level.key_is_next = false;
                    self.path.truncate(level.depth);
                    self.path.push(key.into_owned());
                    self.said_of_key = self.said.take().unwrap_or_default();
                } else {
                    self.row(Some(&text[range]));
                    self.value_ended();
                }
            }
            _ => {}
        }
    }

    fn comment(&mut self, comment: &str) {
        if let Some(begun) = comment.strip_prefix("--") {
            self.said = Some(begun.trim().to_owned());
        } else if let Some(said) = &mut self.said {
            said.push(' ');
            said.push_str(comment);
        }
    }

    fn row(&mut self, default: Option<&str>) {
        self.rows.push(Row {
            path: self.path.clone(),
            default: default.map(str::to_owned),
            said: std::mem::take(&mut self.said_of_key),
        });
    }

    fn value_ended(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.key_is_next = true;
            self.path.truncate(level.depth);
        }
    }
}

/// A key that stands in several components is described in the first; the others mean the same. What is left without a
/// word is an error.
fn described(mut rows: Vec<Row>) -> Result<Vec<Row>, String> {
    let mut first = BTreeMap::new();
    let mut silent = Vec::new();
    for row in &mut rows {
        let below = row.path[1..].to_vec();
        if row.said.is_empty() && !below.is_empty() {
            row.said = first.get(&below).cloned().unwrap_or_default();
        } else {
            first.entry(below).or_insert_with(|| row.said.clone());
        }
        if row.said.is_empty() && row.default.is_some() {
            silent.push(row.path.join("."));
        }
    }
    rows.retain(|row| !row.said.is_empty());
    if silent.is_empty() {
        Ok(rows)
    } else {
        Err(format!("values.yaml says nothing of {}", silent.join(", ")))
    }
}

fn markdown(rows: &[Row]) -> String {
    let mut out = BEGIN.to_owned();
    let head = "\n| key | default | |\n|---|---|---|\n";
    out.push_str(head);
    for row in rows {
        let (path, said) = (row.path.join("."), row.said.replace('|', "\\|"));
        // A component begins.
        if row.path.len() == 1 && row.default.is_none() {
            write!(out, "\n### {path}\n\n{said}\n{head}").expect("a String takes all");
            continue;
        }
        let default = row
            .default
            .as_deref()
            .map(|default| format!("`{}`", default.replace('|', "\\|")));
        writeln!(out, "| `{path}` | {} | {said} |", default.unwrap_or_default()).expect("a String takes all");
    }
    out.push('\n');
    out.push_str(END);
    out
}

#[test]
fn the_readme_names_every_value_with_its_default() {
    let values = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let written = markdown(&described(Reader::read(&values).unwrap()).unwrap());
    let file = chart().join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README.md has a place for the values");
    let (_, after) = rest.split_once(END).expect("that place ends");
    let expected = format!("{before}{written}{after}");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(file, expected).unwrap();
    } else {
        assert_eq!(readme, expected, "README.md is stale: run `cargo xtask chart-docs`");
    }
}

#[test]
fn a_key_is_described_where_it_first_stands_and_one_that_never_is_is_named() {
    let text = "# No description.\na:\n  # -- Begun, a|b\n  # and ended.\n  k: [1, 2]\n  # -- A map.\n  m:\n    # -- Deep.\n    d: \"\"\nb:\n  k: {x: 1}\n  m: {}\n";
    let rows = described(Reader::read(text).unwrap()).unwrap();
    let seen: Vec<(String, Option<&str>, &str)> = rows
        .iter()
        .map(|row| (row.path.join("."), row.default.as_deref(), row.said.as_str()))
        .collect();
    let expected = [
        ("a.k", Some("[1, 2]"), "Begun, a|b and ended."),
        ("a.m", None, "A map."),
        ("a.m.d", Some("\"\""), "Deep."),
        ("b.k", Some("{x: 1}"), "Begun, a|b and ended."),
        ("b.m", Some("{}"), "A map."),
    ];
    assert_eq!(
        seen,
        expected.map(|(path, default, said)| (path.to_owned(), default, said))
    );
    assert!(markdown(&rows).contains("| `a.k` | `[1, 2]` | Begun, a\\|b and ended. |\n"));
    let silent = described(Reader::read("a:\n  k: 1\n").unwrap()).unwrap_err();
    assert!(silent.contains("a.k"), "{silent}");
}
