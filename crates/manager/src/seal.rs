//! Secrets that are kept to be used: arguments of jobs, clients of identity providers, sign-ins under way. They are sealed
//! with keys of the database's managers.
//!
//! It keeps secrets out of answers, logs, exports and glances at a table. Whoever has the whole database has the keys, too.

use crate::store::{self, Store, Time};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sea_orm::DbErr;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::fmt;

/// What a key is for; that is its name in the table of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Jobs,
    SignIn,
}

/// Seals and opens.
pub(crate) struct Sealer {
    key: LessSafeKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// With the key in the database, which is made if there is none.
    pub(crate) async fn of(store: &Store, purpose: Purpose, now: Time) -> Result<Self, DbErr> {
        let name = match purpose {
            Purpose::Jobs => "job key",
            Purpose::SignIn => "sign-in key",
        };
        let key = store::key(store, name, now).await?;
        Ok(Self::with(key.expose_secret()))
    }

    fn with(key: &str) -> Self {
        let key = Sha256::digest(key);
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("SHA-256 has the length of the key");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// Sealed for this thing and no other.
    pub(crate) fn seal(&self, thing: &str, plain: &str) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(thing), &mut sealed)
            .expect("secrets are shorter than the cipher's limit");
        hex::encode(nonce) + &hex::encode(sealed)
    }

    /// What was sealed for this thing; nothing if that was done with another key, for another thing, or not at all.
    pub(crate) fn open(&self, thing: &str, sealed: &str) -> Option<String> {
        let mut bytes = hex::decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(thing), sealed).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_thing_and_with_its_key_alone() {
        let sealer = Sealer::with("one");
        let sealed = sealer.seal("a", "hunter2");
        assert_eq!(sealer.open("a", &sealed).as_deref(), Some("hunter2"));
        assert_ne!(sealer.seal("a", "hunter2"), sealed, "a nonce is used once");
        assert_eq!(sealer.open("b", &sealed), None);
        assert_eq!(Sealer::with("other").open("a", &sealed), None);
        for broken in ["", "00", "no hex", &sealed[2..]] {
            assert_eq!(sealer.open("a", broken), None, "{broken}");
        }
    }
}
