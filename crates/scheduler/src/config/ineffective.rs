//! Keys that Dragonfly 2.0 to 2.5, its documentation or its charts know and that do nothing here. A file that has them
//! still starts; each is named in one warning with what takes its place.

use super::Raw;
use dragonfly_service::config::IneffectiveKey;

const ONE_DIRECTORY: &str = "everything lies in server.dataDir";
const NO_RETRIES: &str = "peers wait for an event, not for a retry; see scheduler.waitTimeout";
const NO_SCANS: &str = "what is old is forgotten when it is due";
const OWN_FILES: &str = "use server.tls, manager.tls and seedPeer.tls";
const NO_REDIS: &str = "nothing needs Redis";

/// Every such key: its path, where it is, and what takes its place.
pub(super) const TABLE: &[IneffectiveKey<Raw>] = &[
    (
        "server.logMaxAge",
        |raw| raw.server.log_max_age,
        "use server.logMaxSize and server.logMaxBackups",
    ),
    ("server.pluginDir", |raw| raw.server.plugin_dir, "there are no plugins"),
    ("server.cacheDir", |raw| raw.server.cache_dir, ONE_DIRECTORY),
    ("server.workHome", |raw| raw.server.work_home, ONE_DIRECTORY),
    (
        "scheduler.algorithm",
        |raw| raw.scheduler.algorithm,
        "use scheduler.weights",
    ),
    (
        "scheduler.retryBackToSourceLimit",
        |raw| raw.scheduler.retry_back_to_source_limit,
        NO_RETRIES,
    ),
    ("scheduler.retryLimit", |raw| raw.scheduler.retry_limit, NO_RETRIES),
    (
        "scheduler.retryInterval",
        |raw| raw.scheduler.retry_interval,
        NO_RETRIES,
    ),
    (
        "scheduler.gc.peerGCInterval",
        |raw| raw.scheduler.gc.peer_gc_interval,
        NO_SCANS,
    ),
    (
        "scheduler.gc.taskGCInterval",
        |raw| raw.scheduler.gc.task_gc_interval,
        NO_SCANS,
    ),
    (
        "scheduler.gc.hostGCInterval",
        |raw| raw.scheduler.gc.host_gc_interval,
        NO_SCANS,
    ),
    (
        "dynConfig.type",
        |raw| raw.dyn_config.r#type,
        "it comes from the manager, if there is one",
    ),
    (
        "seedPeer.enable",
        |raw| raw.seed_peer.enable,
        "seed peers announce themselves",
    ),
    (
        "metrics.enableHost",
        |raw| raw.metrics.enable_host,
        "metrics have no label per host",
    ),
    ("peer", |raw| raw.peer, "use seedPeer.tls"),
    ("database", |raw| raw.database, NO_REDIS),
    ("job", |raw| raw.job, NO_REDIS),
    ("storage", |raw| raw.storage, "downloads are not recorded"),
    (
        "resource",
        |raw| raw.resource,
        "peers fetch small contents as all others",
    ),
    ("security.autoIssueCert", |raw| raw.security.auto_issue_cert, OWN_FILES),
    ("security.caCert", |raw| raw.security.ca_cert, OWN_FILES),
    ("security.tlsVerify", |raw| raw.security.tls_verify, OWN_FILES),
    ("security.tlsPolicy", |raw| raw.security.tls_policy, OWN_FILES),
    ("security.certSpec", |raw| raw.security.cert_spec, OWN_FILES),
    ("jaeger", |raw| raw.jaeger, "traces are not exported yet"),
    ("pprofPort", |raw| raw.pprof_port, "there is no profiling port"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_service::config::Ineffective;

    /// A file with one key, whatever its value.
    fn file_with(path: &str) -> String {
        path.split('.')
            .rev()
            .fold("{any: 1}".to_owned(), |inner, key| format!("{{{key}: {inner}}}"))
    }

    #[test]
    fn each_of_these_keys_is_accepted_with_its_own_warning() {
        for (path, _, advice) in TABLE {
            let raw: Raw = dragonfly_service::config::parse(&file_with(path), "scheduler.yaml").unwrap();
            assert_eq!(
                Ineffective::warnings(&raw, TABLE),
                [format!("{path} has no effect: {advice}")]
            );
        }
        assert_eq!(Ineffective::warnings(&Raw::default(), TABLE), Vec::<String>::new());
    }
}
