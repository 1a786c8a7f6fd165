//! The console: pages for people, built from `console/` and kept in the binary, compressed as they travel.
//!
//! It answers what no route does, and never a path of the API. Whatever a browser may open beside is the console's own
//! page, which reads the path itself. Nothing but our own files may run in it: see [`policy`].

use super::error::Problem;
use axum::extract::Request;
use axum::response::{Html, IntoResponse, Response};
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rust_embed::Embed;
use std::borrow::Cow;
use std::io::Read;

/// What the build of the console makes; nothing if it was not built.
#[derive(Embed)]
#[folder = "../../console/dist/site"]
#[allow_missing = true]
struct Built;

/// The page that all paths of the console are.
const PAGE: &str = "index.html";
/// Where its files are; their names change with their content.
const FILES: &str = "assets/";
/// What text files have behind their names.
const COMPRESSED: &str = ".gz";
/// Stands in the page where the nonce goes.
const NONCE: &str = "__CSP_NONCE__";
/// First segments of paths that are for programs, or have pages of their own.
const NOT_OURS: [&str; 5] = ["api", "oapi", "healthy", "metrics", "swagger"];

/// Shown in place of a console that is not in the binary.
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Dragonfly</title>\
    <h1>This binary has no console</h1>\
    <p>It was built without Node. With Node 20.19 or later (on Debian the packages <code>nodejs</code> and <code>npm</code>), \
    <code>cargo xtask up</code> builds the console into it.</p>\
    <p>The API is there all the same: <a href=\"/swagger/\">its description</a>.</p></html>";

/// A file of the console.
type File = Cow<'static, [u8]>;

/// The console's answer to what no route answers.
pub(super) async fn answer(request: Request) -> Response {
    respond(&request, |name| Built::get(name).map(|file| file.data))
}

fn respond(request: &Request, file: impl Fn(&str) -> Option<File>) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if ![Method::GET, Method::HEAD].contains(request.method()) || NOT_OURS.contains(&first) {
        return Problem::no_such_page().into_response();
    }
    match asset(path, request.headers(), &file) {
        Some(response) => response,
        None if !path.starts_with(FILES) && (path.is_empty() || wants_a_page(request.headers())) => page(file(PAGE)),
        None => Problem::no_such_page().into_response(),
    }
}

/// Programs that go astray are told so; only browsers ask for pages by name.
fn wants_a_page(headers: &HeaderMap) -> bool {
    mentions(headers, &ACCEPT, "text/html")
}

fn mentions(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.contains(word))
}

fn page(built: Option<File>) -> Response {
    let Some(built) = built else {
        return protected("'none'", Html(MISSING));
    };
    // Random bits are all that it takes.
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let page = String::from_utf8_lossy(&built).replace(NONCE, &nonce);
    protected(&format!("'self' 'nonce-{nonce}'"), Html(page))
}

fn protected(styles: &str, page: impl IntoResponse) -> Response {
    let mut response = page.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy(styles));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Only our own scripts run, and only this manager is called. The components write some styles themselves, which the nonce
/// of the page marks as ours.
fn policy(styles: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("hex digits and words are a header value")
}

/// A file, compressed for whom takes that.
fn asset(path: &str, headers: &HeaderMap, file: impl Fn(&str) -> Option<File>) -> Option<Response> {
    if path.is_empty() || path == PAGE {
        return None;
    }
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let mut response = match file(path) {
        Some(plain) => plain.into_response(),
        None => {
            let compressed = file(&format!("{path}{COMPRESSED}"))?;
            let mut response = match mentions(headers, &ACCEPT_ENCODING, "gzip") {
                true => ([(CONTENT_ENCODING, "gzip")], compressed).into_response(),
                false => plain(&compressed)?.into_response(),
            };
            response
                .headers_mut()
                .insert(VARY, HeaderValue::from_static("accept-encoding"));
            response
        }
    };
    let lasting = match path.starts_with(FILES) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lasting));
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(mime.as_ref()).ok()?);
    Some(response)
}

fn plain(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    match GzDecoder::new(compressed).read_to_end(&mut plain) {
        Ok(_) => Some(plain),
        Err(error) => {
            tracing::error!(%error, "a file of the console is broken");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::StatusCode;
    use std::io::Write;

    const SCRIPT: &[u8] = b"console.log(1)";

    fn built(name: &str) -> Option<File> {
        match name {
            "index.html" => Some(Cow::Borrowed(b"<meta nonce=\"__CSP_NONCE__\">")),
            "assets/a-1.js.gz" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(SCRIPT).unwrap();
                Some(Cow::Owned(encoder.finish().unwrap()))
            }
            "logo.png" => Some(Cow::Borrowed(b"png")),
            _ => None,
        }
    }

    fn ask(
        method: Method,
        path: &str,
        headers: &[(HeaderName, &'static str)],
        file: fn(&str) -> Option<File>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        respond(&request.body(Body::empty()).unwrap(), file)
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap()
            .to_vec()
    }

    #[test]
    fn paths_of_the_api_and_other_methods_are_never_the_console() {
        let html = [(ACCEPT, "text/html,*/*")];
        for path in [
            "/api",
            "/api/v2/clusters",
            "/oapi/",
            "/healthy/x",
            "/metrics",
            "/swagger/x",
        ] {
            let status = ask(Method::GET, path, &html, built).status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask(Method::POST, "/", &html, built).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn browsers_get_the_page_at_every_path_of_its_own_and_programs_a_404() {
        let html = [(ACCEPT, "text/html,*/*")];
        assert_eq!(ask(Method::GET, "/clusters/1", &html, built).status(), StatusCode::OK);
        assert_eq!(ask(Method::GET, "/", &[], built).status(), StatusCode::OK);
        let json = [(ACCEPT, "application/json")];
        assert_eq!(
            ask(Method::GET, "/clusters/1", &json, built).status(),
            StatusCode::NOT_FOUND
        );
        let gone = ask(Method::GET, "/assets/gone.js", &html, built);
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_page_has_a_new_nonce_each_time_and_no_inline_code_without_it() {
        let (one, two) = (ask(Method::GET, "/", &[], built), ask(Method::GET, "/", &[], built));
        let policy = one.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert_ne!(policy, two.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap());
        assert!(
            !policy.contains("unsafe") && policy.contains("default-src 'none'"),
            "{policy}"
        );
        let page = String::from_utf8(body(one).await).unwrap();
        let nonce = page.split('"').nth(1).unwrap();
        assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy} {page}");
    }

    #[tokio::test]
    async fn files_are_compressed_for_who_takes_that_and_kept_for_ever() {
        let compressed = ask(Method::GET, "/assets/a-1.js", &[(ACCEPT_ENCODING, "gzip, br")], built);
        assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(compressed.headers()[CONTENT_TYPE], "text/javascript");
        assert!(
            compressed.headers()[CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        let plain = ask(Method::GET, "/assets/a-1.js", &[], built);
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(body(plain).await, SCRIPT);
        let logo = ask(Method::GET, "/logo.png", &[], built);
        assert_eq!(logo.headers()[CONTENT_TYPE], "image/png");
        assert_eq!(logo.headers()[CACHE_CONTROL], "no-cache");
    }

    #[tokio::test]
    async fn a_binary_without_console_says_how_to_get_one() {
        let response = ask(Method::GET, "/", &[], |_| None);
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
        assert!(
            String::from_utf8(body(response).await)
                .unwrap()
                .contains("cargo xtask up")
        );
    }
}
