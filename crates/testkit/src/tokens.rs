//! The token server that stands beside a registry with bearer tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::{Request, Response};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::Serialize;

use crate::http::{Body, Server, json, status};

/// Who may have tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
}

impl User {
    /// The value of an `Authorization` header with these credentials.
    #[must_use]
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.name, self.password)))
    }
}

/// Who the registry believes and whom its tokens are for.
pub(crate) const ISSUER: &str = "testkit-issuer";
/// The audience of the tokens.
pub(crate) const SERVICE: &str = "testkit-registry";
/// How long a token is valid: longer than any test.
const VALID_FOR: Duration = Duration::from_secs(3600);

/// A running token server; it gives tokens for any scope to its one user and to nobody else.
#[derive(Debug)]
pub(crate) struct TokenServer {
    server: Server,
    certificate: PathBuf,
}

struct Signer {
    key: EncodingKey,
    header: Header,
    user: User,
    issued: AtomicU64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    access: Vec<Access>,
}

#[derive(Serialize)]
struct Access {
    r#type: String,
    name: String,
    actions: Vec<String>,
}

impl TokenServer {
    /// Starts it, with the certificate that the registry must trust in `dir`.
    pub(crate) fn start(dir: &Path, user: User) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "testkit token signer");
        let certificate = params.self_signed(&key)?;
        let path = dir.join("tokens.crt");
        std::fs::write(&path, certificate.pem())?;
        let mut header = Header::new(Algorithm::ES256);
        header.x5c = Some(vec![STANDARD.encode(certificate.der())]);
        let key = EncodingKey::from_ec_der(key.serialized_der());
        let signer = Arc::new(Signer {
            key,
            header,
            user,
            issued: AtomicU64::new(0),
        });
        let server = Server::start(move |request| {
            let signer = signer.clone();
            async move { signer.answer(&request) }
        })?;
        Ok(Self {
            server,
            certificate: path,
        })
    }

    /// The URL that a registry names in its challenge.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// The certificate of the key that signs.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl Signer {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        // containerd first tries a form by POST and falls back when that isn't offered.
        if request.method() != http::Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let authorization = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if authorization != Some(self.user.basic().as_str()) {
            let mut refused = status(StatusCode::UNAUTHORIZED);
            refused
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"testkit\""));
            return refused;
        }
        match self.sign(request.uri().query().unwrap_or_default()) {
            Ok(token) => json(&serde_json::json!({ "token": token, "expires_in": VALID_FOR.as_secs() })),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn sign(&self, query: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims {
            iss: ISSUER,
            sub: self.user.name,
            aud: SERVICE,
            exp: now + VALID_FOR.as_secs(),
            nbf: now.saturating_sub(60),
            iat: now,
            jti: self.issued.fetch_add(1, Ordering::Relaxed).to_string(),
            access: scopes(query),
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.key)?)
    }
}

/// The scopes that a query asks for: `scope=repository:a/b:pull,push`, any number of them.
fn scopes(query: &str) -> Vec<Access> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let asked: Vec<String> = pairs
        .filter(|(name, _)| name == "scope")
        .map(|(_, scope)| scope.into_owned())
        .collect();
    let scopes = asked.iter().flat_map(|scope| scope.split(' '));
    scopes
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions = actions.split(',').map(str::to_owned).collect();
            Some(Access {
                r#type: kind.to_owned(),
                name: name.to_owned(),
                actions,
            })
        })
        .collect()
}
