//! A URL that ends in a slash is a directory: the contents are the files in it, of which a peer tells, since peers can ask
//! object stores.

use super::content::Content;
use super::fetch::in_words;
use super::select::Selected;
use super::{Error, MAX_TARGETS, Preheat};
use crate::reach::Failure;
use dragonfly_api::common::Host;
use dragonfly_api::dfdaemon::{Entry, ListTaskEntriesRequest};
use std::time::Duration;
use url::Url;

/// How long a peer may take to list a directory.
const CALL: Duration = Duration::from_secs(60);
/// Peers that are asked for a list before there is none.
const PEERS: usize = 3;

impl Preheat {
    /// The files, with those of directories in the place of directories.
    pub(super) async fn listed(&self, files: Vec<Content>, selected: &Selected) -> Result<Vec<Content>, Error> {
        let mut contents = Vec::with_capacity(files.len());
        for file in files {
            if file.is_directory() {
                contents.extend(self.files_in(&file, selected).await?);
            } else {
                contents.push(file);
            }
            if contents.len() > MAX_TARGETS {
                return Err(Error::TooMany {
                    contents: contents.len(),
                    hosts: 1,
                    limit: MAX_TARGETS,
                });
            }
        }
        Ok(contents)
    }

    async fn files_in(&self, directory: &Content, selected: &Selected) -> Result<Vec<Content>, Error> {
        let mut reason = String::new();
        for (_, host) in selected.hosts.iter().take(PEERS) {
            match self.entries(directory, host).await {
                Ok(entries) => {
                    let files = entries.into_iter().filter(|entry| !entry.is_dir);
                    let contents = files.filter_map(|entry| {
                        let url = Url::parse(&entry.url).ok()?;
                        let length = Some(entry.content_length);
                        Some(Content {
                            length,
                            ..Content::new(url, directory.download.clone())
                        })
                    });
                    return Ok(contents.collect());
                }
                Err(failure) => reason = format!("{}: {}", host.hostname, in_words(&failure)),
            }
        }
        Err(Error::Directory(reason))
    }

    async fn entries(&self, directory: &Content, host: &Host) -> Result<Vec<Entry>, Failure> {
        let download = &directory.download;
        let request = ListTaskEntriesRequest {
            task_id: directory.likely_id().to_string(),
            url: download.url.clone(),
            request_header: download.request_header.clone(),
            certificate_chain: download.certificate_chain.clone(),
            object_storage: download.object_storage.clone(),
            hdfs: download.hdfs.clone(),
            ..ListTaskEntriesRequest::default()
        };
        let mut client = self.reach.client(host)?;
        let listed = tokio::time::timeout(CALL, client.list_task_entries(request)).await;
        let listed = listed.map_err(|_| Failure::Timeout(CALL))??.into_inner();
        Ok(listed.entries)
    }
}
