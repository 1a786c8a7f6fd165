//! GitHub, which speaks OAuth 2.0 (RFC 6749, with PKCE) and says by its REST API whose token it gave.

use super::ticket::Proof;
use super::web::Web;
use super::{Error, Person, unproven, unreachable};
use crate::store::entity::oauth::Model;
use dragonfly_service::chain;
use http::header::{ACCEPT, AUTHORIZATION};
use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where GitHub itself is; everything else is an Enterprise server.
pub(super) const ISSUER: &str = "https://github.com";

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

#[derive(Deserialize)]
struct Account {
    /// Unlike its name, an account's number never becomes another's.
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

fn client(provider: &Model) -> Result<Client, oauth2::url::ParseError> {
    let issuer = provider.issuer.trim_end_matches('/');
    Ok(BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(AuthUrl::new(format!("{issuer}/login/oauth/authorize"))?)
        .set_token_uri(TokenUrl::new(format!("{issuer}/login/oauth/access_token"))?)
        .set_redirect_uri(RedirectUrl::new(provider.redirect_url.clone())?))
}

/// Where its REST API is.
fn api(issuer: &str) -> String {
    match issuer.trim_end_matches('/') {
        ISSUER => "https://api.github.com".to_owned(),
        enterprise => format!("{enterprise}/api/v3"),
    }
}

/// Where to send a browser.
pub(super) fn depart(provider: &Model) -> Result<(String, Proof), String> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client(provider)
        .map_err(|error| error.to_string())?
        .authorize_url(CsrfToken::new_random)
        .add_scopes(["read:user", "user:email"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let proof = Proof {
        state: state.into_secret(),
        nonce: String::new(),
        verifier: verifier.into_secret(),
    };
    Ok((url.into(), proof))
}

/// Gives the code back for a token, and asks whose it is.
pub(super) async fn recognise(
    web: &Web,
    provider: &Model,
    secret: &SecretString,
    (code, proof): (String, &Proof),
) -> Result<Person, Error> {
    let name = &provider.name;
    let answer = client(provider)
        .map_err(|error| unreachable(name, error.to_string()))?
        .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(proof.verifier.clone()))
        .request_async(web)
        .await;
    let token = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(refusal) => unproven(name, format!("it answers {}", refusal.error())),
        error => unreachable(name, chain(&error).to_string()),
    })?;
    let token = token.access_token().secret();
    let api = api(&provider.issuer);
    let ask = async |path: &str| -> Result<Vec<u8>, Error> {
        let request = http::Request::get(format!("{api}{path}"))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(ACCEPT, "application/vnd.github+json")
            .body(Vec::new())
            .map_err(|error| unreachable(name, error.to_string()))?;
        let answer = web.call(request).await;
        let answer = answer.map_err(|error| unreachable(name, chain(&error).to_string()))?;
        match answer.status().is_success() {
            true => Ok(answer.into_body()),
            false => Err(unproven(name, format!("{path} is answered {}", answer.status()))),
        }
    };
    let account: Account = read(name, &ask("/user").await?)?;
    let emails: Vec<Email> = read(name, &ask("/user/emails").await?)?;
    let email = emails.into_iter().find(|email| email.primary && email.verified);
    Ok(Person {
        subject: account.id.to_string(),
        login: Some(account.login),
        email: email.map(|email| email.email),
    })
}

fn read<T: DeserializeOwned>(provider: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| unproven(provider, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enterprise_has_its_api_under_its_own_name() {
        assert_eq!(api("https://github.com/"), "https://api.github.com");
        assert_eq!(api("https://git.corp.test"), "https://git.corp.test/api/v3");
    }
}
