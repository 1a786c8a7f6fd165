//! Ending TLS inside a tunnel: for which hosts, and with what certificate.

use crate::config::{MitmCa, Rule};
use moka::sync::Cache;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const MAX_LEAVES: u64 = 1000;
/// A leaf is used for half its life, so that no client ever sees it end.
const LEAF_USED_FOR: Duration = Duration::from_secs(12 * 3600);
const LEAF_VALID_FOR: Duration = Duration::from_secs(24 * 3600);
/// How far behind ours a client's clock may be.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Why interception can't be set up, or a host can't be impersonated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the certificate authority can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key of the authority can't be used.
    #[error("proxy.server.caCert and caKey can't be used")]
    Authority(#[source] rcgen::Error),
    /// The certificate authority's file holds no certificate.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No certificate can be made for a host.
    #[error("no certificate can be made for this host")]
    Leaf(#[source] rcgen::Error),
    /// TLS does not take the certificate.
    #[error("the certificate can't be used")]
    Tls(#[source] rustls::Error),
}

/// Signs for the hosts that a rule can match, and remembers what it signed.
pub(super) struct Interceptor {
    issuer: Issuer<'static, KeyPair>,
    authority: CertificateDer<'static>,
    /// One key for all leaves: it lives as long as the process and leaves it never.
    leaf_key: KeyPair,
    leaves: Cache<String, Arc<ServerConfig>>,
    reach: Reach,
}

impl Interceptor {
    /// Reads the authority's files.
    pub(super) fn new(ca: &MitmCa, rules: &[Rule]) -> Result<Self, Error> {
        let (cert, key) = (read(&ca.cert)?, read(&ca.key)?);
        let key = KeyPair::from_pem(&key).map_err(Error::Authority)?;
        let authority = CertificateDer::from_pem_slice(cert.as_bytes())
            .map_err(|_| Error::NoCertificate { path: ca.cert.clone() })?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&authority, key).map_err(Error::Authority)?,
            authority,
            leaf_key: KeyPair::generate().map_err(Error::Authority)?,
            leaves: Cache::builder()
                .max_capacity(MAX_LEAVES)
                .time_to_live(LEAF_USED_FOR)
                .build(),
            reach: Reach::of(rules),
        })
    }

    /// Whether a rule can match any URL of this host, so that its tunnels must be opened to know.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        self.reach.covers(host, port)
    }

    /// The TLS of a server that looks like this host.
    pub(super) fn server(&self, host: &str) -> Result<Arc<ServerConfig>, Error> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if let Some(config) = self.leaves.get(&host) {
            return Ok(config);
        }
        let config = Arc::new(self.mint(&host)?);
        self.leaves.insert(host, config.clone());
        Ok(config)
    }

    fn mint(&self, host: &str) -> Result<ServerConfig, Error> {
        let mut params = CertificateParams::new([host.to_owned()]).map_err(Error::Leaf)?;
        let now = SystemTime::now();
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + LEAF_VALID_FOR).into();
        params.distinguished_name = DistinguishedName::new();
        // A common name has room for 64 characters only; clients look at the alternative name anyway.
        params.distinguished_name.push(DnType::CommonName, "dragonfly");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.leaf_key, &self.issuer).map_err(Error::Leaf)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone(), self.authority.clone()], key)
            .map_err(Error::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Which hosts rules can reach. A rule is an automaton; a host is out of its reach if the automaton has given up by the
/// end of `https://host/`, whatever may follow.
struct Reach(Vec<Option<DFA>>);

impl Reach {
    fn of(rules: &[Rule]) -> Self {
        // A rule that is too large for an automaton may match anything.
        Self(rules.iter().map(|rule| DFA::new(rule.regex.as_str()).ok()).collect())
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let prefix = match port {
            443 => format!("https://{host}/"),
            _ => format!("https://{host}:{port}/"),
        };
        self.0
            .iter()
            .any(|dfa| dfa.as_ref().is_none_or(|dfa| can_match(dfa, &prefix)))
    }
}

fn can_match(dfa: &DFA, prefix: &str) -> bool {
    let mut cache = dfa.create_cache();
    // Whatever the automaton can't tell counts as "may match".
    let Ok(mut state) = dfa.start_state_forward(&mut cache, &Input::new(prefix)) else {
        return true;
    };
    for byte in prefix.bytes() {
        match dfa.next_state(&mut cache, state, byte) {
            Ok(next) if next.is_dead() => return false,
            Ok(next) if next.is_match() || next.is_quit() => return true,
            Ok(next) => state = next,
            Err(_) => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn rules(list: &[&str]) -> Vec<Rule> {
        let rule = |regex: &&str| Rule {
            regex: Regex::new(regex).unwrap(),
            use_tls: false,
            redirect: None,
            filtered_query_params: Vec::new(),
        };
        list.iter().map(rule).collect()
    }

    #[test]
    fn only_hosts_that_a_rule_can_match_are_in_reach() {
        let reach = Reach::of(&rules(&["^https://ghcr[.]io/v2/.+/blobs/", "^https://lab:8443/"]));
        assert!(reach.covers("ghcr.io", 443));
        assert!(reach.covers("GHCR.io", 443));
        assert!(!reach.covers("ghcr.io", 8443));
        assert!(!reach.covers("ghcr.io.evil.example", 443));
        assert!(!reach.covers("bank.example", 443));
        assert!(reach.covers("lab", 8443));
        assert!(!Reach::of(&[]).covers("ghcr.io", 443));
    }

    #[test]
    fn a_rule_without_a_host_reaches_every_host() {
        let reach = Reach::of(&rules(&["blobs/sha256.*"]));
        assert!(reach.covers("ghcr.io", 443));
        assert!(reach.covers("[::1]", 8443));
    }

    #[test]
    fn a_leaf_is_signed_once_per_host() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = MitmCa {
            cert: dir.path().join("ca.pem"),
            key: dir.path().join("ca.key"),
        };
        std::fs::write(&ca.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&ca.key, key.serialize_pem()).unwrap();
        let interceptor = Interceptor::new(&ca, &rules(&["."])).unwrap();
        let one = interceptor.server("ghcr.io").unwrap();
        assert!(Arc::ptr_eq(&one, &interceptor.server("GHCR.IO").unwrap()));
        assert!(!Arc::ptr_eq(&one, &interceptor.server("quay.io").unwrap()));
        assert!(interceptor.server("[::1]").is_ok());

        std::fs::write(&ca.cert, "nothing").unwrap();
        assert!(Interceptor::new(&ca, &[]).is_err());
    }
}
