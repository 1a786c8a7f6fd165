//! Keys that Dragonfly 2.0 to 2.5, its documentation or its charts know and that do nothing here. They are accepted, so
//! that an existing file still starts, and named in one warning.

use super::Raw;
use dragonfly_service::config::IneffectiveKey;

/// Every such key: its path, where it is, and what takes its place.
pub(super) const TABLE: &[IneffectiveKey<Raw>] = &[
    ("pprofPort", |raw| raw.pprof_port, "there is no profiling port"),
    ("log", |raw| raw.log, "use --log-level or verbose"),
    ("server.pluginDir", |raw| raw.server.plugin_dir, "there are no plugins"),
    (
        "server.cacheDir",
        |raw| raw.server.cache_dir,
        "everything lies in storage.dir",
    ),
    (
        "server.adaptiveRateLimit",
        |raw| raw.server.adaptive_rate_limit,
        "use the requestRateLimit of each server",
    ),
    (
        "scheduler.enableBackToSource",
        |raw| raw.scheduler.enable_back_to_source,
        "use proxy.disableBackToSource or dfget --disable-back-to-source",
    ),
    (
        "seedPeer.server",
        |raw| raw.seed_peer.server,
        "use upload.server and host.ip",
    ),
    (
        "seedPeer.keepAlive",
        |raw| raw.seed_peer.keep_alive,
        "the interval is fixed",
    ),
    (
        "storage.writePieceTimeout",
        |raw| raw.storage.write_piece_timeout,
        "use download.pieceTimeout",
    ),
    (
        "storage.cacheCapacity",
        |raw| raw.storage.cache_capacity,
        "the page cache does it",
    ),
    (
        "storage.server.tcpFastopen",
        |raw| raw.storage.server.tcp_fastopen,
        "connections between peers are reused",
    ),
    (
        "storage.server.quicPort",
        |raw| raw.storage.server.quic_port,
        "pieces travel over storage.server.tcpPort",
    ),
    (
        "gc.policy.persistentTaskTTL",
        |raw| raw.gc.policy.persistent_task_ttl,
        "there are no persistent tasks",
    ),
    (
        "gc.policy.persistentCacheTaskTTL",
        |raw| raw.gc.policy.persistent_cache_task_ttl,
        "there are no persistent cache tasks",
    ),
    (
        "gc.policy.pageCacheIdleTimeout",
        |raw| raw.gc.policy.page_cache_idle_timeout,
        "the kernel reclaims its page cache",
    ),
    (
        "proxy.prefetch",
        |raw| raw.proxy.prefetch,
        "a range fetches the pieces it covers",
    ),
    (
        "proxy.prefetchBandwidthLimit",
        |raw| raw.proxy.prefetch_bandwidth_limit,
        "use download.bandwidthLimit",
    ),
    (
        "proxy.readBufferSize",
        |raw| raw.proxy.read_buffer_size,
        "use storage.readBufferSize",
    ),
    (
        "backend.enableCacheTemporaryRedirect",
        |raw| raw.backend.enable_cache_temporary_redirect,
        "redirects are followed anew",
    ),
    (
        "backend.cacheTemporaryRedirectTTL",
        |raw| raw.backend.cache_temporary_redirect_ttl,
        "redirects are followed anew",
    ),
    (
        "backend.putConcurrentChunkCount",
        |raw| raw.backend.put_concurrent_chunk_count,
        "nothing is put into origins",
    ),
    (
        "backend.putChunkSize",
        |raw| raw.backend.put_chunk_size,
        "nothing is put into origins",
    ),
    (
        "backend.putTimeout",
        |raw| raw.backend.put_timeout,
        "nothing is put into origins",
    ),
    (
        "backend.enableHickoryDNS",
        |raw| raw.backend.enable_hickory_dns,
        "the system resolves names",
    ),
    (
        "security.enable",
        |raw| raw.security.enable,
        "use the certificates of each section",
    ),
    (
        "network.enableIPv4",
        |raw| raw.network.enable_ipv4,
        "IPv4 is on; see network.enableIPv6",
    ),
    ("stats", |raw| raw.stats, "there is no profiling port"),
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
            let raw: Raw = dragonfly_service::config::parse(&text, "dfdaemon.yaml").unwrap();
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
