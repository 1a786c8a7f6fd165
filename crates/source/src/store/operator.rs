//! How each store is reached. Nothing is taken from this process's environment, its files or its machine's metadata: a
//! caller gets what its own keys open, and without keys what is public.

use super::Kind;
use crate::{AccessKey, StoreAccess};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opendal::Operator;
use opendal::services::{Azblob, Cos, Gcs, Obs, Oss, S3};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use url::Url;

const DEFAULT_REGION: &str = "us-east-1";

/// The bucket as OpenDAL sees it; else what is missing or wrong.
pub(super) fn of(kind: Kind, bucket: &str, access: &StoreAccess) -> Result<Operator, String> {
    let endpoint = access.endpoint.as_deref().map(endpoint).transpose()?;
    let operator = match kind {
        Kind::Amazon => amazon(bucket, access, endpoint),
        Kind::Google => google(bucket, access, endpoint)?,
        Kind::Azure => azure(bucket, access, &needed(endpoint)?),
        Kind::Alibaba => alibaba(bucket, access, &needed(endpoint)?),
        Kind::Huawei => huawei(bucket, key_of(access)?, &named(endpoint)?)?,
        Kind::Tencent => tencent(bucket, key_of(access)?, &named(endpoint)?),
    };
    operator.map_err(|error| error.message().to_owned())
}

type Made = opendal::Result<Operator>;

fn amazon(bucket: &str, access: &StoreAccess, endpoint: Option<Url>) -> Made {
    let mut store = S3::default()
        .bucket(bucket)
        .region(access.region.as_deref().unwrap_or(DEFAULT_REGION))
        .disable_config_load()
        .disable_ec2_metadata();
    if let Some(endpoint) = endpoint {
        store = store.endpoint(text(&endpoint));
    }
    store = match &access.key {
        None => store.skip_signature(),
        Some(key) => {
            let store = store
                .access_key_id(&key.id)
                .secret_access_key(key.secret.expose_secret());
            match &key.token {
                None => store,
                Some(token) => store.session_token(token.expose_secret()),
            }
        }
    };
    Operator::new(store)
}

fn google(bucket: &str, access: &StoreAccess, endpoint: Option<Url>) -> Result<Made, String> {
    if access.key.is_some() {
        return Err(
            "Google's store takes no access key but a credential: the JSON file of a service account".to_owned(),
        );
    }
    let mut store = Gcs::default()
        .bucket(bucket)
        .disable_config_load()
        .disable_vm_metadata();
    if let Some(endpoint) = endpoint {
        store = store.endpoint(text(&endpoint));
    }
    store = match &access.credential {
        None => store.skip_signature(),
        Some(credential) => {
            check(credential)?;
            store.credential(&BASE64.encode(credential.expose_secret()))
        }
    };
    Ok(Operator::new(store))
}

/// Other kinds of credentials name files to read, programs to run and addresses to ask, here.
fn check(credential: &SecretString) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Kind {
        r#type: String,
    }
    match serde_json::from_str::<Kind>(credential.expose_secret()) {
        Ok(kind) if kind.r#type == "service_account" => Ok(()),
        Ok(kind) => Err(format!(
            "a credential of type {:?} is not supported; give a service account's",
            kind.r#type
        )),
        // What is wrong with it could be told by a piece of it.
        Err(_) => Err("the credential is not the JSON of a service account".to_owned()),
    }
}

fn azure(container: &str, access: &StoreAccess, endpoint: &Url) -> Made {
    let store = Azblob::default().container(container).endpoint(text(endpoint));
    Operator::new(match &access.key {
        None => store.skip_signature(),
        Some(key) => store.account_name(&key.id).account_key(key.secret.expose_secret()),
    })
}

fn alibaba(bucket: &str, access: &StoreAccess, endpoint: &Url) -> Made {
    let mut store = Oss::default().bucket(bucket).endpoint(text(endpoint));
    if is_address(endpoint) {
        store = store.addressing_style("path");
    }
    Operator::new(match &access.key {
        None => store.skip_signature(),
        Some(key) => {
            let store = store
                .access_key_id(&key.id)
                .access_key_secret(key.secret.expose_secret());
            match &key.token {
                None => store,
                Some(token) => store.security_token(token.expose_secret()),
            }
        }
    })
}

fn huawei(bucket: &str, key: &AccessKey, endpoint: &Url) -> Result<Made, String> {
    if key.token.is_some() {
        return Err("temporary keys of obs:// are not supported; use a lasting one".to_owned());
    }
    let store = Obs::default()
        .bucket(bucket)
        .endpoint(text(endpoint))
        .access_key_id(&key.id)
        .secret_access_key(key.secret.expose_secret());
    Ok(Operator::new(store))
}

fn tencent(bucket: &str, key: &AccessKey, endpoint: &Url) -> Made {
    let store = Cos::default()
        .bucket(bucket)
        .endpoint(text(endpoint))
        .disable_config_load()
        .secret_id(&key.id)
        .secret_key(key.secret.expose_secret());
    Operator::new(match &key.token {
        None => store,
        Some(token) => store.security_token(token.expose_secret()),
    })
}

fn key_of(access: &StoreAccess) -> Result<&AccessKey, String> {
    let key = access.key.as_ref();
    key.ok_or_else(|| "it needs an access key's id and secret; what is public there has an https URL, too".to_owned())
}

fn needed(endpoint: Option<Url>) -> Result<Url, String> {
    endpoint.ok_or_else(|| "it needs an endpoint: the URL of the store".to_owned())
}

/// The endpoint of a store that is reached by the bucket's name before its own.
fn named(endpoint: Option<Url>) -> Result<Url, String> {
    let endpoint = needed(endpoint)?;
    match is_address(&endpoint) {
        true => Err(
            "its endpoint must be a name, since the bucket's is put before it or bound to it; an address won't do"
                .to_owned(),
        ),
        false => Ok(endpoint),
    }
}

fn is_address(endpoint: &Url) -> bool {
    let host = endpoint.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// A bare host is one over TLS.
fn endpoint(given: &str) -> Result<Url, String> {
    let text = match given.contains("://") {
        true => given.to_owned(),
        false => format!("https://{given}"),
    };
    let url = Url::parse(&text).ok().filter(|url| {
        let bare = url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && bare && nobody
    });
    // It may hold a password.
    url.ok_or_else(|| "the endpoint is no URL of a server; write it as https://host:port".to_owned())
}

fn text(endpoint: &Url) -> &str {
    endpoint.as_str().trim_end_matches('/')
}
