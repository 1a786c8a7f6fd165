//! What opens an origin that takes more than headers. Whatever of it is secret has a type that can't be printed.

use secrecy::SecretString;
use url::Url;

/// What a caller brings along for an origin, beside the headers of its request.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Nothing: the URL and the headers say it all.
    #[default]
    Plain,
    /// For an object store.
    Store(StoreAccess),
    /// For a hub of models.
    Hub(HubAccess),
    /// For HDFS: a delegation token.
    Hdfs(Option<SecretString>),
}

/// Where an object store is, and who asks. Without a key or a credential nobody does: what is public is read.
#[derive(Debug, Clone, Default)]
pub struct StoreAccess {
    /// The region; S3 takes `us-east-1` if there is none.
    pub region: Option<String>,
    /// The server, as a URL or a bare host; S3 and Google have one of their own.
    pub endpoint: Option<String>,
    /// Who asks, of every store but Google's.
    pub key: Option<AccessKey>,
    /// Who asks Google's store: the JSON text of a service account.
    pub credential: Option<SecretString>,
}

/// A key of an object store.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Names the key; with Azure, the account.
    pub id: String,
    /// Signs.
    pub secret: SecretString,
    /// What makes a temporary key valid.
    pub token: Option<SecretString>,
}

/// Which hub, which revision, and who asks.
#[derive(Debug, Clone, Default)]
pub struct HubAccess {
    /// Another server than the hub's own.
    pub base_url: Option<Url>,
    /// A branch, a tag or a commit; `None` for the hub's default branch.
    pub revision: Option<String>,
    /// Who asks.
    pub token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let secret = || SecretString::from("s3cret");
        let all = [
            Access::Store(StoreAccess {
                key: Some(AccessKey {
                    id: "AKIA".to_owned(),
                    secret: secret(),
                    token: Some(secret()),
                }),
                credential: Some(secret()),
                ..StoreAccess::default()
            }),
            Access::Hub(HubAccess {
                token: Some(secret()),
                ..HubAccess::default()
            }),
            Access::Hdfs(Some(secret())),
        ];
        let shown = format!("{all:?}");
        assert!(shown.contains("AKIA") && !shown.contains("s3cret"), "{shown}");
    }
}
