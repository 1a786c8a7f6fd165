//! OpenID Connect (Core 1.0, authorization code flow, with PKCE): the provider describes itself, and an id token, signed with a
//! key of its, says who signs in.

use super::ticket::Proof;
use super::web::Web;
use super::{Error, Person, unproven, unreachable};
use crate::store::entity::oauth::Model;
use dragonfly_service::chain;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
};
use secrecy::{ExposeSecret, SecretString};

/// What a provider says of itself, its keys included.
pub(super) type Description = CoreProviderMetadata;

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

pub(super) async fn discover(web: &Web, issuer: &str) -> Result<Description, String> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| chain(&error).to_string())?;
    let description = CoreProviderMetadata::discover_async(issuer, web).await;
    description.map_err(|error| chain(&error).to_string())
}

fn client(provider: &Model, description: &Description, secret: Option<&SecretString>) -> Result<Client, String> {
    let redirect = RedirectUrl::new(provider.redirect_url.clone()).map_err(|error| error.to_string())?;
    let id = ClientId::new(provider.client_id.clone());
    let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
    Ok(CoreClient::from_provider_metadata(description.clone(), id, secret).set_redirect_uri(redirect))
}

/// Where to send a browser.
pub(super) fn depart(provider: &Model, description: &Description) -> Result<(String, Proof), String> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let client = client(provider, description, None)?;
    let (url, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["email", "profile"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let proof = Proof {
        state: state.into_secret(),
        nonce: nonce.secret().clone(),
        verifier: verifier.into_secret(),
    };
    Ok((url.into(), proof))
}

/// Gives the code back for an id token, and reads that.
pub(super) async fn recognise(
    web: &Web,
    (provider, description): (&Model, &Description),
    secret: &SecretString,
    (code, proof): (String, &Proof),
) -> Result<Person, Error> {
    let name = &provider.name;
    let client = client(provider, description, Some(secret)).map_err(|reason| unreachable(name, reason))?;
    let answer = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| unreachable(name, error.to_string()))?
        .set_pkce_verifier(PkceCodeVerifier::new(proof.verifier.clone()))
        .request_async(web)
        .await;
    let tokens = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(refusal) => unproven(name, format!("it answers {}", refusal.error())),
        error => unreachable(name, chain(&error).to_string()),
    })?;
    let token = openidconnect::TokenResponse::id_token(&tokens);
    let token = token.ok_or_else(|| unproven(name, "it sends no id token".to_owned()))?;
    let nonce = Nonce::new(proof.nonce.clone());
    let claims = token
        .claims(&client.id_token_verifier(), &nonce)
        .map_err(|error| unproven(name, chain(&error).to_string()))?;
    let is_verified = claims.email_verified().unwrap_or(false);
    Ok(Person {
        subject: claims.subject().to_string(),
        login: claims.preferred_username().map(|name| name.to_string()),
        email: claims.email().filter(|_| is_verified).map(|email| email.to_string()),
    })
}
