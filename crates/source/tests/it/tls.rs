//! Origins behind TLS: certificates are always checked.

use crate::support::{Origin, answer};
use dragonfly_source::{Caller, Config, Error, Fault, Request, Sources, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A private authority, and a server with a certificate of it for `name`.
fn authority_and_server(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (authority.der().clone(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_if_it_is_configured() {
    let (authority, acceptor) = authority_and_server("127.0.0.1");
    let origin = Origin::start_tls(acceptor, |_| answer(200, &[], "there")).await;
    let request = Request::new(origin.url("/x"), Caller::Local);

    let trusting = Sources::new(Config {
        extra_roots: vec![authority],
        ..Config::default()
    })
    .unwrap();
    assert_eq!(trusting.stat(&request).await.unwrap().status, 200);

    let error = Sources::new(Config::default())
        .unwrap()
        .stat(&request)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert_eq!(error.fault(), Fault::Origin);
    assert!(!error.is_unreachable());
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn one_request_may_trust_what_another_does_not() {
    let (authority, acceptor) = authority_and_server("127.0.0.1");
    let origin = Origin::start_tls(acceptor, |_| answer(200, &[], "there")).await;
    let sources = Sources::new(Config::default()).unwrap();
    let plain = Request::new(origin.url("/x"), Caller::Local);
    for trust in [Trust::in_authorities(&[authority]).unwrap(), Trust::unverified()] {
        let trusting = Request { trust, ..plain.clone() };
        assert_eq!(sources.stat(&trusting).await.unwrap().status, 200);
        let error = sources.stat(&plain).await.unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (authority, acceptor) = authority_and_server("elsewhere.example");
    let origin = Origin::start_tls(acceptor, |_| answer(200, &[], "there")).await;
    let trusting = Sources::new(Config {
        extra_roots: vec![authority],
        ..Config::default()
    })
    .unwrap();
    let error = trusting
        .stat(&Request::new(origin.url("/x"), Caller::Local))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[test]
fn what_is_no_certificate_is_a_configuration_error() {
    let result = Sources::new(Config {
        extra_roots: vec![CertificateDer::from(vec![1, 2, 3])],
        ..Config::default()
    });
    assert!(matches!(result, Err(Error::Config { .. })));
}
