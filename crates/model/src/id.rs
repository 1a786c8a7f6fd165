//! Typed ids. A text becomes an id only after it was checked, so no later code slices or joins an unchecked one.

use crate::digest::is_lower_hex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A task id is 64 or 128 lower-case hex digits.
    #[error("task id {0:?} is not 64 or 128 lower-case hex digits")]
    Task(String),
    /// A host or peer id is 1 to 512 visible ASCII characters without a slash.
    #[error("{kind} id {value:?} is not 1 to 512 visible ASCII characters without '/'")]
    Name {
        /// "host" or "peer".
        kind: &'static str,
        /// What was given.
        value: String,
    },
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as it goes over the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Names one content to distribute: hex of a SHA-256, or of the SHA-512 of a blob.
    TaskId
}
text_id! {
    /// Names one dfdaemon: `<ip>-<hostname>`, with `-seed` behind it for a seed peer.
    HostId
}
text_id! {
    /// Names one download of one task on one host: `<ip>-<hostname>-<uuid>`, with `-seed` behind it for a seed peer.
    PeerId
}

impl TaskId {
    /// Checks a task id from the wire or a command line.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if matches!(text.len(), 64 | 128) && is_lower_hex(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Task(text.to_owned()))
        }
    }
}

impl HostId {
    /// Checks a host id from the wire.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check_name("host", text).map(Self)
    }

    /// The id of a dfdaemon, by the formula that upstream's peers use.
    pub fn of(ip: IpAddr, hostname: &str, seed: bool) -> Self {
        let suffix = if seed { "-seed" } else { "" };
        Self(format!("{ip}-{hostname}{suffix}").into())
    }
}

impl PeerId {
    /// Checks a peer id from the wire.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check_name("peer", text).map(Self)
    }

    /// A new id for one download, by the formula that upstream's peers use.
    pub fn random(ip: IpAddr, hostname: &str, seed: bool) -> Self {
        let suffix = if seed { "-seed" } else { "" };
        Self(format!("{ip}-{hostname}-{}{suffix}", uuid::Uuid::new_v4()).into())
    }
}

fn check_name(kind: &'static str, text: &str) -> Result<std::sync::Arc<str>, IdError> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if visible && (1..=512).contains(&text.len()) {
        Ok(text.into())
    } else {
        Err(IdError::Name {
            kind,
            value: text.chars().take(64).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_upstreams_formulas() {
        let ip: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!(HostId::of(ip, "node-1", false).as_str(), "10.1.2.3-node-1");
        assert_eq!(HostId::of(ip, "node-1", true).as_str(), "10.1.2.3-node-1-seed");
        let peer = PeerId::random(ip, "node-1", true);
        assert!(peer.as_str().starts_with("10.1.2.3-node-1-") && peer.as_str().ends_with("-seed"));
        assert_eq!(peer.as_str().len(), "10.1.2.3-node-1-".len() + 36 + "-seed".len());
    }

    #[test]
    fn a_text_that_could_leave_its_directory_is_no_id() {
        assert!(TaskId::parse("../../etc/passwd").is_err());
        assert!(TaskId::parse(&"a".repeat(64)).is_ok());
        assert!(TaskId::parse(&"g".repeat(64)).is_err());
        assert!(HostId::parse("a/b").is_err());
        assert!(HostId::parse("").is_err());
        assert!(PeerId::parse("a\nb").is_err());
    }
}
