//! `millrace verify`: checks a data directory while no broker uses it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::exit;
use super::failure::Failure;
use crate::server::verify::{DataDirReport, Severity, VerifyError, verify};

/// Options of `millrace verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every batch is read and its checksum taken; nothing is changed. Findings are
  note        worth knowing, nothing is wrong
  repairable  the next start rebuilds it, or cuts it after a crash; no acknowledged record is lost
  damage      records are lost; ends with code 65

Examples:
  millrace verify /var/lib/millrace
  millrace verify /var/lib/millrace --json | jq '.findings[] | select(.severity == \"damage\")'")]
pub(super) struct Args {
    /// The data directory, or the directory of one partition.
    dir: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Print nothing; only the exit code tells.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// Runs `millrace verify`.
pub(super) fn run(args: &Args) -> ExitCode {
    match check(args) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn check(args: &Args) -> Result<ExitCode, Failure> {
    let report = verify(&args.dir).map_err(|error| {
        let code = match error {
            VerifyError::InUse { .. } => exit::IN_USE,
            VerifyError::NotADataDir { .. } | VerifyError::Io { .. } => exit::NOT_FOUND,
        };
        Failure::new(code, error.to_string())
    })?;
    if args.json {
        print_json(&report)?;
    } else if !args.quiet {
        print(&report)?;
    }
    let is_damaged = report.worst() == Some(Severity::Damage);
    Ok(if is_damaged { exit::DAMAGED.into() } else { exit::OK })
}

fn print(report: &DataDirReport) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for finding in &report.findings {
        let (severity, path) = (name(finding.severity), finding.path.display());
        let partition =
            finding.partition.as_ref().map(|partition| format!("{partition}: ")).unwrap_or_default();
        writeln!(stdout, "{severity:<11} {partition}{}\n            {path}", finding.what)?;
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let DataDirReport { logs, segments, batches, records, bytes, .. } = report;
    writeln!(
        stdout,
        "{logs} logs, {segments} segments, {batches} batches, {records} records, {bytes} bytes: {} damaged, {} repairable",
        count(Severity::Damage),
        count(Severity::Repairable),
    )
}

fn print_json(report: &DataDirReport) -> io::Result<()> {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "severity": name(finding.severity),
            "partition": finding.partition,
            "path": finding.path.display().to_string(),
            "what": finding.what,
        })
    });
    let printed = json!({
        "logs": report.logs,
        "segments": report.segments,
        "batches": report.batches,
        "records": report.records,
        "bytes": report.bytes,
        "findings": findings.collect::<Vec<_>>(),
    });
    writeln!(io::stdout(), "{printed}")
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Repairable => "repairable",
        Severity::Damage => "damage",
    }
}
