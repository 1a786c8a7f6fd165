//! The download rules of a cluster as its manager tells them, again and again.

use crate::rest::BlockList;
use dragonfly_model::{Blocked, Blocks, Subject};

/// Which downloads a cluster refuses to its peers, or to its seed peers. The patterns are compiled once for each list.
#[derive(Debug, Clone, Default)]
pub struct DownloadRules {
    /// The configuration that they come from.
    told: Vec<u8>,
    blocks: Blocks,
}

impl DownloadRules {
    /// What holds after the manager has told `config` (`client_config` or `seed_client_config` of `manager.v2`), and what
    /// can't be used of it: a bad pattern leaves the other rules in force, and a configuration that makes no sense
    /// at all leaves those that held before. `None` if it is what was told before.
    pub fn after(&self, config: &[u8]) -> Option<(Self, Vec<String>)> {
        if config == self.told {
            return None;
        }
        let (blocks, problems) = match BlockList::in_config(config) {
            Ok(list) => {
                let (blocks, bad) = list.task.download.compiled();
                (blocks, bad.iter().map(ToString::to_string).collect())
            }
            Err(error) => (
                self.blocks.clone(),
                vec![format!("the block list makes no sense: {error}")],
            ),
        };
        let rules = Self {
            told: config.to_owned(),
            blocks,
        };
        Some((rules, problems))
    }

    /// Whether nothing forbids this download.
    pub fn check(&self, subject: &Subject<'_>) -> Result<(), Blocked> {
        self.blocks.check(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::Priority;

    fn check(rules: &DownloadRules, url: &str) -> bool {
        let subject = Subject {
            url,
            tag: None,
            application: None,
            priority: Priority::Level6,
        };
        rules.check(&subject).is_ok()
    }

    #[test]
    fn lists_that_are_null_and_patterns_that_are_bad_disable_no_other_rule() {
        let config = br#"{"load_limit": 51, "block_list": {"task": {"download": {
            "applications": null, "urls": ["(", "/secret/"], "tags": null, "priorities": null}},
            "persistent_task": null}}"#;
        let (rules, problems) = DownloadRules::default().after(config).unwrap();
        assert!(!check(&rules, "http://o/secret/x") && check(&rules, "http://o/x"));
        assert!(
            matches!(problems.as_slice(), [one] if one.contains("\"(\"")),
            "{problems:?}"
        );
        assert!(rules.after(config).is_none(), "it is compiled once");
    }

    #[test]
    fn nonsense_leaves_what_held_and_an_empty_list_ends_it() {
        let config = br#"{"block_list": {"task": {"download": {"urls": ["."]}}}}"#;
        let (rules, _) = DownloadRules::default().after(config).unwrap();
        let (rules, problems) = rules.after(br#"{"block_list": {"task": 1}}"#).unwrap();
        assert!(!check(&rules, "http://o/x") && problems.len() == 1);
        for empty in [&b"{}"[..], br#"{"block_list": null}"#, b""] {
            let (none, problems) = rules.after(empty).unwrap();
            assert!(check(&none, "http://o/x") && problems.is_empty());
        }
    }
}
