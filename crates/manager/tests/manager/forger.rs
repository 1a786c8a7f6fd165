//! A provider that signs whatever it is told to, and speaks GitHub's protocol, too. It proves nothing about real ones; it
//! shows what the manager does with an answer that no honest provider gives.

use axum::extract::{Query, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dragonfly_service::Workers;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// What is wrong with the next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Audience,
    Issuer,
    Nonce,
    NoNonce,
    Expired,
    /// Signed with a key that the provider does not publish.
    Key,
    /// Not signed.
    Unsigned,
}

impl Lie {
    pub(crate) const ALL: [Self; 8] = [
        Self::Audience,
        Self::Issuer,
        Self::Nonce,
        Self::NoNonce,
        Self::Expired,
        Self::Key,
        Self::Unsigned,
        Self::None,
    ];
}

pub(crate) struct Forger {
    shop: Arc<Shop>,
    _workers: Workers,
}

struct Shop {
    issuer: String,
    redirect: String,
    key: KeyPair,
    lie: Mutex<Lie>,
    nonce: Mutex<String>,
}

impl Forger {
    pub(crate) async fn start(redirect: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shop = Arc::new(Shop {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            redirect: redirect.to_owned(),
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            lie: Mutex::new(Lie::None),
            nonce: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/login/oauth/authorize", get(authorize))
            .route("/token", post(token))
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(account))
            .route("/api/v3/user/emails", get(emails))
            .with_state(shop.clone());
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        workers.spawn("forger", async move {
            let serve = async { axum::serve(listener, router).await.unwrap() };
            cancel.run_until_cancelled(serve).await;
        });
        Self {
            shop,
            _workers: workers,
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.shop.issuer
    }

    pub(crate) fn tell(&self, lie: Lie) {
        *self.shop.lie.lock().unwrap() = lie;
    }
}

async fn describe(State(shop): State<Arc<Shop>>) -> Json<Value> {
    let issuer = &shop.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(shop): State<Arc<Shop>>) -> Json<Value> {
    // An uncompressed point: a byte that says so, then both coordinates.
    let (x, y) = shop.key.der_bytes()[1..].split_at(32);
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "1", "x": text(x), "y": text(y)}]}))
}

async fn authorize(State(shop): State<Arc<Shop>>, Query(asked): Query<HashMap<String, String>>) -> Redirect {
    assert_eq!(asked["redirect_uri"], shop.redirect);
    assert_eq!(asked["code_challenge_method"], "S256");
    *shop.nonce.lock().unwrap() = asked.get("nonce").cloned().unwrap_or_default();
    Redirect::to(&format!("{}?code=x&state={}", shop.redirect, asked["state"]))
}

async fn token(State(shop): State<Arc<Shop>>, asked: String) -> Json<Value> {
    let asked: HashMap<_, _> = url::form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    assert!(asked["code_verifier"].len() >= 43);
    let lie = *shop.lie.lock().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let end = match lie {
        Lie::Expired => now - 3600,
        _ => now + 600,
    };
    let mut claims = json!({
        "iss": shop.issuer, "sub": "1", "aud": "dragonfly", "iat": now - 7200, "exp": end,
        "nonce": *shop.nonce.lock().unwrap(),
    });
    match lie {
        Lie::Audience => claims["aud"] = json!("another"),
        Lie::Issuer => claims["iss"] = json!("http://another.test"),
        Lie::Nonce => claims["nonce"] = json!("another"),
        Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
        _ => {}
    }
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let key = match lie {
        Lie::Key => &other,
        _ => &shop.key,
    };
    let header = Header {
        kid: Some("1".to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    let signed = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap();
    let token = match lie {
        Lie::Unsigned => {
            let body = signed.split('.').nth(1).unwrap();
            format!("{}.{body}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
        }
        _ => signed,
    };
    Json(json!({"access_token": "t", "token_type": "bearer", "expires_in": 600, "id_token": token}))
}

async fn account() -> Json<Value> {
    Json(json!({"id": 583_231, "login": "octocat"}))
}

async fn emails() -> Json<Value> {
    Json(json!([
        {"email": "other@evil.test", "primary": false, "verified": true},
        {"email": "octocat@corp.test", "primary": true, "verified": true},
    ]))
}
