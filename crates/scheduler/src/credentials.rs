//! What a caller sent for the origin: kept for as long as its stream lives, shown to nobody but the seed peer that
//! fetches on its behalf, and never printed.

use dragonfly_api::common::{Download, SchedulingPolicy};
use dragonfly_scheduling::{CredentialsId, OriginId};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use url::Url;

/// Headers that tell callers apart without being credentials.
const NO_CREDENTIALS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "b3",
    "baggage",
    "connection",
    "host",
    "if-range",
    "range",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
];

/// A download as its caller asked for it, credentials included.
#[derive(Clone)]
pub(crate) struct CallersRequest(Box<Download>);

impl CallersRequest {
    pub(crate) fn new(download: Download) -> Self {
        Self(Box::new(download))
    }

    /// All of it, for who shows nothing secret of it.
    pub(crate) fn download(&self) -> &Download {
        &self.0
    }

    /// The same content, asked of a seed peer: the whole of it, from the origin, to its cache and nowhere else.
    pub(crate) fn for_seed(&self, child: Option<IpAddr>) -> Download {
        let mut download = (*self.0).clone();
        download.request_header.retain(|name, _| {
            let name = name.to_ascii_lowercase();
            name != "range" && name != "if-range"
        });
        download.need_back_to_source = true;
        download.disable_back_to_source = false;
        download.remote_ip = child.map(|ip| ip.to_string());
        download.set_scheduling_policy(SchedulingPolicy::Always);
        Download {
            range: None,
            output_path: None,
            force_hard_link: false,
            overwrite: false,
            prefetch: false,
            is_prefetch: false,
            need_piece_content: false,
            metadata_only: false,
            actual_piece_length: None,
            actual_content_length: None,
            actual_piece_count: None,
            ..download
        }
    }
}

impl fmt::Debug for CallersRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallersRequest(..)")
    }
}

/// Gives equal credentials equal numbers. The key is new in every process, so that a number outside it says nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbering(RandomState);

impl Numbering {
    /// The number of the credentials in a request.
    pub(crate) fn of(&self, download: &Download) -> CredentialsId {
        let mut hash = self.0.build_hasher();
        let mut headers: Vec<(String, &String)> = download
            .request_header
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| !NO_CREDENTIALS.contains(&name.as_str()))
            .collect();
        headers.sort();
        headers.hash(&mut hash);
        // Signed addresses carry their credentials in the query.
        download.url.split_once('?').map(|(_, query)| query).hash(&mut hash);
        download.certificate_chain.hash(&mut hash);
        if let Some(store) = &download.object_storage {
            let keys = (
                &store.access_key_id,
                &store.access_key_secret,
                &store.session_token,
                &store.security_token,
            );
            keys.hash(&mut hash);
        }
        download
            .hdfs
            .as_ref()
            .map(|hdfs| &hdfs.delegation_token)
            .hash(&mut hash);
        download.hugging_face.as_ref().map(|hub| &hub.token).hash(&mut hash);
        download.model_scope.as_ref().map(|hub| &hub.token).hash(&mut hash);
        download.open_csg.as_ref().map(|hub| &hub.token).hash(&mut hash);
        CredentialsId(hash.finish())
    }

    /// The number of the origin of a request; `None` if its address names no server.
    pub(crate) fn origin(&self, download: &Download) -> Option<OriginId> {
        let url = Url::parse(&download.url).ok()?;
        let origin = (url.scheme(), url.host_str()?, url.port_or_known_default());
        Some(OriginId(self.0.hash_one(origin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::common::Range;
    use std::collections::HashMap;

    fn download(headers: &[(&str, &str)]) -> Download {
        Download {
            url: "https://origin/x".to_owned(),
            request_header: headers
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_name_and_a_port() {
        let numbering = Numbering::default();
        let of = |url: &str| {
            numbering.origin(&Download {
                url: url.to_owned(),
                ..download(&[])
            })
        };
        let origin = of("https://origin/x");
        assert!(origin.is_some());
        assert_eq!(of("https://ORIGIN:443/y?z"), origin);
        assert_ne!(of("http://origin/x"), origin);
        assert_ne!(of("https://origin:444/x"), origin);
        assert_eq!(of("not an address"), None);
    }

    #[test]
    fn equal_credentials_have_equal_numbers_whatever_else_differs() {
        let numbering = Numbering::default();
        let of = |headers| numbering.of(&download(headers));
        let token = of(&[("Authorization", "Bearer a"), ("User-Agent", "one")]);
        assert_eq!(token, of(&[("authorization", "Bearer a"), ("traceparent", "00-1-2-3")]));
        assert_ne!(token, of(&[("authorization", "Bearer b")]));
        assert_ne!(token, of(&[]));
        let signed = Download {
            url: "https://origin/x?sig=1".to_owned(),
            ..download(&[])
        };
        assert_ne!(numbering.of(&signed), of(&[]));
    }

    #[test]
    fn a_seed_peer_is_asked_for_the_whole_content_with_the_callers_credentials() {
        let asked = CallersRequest::new(Download {
            range: Some(Range { start: 5, length: 1 }),
            output_path: Some("/etc/passwd".to_owned()),
            overwrite: true,
            need_piece_content: true,
            disable_back_to_source: true,
            actual_content_length: Some(9),
            tag: Some("t".to_owned()),
            ..download(&[("authorization", "Bearer s3cret"), ("Range", "bytes=5-5")])
        });
        assert!(!format!("{asked:?}").contains("s3cret"));
        let expected = Download {
            tag: Some("t".to_owned()),
            need_back_to_source: true,
            remote_ip: Some("10.0.0.7".to_owned()),
            scheduling_policy: SchedulingPolicy::Always.into(),
            request_header: HashMap::from([("authorization".to_owned(), "Bearer s3cret".to_owned())]),
            ..download(&[])
        };
        assert_eq!(asked.for_seed(Some([10, 0, 0, 7].into())), expected);
    }
}
