//! How providers are asked: by TLS, without following anybody elsewhere, within a time and a size.

use dragonfly_service::tls;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::pin::Pin;
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The client. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Web {
    client: reqwest::Client,
    plain_http: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("its URL is not https, and auth.oauth.plainHTTP is not set")]
    Plain,
    #[error("it can't be asked")]
    Failed(#[from] reqwest::Error),
    #[error("its answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("its answer is malformed")]
    Malformed(#[from] http::Error),
}

impl Web {
    pub(super) fn new(plain_http: bool) -> Self {
        tls::install_provider();
        let client = reqwest::Client::builder()
            // To be sent elsewhere with a code or a token would be to give it away.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("dragonfly-manager/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("nothing here depends on the machine");
        Self { client, plain_http }
    }

    pub(super) fn takes_plain_http(&self) -> bool {
        self.plain_http
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        if request.uri().scheme_str() != Some("https") && !self.plain_http {
            return Err(Error::Plain);
        }
        let mut response = self.client.execute(request.try_into()?).await?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Error::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Web {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
