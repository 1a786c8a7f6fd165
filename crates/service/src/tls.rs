//! TLS from files: certificates, keys and roots as rustls and tonic want them. The provider is *ring*.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// The keys that configure TLS. A server needs `cert` and `key`, and with `caCert` asks its clients for certificates of
/// that CA; a client trusts `caCert`, and shows `cert` if it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Files {
    /// PEM file with the certificates of the CA.
    pub ca_cert: Option<PathBuf>,
    /// PEM file with this side's certificate, and intermediate ones behind it.
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of `cert`.
    pub key: Option<PathBuf>,
}

/// Why TLS can't be configured. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of [`Files`] is needed.
    #[error("{0} is missing: TLS needs it")]
    Missing(&'static str),
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate or no private key.
    #[error("{} holds no {wanted} in PEM form", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// "certificate" or "private key".
        wanted: &'static str,
    },
    /// A file is damaged.
    #[error("{} is damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Certificate and key don't fit together, or can't be used.
    #[error("certificate {} can't be used with its key: {message}", path.display())]
    Unusable {
        /// File of the certificate.
        path: PathBuf,
        /// What rustls says.
        message: String,
    },
}

/// Makes *ring* the provider of the process. Calling it again changes nothing.
pub fn install_provider() {
    // An error says that there is one already: ours, since no other is compiled in.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// The roots of this system and those in `extra_pem`.
pub fn roots(extra_pem: &[PathBuf]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in native.errors {
        tracing::warn!(%error, "a root certificate of the system can't be read");
    }
    let (_, ignored) = roots.add_parsable_certificates(native.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "root certificates of the system that are malformed");
    }
    for path in extra_pem {
        add(&mut roots, path, &read(path)?)?;
    }
    Ok(roots)
}

/// The serving side.
#[derive(Debug, Clone)]
pub struct ServerTls {
    rustls: Arc<ServerConfig>,
    tonic: ServerTlsConfig,
}

impl ServerTls {
    /// Reads the files. With `ca_cert`, clients without a certificate of that CA are refused.
    pub fn load(files: &Files) -> Result<Self, Error> {
        install_provider();
        let own = Own::load(files)?.ok_or(Error::Missing("cert"))?;
        let mut tonic = ServerTlsConfig::new().identity(own.identity());
        let builder = ServerConfig::builder();
        let builder = match &files.ca_cert {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let pem = read(path)?;
                let mut roots = RootCertStore::empty();
                add(&mut roots, path, &pem)?;
                tonic = tonic.client_ca_root(Certificate::from_pem(pem));
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| Error::Damaged {
                    path: path.clone(),
                    message: error.to_string(),
                })?)
            }
        };
        let mut config = builder
            .with_single_cert(own.chain, own.key)
            .map_err(|error| unusable(&own.cert, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            rustls: Arc::new(config),
            tonic,
        })
    }

    /// For gRPC.
    pub fn tonic(&self) -> ServerTlsConfig {
        self.tonic.clone()
    }

    /// For everything else; offers HTTP/2 and HTTP/1.1.
    pub fn rustls(&self) -> Arc<ServerConfig> {
        self.rustls.clone()
    }
}

/// The calling side.
#[derive(Debug, Clone)]
pub struct ClientTls {
    rustls: Arc<ClientConfig>,
    tonic: ClientTlsConfig,
}

impl ClientTls {
    /// Reads the files. With `ca_cert`, only servers of that CA are trusted, else those that the system trusts.
    pub fn load(files: &Files) -> Result<Self, Error> {
        install_provider();
        let mut tonic = ClientTlsConfig::new();
        let trusted = match &files.ca_cert {
            None => {
                let trusted = roots(&[])?;
                tonic = tonic.trust_anchors(trusted.roots.clone());
                trusted
            }
            Some(path) => {
                let pem = read(path)?;
                let mut trusted = RootCertStore::empty();
                add(&mut trusted, path, &pem)?;
                tonic = tonic.ca_certificate(Certificate::from_pem(pem));
                trusted
            }
        };
        let builder = ClientConfig::builder().with_root_certificates(trusted);
        let config = match Own::load(files)? {
            None => builder.with_no_client_auth(),
            Some(own) => {
                tonic = tonic.identity(own.identity());
                builder
                    .with_client_auth_cert(own.chain, own.key)
                    .map_err(|error| unusable(&own.cert, &error))?
            }
        };
        Ok(Self {
            rustls: Arc::new(config),
            tonic,
        })
    }

    /// For gRPC; the name that is verified is the host of the address.
    pub fn tonic(&self) -> ClientTlsConfig {
        self.tonic.clone()
    }

    /// For everything else.
    pub fn rustls(&self) -> Arc<ClientConfig> {
        self.rustls.clone()
    }
}

/// This side's certificate and key.
struct Own {
    cert: PathBuf,
    cert_pem: Vec<u8>,
    key_pem: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Own {
    /// None if neither is configured; one without the other is an error.
    fn load(files: &Files) -> Result<Option<Self>, Error> {
        let (cert, key) = match (&files.cert, &files.key) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(Error::Missing("cert")),
            (Some(_), None) => return Err(Error::Missing("key")),
            (Some(cert), Some(key)) => (cert, key),
        };
        let (cert_pem, key_pem) = (read(cert)?, read(key)?);
        Ok(Some(Self {
            chain: certificates(cert, &cert_pem)?,
            key: PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| pem_error(key, "private key", &error))?,
            cert: cert.clone(),
            cert_pem,
            key_pem,
        }))
    }

    fn identity(&self) -> Identity {
        Identity::from_pem(&self.cert_pem, &self.key_pem)
    }
}

fn unusable(path: &Path, error: &rustls::Error) -> Error {
    Error::Unusable {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(chain) if chain.is_empty() => Err(Error::Empty {
            path: path.to_owned(),
            wanted: "certificate",
        }),
        Ok(chain) => Ok(chain),
        Err(error) => Err(pem_error(path, "certificate", &error)),
    }
}

fn pem_error(path: &Path, wanted: &'static str, error: &rustls::pki_types::pem::Error) -> Error {
    let path = path.to_owned();
    match error {
        rustls::pki_types::pem::Error::NoItemsFound => Error::Empty { path, wanted },
        error => Error::Damaged {
            path,
            message: error.to_string(),
        },
    }
}

fn add(roots: &mut RootCertStore, path: &Path, pem: &[u8]) -> Result<(), Error> {
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| Error::Damaged {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
    }
    Ok(())
}
