//! How a subcommand ends when it does not succeed: a sentence on stderr and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use super::exit;
use crate::client::{Error, ErrorKind};

/// A subcommand that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What happened and what to do; `None` when there is nothing to say.
    message: Option<String>,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// An end that needs no words, such as one by Ctrl-C.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, message: None }
    }

    /// The user's arguments, or their combination, make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// An input file that cannot be read.
    pub(crate) fn input(name: &str, error: &io::Error) -> Self {
        Self::new(exit::NOT_FOUND, format!("cannot read {name}: {error}"))
    }

    /// Puts where it happened in front of the message.
    pub(crate) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.message = self.message.map(|message| format!("{place}: {message}"));
        self
    }

    /// Says it and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            complain(message);
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Unreachable => exit::UNAVAILABLE,
            ErrorKind::NotFound => exit::NOT_FOUND,
            ErrorKind::Refused => exit::REFUSED,
            ErrorKind::Damaged => exit::DAMAGED,
            ErrorKind::Broker | ErrorKind::Local => exit::FAILED,
        };
        Self::new(code, error.to_string())
    }
}

/// Writing to stdout failed. A reader that has enough (`| head`) is not an error and gets no message.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, message: None };
        }
        Self::new(exit::FAILED, format!("cannot write to stdout: {error}"))
    }
}

/// One line on stderr. Nothing is to be done when even that fails.
pub(crate) fn complain(message: impl std::fmt::Display) {
    let _stderr_may_be_closed = writeln!(io::stderr(), "millrace: {message}");
}
