//! Files of HDFS, from a stand-in that answers as WebHDFS is described: a name node that sends readers to a data node.

use crate::support::{Answer, Origin, Seen, answer};
use bytes::Bytes;
use dragonfly_model::ByteRange;
use dragonfly_source::{Access, Caller, Config, Error, Request, Sources, Validator};
use futures::TryStreamExt;
use http::HeaderValue;
use secrecy::SecretString;
use std::collections::HashMap;
use url::Url;

const CONTENT: &[u8] = b"0123456789abcdef";
const TOKEN: &str = "s3cret+/=";

fn parameters(seen: &Seen) -> HashMap<String, String> {
    let url = Url::parse("http://host").unwrap().join(&seen.path).unwrap();
    url.query_pairs().into_owned().collect()
}

fn data_node(seen: &Seen) -> Answer {
    let asked = parameters(seen);
    let number = |name: &str| asked.get(name).map(|text| text.parse::<usize>().unwrap());
    let start = number("offset").unwrap_or(0);
    let end = number("length").map_or(CONTENT.len(), |length| start + length);
    answer(200, &[], &CONTENT[start..end.min(CONTENT.len())])
}

fn status(name: &str, kind: &str, length: usize) -> String {
    format!(
        "{{\"pathSuffix\":\"{name}\",\"type\":\"{kind}\",\"length\":{length},\"modificationTime\":1320173277227,\
         \"blockSize\":33554432,\"owner\":\"hdfs\",\"permission\":\"644\",\"replication\":1}}"
    )
}

fn name_node(seen: &Seen, data_node: &str) -> Answer {
    let asked = parameters(seen);
    if asked.get("delegation").map(String::as_str) != Some(TOKEN) {
        return answer(401, &[], "{\"RemoteException\":{\"exception\":\"SecurityException\"}}");
    }
    let path = seen.path.split('?').next().unwrap();
    let list = |statuses: &[String]| {
        let body = format!("{{\"FileStatuses\":{{\"FileStatus\":[{}]}}}}", statuses.join(","));
        answer(200, &[("content-type", "application/json")], body)
    };
    match (path, asked["op"].as_str()) {
        ("/webhdfs/v1/dir/a%20b.bin", "GETFILESTATUS") => {
            let body = format!("{{\"FileStatus\":{}}}", status("", "FILE", CONTENT.len()));
            answer(200, &[("content-type", "application/json")], body)
        }
        ("/webhdfs/v1/dir/a%20b.bin", "OPEN") => {
            let query = seen.path.split('?').nth(1).unwrap();
            answer(307, &[("location", &format!("{data_node}?{query}"))], "")
        }
        ("/webhdfs/v1/dir", "GETFILESTATUS") => {
            let body = format!("{{\"FileStatus\":{}}}", status("", "DIRECTORY", 0));
            answer(200, &[("content-type", "application/json")], body)
        }
        ("/webhdfs/v1/dir", "LISTSTATUS") => {
            list(&[status("a b.bin", "FILE", CONTENT.len()), status("sub", "DIRECTORY", 0)])
        }
        ("/webhdfs/v1/dir/sub", "LISTSTATUS") => list(&[status("c.bin", "FILE", 3)]),
        _ => answer(
            404,
            &[],
            "{\"RemoteException\":{\"exception\":\"FileNotFoundException\"}}",
        ),
    }
}

/// The two nodes; what is asked of the second is a redirect of the first.
async fn cluster() -> (Origin, Origin) {
    let data = Origin::start(data_node).await;
    let address = data.url("/webhdfs/v1/read").to_string();
    let names = Origin::start(move |seen| name_node(seen, &address)).await;
    (names, data)
}

fn request(names: &Origin, path: &str, token: &str) -> Request {
    Request {
        access: Access::Hdfs(Some(SecretString::from(token))),
        ..Request::new(
            Url::parse(&format!("hdfs://{}{path}", names.address())).unwrap(),
            Caller::Local,
        )
    }
}

async fn bytes(sources: &Sources, request: Request) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = sources.get(request).await?.stream.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn files_are_described_and_read_whole_and_in_parts() {
    let (names, _data) = cluster().await;
    let sources = Sources::new(Config::default()).unwrap();
    let asked = request(&names, "/dir/a%20b.bin", TOKEN);
    let head = sources.stat(&asked).await.unwrap();
    assert_eq!((head.content_length, head.accepts_ranges), (Some(16), true));
    assert_eq!(bytes(&sources, asked.clone()).await.unwrap(), CONTENT);
    let part = |start, length| Request {
        range: Some(ByteRange { start, length }),
        if_match: head.validator.clone(),
        ..asked.clone()
    };
    assert_eq!(bytes(&sources, part(4, 3)).await.unwrap(), b"456");
    assert_eq!(bytes(&sources, part(14, u64::MAX)).await.unwrap(), b"ef");
    assert_eq!(bytes(&sources, part(16, 1)).await.unwrap_err().status(), Some(416));
    let other = Request {
        if_match: Some(Validator::ETag(HeaderValue::from_static("\"other\""))),
        ..part(4, 3)
    };
    assert!(matches!(bytes(&sources, other).await, Err(Error::Changed { .. })));
    let missing = request(&names, "/dir/missing", TOKEN);
    assert_eq!(sources.stat(&missing).await.unwrap_err().status(), Some(404));
    let directory = request(&names, "/dir", TOKEN);
    assert!(
        sources
            .stat(&directory)
            .await
            .unwrap_err()
            .to_string()
            .contains("a directory")
    );
}

#[tokio::test]
async fn directories_are_listed_with_all_that_is_below_them() {
    let (names, _data) = cluster().await;
    let asked = request(&names, "/dir/", TOKEN);
    let found = Sources::new(Config::default()).unwrap().list(&asked).await.unwrap();
    let told: Vec<(&str, Option<u64>)> = found
        .iter()
        .map(|entry| (entry.url.path(), entry.content_length))
        .collect();
    assert_eq!(
        told,
        [
            ("/dir/a%20b.bin", Some(16)),
            ("/dir/sub/", None),
            ("/dir/sub/c.bin", Some(3))
        ]
    );
}

#[tokio::test]
async fn a_wrong_token_opens_nothing_and_is_not_told() {
    let (names, data) = cluster().await;
    let sources = Sources::new(Config::default()).unwrap();
    let asked = request(&names, "/dir/a%20b.bin", "wr0ng");
    let error = sources.stat(&asked).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(!format!("{error:?} {asked:?}").contains("wr0ng"), "{error:?}");
    assert!(data.seen().is_empty());
}
