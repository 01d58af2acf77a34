//! A broker and commands as child processes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running `millrace serve` with a directory of its own. Killed when dropped.
pub(crate) struct Broker {
    child: Child,
    address: String,
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings of the broker, `key=value`.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = millrace(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
            .arg("--data-dir")
            .arg(dir.path())
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap().to_owned();
        Self { child, address, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it in order and keeps its directory.
    pub(crate) fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// Runs a command against the broker.
    pub(crate) fn run(&self, args: &[&str], stdin: &[u8]) -> Ended {
        let mut command = millrace(args);
        command.env("MILLRACE_BROKER", &self.address);
        run(command, stdin)
    }

    /// Runs a command that must succeed and say nothing on stderr. Returns its stdout.
    pub(crate) fn ok(&self, args: &[&str], stdin: &[u8]) -> String {
        let ended = self.run(args, stdin);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{args:?}");
        String::from_utf8(ended.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, without what the environment of this test would tell it.
pub(crate) fn millrace(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(args).env_remove("MILLRACE_BROKER").env_remove("MILLRACE_LOG");
    command
}

pub(crate) fn run(mut command: Command, stdin: &[u8]) -> Ended {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_owned();
    // Of its own thread: a command that prints before it has read all must not wait for us.
    let writer = std::thread::spawn(move || {
        // A command that ends early reads no more.
        let _ = input.write_all(&stdin);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ended {
        code: output.status.code().expect("it was not killed"),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
