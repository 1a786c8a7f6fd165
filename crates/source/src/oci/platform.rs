//! Which of an image's variants is meant.

use super::manifest::Entry;
use dragonfly_model::Digest;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Longest part of a platform that makes sense, in bytes.
const MAX_PART: usize = 64;
/// Platforms that an error lists.
const MAX_LISTED: usize = 16;

/// An operating system and a processor, as images name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform; write os/arch or os/arch/variant, such as linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// Linux on this host's processor: what the peers of a cluster usually run on, too.
    pub fn of_this_host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// The entry of an index that is meant. Without a variant the first of the processor's is.
    pub(super) fn choose<'a>(&self, entries: &'a [Entry]) -> Option<&'a Digest> {
        let fits = |entry: &&Entry| {
            let Some(offered) = &entry.platform else {
                return false;
            };
            let same = offered.os == self.os && offered.architecture == self.architecture;
            same && self
                .variant
                .as_deref()
                .is_none_or(|asked| Some(asked) == offered.variant())
        };
        entries.iter().find(fits).map(|entry| &entry.digest)
    }

    pub(super) fn new(os: String, architecture: String, variant: Option<String>) -> Self {
        Self {
            os,
            architecture,
            variant: variant.filter(|variant| !variant.is_empty()),
        }
    }

    /// The variant, which for 64-bit ARM is v8 where nothing is said.
    fn variant(&self) -> Option<&str> {
        let unsaid = (self.architecture == "arm64").then_some("v8");
        self.variant.as_deref().or(unsaid)
    }
}

/// The platforms of an index, for a message.
pub(super) fn offered(entries: &[Entry]) -> String {
    let platforms: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(ToString::to_string)
        .collect();
    if platforms.is_empty() {
        return "no platform at all".to_owned();
    }
    let listed: Vec<String> = platforms.into_iter().take(MAX_LISTED).collect();
    listed.join(", ")
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let is_part = |part: &str| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            (1..=MAX_PART).contains(&part.len()) && part.bytes().all(is_fit)
        };
        let parts: Vec<&str> = text.trim().split('/').collect();
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() <= 1 && parts.iter().all(|part| is_part(part)) => {
                let lower = |part: &str| part.to_ascii_lowercase();
                let variant = variant.first().map(|variant| lower(variant));
                Ok(Self::new(lower(os), lower(architecture), variant))
            }
            _ => Err(PlatformError(text.chars().take(2 * MAX_PART).collect())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: &str, digit: char) -> Entry {
        Entry {
            platform: platform.parse().ok(),
            digest: format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap(),
        }
    }

    #[test]
    fn the_entry_of_a_platform_is_chosen() {
        let entries = [
            entry("", '0'),
            entry("linux/amd64", '1'),
            entry("linux/arm/v6", '2'),
            entry("linux/arm/v7", '3'),
            entry("linux/arm64", '4'),
            entry("windows/amd64", '5'),
        ];
        for (asked, digit) in [
            ("linux/amd64", '1'),
            ("Linux/AMD64", '1'),
            ("linux/arm", '2'),
            ("linux/arm/v7", '3'),
            ("linux/arm64", '4'),
            ("linux/arm64/v8", '4'),
            ("windows/amd64", '5'),
        ] {
            let platform: Platform = asked.parse().unwrap();
            let chosen = platform.choose(&entries).unwrap_or_else(|| panic!("{asked}"));
            assert!(chosen.hex().starts_with(digit), "{asked}");
        }
        for asked in ["linux/riscv64", "linux/arm/v5", "darwin/arm64"] {
            assert_eq!(asked.parse::<Platform>().unwrap().choose(&entries), None, "{asked}");
        }
        assert!(offered(&entries).contains("linux/arm/v7"));
    }

    #[test]
    fn only_two_or_three_words_are_a_platform() {
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux//v7"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        assert_eq!("linux/arm/v7".parse::<Platform>().unwrap().to_string(), "linux/arm/v7");
    }
}
