//! A certificate authority of the operator's own, for the TLS between manager, schedulers and peers. It lives in a
//! directory, works offline, and signs only for who can write there: no program signs for a caller over the network.
//!
//! A certificate names one component by the names and addresses under which others reach it, and nothing else; it ends
//! after at most [`MAX_DAYS`]. Its renewal keeps names and key, so only the certificate is replaced, whole or not at all.

mod files;
mod order;
mod renewal;

pub use order::{Component, Name, NameError, Order, OrderError};

use dragonfly_service::fs;
use files::{read, refuse_existing, write_new};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::io;
use std::path::{Path, PathBuf};

/// Days for which an authority is good.
const AUTHORITY_DAYS: i64 = 3652;
/// The most days for which it signs.
pub const MAX_DAYS: u16 = 825;

/// File of the authority's certificate, which everybody may have.
const CERTIFICATE: &str = "ca.crt";
/// File of its key, which nobody else may have.
const KEY: &str = "ca.key";
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// An authority, opened.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    certificate_pem: String,
    certificate: Vec<u8>,
    ends: Date,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// What the component trusts.
    pub ca_cert: PathBuf,
    /// Its certificate.
    pub cert: PathBuf,
    /// The key of that.
    pub key: PathBuf,
    /// The day after which it is good no longer, in UTC.
    pub ends: Date,
}

/// Why the authority did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What would be written is there.
    #[error("{} exists, and nothing is overwritten; choose another directory, or move it away", .0.display())]
    Exists(PathBuf),
    /// There is no authority.
    #[error("there is no authority in {}; make one with `dragonfly manager ca init --dir {}`", .0.display(), .0.display())]
    None(PathBuf),
    /// Others can read the authority's key.
    #[error("{} can be read by other users; run `chmod 600` on it, and ask who has read it", .0.display())]
    Exposed(PathBuf),
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The authority is too old to sign.
    #[error("the authority in {} ended on {ends}; make another one, and give its certificates to all", dir.display())]
    Ended {
        /// Where it is.
        dir: PathBuf,
        /// When.
        ends: Date,
    },
    /// A renewed certificate can't be written.
    #[error(transparent)]
    Replace(#[from] fs::Error),
    /// A name can't stand in a certificate.
    #[error(transparent)]
    Name(NameError),
    /// The order can't be signed.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The certificate is another authority's.
    #[error("{} was not signed by the authority in {}", cert.display(), dir.display())]
    Foreign {
        /// The certificate.
        cert: PathBuf,
        /// Where the authority is.
        dir: PathBuf,
    },
    /// A certificate could not be made.
    #[error("the certificate could not be made")]
    Made(#[from] rcgen::Error),
}

impl Issued {
    /// The part of the component's configuration file that makes it use these files, as YAML.
    pub fn configuration(&self, component: Component) -> String {
        let [ca, cert, key] =
            [&self.ca_cert, &self.cert, &self.key].map(|path| format!("{:?}", path.display().to_string()));
        let own = format!("{{caCert: {ca}, cert: {cert}, key: {key}}}");
        match component {
            // Browsers have no certificate, so REST asks for none.
            Component::Manager => {
                format!("server:\n  grpc:\n    tls: {own}\n  rest:\n    tls: {{cert: {cert}, key: {key}}}\n")
            }
            Component::Scheduler => {
                format!("server:\n  tls: {own}\nmanager:\n  tls: {own}\nseedPeer:\n  tls: {own}\n")
            }
            Component::SeedPeer | Component::Peer => {
                format!("manager: {own}\nscheduler: {own}\nupload:\n  server: {own}\n  client: {own}\n")
            }
        }
    }
}

impl Authority {
    /// Makes an authority in `dir`, which it makes if need be. One that is there is left alone.
    pub fn create(dir: &Path, now: Timestamp) -> Result<Self, Error> {
        let (cert, key_file) = (dir.join(CERTIFICATE), dir.join(KEY));
        refuse_existing([&cert, &key_file])?;
        files::make_dir(dir)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Dragonfly CA {}", uuid::Uuid::new_v4()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ends = day(now).saturating_add(AUTHORITY_DAYS.days());
        span(&mut params, yesterday(now), ends);
        let certificate = params.self_signed(&key)?;
        // The key first: a certificate without its key would look like an authority.
        write_new(&key_file, key.serialize_pem().as_bytes(), SECRET)?;
        write_new(&cert, certificate.pem().as_bytes(), PUBLIC)?;
        Self::open(dir, now)
    }

    /// Opens the authority in `dir`.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, Error> {
        let (cert, key_file) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !cert.exists() && !key_file.exists() {
            return Err(Error::None(dir.to_owned()));
        }
        files::refuse_exposed(&key_file)?;
        let damaged = |path: &Path, error: rcgen::Error| Error::Damaged {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let key = KeyPair::from_pem(&read(&key_file)?).map_err(|error| damaged(&key_file, error))?;
        let certificate_pem = read(&cert)?;
        let certificate = renewal::der(&cert, &certificate_pem)?;
        let ends = renewal::check_authority(&cert, &certificate, &key)?;
        if day(now) >= ends {
            return Err(Error::Ended {
                dir: dir.to_owned(),
                ends,
            });
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key).map_err(|error| damaged(&cert, error))?;
        Ok(Self {
            dir: dir.to_owned(),
            certificate_pem,
            certificate,
            ends,
            issuer,
        })
    }

    /// The file with the authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }

    /// The day after which it is good no longer, in UTC.
    pub fn ends(&self) -> Date {
        self.ends
    }

    /// Signs for a component whose key it makes, and writes `<component>.crt`, `<component>.key` and `ca.crt` to `out`.
    pub fn issue(&self, order: &Order, out: &Path, now: Timestamp) -> Result<Issued, Error> {
        let file = |end: &str| out.join(format!("{}.{end}", order.component().word()));
        let (cert, key_file, ca_cert) = (file("crt"), file("key"), out.join(CERTIFICATE));
        refuse_existing([&cert, &key_file])?;
        let has_ca = ca_cert.exists();
        if has_ca && read(&ca_cert)? != self.certificate_pem {
            return Err(Error::Exists(ca_cert));
        }
        files::make_dir(out)?;
        let key = KeyPair::generate()?;
        let mut params = order.params()?;
        let ends = self.limit(&mut params, now, order.days());
        let certificate = params.signed_by(&key, &self.issuer)?;
        write_new(&key_file, key.serialize_pem().as_bytes(), SECRET)?;
        write_new(&cert, certificate.pem().as_bytes(), PUBLIC)?;
        if !has_ca {
            write_new(&ca_cert, self.certificate_pem.as_bytes(), PUBLIC)?;
        }
        Ok(Issued {
            ca_cert,
            cert,
            key: key_file,
            ends,
        })
    }

    /// No certificate outlives the authority.
    fn limit(&self, params: &mut CertificateParams, now: Timestamp, days: u16) -> Date {
        let wanted = day(now).saturating_add(i64::from(days).days());
        let ends = wanted.min(self.ends);
        span(params, yesterday(now), ends);
        params.use_authority_key_identifier_extension = true;
        ends
    }
}

/// A certificate must be good at once on hosts whose clocks are late.
fn yesterday(now: Timestamp) -> Date {
    day(now).saturating_sub(1.day())
}

fn day(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date()
}

/// Sets from when until when a certificate is good.
fn span(params: &mut CertificateParams, from: Date, until: Date) {
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    let midnight = |date: Date| rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()));
    params.not_before = midnight(from);
    params.not_after = midnight(until);
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "Dragonfly");
    distinguished.push(DnType::CommonName, name);
    distinguished
}
