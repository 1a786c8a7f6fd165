//! Keys that Dragonfly 2.0 to 2.5, its documentation or its charts know and that do nothing here. They are accepted, so
//! that an existing file still starts, and named in one warning each.

use super::Raw;
use dragonfly_service::config::IneffectiveKey;

const NO_JOB_QUEUE: &str = "jobs are rows of the database";
const POOL: &str = "two connections are enough";

/// Every such key: its path, where it is, and what takes its place.
pub(super) const TABLE: &[IneffectiveKey<Raw>] = &[
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
    (
        "database.mysql.migrate",
        |raw| {
            raw.database
                .mysql
                .as_ref()
                .map(|mysql| mysql.migrate)
                .unwrap_or_default()
        },
        "the schema is always brought up to date",
    ),
    (
        "database.postgres.migrate",
        |raw| {
            raw.database
                .postgres
                .as_ref()
                .map(|postgres| postgres.migrate)
                .unwrap_or_default()
        },
        "the schema is always brought up to date",
    ),
    (
        "database.postgres.preferSimpleProtocol",
        |raw| {
            raw.database
                .postgres
                .as_ref()
                .map(|postgres| postgres.prefer_simple_protocol)
                .unwrap_or_default()
        },
        "statements are always prepared",
    ),
    (
        "database.postgres.timezone",
        |raw| {
            raw.database
                .postgres
                .as_ref()
                .map(|postgres| postgres.timezone)
                .unwrap_or_default()
        },
        "times are kept without a zone",
    ),
    (
        "database.redis.brokerDB",
        |raw| {
            raw.database
                .redis
                .as_ref()
                .map(|redis| redis.broker_db)
                .unwrap_or_default()
        },
        NO_JOB_QUEUE,
    ),
    (
        "database.redis.backendDB",
        |raw| {
            raw.database
                .redis
                .as_ref()
                .map(|redis| redis.backend_db)
                .unwrap_or_default()
        },
        NO_JOB_QUEUE,
    ),
    (
        "database.redis.poolSize",
        |raw| {
            raw.database
                .redis
                .as_ref()
                .map(|redis| redis.pool_size)
                .unwrap_or_default()
        },
        POOL,
    ),
    (
        "database.redis.poolTimeout",
        |raw| {
            raw.database
                .redis
                .as_ref()
                .map(|redis| redis.pool_timeout)
                .unwrap_or_default()
        },
        POOL,
    ),
    (
        "database.redis.proxy",
        |raw| raw.database.redis.as_ref().map(|redis| redis.proxy).unwrap_or_default(),
        "schedulers do not need the manager's Redis",
    ),
    ("cache", |raw| raw.cache, "answers come from the database"),
    ("job", |raw| raw.job, "there are no jobs yet"),
    (
        "objectStorage",
        |raw| raw.object_storage,
        "peers talk to object stores themselves",
    ),
    ("security", |raw| raw.security, "use server.grpc.tls"),
    ("pprofPort", |raw| raw.pprof_port, "there is no profiling port"),
    (
        "metrics.enablePeerGauge",
        |raw| raw.metrics.enable_peer_gauge,
        "schedulers count peers",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_service::config::Ineffective;

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
            assert_eq!(
                Ineffective::warnings(&raw, TABLE),
                [format!("{path} has no effect: {advice}")]
            );
        }
    }

    #[test]
    fn a_default_file_has_none() {
        assert!(Ineffective::warnings(&Raw::default(), TABLE).is_empty());
    }
}
