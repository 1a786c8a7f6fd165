//! What a component's certificate shall say.

use super::MAX_DAYS;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The most names of a certificate.
const MAX_NAMES: usize = 64;
/// Limits of DNS, in characters.
const MAX_DNS: usize = 253;
const MAX_LABEL: usize = 63;
/// The most characters of a common name.
const MAX_COMMON_NAME: usize = 64;

/// Who has a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Is called by all others, by name or address.
    Manager,
    /// Is called by peers, at the address that the manager has of it.
    Scheduler,
    /// Is called by schedulers and peers, at its address.
    SeedPeer,
    /// Is called by schedulers and peers, at its address.
    Peer,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Manager, Self::Scheduler, Self::SeedPeer, Self::Peer];

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.word() == word)
    }

    /// Its name in files and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Scheduler => "scheduler",
            Self::SeedPeer => "seed-peer",
            Self::Peer => "peer",
        }
    }

    /// Whether it is called by its address alone.
    fn needs_ip(self) -> bool {
        self != Self::Manager
    }
}

/// A name or address under which a component is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A host name, in lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Why a name can't stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is no host name.
    #[error("{0:?} is no host name: letters, digits and hyphens in parts of up to 63, joined by dots, no wildcard")]
    Dns(String),
    /// It is an address at which nobody can be called.
    #[error("nobody is called at {0}; name the address that others use")]
    Ip(IpAddr),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Self::ip(ip);
        }
        let is_label = |label: &str| {
            let inner = |character: char| character.is_ascii_alphanumeric() || character == '-';
            (1..=MAX_LABEL).contains(&label.len())
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // What ends like an address is one with a mistake in it.
        let numeric = text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.chars().all(|character| character.is_ascii_digit()));
        if text.len() > MAX_DNS || numeric || !text.split('.').all(is_label) {
            return Err(NameError::Dns(text.to_owned()));
        }
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

impl Name {
    /// An address, if somebody can be called there.
    pub fn ip(ip: IpAddr) -> Result<Self, NameError> {
        let ip = ip.to_canonical();
        let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
            return Err(NameError::Ip(ip));
        }
        Ok(Self::Ip(ip))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A certificate that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    component: Component,
    names: Vec<Name>,
    days: u16,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nobody could be called by it.
    #[error("a certificate needs a name or an address; give --name or --ip")]
    Nameless,
    /// It is called by its address, which is not in it.
    #[error("a {} is called by its address; give --ip", .0.word())]
    NeedsIp(Component),
    /// It has too many.
    #[error("a certificate has at most {MAX_NAMES} names and addresses, not {0}")]
    TooMany(usize),
    /// It is good for too long, or not at all.
    #[error("a certificate is good for 1 to {MAX_DAYS} days, not {0}")]
    Days(u16),
}

impl Order {
    /// A certificate for `component` under these names, for so many days.
    pub fn new(component: Component, names: Vec<Name>, days: u16) -> Result<Self, OrderError> {
        if names.is_empty() {
            return Err(OrderError::Nameless);
        }
        if names.len() > MAX_NAMES {
            return Err(OrderError::TooMany(names.len()));
        }
        if component.needs_ip() && !names.iter().any(|name| matches!(name, Name::Ip(_))) {
            return Err(OrderError::NeedsIp(component));
        }
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(OrderError::Days(days));
        }
        Ok(Self { component, names, days })
    }

    /// Whose it is.
    pub fn component(&self) -> Component {
        self.component
    }

    pub(super) fn days(&self) -> u16 {
        self.days
    }

    pub(super) fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::default();
        let first = self.names.first().map(Name::to_string).unwrap_or_default();
        let common: String = first.chars().take(MAX_COMMON_NAME).collect();
        params.distinguished_name = super::named(&common);
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, self.component.word());
        for name in &self.names {
            params.subject_alt_names.push(match name {
                Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
                Name::Ip(ip) => SanType::IpAddress(*ip),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // The manager calls nobody.
        if self.component != Component::Manager {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names_and_addresses_at_which_somebody_answers() {
        for good in [
            "manager",
            "Manager.dragonfly.svc",
            "10.0.0.1",
            "::1",
            "fd00::7",
            "a-1.b",
        ] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        assert_eq!("Manager".parse(), Ok(Name::Dns("manager".to_owned())));
        for bad in [
            "",
            "*",
            "*.example.com",
            "a b",
            "a..b",
            "-a",
            "a_b",
            "10.0.0",
            "10.0.0.256",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "::ffff:0.0.0.0",
            "a/24",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_must_name_who_is_called_and_how_long() {
        let name = || vec!["host".parse().unwrap()];
        let ip = || vec!["10.0.0.1".parse().unwrap()];
        assert!(Order::new(Component::Manager, name(), 1).is_ok());
        assert!(Order::new(Component::Peer, ip(), MAX_DAYS).is_ok());
        assert_eq!(Order::new(Component::Manager, Vec::new(), 1), Err(OrderError::Nameless));
        assert_eq!(
            Order::new(Component::Scheduler, name(), 1),
            Err(OrderError::NeedsIp(Component::Scheduler))
        );
        for days in [0, MAX_DAYS + 1] {
            assert_eq!(
                Order::new(Component::Manager, name(), days),
                Err(OrderError::Days(days))
            );
        }
    }
}
