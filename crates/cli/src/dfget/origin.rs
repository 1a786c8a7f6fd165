//! What opens origins that take more than headers: upstream's flags, and what becomes of them on the wire.

use super::error::Error;
use dragonfly_api::common::{Download, Hdfs, HuggingFace, ModelScope, ObjectStorage};
use dragonfly_api::dfdaemon::ListTaskEntriesRequest;
use secrecy::{ExposeSecret, SecretString};
use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use url::Url;

/// A credential is a small file; more of one is not read, in bytes.
const MAX_CREDENTIAL: u64 = 64 * 1024;

/// Keys and tokens. On a command line others of this host can see them, so each has a variable of the environment.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Object stores and model hubs")]
pub(super) struct Origin {
    /// Region of the object store; S3 takes us-east-1 if absent
    #[arg(long, value_name = "REGION", env = "DFGET_STORAGE_REGION")]
    storage_region: Option<String>,

    /// Server of the object store, as https://host:port; S3 and Google have one of their own
    #[arg(long, value_name = "URL", env = "DFGET_STORAGE_ENDPOINT")]
    storage_endpoint: Option<String>,

    /// Who asks the object store; with Azure, the account's name. Without it, what is public is read
    #[arg(long, value_name = "ID", env = "DFGET_STORAGE_ACCESS_KEY_ID", hide_env_values = true)]
    storage_access_key_id: Option<String>,

    /// The secret of that key
    #[arg(long, value_name = "SECRET", value_parser = secret, env = "DFGET_STORAGE_ACCESS_KEY_SECRET", hide_env_values = true)]
    storage_access_key_secret: Option<SecretString>,

    /// What makes a temporary key valid
    #[arg(long, value_name = "TOKEN", value_parser = secret, env = "DFGET_STORAGE_SESSION_TOKEN", hide_env_values = true)]
    storage_session_token: Option<SecretString>,

    /// The same, by the name that Alibaba gives it
    #[arg(long, value_name = "TOKEN", value_parser = secret, env = "DFGET_STORAGE_SECURITY_TOKEN", hide_env_values = true)]
    storage_security_token: Option<SecretString>,

    /// JSON file of a service account, for Google's store
    #[arg(long, value_name = "FILE", env = "DFGET_STORAGE_CREDENTIAL_PATH")]
    storage_credential_path: Option<PathBuf>,

    /// Accepted for the sake of scripts: it matters to who writes
    #[arg(
        long,
        value_name = "ACL",
        default_value = "publicRead",
        hide = true,
        env = "DFGET_STORAGE_PREDEFINED_ACL"
    )]
    storage_predefined_acl: String,

    /// Refused by Dragonfly's own dfdaemon, which verifies every certificate
    #[arg(long, hide = true, env = "DFGET_STORAGE_INSECURE_SKIP_VERIFY")]
    storage_insecure_skip_verify: bool,

    /// Delegation token for hdfs:// URLs
    #[arg(long, value_name = "TOKEN", value_parser = secret, env = "DFGET_HDFS_DELEGATION_TOKEN", hide_env_values = true)]
    hdfs_delegation_token: Option<SecretString>,

    /// Branch, tag or commit of an hf:// repository
    #[arg(long, value_name = "REVISION", default_value = "main", env = "DFGET_HF_REVISION")]
    hf_revision: String,

    /// Who asks for hf:// URLs
    #[arg(long, value_name = "TOKEN", value_parser = secret, env = "DFGET_HF_TOKEN", hide_env_values = true)]
    hf_token: Option<SecretString>,

    /// Another hub for hf:// URLs, as https://host:port
    #[arg(long, value_name = "URL", env = "DFGET_HF_BASE_URL")]
    hf_base_url: Option<Url>,

    /// Branch, tag or commit of a modelscope:// repository
    #[arg(long, value_name = "REVISION", default_value = "master", env = "DFGET_MS_REVISION")]
    ms_revision: String,

    /// Who asks for modelscope:// URLs
    #[arg(long, value_name = "TOKEN", value_parser = secret, env = "DFGET_MS_TOKEN", hide_env_values = true)]
    ms_token: Option<SecretString>,

    /// Another hub for modelscope:// URLs, as https://host:port
    #[arg(long, value_name = "URL", env = "DFGET_MS_BASE_URL")]
    ms_base_url: Option<Url>,
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

/// What the origin of one scheme is opened with, as it goes to the daemon.
#[derive(Clone, Default)]
pub(super) struct Keys {
    object_storage: Option<ObjectStorage>,
    hdfs: Option<Hdfs>,
    hugging_face: Option<HuggingFace>,
    model_scope: Option<ModelScope>,
}

impl Keys {
    /// Those that the URL's scheme asks for; others stay here. A credential's file is read here, with the user's own rights.
    pub(super) fn of(origin: &Origin, url: &Url) -> Result<Self, Error> {
        let mut keys = Self::default();
        match url.scheme() {
            "s3" | "gs" | "abs" | "oss" | "obs" | "cos" => keys.object_storage = Some(origin.object_storage()?),
            "hdfs" => {
                keys.hdfs = Some(Hdfs {
                    delegation_token: exposed(&origin.hdfs_delegation_token),
                });
            }
            "hf" => {
                keys.hugging_face = Some(HuggingFace {
                    token: exposed(&origin.hf_token),
                    revision: origin.hf_revision.clone(),
                    base_url: origin.hf_base_url.as_ref().map(ToString::to_string),
                });
            }
            "modelscope" => {
                keys.model_scope = Some(ModelScope {
                    token: exposed(&origin.ms_token),
                    revision: origin.ms_revision.clone(),
                    base_url: origin.ms_base_url.as_ref().map(ToString::to_string),
                });
            }
            _ => {}
        }
        Ok(keys)
    }

    pub(super) fn put(&self, download: Download) -> Download {
        Download {
            object_storage: self.object_storage.clone(),
            hdfs: self.hdfs.clone(),
            hugging_face: self.hugging_face.clone(),
            model_scope: self.model_scope.clone(),
            ..download
        }
    }

    pub(super) fn put_into_list(&self, request: ListTaskEntriesRequest) -> ListTaskEntriesRequest {
        ListTaskEntriesRequest {
            object_storage: self.object_storage.clone(),
            hdfs: self.hdfs.clone(),
            hugging_face: self.hugging_face.clone(),
            model_scope: self.model_scope.clone(),
            ..request
        }
    }
}

impl Origin {
    fn object_storage(&self) -> Result<ObjectStorage, Error> {
        let credential = self.storage_credential_path.as_deref().map(read).transpose()?;
        Ok(ObjectStorage {
            region: self.storage_region.clone(),
            endpoint: self.storage_endpoint.clone(),
            access_key_id: self.storage_access_key_id.clone(),
            access_key_secret: exposed(&self.storage_access_key_secret),
            session_token: exposed(&self.storage_session_token),
            credential_path: credential,
            predefined_acl: Some(self.storage_predefined_acl.clone()),
            security_token: exposed(&self.storage_security_token),
            insecure_skip_verify: Some(self.storage_insecure_skip_verify),
        })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CREDENTIAL).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(source) => Err(Error::Credential {
            path: path.to_owned(),
            source,
        }),
    }
}

fn exposed(secret: &Option<SecretString>) -> Option<String> {
    secret.as_ref().map(|secret| secret.expose_secret().to_owned())
}
