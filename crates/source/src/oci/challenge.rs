//! What a registry asks of those whom it does not know: `WWW-Authenticate` (RFC 9110, section 11.6.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use http_auth::ChallengeParser;
use url::Url;

/// Longer challenges are not read.
const MAX_BYTES: usize = 8 * 1024;

/// A challenge that can be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password in every request.
    Basic,
    /// A token of the server at `realm`.
    Bearer {
        realm: Url,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best of the challenges among the headers of a 401: a token is better than a password in every request.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|text| text.len() <= MAX_BYTES);
        // The rest of a header after what can't be read is given up, not what came before.
        let found: Vec<Self> = texts
            .flat_map(|text| {
                ChallengeParser::new(text)
                    .map_while(Result::ok)
                    .filter_map(|one| read(&one))
            })
            .collect();
        let bearer = found.iter().find(|one| matches!(one, Self::Bearer { .. }));
        bearer.or(found.first()).cloned()
    }
}

fn read(challenge: &http_auth::ChallengeRef<'_>) -> Option<Challenge> {
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let param = |name: &str| {
        let (_, value) = challenge
            .params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.to_unescaped()).filter(|value| !value.is_empty())
    };
    let realm = Url::parse(&param("realm")?).ok()?;
    let usable =
        matches!(realm.scheme(), "http" | "https") && realm.username().is_empty() && realm.password().is_none();
    usable.then(|| Challenge::Bearer {
        realm,
        service: param("service"),
        scope: param("scope"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: Url::parse("https://auth.example/token").unwrap(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let docker =
            "Bearer realm=\"https://auth.example/token\",service=\"r.example\",scope=\"repository:a/b:pull,push\"";
        assert_eq!(
            of(&[docker]),
            bearer(Some("r.example"), Some("repository:a/b:pull,push"))
        );
        assert_eq!(of(&["bearer Realm=\"https://auth.example/token\""]), bearer(None, None));
        assert_eq!(of(&["Basic realm=\"r\""]), Some(Challenge::Basic));
        assert_eq!(
            of(&["Basic realm=\"r\", Bearer realm=\"https://auth.example/token\""]),
            bearer(None, None)
        );
        assert_eq!(
            of(&["Basic realm=\"r\"", "Bearer realm=\"https://auth.example/token\""]),
            bearer(None, None)
        );
    }

    #[test]
    fn what_can_not_be_met_is_no_challenge() {
        for value in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm=\"\"",
            "Bearer realm=\"file:///x\"",
            "Bearer realm=\"https://u:p@x/\"",
        ] {
            assert_eq!(of(&[value]), None, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_challenge_is_too_strange(text in "(Bearer|basic|Digest|,| )*( ?(realm|scope|service)=\"?[ -~]{0,40}\"?,?){0,4}|[ -~]{0,80}") {
            let mut headers = HeaderMap::new();
            headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
            if let Some(Challenge::Bearer { realm, .. }) = Challenge::of(&headers) {
                // Where credentials are sent to next.
                proptest::prop_assert!(["http", "https"].contains(&realm.scheme()) && realm.has_host());
            }
        }
    }
}
