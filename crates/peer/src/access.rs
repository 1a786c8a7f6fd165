//! What opens an origin beside headers, between the wire and the engine.
//!
//! On the wire every kind of origin has a message of its own; a request has the one that its URL's scheme asks for, and
//! the others say nothing. It travels as headers do: in the registration, to the seed that fetches in our stead.

use crate::output;
use dragonfly_api::common::{Download, Hdfs, HuggingFace, ModelScope, ObjectStorage};
use dragonfly_source::{Access, AccessKey, HubAccess, StoreAccess};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use tokio::io::AsyncReadExt;
use tonic::Status;
use url::Url;

/// A credential is a small file; more of one is not read, in bytes.
const MAX_CREDENTIAL: u64 = 64 * 1024;

/// What a request brings along for the origin of `url`.
pub(crate) fn of(download: &Download, url: &Url) -> Result<Access, Status> {
    Ok(match url.scheme() {
        "s3" | "gs" | "abs" | "oss" | "obs" | "cos" => {
            let given = download.object_storage.as_ref();
            Access::Store(given.map(store).transpose()?.unwrap_or_default())
        }
        "hf" => {
            let given = download.hugging_face.as_ref();
            let given = given.map(|hub| self::hub(&hub.base_url, &hub.revision, &hub.token));
            Access::Hub(given.transpose()?.unwrap_or_default())
        }
        "modelscope" => {
            let given = download.model_scope.as_ref();
            let given = given.map(|hub| self::hub(&hub.base_url, &hub.revision, &hub.token));
            Access::Hub(given.transpose()?.unwrap_or_default())
        }
        "hdfs" => {
            let given = download.hdfs.as_ref().and_then(|hdfs| text(&hdfs.delegation_token));
            Access::Hdfs(given.map(SecretString::from))
        }
        _ => Access::Plain,
    })
}

/// Puts it back into a request that another peer gets.
pub(crate) fn put(access: &Access, url: &Url, download: &mut Download) {
    let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    match access {
        Access::Plain => {}
        Access::Hdfs(token) => {
            download.hdfs = Some(Hdfs {
                delegation_token: exposed(token),
            });
        }
        Access::Store(store) => {
            let key = store.key.as_ref();
            download.object_storage = Some(ObjectStorage {
                region: store.region.clone(),
                endpoint: store.endpoint.clone(),
                access_key_id: key.map(|key| key.id.clone()),
                access_key_secret: key.map(|key| key.secret.expose_secret().to_owned()),
                session_token: key.and_then(|key| exposed(&key.token)),
                security_token: key.and_then(|key| exposed(&key.token)),
                credential_path: exposed(&store.credential),
                ..ObjectStorage::default()
            });
        }
        Access::Hub(hub) => {
            let token = exposed(&hub.token);
            let revision = hub.revision.clone().unwrap_or_default();
            let base_url = hub.base_url.as_ref().map(ToString::to_string);
            match url.scheme() {
                "modelscope" => {
                    download.model_scope = Some(ModelScope {
                        token,
                        revision,
                        base_url,
                    });
                }
                _ => {
                    download.hugging_face = Some(HuggingFace {
                        token,
                        revision,
                        base_url,
                    });
                }
            }
        }
    }
}

/// The revision that enters the task id.
pub(crate) fn revision(access: &Access) -> Option<&str> {
    match access {
        Access::Hub(hub) => hub.revision.as_deref(),
        _ => None,
    }
}

/// Reads the credential whose path a tool of this host gave, so that it travels as a text. Only the daemon's own user and
/// root, as the kernel names the caller, may have a file read with the daemon's rights.
pub(crate) async fn read_credential(storage: Option<&mut ObjectStorage>, caller: Option<u32>) -> Result<(), Status> {
    let Some(path) = storage.and_then(|storage| storage.credential_path.as_mut()) else {
        return Ok(());
    };
    if path.is_empty() || is_text(path) {
        return Ok(());
    }
    if !output::may_name_paths(caller) {
        return Err(Status::permission_denied(
            "the daemon reads credentials only for its own user and root; give the file's text (dfget does)",
        ));
    }
    let unread = |error: std::io::Error| Status::invalid_argument(format!("the credential {path}: {error}"));
    let mut text = String::new();
    let file = tokio::fs::File::open(Path::new(path.as_str())).await.map_err(unread)?;
    let read = file.take(MAX_CREDENTIAL).read_to_string(&mut text).await;
    read.map_err(unread)?;
    if !is_text(&text) {
        return Err(unread(std::io::Error::other("it is not the JSON of a service account")));
    }
    *path = text;
    Ok(())
}

/// JSON begins so, and no absolute path does.
fn is_text(credential: &str) -> bool {
    credential.trim_start().starts_with('{')
}

fn store(given: &ObjectStorage) -> Result<StoreAccess, Status> {
    if given.insecure_skip_verify == Some(true) {
        return Err(Status::invalid_argument(
            "certificates of object stores are always verified; leave insecure_skip_verify out and configure the \
             authority in proxy.registryMirror.cert",
        ));
    }
    let key = match (text(&given.access_key_id), text(&given.access_key_secret)) {
        (None, None) => None,
        (Some(id), Some(secret)) => Some(AccessKey {
            id,
            secret: secret.into(),
            token: text(&given.session_token)
                .or(text(&given.security_token))
                .map(SecretString::from),
        }),
        _ => {
            return Err(Status::invalid_argument(
                "an access key is an id and a secret; give both or none",
            ));
        }
    };
    let credential = text(&given.credential_path);
    if credential.as_deref().is_some_and(|credential| !is_text(credential)) {
        return Err(Status::permission_denied(
            "a credential's path is never taken from the network; give the file's text",
        ));
    }
    Ok(StoreAccess {
        region: text(&given.region),
        endpoint: text(&given.endpoint),
        key,
        credential: credential.map(SecretString::from),
    })
}

fn hub(base_url: &Option<String>, revision: &str, token: &Option<String>) -> Result<HubAccess, Status> {
    let base_url = text(base_url).map(|url| Url::parse(&url)).transpose();
    let base_url = base_url.map_err(|error| Status::invalid_argument(format!("the hub's base URL: {error}")))?;
    Ok(HubAccess {
        base_url,
        revision: Some(revision.to_owned()).filter(|revision| !revision.is_empty()),
        token: text(token).map(SecretString::from),
    })
}

fn text(given: &Option<String>) -> Option<String> {
    given.clone().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn parsed(storage: ObjectStorage) -> Result<Access, Status> {
        let download = Download {
            object_storage: Some(storage),
            ..Download::default()
        };
        of(&download, &Url::parse("s3://bucket/key").unwrap())
    }

    fn keys() -> ObjectStorage {
        ObjectStorage {
            endpoint: Some("http://store:9000".to_owned()),
            region: Some("r".to_owned()),
            access_key_id: Some("id".to_owned()),
            access_key_secret: Some("s3cret".to_owned()),
            session_token: Some("t0ken".to_owned()),
            credential_path: Some("{}".to_owned()),
            ..ObjectStorage::default()
        }
    }

    #[test]
    fn what_a_seed_gets_opens_what_the_caller_could_open() {
        let url = Url::parse("s3://bucket/key").unwrap();
        let mut passed_on = Download::default();
        put(&parsed(keys()).unwrap(), &url, &mut passed_on);
        let storage = passed_on.object_storage.unwrap();
        assert_eq!(storage.security_token.as_deref(), Some("t0ken"));
        let expected = ObjectStorage {
            security_token: storage.security_token.clone(),
            ..keys()
        };
        assert_eq!(storage, expected);

        let url = Url::parse("hf://owner/repo/file").unwrap();
        let hub = HuggingFace {
            token: Some("t0ken".to_owned()),
            revision: "v1".to_owned(),
            base_url: Some("http://hub:1/".to_owned()),
        };
        let download = Download {
            hugging_face: Some(hub.clone()),
            ..Download::default()
        };
        let access = of(&download, &url).unwrap();
        assert_eq!(revision(&access), Some("v1"));
        let mut passed_on = Download::default();
        put(&access, &url, &mut passed_on);
        assert_eq!(passed_on.hugging_face, Some(hub));
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_a_secret() {
        let half = ObjectStorage {
            access_key_id: None,
            ..keys()
        };
        let unverified = ObjectStorage {
            insecure_skip_verify: Some(true),
            ..keys()
        };
        let path = ObjectStorage {
            credential_path: Some("/etc/shadow".to_owned()),
            ..keys()
        };
        for (given, code) in [
            (half, Code::InvalidArgument),
            (unverified, Code::InvalidArgument),
            (path, Code::PermissionDenied),
        ] {
            let status = parsed(given).unwrap_err();
            assert_eq!(status.code(), code);
            assert!(!status.message().contains("s3cret"), "{status}");
        }
        assert!(!format!("{:?}", parsed(keys()).unwrap()).contains("s3cret"));
    }

    #[tokio::test]
    async fn a_credentials_file_is_read_for_the_daemons_own_user_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"type\": \"service_account\"}").unwrap();
        let given = || ObjectStorage {
            credential_path: Some(file.path().to_str().unwrap().to_owned()),
            ..ObjectStorage::default()
        };
        let own = rustix::process::geteuid().as_raw();
        let mut read = given();
        read_credential(Some(&mut read), Some(own)).await.unwrap();
        assert!(read.credential_path.unwrap().contains("service_account"));
        for caller in [None, Some(own + 4711)] {
            let status = read_credential(Some(&mut given()), caller).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied);
        }
    }
}
