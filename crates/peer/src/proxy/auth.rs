//! Who may use the proxy.

use super::refusal::Refusal;
use crate::config::BasicAuth;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use secrecy::ExposeSecret;
use sha2::Sha256;

/// Checks `Proxy-Authorization`. Name and password are kept as an HMAC only, so a comparison takes the same time
/// however much of them is right.
#[derive(Clone)]
pub(super) struct Gate {
    expected: Hmac<Sha256>,
    blank: Hmac<Sha256>,
}

impl Gate {
    pub(super) fn new(auth: &BasicAuth) -> Self {
        let key: [u8; 32] = rand::random();
        let blank: Hmac<Sha256> = Hmac::new_from_slice(&key).expect("an HMAC takes a key of any length");
        let mut expected = blank.clone();
        expected.update(auth.username.as_bytes());
        expected.update(b":");
        expected.update(auth.password.expose_secret().as_bytes());
        Self { expected, blank }
    }

    /// Lets the request in, or tells its client what to send.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let offered = headers
            .get(PROXY_AUTHORIZATION)
            .and_then(credentials)
            .unwrap_or_default();
        let mut mac = self.blank.clone();
        mac.update(&offered);
        let expected = self.expected.clone().finalize().into_bytes();
        if mac.verify(&expected).is_ok() {
            return Ok(());
        }
        let challenge = HeaderValue::from_static("Basic realm=\"dragonfly\", charset=\"UTF-8\"");
        let message = "the proxy needs its user's name and password in Proxy-Authorization";
        Err(Refusal::proxy(StatusCode::PROXY_AUTHENTICATION_REQUIRED, message)
            .with_header(PROXY_AUTHENTICATE, challenge))
    }
}

/// `name:password` of Basic credentials.
fn credentials(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Option<&str>) -> Result<(), Refusal> {
        let gate = Gate::new(&BasicAuth {
            username: "user".to_owned(),
            password: "pass:word".into(),
        });
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(PROXY_AUTHORIZATION, value.parse().unwrap());
        }
        gate.check(&headers)
    }

    /// TOB-DF2-8: what is compared are HMACs under a key of this process, which says nothing about how much was right; here, that a
    /// part of the right one does not pass.
    #[test]
    fn only_the_right_name_and_password_pass() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(check(Some(&basic("user:pass:word"))).is_ok());
        assert!(check(Some(&basic("user:pass:word").replace("Basic", "basic"))).is_ok());
        for wrong in ["user:pass:wor", "user:pass:wordy", "User:pass:word", ":", ""] {
            assert!(check(Some(&basic(wrong))).is_err(), "{wrong}");
        }
        for wrong in ["Basic", "Basic !", "Bearer user:pass:word", "user:pass:word"] {
            assert!(check(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_is_not_let_in_is_told_how() {
        let response = check(None).unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        assert!(
            response.headers()[PROXY_AUTHENTICATE]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
    }
}
