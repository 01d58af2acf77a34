//! `millrace serve` from outside: the line on stdout, signals, exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A running `millrace serve`; killed when a test fails.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["serve", "--data-dir", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"]).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("MILLRACE_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a broker and reads its line.
fn start(dir: &Path, arguments: &[&str]) -> Process {
    let mut child = command(dir, arguments).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.strip_prefix("millrace listening on ").map(|rest| rest.trim_end().to_owned());
    let Some(address) = address else {
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        panic!("{line:?} on stdout; on stderr: {told}");
    };
    Process { child, stdout, address }
}

/// Runs a broker that must refuse to start.
fn refused(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty(), "something on stdout: {}", String::from_utf8_lossy(&stdout));
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

impl Process {
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop; returns the exit code and what else was on stdout.
    fn stop(mut self, signal: rustix::process::Signal) -> (i32, String) {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (status.code().expect("it exits, it is not killed"), rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_prints_one_line_with_the_bound_address_and_stops_cleanly_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let broker = start(dir.path(), &[]);
        assert!(!broker.address.ends_with(":0"), "{}", broker.address);
        let mut client = TcpStream::connect(&broker.address).unwrap();
        client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 9, 0xff, 0xff]).unwrap();
        let mut answer = [0; 10];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], [0, 0, 0, 9, 0, 0]);
        assert_eq!(broker.stop(signal), (0, String::new()));
    }
}

#[test]
fn a_second_broker_on_the_directory_is_refused_and_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path(), &[]);
    let clock = millrace::env::Env::system().clock;
    let started = clock.monotonic();
    let (code, told) = refused(&mut command(dir.path(), &[]));
    assert_eq!(code, 75, "{told}");
    assert!(told.contains(&first.child.id().to_string()), "the holder's process id is missing: {told}");
    let took = clock.monotonic() - started;
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    assert!(TcpStream::connect(&first.address).is_ok());
    assert_eq!(first.stop(rustix::process::Signal::TERM).0, 0);
    // The lock went with its holder.
    assert_eq!(start(dir.path(), &[]).stop(rustix::process::Signal::TERM).0, 0);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, told) in [
        (&["--set", "max.conections=1"][..], "did you mean max.connections?"),
        (&["--set", "max.connections=no"], "it is a whole number from 1"),
        (&["--listen", "0.0.0.0:0"], "--allow-anonymous"),
        (&["--config", "/nowhere/millrace.toml"], "cannot read /nowhere/millrace.toml"),
    ] {
        let (code, stderr) = refused(&mut command(dir.path(), arguments));
        assert_eq!(code, 78, "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    let (code, stderr) = refused(command(dir.path(), &[]).env("MILLRACE_MAX_CONECTIONS", "1"));
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("MILLRACE_MAX_CONNECTIONS"), "{stderr}");
    assert_eq!(refused(&mut command(dir.path(), &["--no-such-flag"])).0, 2);
}

#[test]
fn a_wide_listener_serves_when_it_is_allowed_to() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), &["--listen", "0.0.0.0:0", "--allow-anonymous"]);
    let (_, wide) = broker.address.split_once(", ").expect("two listeners");
    assert!(wide.starts_with("0.0.0.0:"), "{wide}");
    assert_eq!(broker.stop(rustix::process::Signal::TERM).0, 0);
}

#[test]
fn a_taken_port_is_told_with_its_own_code() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let (code, told) = refused(&mut command(dir.path(), &["--listen", &address]));
    assert_eq!(code, 69, "{told}");
    assert!(told.contains(&address), "{told}");
}

#[test]
fn without_descriptors_accepting_pauses_and_goes_on_by_itself() {
    use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), &[]);
    let pid = Pid::from_child(&broker.child);
    let mut early = TcpStream::connect(&broker.address).unwrap();
    assert!(is_served(&mut early));

    let taken = std::fs::read_dir(format!("/proc/{}/fd", broker.child.id())).unwrap().count() as u64;
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let none_left = Rlimit { current: Some(taken.saturating_sub(2)), maximum };
    let before = prlimit(Some(pid), Resource::Nofile, none_left).unwrap();
    // The kernel completes the connection; nobody accepts it.
    let mut late = TcpStream::connect(&broker.address).unwrap();
    let used = cpu_ticks(broker.child.id());
    late.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    assert!(!is_served(&mut late), "served without a descriptor");
    let used = cpu_ticks(broker.child.id()) - used;
    assert!(used <= 20, "{used} ticks of 10 ms within a second: it spins");
    assert!(is_served(&mut early), "a connection that was there is not served");

    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    late.set_read_timeout(Some(super::fixture::PATIENCE)).unwrap();
    assert!(answered(&mut late), "accepting did not go on");
    assert_eq!(broker.stop(Signal::TERM).0, 0);
}

/// Asks for the APIs; whether an answer came.
fn is_served(client: &mut TcpStream) -> bool {
    client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 9, 0xff, 0xff]).is_ok() && answered(client)
}

/// Whether a whole answer comes.
fn answered(client: &mut TcpStream) -> bool {
    let mut size = [0; 4];
    if client.read_exact(&mut size).is_err() {
        return false;
    }
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    client.read_exact(&mut answer).is_ok()
}

/// Processor time used, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
