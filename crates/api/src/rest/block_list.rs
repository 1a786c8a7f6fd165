//! What peers refuse to move, as an operator writes it.

use super::{Problems, null_is_default};
use dragonfly_model::{BadPattern, Blocks};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What peers refuse, by kind of task. Lists are never `null` when written, and may be when read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BlockList {
    /// Ordinary tasks.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<DownloadBlock>)]
    pub task: DownloadBlock,
    /// Persistent tasks.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<TransferBlock>)]
    pub persistent_task: TransferBlock,
    /// Persistent cache tasks.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<TransferBlock>)]
    pub persistent_cache_task: TransferBlock,
}

impl BlockList {
    /// The most entries of each list.
    pub const MAX_ENTRIES: usize = 1000;
    /// The most characters of an entry.
    pub const MAX_CHARS: usize = 1024;

    /// The list in a cluster's configuration of its peers or seed peers, as `manager.v2` carries it; without one, nothing
    /// is refused.
    pub fn in_config(config: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Default, Deserialize)]
        struct Config {
            #[serde(default, deserialize_with = "null_is_default")]
            block_list: BlockList,
        }
        if config.is_empty() {
            return Ok(Self::default());
        }
        let config: Config = serde_json::from_slice(config)?;
        Ok(config.block_list)
    }

    fn parts(&self) -> [(&'static str, &Block); 5] {
        [
            ("task.download", &self.task.download),
            ("persistent_task.download", &self.persistent_task.download),
            ("persistent_task.upload", &self.persistent_task.upload),
            ("persistent_cache_task.download", &self.persistent_cache_task.download),
            ("persistent_cache_task.upload", &self.persistent_cache_task.upload),
        ]
    }

    /// Adds every rule that this list, which is called `field`, breaks.
    pub(super) fn check_as(&self, field: &str, problems: &mut Problems) {
        for (part, block) in self.parts() {
            block.check_as(&format!("{field}.{part}"), problems);
        }
    }
}

/// What is refused of tasks that are only downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DownloadBlock {
    /// Downloads.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<Block>)]
    pub download: Block,
}

/// What is refused of tasks that are downloaded and uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TransferBlock {
    /// Downloads.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<Block>)]
    pub download: Block,
    /// Uploads.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(value_type = Option<Block>)]
    pub upload: Block,
}

/// A request that matches any of these is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Block {
    /// Names of applications.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(nullable)]
    pub applications: Vec<String>,
    /// Regular expressions that are searched in the URL.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(nullable)]
    pub urls: Vec<String>,
    /// Tags.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(nullable)]
    pub tags: Vec<String>,
    /// Priorities; not used for uploads.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(nullable)]
    pub priorities: Vec<u32>,
}

impl Block {
    /// As it is applied, and the patterns that can't be.
    pub fn compiled(&self) -> (Blocks, Vec<BadPattern>) {
        let mut blocks = Blocks::new()
            .applications(&self.applications)
            .tags(&self.tags)
            .priorities(self.priorities.iter().filter_map(|number| i32::try_from(*number).ok()));
        let bad = self
            .urls
            .iter()
            .filter_map(|pattern| blocks.url(pattern).err())
            .collect();
        (blocks, bad)
    }

    fn check_as(&self, field: &str, problems: &mut Problems) {
        let lists = [
            ("applications", &self.applications),
            ("urls", &self.urls),
            ("tags", &self.tags),
        ];
        for (list, entries) in lists {
            let field = format!("{field}.{list}");
            if entries.len() > BlockList::MAX_ENTRIES {
                let most = BlockList::MAX_ENTRIES;
                problems.push(
                    &field,
                    format_args!("must have at most {most} entries, not {}", entries.len()),
                );
                return;
            }
            for entry in entries {
                problems.chars(&field, entry, 1..=BlockList::MAX_CHARS);
            }
        }
        for number in &self.priorities {
            if *number > 6 {
                problems.push(
                    &format!("{field}.priorities"),
                    format_args!("must be 0 to 6, not {number}"),
                );
            }
        }
        for bad in self.compiled().1 {
            problems.push(&format!("{field}.urls"), format_args!("has {bad}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_list_is_read_with_nulls_and_written_without() {
        let read: BlockList =
            serde_json::from_str(r#"{"task":{"download":{"urls":null,"tags":["t"]}},"persistent_task":null}"#).unwrap();
        assert_eq!(read.task.download.tags, ["t"]);
        let written = serde_json::to_string(&read).unwrap();
        assert!(!written.contains("null"), "{written}");
        assert!(written.contains(r#""urls":[]"#), "{written}");
    }

    #[test]
    fn everything_wrong_with_a_list_is_told_with_its_place() {
        let list: BlockList = serde_json::from_value(serde_json::json!({
            "task": {"download": {"urls": ["(", "^https:", "["], "priorities": [7], "tags": [""]}},
            "persistent_task": {"upload": {"applications": vec!["a"; BlockList::MAX_ENTRIES + 1]}},
        }))
        .unwrap();
        let mut problems = Problems::default();
        list.check_as("block_list", &mut problems);
        let text = problems.to_string();
        for part in [
            "block_list.task.download.urls has \"(\"",
            "block_list.task.download.urls has \"[\"",
            "block_list.task.download.priorities must be 0 to 6, not 7",
            "block_list.task.download.tags must have 1 to",
            "block_list.persistent_task.upload.applications must have at most 1000",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("^https"), "{text}");
    }
}
