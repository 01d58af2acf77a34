//! The command line's door to the offline check of a data directory, which the [engine](crate::engine::verify) does.

use std::path::Path;

pub use crate::engine::verify::{DataDirReport, Finding, Severity, VerifyError};
use crate::env::Env;

/// Checks the data directory `dir` on this host's disk.
///
/// # Errors
/// When it is in use, is no data directory, or cannot be listed. Damage is a finding.
pub fn verify(dir: &Path) -> Result<DataDirReport, VerifyError> {
    crate::engine::verify::verify(&Env::system(), dir)
}
