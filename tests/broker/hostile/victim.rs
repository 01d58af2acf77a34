//! The broker under attack: a child process, and what the kernel tells of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running broker; killed when dropped.
pub(super) struct Victim {
    child: Child,
    pub(super) address: SocketAddr,
    settings: Vec<String>,
    pub(super) dir: TempDir,
}

/// What a process has of memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// All of it, mapped files included.
    pub(super) resident_bytes: u64,
    /// What no file backs.
    pub(super) anonymous_bytes: u64,
}

impl Victim {
    /// Starts a broker on an empty directory. `settings` are `key=value`.
    pub(super) fn start(settings: &[&str]) -> Self {
        Self::start_with_limit(settings, None)
    }

    /// As [`Victim::start`], with so many file descriptors.
    pub(super) fn start_with_limit(settings: &[&str], descriptors: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let (child, address) = spawn(dir.path().join("data"), &settings, descriptors);
        Self { child, address, settings, dir }
    }

    /// `kill -9`, and another start on the same directory, at another port.
    pub(super) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.address) = spawn(self.dir.path().join("data"), &self.settings, None);
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::of(self.pid())
    }

    /// Processor time used so far, in ticks of 10 ms.
    pub(super) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in brackets may hold anything; utime and stime are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Memory {
    pub(super) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        Self { resident_bytes: field("VmRSS:"), anonymous_bytes: field("RssAnon:") }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: PathBuf, settings: &[String], descriptors: Option<u32>) -> (Child, SocketAddr) {
    let binary = std::env::var_os("HOSTILE_BROKER").unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into());
    let mut command = match descriptors {
        None => Command::new(binary),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\"")).arg(binary);
            shell
        }
    };
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("millrace listening on ").expect("the broker tells where it listens");
    (child, address.trim_end().parse().unwrap())
}
