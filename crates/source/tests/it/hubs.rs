//! Files of a hub's repository, by both hubs' APIs.

use bytes::Bytes;
use dragonfly_model::ByteRange;
use dragonfly_source::{Access, Caller, Config, Error, Fault, HubAccess, Request, Sources};
use dragonfly_testkit::hub::{Hub, REVISION, TOKEN};
use futures::TryStreamExt;
use secrecy::SecretString;
use url::Url;

const WEIGHTS: &[u8] = b"0123456789abcdef";

fn sources() -> Sources {
    Sources::new(Config::default()).unwrap()
}

fn request(hub: &Hub, url: &str, token: Option<&str>) -> Request {
    Request {
        access: Access::Hub(HubAccess {
            base_url: Some(Url::parse(&hub.url()).unwrap()),
            revision: None,
            token: token.map(SecretString::from),
        }),
        ..Request::new(Url::parse(url).unwrap(), Caller::Local)
    }
}

async fn bytes(sources: &Sources, request: Request) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = sources.get(request).await?.stream.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn files_are_read_by_revision_and_the_token_stays_with_the_hub() {
    let hub = Hub::start(WEIGHTS).unwrap();
    let sources = sources();
    for scheme in ["hf", "modelscope"] {
        let of = |path: &str| request(&hub, &format!("{scheme}://lab/tiny-model/{path}"), Some(TOKEN));
        let small = of("config.json");
        assert_eq!(sources.stat(&small).await.unwrap().content_length, Some(22));
        assert_eq!(bytes(&sources, small).await.unwrap(), b"{\"model_type\": \"tiny\"}");
        let mut large = of("model.safetensors");
        let head = sources.stat(&large).await.unwrap();
        assert_eq!((head.content_length, head.accepts_ranges), (Some(16), true));
        large.range = Some(ByteRange { start: 4, length: 3 });
        large.if_match = head.validator;
        assert_eq!(bytes(&sources, large.clone()).await.unwrap(), b"456");
        if let Access::Hub(access) = &mut large.access {
            access.revision = Some(REVISION.to_owned());
        }
        assert_eq!(bytes(&sources, large.clone()).await.unwrap(), b"456");
        if let Access::Hub(access) = &mut large.access {
            access.revision = Some("v2".to_owned());
        }
        assert_eq!(bytes(&sources, large).await.unwrap_err().status(), Some(404));
    }
    let (of_store, of_hub): (Vec<_>, Vec<_>) = hub.asked().into_iter().partition(|asked| asked.of_store);
    assert!(
        !of_store.is_empty() && of_store.iter().all(|asked| !asked.authorized),
        "{of_store:?}"
    );
    assert!(of_hub.iter().all(|asked| asked.authorized), "{of_hub:?}");
    assert!(of_hub.iter().any(|asked| asked.target.contains("/resolve/v1/")));
}

#[tokio::test]
async fn repositories_and_their_directories_are_listed() {
    let hub = Hub::start(WEIGHTS).unwrap();
    let sources = sources();
    for scheme in ["hf", "modelscope"] {
        let listed = async |path: &str| {
            let asked = request(&hub, &format!("{scheme}://lab/tiny-model{path}"), Some(TOKEN));
            let entries = sources.list(&asked).await.unwrap();
            let mut told: Vec<(String, Option<u64>)> = entries
                .into_iter()
                .map(|entry| (entry.url.path().to_owned(), entry.content_length))
                .collect();
            told.sort();
            told
        };
        let all = [
            ("/tiny-model/README.md", Some(15)),
            ("/tiny-model/config.json", Some(22)),
            ("/tiny-model/model.safetensors", Some(16)),
            ("/tiny-model/tokenizer/", None),
            ("/tiny-model/tokenizer/vocab.txt", Some(4)),
        ];
        let all: Vec<(String, Option<u64>)> = all.map(|(path, length)| (path.to_owned(), length)).into();
        assert_eq!(listed("").await, all, "{scheme}");
        assert_eq!(listed("/").await, all, "{scheme}");
    }
    let asked = request(&hub, "modelscope://lab/tiny-model/tokenizer/", Some(TOKEN));
    let files = sources.list(&asked).await.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].url.as_str(), "modelscope://lab/tiny-model/tokenizer/vocab.txt");
}

#[tokio::test]
async fn a_wrong_token_opens_nothing_and_is_not_told() {
    let hub = Hub::start(WEIGHTS).unwrap();
    for token in [None, Some("wr0ng")] {
        let asked = request(&hub, "hf://lab/tiny-model/config.json", token);
        let error = sources().stat(&asked).await.unwrap_err();
        assert_eq!((error.status(), error.fault()), (Some(401), Fault::Caller));
        assert!(!format!("{error:?} {asked:?}").contains("wr0ng"), "{error:?}");
    }
}
