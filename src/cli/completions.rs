//! `millrace completions`: what the shell needs to complete the command line.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;

use super::failure::Failure;
use super::{Cli, exit};

/// Options of `millrace completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace completions bash > ~/.local/share/bash-completion/completions/millrace
  millrace completions zsh > ~/.zfunc/_millrace
  millrace completions fish > ~/.config/fish/completions/millrace.fish")]
pub(super) struct Args {
    /// The shell to write for.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "millrace", &mut script);
    match io::Write::write_all(&mut io::stdout(), &script) {
        Ok(()) => exit::OK,
        Err(error) => Failure::from(error).report(),
    }
}
