//! The real binary, running as `dragonfly up`.
