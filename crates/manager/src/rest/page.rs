//! Pages of lists. The total is in `X-Total-Count`; `Link` names the previous, next, first and last page in the form that
//! Dragonfly 2.5 gives it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::Page;
use http::header::LINK;
use http::{HeaderName, HeaderValue, Uri};
use serde::Serialize;

/// How many entries there are on all pages.
pub(super) const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// One page of `total` entries; `uri` is what the caller asked for.
pub(super) fn respond<T: Serialize>(uri: &Uri, page: Page, total: u64, entries: &[T]) -> Response {
    let mut response = Json(entries).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL, HeaderValue::from(total));
    if let Ok(links) = HeaderValue::try_from(links(uri, page, total)) {
        headers.insert(LINK, links);
    }
    response
}

fn links(uri: &Uri, page: Page, total: u64) -> String {
    let last = total.div_ceil(page.per_page.max(1)).max(1);
    let kept = kept(uri.query().unwrap_or_default());
    let link = |number: u64, rel: &str| {
        format!(
            "<{}?{kept}page={number}&per_page={}>;rel={rel}",
            uri.path(),
            page.per_page
        )
    };
    [
        link(page.page.saturating_sub(1).clamp(1, last), "prev"),
        link(page.page.saturating_add(1).min(last), "next"),
        link(1, "first"),
        link(last, "last"),
    ]
    .join(",")
}

/// The parameters of a query that are not about the page.
fn kept(query: &str) -> String {
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("page=") && !pair.starts_with("per_page="))
        .map(|pair| format!("{pair}&"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links_of(uri: &str, page: u64, total: u64) -> String {
        links(&uri.parse().unwrap(), Page { page, per_page: 10 }, total)
    }

    #[test]
    fn four_links_keep_the_rest_of_the_query() {
        assert_eq!(
            links_of("/api/v1/schedulers?page=2&per_page=10&state=active", 2, 35),
            "</api/v1/schedulers?state=active&page=1&per_page=10>;rel=prev,\
             </api/v1/schedulers?state=active&page=3&per_page=10>;rel=next,\
             </api/v1/schedulers?state=active&page=1&per_page=10>;rel=first,\
             </api/v1/schedulers?state=active&page=4&per_page=10>;rel=last"
        );
    }

    #[test]
    fn no_link_leads_before_the_first_or_behind_the_last_page() {
        for (page, total) in [(1, 0), (1, 10), (7, 3)] {
            let links = links_of("/x", page, total);
            assert_eq!(links.matches("?page=1&").count(), 4, "{links}");
        }
    }
}
