//! What a browser carries while it is with a provider, sealed: whoever brings it back is the one who was sent.

use crate::seal::Sealer;
use crate::store::Time;
use crate::store::entity::oauth::Model;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a sign-in may take.
pub(crate) const TTL: Duration = Duration::from_secs(600);
/// What the seal is for.
const SEALED_AS: &str = "ticket of a sign-in";

/// By what a provider's answer is proven to be the answer to our question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proof {
    pub(super) state: String,
    pub(super) nonce: String,
    /// The verifier of PKCE.
    pub(super) verifier: String,
}

/// One sign-in under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    provider: i64,
    /// To whom the account is to be connected.
    pub(super) user: Option<u64>,
    pub(super) proof: Proof,
    until: i64,
}

impl Ticket {
    pub(super) fn new(provider: &Model, user: Option<u64>, proof: Proof, now: Time) -> Self {
        Self {
            provider: provider.id,
            user,
            proof,
            until: now.plus(TTL).0,
        }
    }

    pub(super) fn sealed(&self, sealer: &Sealer) -> String {
        let text = serde_json::to_string(self).expect("texts and numbers are JSON");
        sealer.seal(SEALED_AS, &text)
    }

    pub(super) fn opened(sealed: &str, sealer: &Sealer) -> Option<Self> {
        serde_json::from_str(&sealer.open(SEALED_AS, sealed)?).ok()
    }

    /// Whether it was given out for this provider, with this state, and not too long ago.
    pub(super) fn is_for(&self, provider: &Model, state: &str, now: Time) -> bool {
        // As digests, so that the time that it takes tells nothing.
        let is_same = Sha256::digest(&self.proof.state) == Sha256::digest(state);
        is_same && self.provider == provider.id && now.0 < self.until
    }
}
