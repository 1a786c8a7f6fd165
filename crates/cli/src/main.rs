//! The binary `dragonfly`.
fn main() {}
