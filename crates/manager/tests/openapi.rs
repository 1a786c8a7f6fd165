//! The committed description of the API is the one that is served.

#![allow(
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects shall fail"
)]

use std::path::Path;

/// `cargo xtask openapi` sets it, to have the document written instead of compared.
const WRITE: &str = "DRAGONFLY_WRITE_OPENAPI";

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document = dragonfly_manager::openapi();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, document).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == document,
        "docs/openapi.json is stale; `cargo xtask openapi` writes it anew"
    );
}
