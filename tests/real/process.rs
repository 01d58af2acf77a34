//! The real binary as a child process, on a free port and a directory of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running `millrace serve`. Killed when dropped.
pub(crate) struct Broker {
    child: Child,
    address: SocketAddr,
}

impl Broker {
    /// Starts a broker on `data_dir` and waits for the line that says where it accepts connections.
    ///
    /// `listen` may name port 0. `settings` are `key=value` pairs.
    pub(crate) fn start(data_dir: &Path, listen: &str, settings: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("serve").arg("--data-dir").arg(data_dir).arg("--listen").arg(listen);
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        // What is meant for the tests is no setting of the broker.
        for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("MILLRACE_")) {
            command.env_remove(variable);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the ready line is text");
        let address = line
            .split_whitespace()
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no address in the ready line {line:?}"));
        Self { child, address }
    }

    /// Where the broker listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the broker still runs");
        self.child.wait().expect("the broker is our child");
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// SIGTERM, and waits for the exit status.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("the broker is our child")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal by its name.
pub(crate) fn signal(name: &str, pid: u32) {
    let words = [format!("-{name}"), pid.to_string()];
    assert!(Command::new("kill").args(words).status().expect("kill is there").success());
}
