use super::super::{Config, Raw};
use super::*;

fn config(text: &str) -> Result<Config, dragonfly_service::config::Error> {
    dragonfly_service::config::parse::<Raw>(text, "manager.yaml").and_then(Config::try_from)
}

fn problems(text: &str) -> String {
    config(text).unwrap_err().to_string()
}

#[test]
fn files_of_dragonfly_2_5_name_their_database_and_their_redis() {
    let config = config(
        "database:\n  type: mysql\n  mysql: {user: dragonfly, password: 'p@ss', host: mysql, port: 3306, dbname: manager, \
         migrate: true}\n  redis: {addrs: ['redis:6379'], password: r, db: 0, brokerDB: 1, backendDB: 2}\n",
    )
    .unwrap();
    let DatabaseConfig::MySql(server) = &config.database else {
        panic!("{:?}", config.database);
    };
    assert_eq!((server.host.as_str(), server.port), ("mysql", 3306));
    assert_eq!((server.user.as_str(), server.name.as_str()), ("dragonfly", "manager"));
    assert_eq!(server.security.level, Level::Preferred);
    let redis = config.redis.as_ref().unwrap();
    assert_eq!(redis.addrs[0].to_string(), "redis:6379");
    assert_eq!(redis.master_name, None);
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    let shown = format!("{config:?}");
    assert!(!shown.contains("p@ss"), "{shown}");
}

#[test]
fn the_section_that_is_there_says_the_engine() {
    let postgres =
        config("database:\n  postgres: {user: u, host: h, sslMode: verify-full, tls: {caCert: /ca}}\n").unwrap();
    let DatabaseConfig::Postgres(server) = &postgres.database else {
        panic!("{:?}", postgres.database);
    };
    assert_eq!(server.port, 5432);
    assert_eq!(
        (server.security.level, server.security.ca.as_deref()),
        (Level::Host, Some(Path::new("/ca")))
    );
    let sqlite = config("database:\n  redis: {}\n").unwrap();
    assert!(matches!(sqlite.database, DatabaseConfig::Sqlite(_)));
    assert!(sqlite.redis.is_none());
    let both = problems("database:\n  mysql: {user: u, host: h}\n  postgres: {user: u, host: h}\n");
    assert!(both.contains("database.type"), "{both}");
}

#[test]
fn what_a_server_needs_and_what_is_impossible_is_told_at_once() {
    let text = problems(
        "database:\n  type: mariadb\n  mysql: {tlsConfig: sometimes, tls: {cert: /c}, dbname: ''}\n  \
         redis: {addrs: [nowhere, 'a:1', 'b:2'], tls: {key: /k}}\n",
    );
    for key in [
        "database.mysql.host",
        "database.mysql.user",
        "database.mysql.dbname",
        "database.mysql.tls.key",
        "database.redis.addrs can't be nowhere",
        "database.redis.masterName",
        "database.redis.tls.cert",
    ] {
        assert!(text.contains(key), "{key} in {text}");
    }
    assert!(problems("database: {type: oracle}").contains("oracle"));
    assert!(problems("database: {polardb: {user: u}}").contains("use database.type: mysql"));
}

#[test]
fn sentinels_and_addresses_of_ipv6_are_understood() {
    let config = config(
        "database:\n  redis: {addrs: ['[::1]:26379', 's2:26379'], masterName: lab, sentinelPassword: s, tls: {insecureSkipVerify: \
         true}}\n",
    )
    .unwrap();
    let redis = config.redis.unwrap();
    assert_eq!(redis.addrs[0].to_string(), "[::1]:26379");
    assert_eq!(redis.master_name.as_deref(), Some("lab"));
    assert!(redis.sentinel_login.password.is_some() && redis.login.password.is_none());
    assert_eq!(redis.tls.unwrap().level, Level::Encrypted);
}
