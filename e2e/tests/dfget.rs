//! `dfget` of contents of all sizes from origins of all habits.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs::File;
use std::path::Path;

use dragonfly_e2e::{dfget, succeeded};
use dragonfly_testkit::content::{Content, sha256_of};
use dragonfly_testkit::origin::{Origin, Resource};
use dragonfly_testkit::up::{Options, Up};

const MIB: u64 = 1 << 20;

fn assert_holds(file: &Path, content: Content) {
    let got = sha256_of(File::open(file).unwrap()).unwrap();
    assert_eq!(got, (content.sha256(), content.length()), "{}", file.display());
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Fetches a resource on one peer and then on another, and compares both files and what the origin gave.
async fn arrives_on_two_peers(content: Content, resource: Resource) {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::with_peers(2)).await.unwrap();
    let url = origin.put("/file", resource);
    let dir = tempfile::tempdir().unwrap();
    for peer in 0..2 {
        let file = dir.path().join(format!("of-peer-{peer}"));
        succeeded(&dfget(up.dfget(peer), &url, &file, &[]).await.unwrap()).unwrap();
        assert_holds(&file, content);
    }
    assert_eq!(names_in(dir.path()).len(), 2, "nothing but the two files is left");
    assert_eq!(
        origin.served("/file").unwrap().bytes,
        content.length(),
        "each byte left the origin once"
    );
}

#[tokio::test]
async fn dfget_fetches_one_byte() {
    let content = Content::new(1, 1);
    arrives_on_two_peers(content, Resource::file(content)).await;
}

#[tokio::test]
async fn dfget_fetches_an_empty_file() {
    let content = Content::new(2, 0);
    arrives_on_two_peers(content, Resource::file(content)).await;
}

#[tokio::test]
async fn dfget_fetches_exactly_one_piece() {
    let content = Content::new(3, 4 * MIB);
    arrives_on_two_peers(content, Resource::file(content)).await;
}

#[tokio::test]
async fn dfget_fetches_one_piece_and_a_byte() {
    let content = Content::new(4, 4 * MIB + 1);
    arrives_on_two_peers(content, Resource::file(content)).await;
}

#[tokio::test]
async fn dfget_fetches_a_gibibyte() {
    let content = Content::new(5, 1024 * MIB);
    arrives_on_two_peers(content, Resource::file(content)).await;
}

#[tokio::test]
async fn dfget_fetches_from_an_origin_without_ranges() {
    let content = Content::new(6, 21 * MIB + 7);
    let resource = Resource::File {
        content,
        ranges: false,
        announces_length: true,
    };
    arrives_on_two_peers(content, resource).await;
}

#[tokio::test]
async fn dfget_fetches_from_an_origin_that_announces_no_length() {
    for length in [0, 1, 4 * MIB, 21 * MIB + 7] {
        let content = Content::new(7, length);
        let resource = Resource::File {
            content,
            ranges: false,
            announces_length: false,
        };
        arrives_on_two_peers(content, resource).await;
    }
}

#[tokio::test]
async fn dfget_follows_redirects() {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::default()).await.unwrap();
    let content = Content::new(8, 9 * MIB);
    let absolute = origin.put("/file", Resource::file(content));
    let _relative = origin.put("/second", Resource::Redirect(absolute));
    let url = origin.put("/first", Resource::Redirect("/second".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    succeeded(&dfget(up.dfget(0), &url, &file, &[]).await.unwrap()).unwrap();
    assert_holds(&file, content);
    assert_eq!(origin.served("/file").unwrap().bytes, content.length());
}

#[tokio::test]
async fn a_redirect_without_end_fails_and_leaves_no_file() {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::default()).await.unwrap();
    let url = origin.put("/round", Resource::Redirect("/round".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let output = dfget(up.dfget(0), &url, &dir.path().join("file"), &[]).await.unwrap();
    assert!(!output.status.success());
    assert_eq!(names_in(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn the_right_digest_is_accepted_and_a_wrong_one_fails_and_leaves_no_file() {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::default()).await.unwrap();
    let content = Content::new(9, 9 * MIB);
    let url = origin.put("/file", Resource::file(content));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");

    let wrong = format!("sha256:{}", Content::new(10, 1).sha256());
    let output = dfget(up.dfget(0), &url, &file, &["--digest", &wrong]).await.unwrap();
    assert!(!output.status.success());
    assert!(!output.stderr.is_empty(), "it says why");
    assert_eq!(names_in(dir.path()), Vec::<String>::new());

    let right = format!("sha256:{}", content.sha256());
    succeeded(&dfget(up.dfget(0), &url, &file, &["--digest", &right]).await.unwrap()).unwrap();
    assert_holds(&file, content);
}

#[tokio::test]
async fn an_existing_file_is_kept_unless_overwriting_is_asked_for() {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::default()).await.unwrap();
    let content = Content::new(11, MIB);
    let url = origin.put("/file", Resource::file(content));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();

    let output = dfget(up.dfget(0), &url, &file, &[]).await.unwrap();
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(dir.path()), ["file"]);

    succeeded(&dfget(up.dfget(0), &url, &file, &["--overwrite"]).await.unwrap()).unwrap();
    assert_holds(&file, content);
    assert_eq!(names_in(dir.path()), ["file"]);
}

#[tokio::test]
async fn a_path_that_the_origin_lacks_fails_with_its_status_and_leaves_no_file() {
    let origin = Origin::start().unwrap();
    let up = Up::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = dfget(up.dfget(0), &origin.url("/none"), &dir.path().join("file"), &[])
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("404"), "{said}");
    assert_eq!(names_in(dir.path()), Vec::<String>::new());
}

/// `stores` in the name, for the time that installing the store takes (`.config/nextest.toml`).
mod stores {
    use super::*;
    use dragonfly_testkit::s3::ObjectStore;

    #[tokio::test]
    async fn dfget_fetches_a_directory_of_an_object_store_on_two_peers() {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let store = ObjectStore::start(cache).await.unwrap();
        let files = [
            ("a.bin", 5 * MIB),
            ("sub/b c.bin", 9 * MIB),
            ("sub/empty", 0),
            ("sub/deep/d.txt", 3),
        ];
        let files = files.map(|(name, length)| (name, Content::new(length, length)));
        for (name, content) in files {
            let bytes = content.bytes(0, content.length() as usize);
            store.put(&format!("dir/{name}"), bytes, false).await.unwrap();
        }
        let up = Up::start(Options::with_peers(2)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let endpoint = store.endpoint();
        let opened = ["--storage-endpoint", &endpoint, "--storage-access-key-id", "any", "-r"];
        for peer in 0..2 {
            let to = dir.path().join(format!("of-peer-{peer}"));
            let mut command = up.dfget(peer);
            command.env("DFGET_STORAGE_ACCESS_KEY_SECRET", "any");
            succeeded(&dfget(command, "s3://models/dir", &to, &opened).await.unwrap()).unwrap();
            for (name, content) in files {
                assert_holds(&to.join(name), content);
            }
        }
    }
}
