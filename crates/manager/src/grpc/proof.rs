//! How a caller proved that it belongs here. Without TLS anybody who reaches the door may register as a scheduler; secrets of
//! jobs need more than that.

use crate::config::TellSecretsTo;
use std::net::{IpAddr, SocketAddr};
use tonic::Request;

/// The strongest proof that a call brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// A certificate of the authority that `server.grpc.tls.caCert` names; TLS has verified it.
    Certificate,
    /// It comes from the manager's own host, whose users could read the manager's memory or files anyway.
    OwnHost,
    None,
}

impl Proof {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let certified = request.peer_certs().is_some_and(|chain| !chain.is_empty());
        Self::new(certified, request.remote_addr(), request.local_addr())
    }

    fn new(certified: bool, from: Option<SocketAddr>, to: Option<SocketAddr>) -> Self {
        if certified {
            return Self::Certificate;
        }
        // A host sends from the address that it calls only if the address is its own.
        let ip = |addr: SocketAddr| addr.ip().to_canonical();
        match (from.map(ip), to.map(ip)) {
            (Some(from), _) if from.is_loopback() => Self::OwnHost,
            (Some(from), Some(to)) if from == to && !IpAddr::is_unspecified(&to) => Self::OwnHost,
            _ => Self::None,
        }
    }

    pub(super) fn opens_secrets(self, to: TellSecretsTo) -> bool {
        match to {
            TellSecretsTo::Certified => self == Self::Certificate,
            TellSecretsTo::Proved => self != Self::None,
            TellSecretsTo::Anyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(certified: bool, from: &str, to: &str) -> Proof {
        Proof::new(certified, from.parse().ok(), to.parse().ok())
    }

    #[test]
    fn who_calls_from_elsewhere_without_a_certificate_has_proved_nothing() {
        for (from, to, expected) in [
            ("127.0.0.1:5", "127.0.0.1:65003", Proof::OwnHost),
            ("[::ffff:127.0.0.1]:5", "[::1]:65003", Proof::OwnHost),
            ("10.0.0.5:5", "10.0.0.5:65003", Proof::OwnHost),
            ("[::ffff:10.0.0.5]:5", "10.0.0.5:65003", Proof::OwnHost),
            ("10.0.0.6:5", "10.0.0.5:65003", Proof::None),
            ("0.0.0.0:5", "0.0.0.0:65003", Proof::None),
            ("10.0.0.6:5", "", Proof::None),
            ("", "", Proof::None),
        ] {
            assert_eq!(proof(false, from, to), expected, "{from} to {to}");
            assert_eq!(proof(true, from, to), Proof::Certificate);
        }
    }

    #[test]
    fn each_setting_asks_for_less_than_the_one_before() {
        use TellSecretsTo::{Anyone, Certified, Proved};
        for (proof, opened) in [
            (Proof::Certificate, [true, true, true]),
            (Proof::OwnHost, [false, true, true]),
            (Proof::None, [false, false, true]),
        ] {
            assert_eq!(
                [Certified, Proved, Anyone].map(|to| proof.opens_secrets(to)),
                opened,
                "{proof:?}"
            );
        }
    }
}
