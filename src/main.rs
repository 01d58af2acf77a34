//! The `millrace` command: `serve` is the daemon, the other subcommands are its client.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace::cli::main()
}
