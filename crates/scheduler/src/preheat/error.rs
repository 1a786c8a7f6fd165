//! Why an order can't be carried out at all.

use super::select::Scope;
use dragonfly_api::Invalid;
use dragonfly_service::chain;
use dragonfly_source::oci;
use tonic::{Code, Status};

/// Why an order can't be carried out at all. No text of it holds a credential or a query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It makes no sense. The caller's fault.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It says something impossible. The caller's fault.
    #[error("{field} is {value}; {remedy}")]
    Value {
        field: &'static str,
        value: String,
        remedy: &'static str,
    },
    /// The image can't be resolved.
    #[error(transparent)]
    Image(#[from] oci::Error),
    /// What it trusts is nothing to be trusted. The caller's fault.
    #[error("certificate_chain can't be used")]
    Trust(#[source] dragonfly_source::Error),
    /// There is no host of the kind that is wanted.
    #[error("{}", no_hosts(*scope, ips))]
    NoHosts { scope: Scope, ips: Vec<String> },
    /// It is too large.
    #[error("{contents} contents on {hosts} hosts are more than {limit} targets; make several orders")]
    TooMany {
        contents: usize,
        hosts: usize,
        limit: usize,
    },
    /// No peer says what is in a directory.
    #[error("what is in the directory is not known: {0}")]
    Directory(String),
    /// Others come first.
    #[error("{0} orders are being carried out already; try again later")]
    Busy(usize),
    /// Nobody waits any longer.
    #[error("it was not done within {0:?}")]
    Timeout(std::time::Duration),
}

fn no_hosts(scope: Scope, ips: &[String]) -> String {
    let kind = match scope {
        Scope::AllPeers => "peer",
        Scope::AllSeedPeers | Scope::SingleSeedPeer => "seed peer",
    };
    if ips.is_empty() {
        format!("the cluster has no {kind}; scope {} needs one", scope.as_str())
    } else {
        format!("no {kind} of the cluster has one of the addresses {}", ips.join(", "))
    }
}

impl Error {
    /// The error and its causes in one line.
    pub(crate) fn told(&self) -> String {
        chain(self).to_string()
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Invalid(_) | Error::Value { .. } | Error::Trust(_) | Error::TooMany { .. } => Code::InvalidArgument,
            Error::NoHosts { .. } | Error::Directory(_) => Code::FailedPrecondition,
            Error::Busy(_) => Code::ResourceExhausted,
            Error::Timeout(_) => Code::DeadlineExceeded,
            Error::Image(image) => match image {
                oci::Error::Reference(_) | oci::Error::Platform(_) => Code::InvalidArgument,
                oci::Error::Denied { .. } => Code::PermissionDenied,
                oci::Error::NotFound(_) | oci::Error::NoPlatform { .. } => Code::NotFound,
                other if other.is_transient() => Code::Unavailable,
                _ => Code::FailedPrecondition,
            },
        };
        Status::new(code, error.told())
    }
}
