//! What a process has used, from /proc.

use std::fs;

/// A process.
pub(crate) struct Process(pub(crate) u32);

/// Ticks of processor time a second, which Linux fixes for /proc.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// Processor seconds of all its threads so far, in user and in kernel mode.
    pub(crate) fn cpu_seconds(&self) -> (f64, f64) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        // The command's name may hold anything but ends with the last bracket.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let seconds = |index: usize| fields[index].parse::<f64>().unwrap() / TICKS_PER_SECOND;
        (seconds(11), seconds(12))
    }

    /// Resident bytes that are not pages of files.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}
