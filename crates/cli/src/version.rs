//! What `--version` says: `<name> <version> (<commit>, <date of the commit>)`, the form of upstream's tools.

/// Version, commit and date; clap puts the name in front.
pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("DRAGONFLY_COMMIT"),
    ", ",
    env!("DRAGONFLY_COMMIT_DATE"),
    ")"
);
