//! A private certificate authority, as companies run them: programs must be told to trust it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// A certificate authority whose files live in a test's directory.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key as PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority that keeps its files in `dir`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn create(dir: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "testkit private CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params.clone(), key),
        };
        std::fs::create_dir_all(authority.trust())?;
        std::fs::write(
            authority.certificate(),
            params.self_signed(authority.issuer.key())?.pem(),
        )?;
        Ok(authority)
    }

    /// A directory with nothing but the authority's certificate: some clients take any other file for a key of theirs.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.dir.join("trust")
    }

    /// The authority's own certificate: what a client must trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.trust().join("ca.crt")
    }

    /// A server certificate for an address, as `<name>.crt` and `<name>.key`.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn server(&self, name: &str, ip: IpAddr) -> Result<Identity> {
        self.server_named(name, "localhost", ip)
    }

    /// A server certificate for a host's name and address, as `<name>.crt` and `<name>.key`.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn server_named(&self, name: &str, host: &str, ip: IpAddr) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(ip));
        let identity = Identity {
            certificate: self.dir.join(format!("{name}.crt")),
            key: self.dir.join(format!("{name}.key")),
        };
        std::fs::write(&identity.certificate, params.signed_by(&key, &self.issuer)?.pem())?;
        std::fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}
