//! The broker under attack: a child process, and what the kernel tells of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// A running broker; killed when dropped.
pub(crate) struct Victim {
    child: Child,
    pub(crate) address: SocketAddr,
    settings: Vec<String>,
    pub(crate) dir: TempDir,
}

/// What a process has of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All of it, mapped files included.
    pub(crate) resident_bytes: u64,
    /// What no file backs.
    pub(crate) anonymous_bytes: u64,
}

/// Watches a process's memory from a thread of its own.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Memory>,
}

impl Victim {
    /// Starts a broker on an empty directory. `settings` are `key=value`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with_limit(settings, None)
    }

    /// As [`Victim::start`], with so many file descriptors.
    pub(crate) fn start_with_limit(settings: &[&str], descriptors: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let (child, address) = spawn(dir.path().join("data"), &settings, descriptors);
        Self { child, address, settings, dir }
    }

    /// `kill -9`, and another start on the same directory, at another port.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.address) = spawn(self.dir.path().join("data"), &self.settings, None);
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let words = [format!("-{name}"), self.pid().to_string()];
        assert!(Command::new("kill").args(words).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.pid())
    }

    /// Processor time used so far, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in brackets may hold anything; utime and stime are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Memory {
    fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        Self { resident_bytes: field("VmRSS:"), anonymous_bytes: field("RssAnon:") }
    }
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = Memory::of(pid);
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
                let now = Memory::of(pid);
                peak.resident_bytes = peak.resident_bytes.max(now.resident_bytes);
                peak.anonymous_bytes = peak.anonymous_bytes.max(now.anonymous_bytes);
            }
            peak
        });
        Self { stop, thread }
    }

    /// The most that it had, of either kind.
    pub(crate) fn peak(self) -> Memory {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
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
    // What is meant for the tests is no setting of the broker.
    for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("MILLRACE_")) {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("millrace listening on ").expect("the broker tells where it listens");
    (child, address.trim_end().parse().unwrap())
}
