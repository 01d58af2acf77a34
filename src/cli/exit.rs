//! Exit codes, the same in every subcommand; scripts may rely on them. Where `sysexits.h` has a fitting one, it is that.

use std::process::ExitCode;

/// The work is done; for `serve`, it was asked to stop and has stopped cleanly.
pub const OK: ExitCode = ExitCode::SUCCESS;

/// Something failed that has no code of its own.
pub const FAILURE: ExitCode = ExitCode::FAILURE;

/// As [`FAILURE`], as a number.
pub const FAILED: u8 = 1;

/// The command line makes no sense (clap's own code).
pub const USAGE: u8 = 2;

/// Data is damaged: `verify` found damage, a fetched batch fails its checksum, or an input line cannot be read.
pub const DAMAGED: u8 = 65;

/// A topic, partition, offset, group or input file does not exist.
pub const NOT_FOUND: u8 = 66;

/// The address cannot be listened on, or the broker cannot be reached.
pub const UNAVAILABLE: u8 = 69;

/// A disk failed under the broker: nothing of the failed write was acknowledged. Look at the disk, then start again.
pub const DISK: u8 = 74;

/// Another process holds the data directory.
pub const IN_USE: u8 = 75;

/// The broker refuses: the request is wrong, not allowed, or not supported; a group that is to change is in use.
pub const REFUSED: u8 = 77;

/// The configuration is wrong: an unknown key, a bad value, or a listener open to all without a word about it.
pub const CONFIG: u8 = 78;

/// Stopped by Ctrl-C (a member of a group also by SIGTERM), after what was begun has been finished.
pub const INTERRUPTED: u8 = 130;

/// The codes for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  failed, for a reason without a code of its own
    2  the command line makes no sense
   65  data is damaged (verify found damage, a checksum fails, an input line cannot be read)
   66  a topic, partition, offset, group or input file does not exist
   69  the broker cannot be reached; the address cannot be listened on
   74  a disk failed under the broker
   75  another process holds the data directory
   77  the broker refuses the request; a group that is to change is in use
   78  the configuration is wrong
  130  stopped by Ctrl-C; a member of a group also by SIGTERM";

/// Where a subcommand's `--help` sends its reader for them.
pub(crate) const SEE: &str = "`millrace --help` lists the exit codes.";
