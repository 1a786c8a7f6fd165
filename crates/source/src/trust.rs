//! Whose certificates one request believes beside those that the configuration trusts.

use crate::Error;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use std::fmt;
use std::sync::Arc;

/// What is in every PEM file, and in no certificate in DER.
const PEM: &[u8] = b"-----BEGIN";
/// Certificates that one request may bring along.
const MAX_CERTIFICATES: usize = 32;

/// Beside the operating system's authorities and those of the configuration, which every request trusts.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    roots: Arc<[CertificateDer<'static>]>,
    unverified: bool,
}

impl Trust {
    /// Trusts these authorities, too. Each text is one certificate in DER, or any number of them in PEM.
    ///
    /// Fails if one is no certificate, or there are more than 32.
    pub fn in_authorities<T: AsRef<[u8]>>(texts: &[T]) -> Result<Self, Error> {
        let mut roots = Vec::new();
        for text in texts.iter().map(AsRef::as_ref) {
            let trimmed = text.trim_ascii();
            let is_pem = trimmed.windows(PEM.len()).any(|window| window == PEM);
            if is_pem {
                let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(trimmed).collect();
                roots.extend(read.map_err(|error| malformed(error.to_string()))?);
            } else {
                roots.push(CertificateDer::from(text.to_vec()));
            }
        }
        if roots.len() > MAX_CERTIFICATES {
            return Err(malformed(format!(
                "{} certificates; give {MAX_CERTIFICATES} at most",
                roots.len()
            )));
        }
        // What is no certificate is said now, not at the first connection.
        let mut store = rustls::RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| malformed(error.to_string()))?;
        }
        Ok(Self {
            roots: roots.into(),
            unverified: false,
        })
    }

    /// Believes whoever answers. Only for callers who asked for that in so many words.
    #[must_use]
    pub fn unverified() -> Self {
        Self {
            unverified: true,
            ..Self::default()
        }
    }

    /// The authorities, each in DER.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// Whether it trusts nobody but whom the configuration trusts.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn is_unverified(&self) -> bool {
        self.unverified
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("authorities", &self.roots.len())
            .field("unverified", &self.unverified)
            .finish()
    }
}

fn malformed(why: String) -> Error {
    Error::Config {
        what: "a given certificate authority is no certificate; give it in PEM or DER",
        source: why.into(),
    }
}

/// Accepts any certificate; the handshake's signatures are still checked, so that nobody listens in from the side.
#[derive(Debug)]
pub(crate) struct Anybody(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_come_in_pem_or_der_and_nonsense_is_refused() {
        let authority = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap();
        let (pem, der) = (authority.cert.pem(), authority.cert.der());
        let from_der = Trust::in_authorities(&[der.as_ref()]).unwrap();
        let from_pem = Trust::in_authorities(&[format!("# mine\n{pem}")]).unwrap();
        assert_eq!(from_der, from_pem);
        assert_eq!(from_der.authorities(), std::slice::from_ref(der));
        assert!(Trust::in_authorities(&[pem.repeat(33)]).is_err());
        for nonsense in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(Trust::in_authorities(&[nonsense]).is_err(), "{nonsense}");
        }
        assert!(Trust::in_authorities::<&[u8]>(&[]).unwrap().is_default());
    }
}
