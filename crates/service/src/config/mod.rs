//! Configuration files: YAML in, a typed `Raw` out, every problem named with its place and a remedy.
//!
//! A program reads its `Raw` (serde, `deny_unknown_fields`) with [`load`] and turns it into its `Config` by `TryFrom`,
//! collecting what is impossible in [`Problems`].

mod ineffective;
mod nearest;
mod problems;
mod secret;
mod section;

pub use bytesize::ByteSize;
/// For `#[serde(with = "dragonfly_service::config::duration")]`: durations as `1h 30m`, `500ms`; also in options.
pub use humantime_serde as duration;
pub use ineffective::{Ineffective, Key as IneffectiveKey};
pub use problems::{Problem, Problems};
pub use secret::hidden;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};
use std::io;
use std::path::{Path, PathBuf};

/// A configuration that can't be used. The operator's fault: the exit code is [`crate::exit::BAD_CONFIG`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The text is no YAML, or a value has the wrong type.
    #[error("{name}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        name: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// A key that no program knows.
    #[error("{name}:{line}:{column}: unknown key {key:?}; {}", nearest::remedy(nearest.as_deref(), known))]
    UnknownKey {
        /// The file.
        name: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The key as written.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<String>,
        /// All keys that are known at this place.
        known: Vec<String>,
    },
    /// Values that are well-formed but impossible: all of them.
    #[error("{}", problems::all(.0))]
    Invalid(Vec<Problem>),
}

/// Reads a file. An empty one means the defaults of `R`.
pub fn load<R: DeserializeOwned>(path: &Path) -> Result<R, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

/// Reads a text; `name` stands before line and column in errors.
pub fn parse<R: DeserializeOwned>(text: &str, name: &str) -> Result<R, Error> {
    let has_content = text.lines().map(str::trim).any(|line| {
        !(line.is_empty() || line.starts_with('#') || line.starts_with("---") || line.starts_with("%YAML"))
    });
    // A document without content is null in YAML, which no struct accepts; an empty mapping means the defaults.
    let text = if has_content { text } else { "{}" };
    serde_saphyr::from_str(text).map_err(|error| explain(&error, name))
}

/// A configuration as a file that [`parse`] reads back.
pub fn to_yaml<R: Serialize>(raw: &R) -> String {
    serde_saphyr::to_string(raw).expect("a configuration is made of maps, lists and scalars, which YAML can say")
}

fn explain(error: &serde_saphyr::Error, name: &str) -> Error {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let name = name.to_owned();
    if let serde_saphyr::Error::SerdeUnknownField { field, expected, .. } = error {
        let known: Vec<String> = expected.iter().map(|key| (*key).to_owned()).collect();
        return Error::UnknownKey {
            nearest: nearest::to(field, &known),
            key: field.clone(),
            name,
            line,
            column,
            known,
        };
    }
    Error::Syntax {
        // Its words alone: the place stands in front already.
        message: UserMessageFormatter.format_message(error).into_owned(),
        name,
        line,
        column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::time::Duration;

    #[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
    struct Raw {
        download: Download,
        name: Option<String>,
    }

    #[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
    struct Download {
        bandwidth_limit: Option<ByteSize>,
        #[serde(with = "duration")]
        piece_timeout: Option<Duration>,
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        for text in ["", "\n", "# nothing but a comment\n", "---\n", "{}"] {
            assert_eq!(parse::<Raw>(text, "x.yaml").unwrap(), Raw::default(), "{text:?}");
        }
    }

    #[test]
    fn sizes_and_durations_have_units() {
        let text = "download:\n  bandwidthLimit: 50GB\n  pieceTimeout: 1h 30m\n";
        let raw: Raw = parse(text, "x.yaml").unwrap();
        assert_eq!(raw.download.bandwidth_limit, Some(ByteSize::gb(50)));
        assert_eq!(raw.download.piece_timeout, Some(Duration::from_secs(5400)));
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
        let error = parse::<Raw>("download:\n  bandwithLimit: 1MB\n", "dfdaemon.yaml").unwrap_err();
        let Error::UnknownKey {
            key,
            nearest,
            line,
            column,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            (key.as_str(), nearest.as_deref()),
            ("bandwithLimit", Some("bandwidthLimit"))
        );
        assert_eq!((*line, *column), (2, 3));
        let shown = error.to_string();
        assert_eq!(
            shown,
            "dfdaemon.yaml:2:3: unknown key \"bandwithLimit\"; did you mean \"bandwidthLimit\"?"
        );
    }

    #[test]
    fn an_unknown_key_that_resembles_nothing_lists_what_is_known() {
        let shown = parse::<Raw>("zzzzzzzzzz: 1", "x.yaml").unwrap_err().to_string();
        assert_eq!(
            shown,
            "x.yaml:1:1: unknown key \"zzzzzzzzzz\"; known here: download, name"
        );
    }

    #[test]
    fn a_wrong_type_and_broken_yaml_name_their_place() {
        let shown = parse::<Raw>("name: a\ndownload: 3\n", "x.yaml")
            .unwrap_err()
            .to_string();
        assert!(shown.starts_with("x.yaml:2:11: "), "{shown}");
        let shown = parse::<Raw>("name: [a\n", "x.yaml").unwrap_err().to_string();
        assert!(shown.starts_with("x.yaml:"), "{shown}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let shown = crate::chain(&load::<Raw>(Path::new("/nowhere/x.yaml")).unwrap_err()).to_string();
        assert!(shown.starts_with("can't read /nowhere/x.yaml: No such file"), "{shown}");
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let raw: Raw = parse("name: x\ndownload: {pieceTimeout: 5s, bandwidthLimit: 1GiB}", "x").unwrap();
        assert_eq!(parse::<Raw>(&to_yaml(&raw), "printed").unwrap(), raw);
    }
}
