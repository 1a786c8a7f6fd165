//! Passwords are kept as Argon2id hashes. Hashing costs 19 MiB and many milliseconds on purpose, so few run at a time and
//! none on a worker of the runtime.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes that are computed at a time.
const CONCURRENT: usize = 2;

/// A hash that can't be computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("argon2 failed: {0}")]
    Argon2(argon2::password_hash::Error),
    #[error("the hashing thread failed")]
    Thread(#[from] tokio::task::JoinError),
}

/// Hashes and compares. Clones share the limit.
#[derive(Clone)]
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
    /// Compared with when there is no such user, so that the answer takes as long.
    decoy: Arc<str>,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    pub(crate) async fn new() -> Result<Self, Error> {
        let hasher = Self {
            slots: Arc::new(Semaphore::new(CONCURRENT)),
            decoy: Arc::from(""),
        };
        let decoy = hasher.hash(uuid::Uuid::new_v4().to_string().into()).await?;
        Ok(Self {
            decoy: decoy.into(),
            ..hasher
        })
    }

    /// A hash with a salt of its own.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Error> {
        self.apart(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(Error::Argon2)
        })
        .await
    }

    /// Whether the password is the hash's. Without a hash it is not, after the same work.
    pub(crate) async fn verify(&self, hash: Option<String>, password: SecretString) -> Result<bool, Error> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.as_ref().to_owned());
        self.apart(move || {
            let hash = PasswordHash::new(&hash).map_err(|error| Error::Argon2(error.into()))?;
            let same = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash);
            Ok(same.is_ok() && known)
        })
        .await
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.slots.clone().acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_right() {
        let hasher = Hasher::new().await.unwrap();
        let hash = hasher.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(hasher.verify(Some(hash.clone()), "correct horse".into()).await.unwrap());
        assert!(!hasher.verify(Some(hash), "battery staple".into()).await.unwrap());
        assert!(!hasher.verify(None, "correct horse".into()).await.unwrap());
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let hasher = Hasher::new().await.unwrap();
        let one = hasher.hash("correct horse".into()).await.unwrap();
        assert_ne!(one, hasher.hash("correct horse".into()).await.unwrap());
    }
}
