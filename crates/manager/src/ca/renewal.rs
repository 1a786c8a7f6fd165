//! Certificates that are there already: read, checked against the authority, and signed again.

use super::files::read;
use super::{Authority, Component, Error, Name, Order, PUBLIC, day};
use dragonfly_service::fs;
use jiff::Timestamp;
use jiff::civil::Date;
use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::IpAddr;
use std::path::Path;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

impl Authority {
    /// Signs a certificate of this authority again: the same component, names and key, for so many days from now. One
    /// that has ended is renewed, too. Returns the day after which the new one is good no longer, in UTC.
    pub fn renew(&self, cert: &Path, days: u16, now: Timestamp) -> Result<Date, Error> {
        let der = der(cert, &read(cert)?)?;
        let old = parse(cert, &der)?;
        let own = self.certificate();
        let authority = parse(&own, &self.certificate)?;
        if old.verify_signature(Some(authority.public_key())).is_err() {
            return Err(Error::Foreign {
                cert: cert.to_owned(),
                dir: self.dir.clone(),
            });
        }
        let order = Order::new(component(cert, &old)?, names(cert, &old)?, days)?;
        let key = SubjectPublicKeyInfo::from_der(old.public_key().raw)?;
        let mut params = order.params()?;
        let ends = self.limit(&mut params, now, order.days());
        let renewed = params.signed_by(&key, &self.issuer)?;
        fs::write_atomic(cert, renewed.pem().as_bytes(), PUBLIC)?;
        Ok(ends)
    }
}

/// The first certificate of a PEM file.
pub(super) fn der(path: &Path, pem: &str) -> Result<Vec<u8>, Error> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|error| damaged(path, format_args!("holds no certificate in PEM form ({error})")))?;
    Ok(der.to_vec())
}

/// The day on which an authority ends, if it is one and the key is its own.
pub(super) fn check_authority(path: &Path, der: &[u8], key: &KeyPair) -> Result<Date, Error> {
    let certificate = parse(path, der)?;
    if !certificate.is_ca() {
        return Err(damaged(path, "is no certificate of an authority"));
    }
    if certificate.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
        return Err(damaged(path, format_args!("does not belong to {}", super::KEY)));
    }
    let seconds = certificate.validity().not_after.timestamp();
    let ends = Timestamp::from_second(seconds).map_err(|error| damaged(path, error))?;
    Ok(day(ends))
}

fn parse<'a>(path: &Path, der: &'a [u8]) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(der);
    Ok(parsed
        .map_err(|error| damaged(path, format_args!("is no certificate ({error})")))?
        .1)
}

fn component(path: &Path, certificate: &X509Certificate<'_>) -> Result<Component, Error> {
    let units = certificate.subject().iter_organizational_unit();
    let word = units.filter_map(|unit| unit.as_str().ok()).next().unwrap_or_default();
    Component::of_word(word).ok_or_else(|| damaged(path, "is no component's certificate"))
}

fn names(path: &Path, certificate: &X509Certificate<'_>) -> Result<Vec<Name>, Error> {
    let extension = certificate.subject_alternative_name();
    let extension = extension.map_err(|error| damaged(path, error))?;
    let all = extension
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    all.iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => name.parse().map_err(|error| damaged(path, error)),
            GeneralName::IPAddress(bytes) => {
                let ip = ip(bytes).ok_or_else(|| damaged(path, "has an address that is none"))?;
                Name::ip(ip).map_err(|error| damaged(path, error))
            }
            other => Err(damaged(path, format_args!("has a name that no component has: {other}"))),
        })
        .collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn damaged(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}
