//! Who calls, where proxies stand between: the address that the outermost trusted proxy saw. `X-Forwarded-For` is believed
//! from the networks of `server.rest.trustedProxies` alone, since everybody else can write into it what he likes.

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The most proxies that are followed.
const MAX_HOPS: usize = 16;

/// Puts the caller's address where the handlers look for it.
pub(super) async fn origin(State(trusted): State<Arc<[IpNet]>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(from)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let ip = caller(&trusted, from.ip(), request.headers());
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::new(ip, from.port())));
    }
    next.run(request).await
}

/// From the nearest hop outwards: the first that is no trusted proxy. What can't be read ends the search at the last that
/// could.
fn caller(trusted: &[IpNet], from: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut caller = from.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR);
    let texts: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
    let hops = texts.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(MAX_HOPS) {
        if !is_trusted(&caller) {
            break;
        }
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { break };
        caller = ip.to_canonical();
    }
    caller
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn seen(trusted: &[&str], from: &str, lines: &[&'static str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let lines = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
        caller(&trusted, from.parse().unwrap(), &lines.collect()).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_who_calls() {
        assert_eq!(seen(&[], "10.0.0.1", &["203.0.113.9"]), "10.0.0.1");
        assert_eq!(seen(&["10.0.0.0/8"], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(seen(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            seen(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["203.0.113.9"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn what_a_caller_writes_into_the_header_himself_does_not_count() {
        // The proxy appends the address that it saw; what stands before it came from the caller.
        let forged = &["198.51.100.7, 203.0.113.9"];
        assert_eq!(seen(&["10.0.0.0/8"], "10.0.0.1", forged), "203.0.113.9");
        let through_two = &["198.51.100.7, 203.0.113.9, 10.0.0.2"];
        assert_eq!(seen(&["10.0.0.0/8"], "10.0.0.1", through_two), "203.0.113.9");
        let lines = &["198.51.100.7", "203.0.113.9"];
        assert_eq!(seen(&["10.0.0.0/8"], "10.0.0.1", lines), "203.0.113.9");
    }

    #[test]
    fn a_header_without_sense_leaves_the_last_address_that_is_known() {
        for line in ["", "unknown", "10.0.0.300", "203.0.113.9:80", ","] {
            let headers = HeaderMap::from_iter([(FORWARDED_FOR, HeaderValue::from_str(line).unwrap())]);
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            assert_eq!(
                caller(&trusted, [10, 0, 0, 1].into(), &headers).to_string(),
                "10.0.0.1",
                "{line:?}"
            );
        }
        assert_eq!(seen(&["0.0.0.0/0"], "10.0.0.1", &["192.0.2.1, 192.0.2.2"]), "192.0.2.1");
    }
}
