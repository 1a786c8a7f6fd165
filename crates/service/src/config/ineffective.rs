//! Keys that an earlier version, its documentation or its charts know and that do nothing here. A file that has them still
//! starts, and each is named in one warning with what takes its place.

use serde::{Deserialize, Deserializer};

/// Stands where such a key is: takes any value and keeps only that there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ineffective {
    present: bool,
}

/// One such key of a file `R`: its path, where it is found, and what takes its place.
pub type Key<R> = (&'static str, fn(&R) -> Ineffective, &'static str);

impl Ineffective {
    /// Whether the file has the key.
    pub fn present(self) -> bool {
        self.present
    }

    /// The warnings for the keys of `table` that `raw` has.
    pub fn warnings<R>(raw: &R, table: &[Key<R>]) -> Vec<String> {
        table
            .iter()
            .filter(|(_, find, _)| find(raw).present)
            .map(|(path, _, advice)| format!("{path} has no effect: {advice}"))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Ineffective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Ok(Self { present: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Raw {
        old: Ineffective,
        older: Ineffective,
    }

    const TABLE: &[Key<Raw>] = &[
        ("old", |raw| raw.old, "use new"),
        ("older", |raw| raw.older, "use newer"),
    ];

    #[test]
    fn a_key_that_is_there_is_named_whatever_its_value() {
        for value in ["1", "[a, b]", "{a: {b: c}}", "''"] {
            let raw: Raw = crate::config::parse(&format!("older: {value}"), "x.yaml").unwrap();
            assert!(raw.older.present());
            assert_eq!(
                Ineffective::warnings(&raw, TABLE),
                ["older has no effect: use newer"],
                "{value}"
            );
        }
        assert!(Ineffective::warnings(&Raw::default(), TABLE).is_empty());
    }
}
