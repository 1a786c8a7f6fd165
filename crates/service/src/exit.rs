//! Exit codes of every program.

/// Everything that is not [`BAD_CONFIG`]: a taken port, an unreachable database, a failed download.
pub const FAILURE: u8 = 1;

/// The configuration or the command line asks for something impossible; starting again without a change is useless.
/// The number is `EX_USAGE` of sysexits.h; systemd's `RestartPreventExitStatus=64` can name it.
pub const BAD_CONFIG: u8 = 64;
