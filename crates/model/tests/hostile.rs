//! Texts of strangers: nothing that they write makes a word of this room panic or mean something else than it says.
//!
//! `cargo xtask fuzz` runs these for minutes; here they run for moments.
#![allow(clippy::unwrap_used, reason = "a test that can go no further fails")]

use dragonfly_model::{
    BlobTrust, ByteRange, Digest, HostId, PeerId, RangeHeader, TaskId, TaskIdentity, blob_digest_of, content_digest_of,
};
use proptest::prelude::*;
use url::Url;

/// Texts near those that are understood, and any others.
fn near(alphabet: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![alphabet, "\\PC{0,80}", ".{0,40}"]
}

fn range() -> impl Strategy<Value = String> {
    near("(bytes|BYTES|byte|) ?=( ?[0-9]{0,20}-[0-9]{0,20} ?,?){0,20}")
}

fn id() -> impl Strategy<Value = String> {
    near("[0-9a-fA-F]{62,66}|[0-9a-f]{128}|[a-z0-9._/-]{0,130}")
}

fn digest() -> impl Strategy<Value = String> {
    near("(sha256|sha512|SHA256|md5|crc32|blake3):?[0-9a-fA-F]{0,130}")
}

fn url() -> impl Strategy<Value = String> {
    near("https?://[a-z0-9.:@\\[\\]]{1,20}/(v2/)?[a-z/%0-9]{0,30}/blobs/sha256:[0-9a-f]{60,66}(\\?[a-z=&%0-9]{0,20})?")
}

proptest! {
    #[test]
    fn a_range_is_inside_its_content_or_refused(text in range(), length: u64) {
        let Ok(ranges) = RangeHeader::parse(&text).and_then(|header| header.resolve(length)) else {
            return Ok(());
        };
        prop_assert!(!ranges.is_empty() && ranges.len() <= RangeHeader::MAX_RANGES);
        for ByteRange { start, length: bytes } in ranges {
            prop_assert!(bytes > 0 && start.checked_add(bytes).is_some_and(|end| end <= length));
        }
    }

    #[test]
    fn an_id_is_what_was_read_and_never_a_path(text in id()) {
        let names = [PeerId::parse(&text).map(String::from), HostId::parse(&text).map(String::from)];
        for name in names.into_iter().flatten() {
            prop_assert_eq!(&name, &text);
            prop_assert!(!name.contains(|letter: char| letter == '/' || letter.is_whitespace() || letter.is_control()));
        }
        // It names a file, and its first three letters the directory of that.
        if let Ok(task) = TaskId::parse(&text) {
            prop_assert_eq!(task.as_str(), &text);
            prop_assert!(matches!(text.len(), 64 | 128) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        }
    }

    #[test]
    fn a_digest_says_what_was_read(text in digest()) {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest.clone());
            prop_assert!(!digest.algorithm().is_cryptographic() || digest.hex().len() == digest.algorithm().hex_len());
        }
    }

    #[test]
    fn an_untrusted_origin_never_gets_the_bare_digest_for_an_id(text in url(), tag: Option<String>) {
        let Ok(url) = Url::parse(&text) else {
            return Ok(());
        };
        let id = |blob_trust| {
            let identity = TaskIdentity {
                url: &url,
                content: None,
                tag: tag.as_deref(),
                application: None,
                revision: None,
                piece_length: None,
                filtered_query_params: &[],
                blob_trust,
            };
            identity.task_id()
        };
        content_digest_of(&url);
        let (shared, own) = (id(BlobTrust::Shared), id(BlobTrust::OwnOrigin));
        id(BlobTrust::Ignored);
        if let Some(digest) = blob_digest_of(&url) {
            prop_assert_eq!(shared.as_str(), digest.hex());
            prop_assert_ne!(own.as_str(), digest.hex());
        }
    }
}
