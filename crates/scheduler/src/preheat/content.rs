//! One content to be on hosts: its URL, how peers are asked for it, and the ids under which they may hold it.

use super::order::ImageOrder;
use dragonfly_api::common::Download;
use dragonfly_model::{BlobTrust, DEFAULT_FILTERED_QUERY_PARAMS, TaskId, TaskIdentity};
use dragonfly_source::oci::{Image, Registry};
use std::fmt;
use url::Url;

/// A content.
pub(crate) struct Content {
    pub(super) url: Url,
    /// Bytes, if they are known.
    pub(super) length: Option<u64>,
    /// The ids under which peers may hold it, the likeliest first: which of them a peer uses is in its own configuration.
    pub(super) ids: Vec<TaskId>,
    /// How a peer is asked, but for the `Authorization` of the moment.
    pub(super) download: Download,
}

impl Content {
    /// Parameters that sign a URL do not make its id, unless others are named.
    pub(super) fn new(url: Url, mut download: Download) -> Self {
        if download.filtered_query_params.is_empty() {
            let usual = DEFAULT_FILTERED_QUERY_PARAMS.iter();
            download.filtered_query_params = usual.map(|param| (*param).to_owned()).collect();
        }
        download.url = url.to_string();
        Self {
            ids: ids(&url, &download),
            length: None,
            url,
            download,
        }
    }

    /// Whether it stands for the files in it.
    pub(super) fn is_directory(&self) -> bool {
        let of_store = self.download.object_storage.is_some() || self.download.hdfs.is_some();
        of_store && self.url.path().ends_with('/')
    }

    /// The id that it most likely has.
    pub(super) fn likely_id(&self) -> &TaskId {
        &self.ids[0]
    }
}

impl fmt::Debug for Content {
    /// Leaves out headers and query, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("id", self.likely_id())
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The configuration and the layers of an image.
pub(super) fn of_image(order: &ImageOrder, registry: &Registry, image: &Image) -> Vec<Content> {
    image
        .blobs()
        .map(|blob| {
            let url = registry.image().blob_url(&blob.digest);
            Content {
                length: Some(blob.size),
                ..Content::new(url, order.template.clone())
            }
        })
        .collect()
}

/// Every id that a peer may have given this content, without repetition. Never empty.
pub(super) fn ids(url: &Url, download: &Download) -> Vec<TaskId> {
    let of = |blob_trust| {
        TaskIdentity {
            url,
            content: download.content_for_calculating_task_id.as_deref(),
            tag: download.tag.as_deref(),
            application: download.application.as_deref(),
            revision: None,
            piece_length: download.piece_length,
            filtered_query_params: &download.filtered_query_params,
            blob_trust,
        }
        .task_id()
    };
    let by_digest = [BlobTrust::Shared, BlobTrust::OwnOrigin];
    let by_url = [BlobTrust::Ignored];
    let order: Vec<BlobTrust> = match download.enable_task_id_based_blob_digest {
        true => by_digest.into_iter().chain(by_url).collect(),
        false => by_url.into_iter().chain(by_digest).collect(),
    };
    let mut ids: Vec<TaskId> = Vec::with_capacity(order.len());
    for id in order.into_iter().map(of) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_three_ids_and_a_file_one() {
        let blob = Url::parse(&format!("https://r.example/v2/a/blobs/sha256:{}", "a".repeat(64))).unwrap();
        let by_digest = Content::new(
            blob.clone(),
            Download {
                enable_task_id_based_blob_digest: true,
                ..Download::default()
            },
        );
        assert_eq!(by_digest.likely_id().as_str(), "a".repeat(64));
        assert_eq!(by_digest.ids.len(), 3);
        let by_url = Content::new(blob, Download::default());
        assert_ne!(by_url.likely_id(), by_digest.likely_id());
        assert_eq!(by_url.ids.len(), 3);
        let signed = Url::parse("https://o.example/x?Signature=1").unwrap();
        let bare = Url::parse("https://o.example/x").unwrap();
        let (signed, bare) = (
            Content::new(signed, Download::default()),
            Content::new(bare, Download::default()),
        );
        assert_eq!(signed.ids, bare.ids);
        assert_eq!(signed.ids.len(), 1);
    }
}
