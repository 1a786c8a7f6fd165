//! The peer (`dfdaemon`): moves bytes for one host, serves pieces to others and proxies container runtimes. A seed peer
//! is a peer with other configuration.

pub mod config;
pub mod engine;

pub use config::Config;
