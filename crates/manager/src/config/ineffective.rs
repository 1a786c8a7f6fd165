//! Keys that Dragonfly 2.0 to 2.5, its documentation or its charts know and that do nothing here. They are accepted, so
//! that an existing file still starts, and named in one warning each.

use super::Raw;
use serde::{Deserialize, Deserializer};

/// The place of a key without effect: accepts anything and remembers only that something was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ineffective {
    pub(super) present: bool,
}

impl<'de> Deserialize<'de> for Ineffective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self { present: true })
    }
}

type Find = fn(&Raw) -> Ineffective;

/// Every such key: its path, where it is, and what takes its place.
const TABLE: &[(&str, Find, &str)] = &[
    ("server.name", |raw| raw.server.name, "the name is fixed"),
    (
        "server.logMaxAge",
        |raw| raw.server.log_max_age,
        "use server.logMaxSize and server.logMaxBackups",
    ),
    ("server.pluginDir", |raw| raw.server.plugin_dir, "there are no plugins"),
    (
        "server.cacheDir",
        |raw| raw.server.cache_dir,
        "everything lies in server.dataDir",
    ),
    (
        "server.workHome",
        |raw| raw.server.work_home,
        "everything lies in server.dataDir",
    ),
    (
        "server.grpc.advertiseIP",
        |raw| raw.server.grpc.advertise_ip,
        "callers are configured with the address",
    ),
    (
        "server.grpc.advertisePort",
        |raw| raw.server.grpc.advertise_port,
        "callers are configured with the port",
    ),
    (
        "server.grpc.port.end",
        |raw| raw.server.grpc.port.end,
        "server.grpc.port.start is the port",
    ),
    ("auth.jwt.maxRefresh", |raw| raw.auth.jwt.max_refresh, "sign in again"),
    ("database.redis", |raw| raw.database.redis, "nothing needs Redis"),
    ("cache", |raw| raw.cache, "answers come from the database"),
    ("job", |raw| raw.job, "there are no jobs yet"),
    (
        "objectStorage",
        |raw| raw.object_storage,
        "peers talk to object stores themselves",
    ),
    ("security", |raw| raw.security, "use server.grpc.tls"),
    ("tracing", |raw| raw.tracing, "traces are not exported yet"),
    ("pprofPort", |raw| raw.pprof_port, "there is no profiling port"),
    (
        "metrics.enablePeerGauge",
        |raw| raw.metrics.enable_peer_gauge,
        "schedulers count peers",
    ),
];

/// The keys in `raw` that do nothing, each with what takes its place.
pub(super) fn found(raw: &Raw) -> Vec<String> {
    TABLE
        .iter()
        .filter(|(_, find, _)| find(raw).present)
        .map(|(path, _, advice)| format!("{path} has no effect: {advice}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_accepted_and_named() {
        for (path, _, advice) in TABLE {
            let keys: Vec<&str> = path.split('.').collect();
            let mut text = String::new();
            for (depth, key) in keys.iter().enumerate() {
                text.push_str(&format!("{}{key}:\n", "  ".repeat(depth)));
            }
            let text = format!("{} {{anything: 1}}\n", text.trim_end());
            let raw: Raw = dragonfly_service::config::parse(&text, "manager.yaml").unwrap();
            assert_eq!(found(&raw), [format!("{path} has no effect: {advice}")]);
        }
    }

    #[test]
    fn a_default_file_has_none() {
        assert!(found(&Raw::default()).is_empty());
    }
}
