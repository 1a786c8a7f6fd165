//! The download rules of a cluster as its manager tells them, again and again.

use crate::rest::{Block, BlockList};
use dragonfly_model::{Blocked, Blocks, Subject};

/// Which downloads a cluster refuses to its peers, or to its seed peers. The patterns are compiled once for each list.
#[derive(Debug, Clone, Default)]
pub struct DownloadRules {
    /// The configuration that they come from.
    told: Vec<u8>,
    blocks: Blocks,
    /// Of persistent cache tasks.
    kept: Transfers,
}

#[derive(Debug, Clone, Default)]
struct Transfers {
    download: Blocks,
    upload: Blocks,
}

/// What is done with a task that the cluster keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transferring {
    /// It is fetched from those that have it.
    Download,
    /// It is put in.
    Upload,
}

impl DownloadRules {
    /// What holds after the manager has told `config` (`client_config` or `seed_client_config` of `manager.v2`), and what
    /// can't be used of it: a bad pattern leaves the other rules in force, and a configuration that makes no sense
    /// at all leaves those that held before. `None` if it is what was told before.
    pub fn after(&self, config: &[u8]) -> Option<(Self, Vec<String>)> {
        if config == self.told {
            return None;
        }
        let told = config.to_owned();
        let list = match BlockList::in_config(config) {
            Ok(list) => list,
            Err(error) => {
                let problem = format!("the block list makes no sense: {error}");
                return Some((Self { told, ..self.clone() }, vec![problem]));
            }
        };
        let mut problems = Vec::new();
        let mut compiled = |block: &Block| {
            let (blocks, bad) = block.compiled();
            problems.extend(bad.iter().map(ToString::to_string));
            blocks
        };
        let rules = Self {
            told,
            blocks: compiled(&list.task.download),
            kept: Transfers {
                download: compiled(&list.persistent_cache_task.download),
                upload: compiled(&list.persistent_cache_task.upload),
            },
        };
        Some((rules, problems))
    }

    /// Whether nothing forbids this of a persistent cache task.
    pub fn check_kept(&self, what: Transferring, subject: &Subject<'_>) -> Result<(), Blocked> {
        match what {
            Transferring::Download => self.kept.download.check(subject),
            Transferring::Upload => self.kept.upload.check(subject),
        }
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
    fn kept_tasks_have_lists_of_their_own() {
        let config = br#"{"block_list": {"persistent_cache_task": {"upload": {"tags": ["secret"]}}}}"#;
        let (rules, _) = DownloadRules::default().after(config).unwrap();
        let subject = Subject {
            url: "",
            tag: Some("secret"),
            application: None,
            priority: Priority::Level0,
        };
        assert!(rules.check_kept(Transferring::Upload, &subject).is_err());
        assert!(rules.check_kept(Transferring::Download, &subject).is_ok() && rules.check(&subject).is_ok());
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
