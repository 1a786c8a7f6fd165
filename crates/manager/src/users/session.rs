//! Sessions are signed tokens (HS256), so that every manager with the same key knows them. They name a user and the
//! epoch of the user's password; a session of an earlier epoch is void.

use crate::store::Time;
use dragonfly_api::rest::Session;
use dragonfly_service::fs;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a key that we make.
const KEY_BYTES: usize = 32;

/// A key that can't be read or kept. The disk's or the operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is too short to be a key.
    #[error("{} holds no key; remove it, and all sessions end", .0.display())]
    Short(PathBuf),
    /// A new key can't be kept.
    #[error("can't keep a new key for sessions")]
    Write(#[from] fs::Error),
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Id of the user.
    pub(crate) id: i64,
    /// Epoch of the user's password.
    pub(crate) epoch: i64,
    /// When the session ends, in seconds since 1970.
    exp: i64,
    /// When it was opened, in seconds since 1970.
    orig_iat: i64,
}

/// Opens sessions and recognises them.
pub(crate) struct Sessions {
    sign: EncodingKey,
    recognise: DecodingKey,
    validation: Validation,
    validity: Duration,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Sessions of this length, signed with this key.
    pub(crate) fn new(key: &SecretString, validity: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let key = key.expose_secret().as_bytes();
        Self {
            sign: EncodingKey::from_secret(key),
            recognise: DecodingKey::from_secret(key),
            validation,
            validity,
        }
    }

    pub(crate) fn open(&self, user: i64, epoch: i64, now: Time) -> Session {
        let expire = now.plus(self.validity);
        let claims = Claims {
            id: user,
            epoch,
            exp: expire.0 / 1000,
            orig_iat: now.0 / 1000,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("numbers are JSON and any bytes are an HMAC key");
        Session {
            token: token.into(),
            expire: Time(claims.exp * 1000).timestamp(),
        }
    }

    /// What a token says, if it is ours and has not ended.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.recognise, &self.validation);
        token.ok().map(|token| token.claims)
    }
}

/// The key kept in `path`, which is made if it is missing and is readable by its owner only.
pub(crate) fn key_in(path: &Path) -> Result<SecretString, KeyError> {
    match std::fs::read_to_string(path) {
        Ok(key) if key.trim().len() >= 2 * KEY_BYTES => Ok(key.trim().into()),
        Ok(_) => Err(KeyError::Short(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = hex::encode(rand::random::<[u8; KEY_BYTES]>());
            fs::write_atomic(path, key.as_bytes(), 0o600)?;
            Ok(key.into())
        }
        Err(source) => Err(KeyError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DAY: Duration = Duration::from_secs(86400);

    fn sessions(key: &str) -> Sessions {
        Sessions::new(&key.to_owned().into(), DAY)
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_only_to_its_key() {
        let ours = sessions("one key of thirty-two characters");
        let session = ours.open(7, 2, Time::now());
        let claims = ours.verify(session.token.expose_secret()).unwrap();
        assert_eq!((claims.id, claims.epoch), (7, 2));
        assert!(sessions("another key").verify(session.token.expose_secret()).is_none());
        let ended = ours.open(7, 2, Time(Time::now().0 - 2 * 86_400_000));
        assert!(ours.verify(ended.token.expose_secret()).is_none());
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"id":1,"epoch":0,"exp":99999999999,"orig_iat":0}"#);
        assert!(sessions("k").verify(&format!("{header}.{claims}.")).is_none());
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.key");
        let made = key_in(&path).unwrap();
        assert_eq!(made.expose_secret(), key_in(&path).unwrap().expose_secret());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(key_in(&path), Err(KeyError::Short(_))));
    }
}
