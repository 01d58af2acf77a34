//! Checking a data directory while no broker uses it.
//!
//! Every batch of every log is read and its checksum taken; side files, catalog and checkpoint are checked against what
//! they describe. Nothing is changed, apart from the lock that keeps a broker out meanwhile.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::catalog::{self, CatalogState};
use super::checkpoint;
use super::data_dir::{self, partition_dir, topic_dir};
use super::load;
use crate::env::{Disk, Env, Lock, LockError};
pub use crate::log::Severity;
use crate::types::{Offset, TopicId, TopicPartition};

/// The most that is read of a file beside the logs.
const SIDE_FILE_BYTES_MAX: u64 = 64 << 20;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataDirReport {
    /// What is noteworthy, log by log.
    pub findings: Vec<Finding>,
    /// Logs read, the catalog's among them.
    pub logs: usize,
    /// Segments read.
    pub segments: usize,
    /// Good batches read.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One thing noteworthy about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the directory when there is no one file.
    pub path: PathBuf,
    /// The partition, as `topic-0`, when the file belongs to one.
    pub partition: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
}

/// Why a directory could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A broker uses it.
    #[error("{} is in use by {holder}: stop the broker, or check a copy", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// There is no log in it.
    #[error("{} is neither a data directory nor a partition's log", dir.display())]
    NotADataDir {
        /// The directory.
        dir: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// What cannot be read.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Checks the data directory `dir`, or a single log in it.
///
/// # Errors
/// When it is in use, is no data directory, or cannot be listed. Damage is a finding.
pub fn verify(env: &Env, dir: &Path) -> Result<DataDirReport, VerifyError> {
    let disk = &*env.disk;
    let names = disk.read_dir(dir).map_err(|error| VerifyError::Io { path: dir.to_owned(), error })?;
    let has = |name: &str| names.iter().any(|found| found == name);
    let mut report = DataDirReport::default();
    if has("catalog") || has("meta") {
        let _keeps_brokers_out = if has("lock") { Some(lock(disk, dir)?) } else { None };
        report.check_data_dir(disk, dir);
    } else if names.iter().any(|name| is_segment(name)) {
        report.check_log(disk, dir, None);
    } else {
        return Err(VerifyError::NotADataDir { dir: dir.to_owned() });
    }
    Ok(report)
}

/// Whether a file is named as segments are: 20 digits, the base offset.
fn is_segment(name: &str) -> bool {
    let digits = name.strip_suffix(".log");
    digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, VerifyError> {
    let path = dir.join("lock");
    disk.lock(&path, "millrace verify").map_err(|error| match error {
        LockError::Held { holder } => VerifyError::InUse { dir: dir.to_owned(), holder },
        LockError::Io(error) => VerifyError::Io { path, error },
    })
}

// === impl DataDirReport ===

impl DataDirReport {
    /// The worst that was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn find(&mut self, path: PathBuf, partition: Option<&str>, severity: Severity, what: String) {
        self.findings.push(Finding { path, partition: partition.map(str::to_owned), severity, what });
    }

    fn check_data_dir(&mut self, disk: &dyn Disk, dir: &Path) {
        self.read_side_file(disk, dir.join("meta"), Severity::Damage, data_dir::check_meta);
        let checkpoint = dir.join("checkpoint");
        let synced = self.read_side_file(disk, checkpoint, Severity::Repairable, checkpoint::synced_offsets);
        let catalog_dir = dir.join("catalog");
        self.check_log(disk, &catalog_dir, None);
        let (state, faults) = catalog::read_offline(disk, &catalog_dir);
        for fault in faults {
            self.find(catalog_dir.clone(), None, Severity::Damage, fault);
        }
        if let Some(why) = load::too_many_partitions(&state) {
            self.find(catalog_dir, None, Severity::Damage, why);
            return;
        }
        self.check_topics(disk, dir, &state, &synced.unwrap_or_default());
    }

    fn read_side_file<T>(
        &mut self,
        disk: &dyn Disk,
        path: PathBuf,
        severity: Severity,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<T> {
        let result = match disk.read(&path, SIDE_FILE_BYTES_MAX) {
            Ok(bytes) => read(&bytes),
            // A directory that no broker has worked on for long has no checkpoint yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && severity < Severity::Damage => {
                return None;
            }
            Err(error) => Err(error.to_string()),
        };
        result.map_err(|why| self.find(path, None, severity, why)).ok()
    }

    /// Checks the logs of all topics in the catalog, and looks for directories that belong to none.
    fn check_topics(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        state: &CatalogState,
        synced: &HashMap<TopicPartition, Offset>,
    ) {
        for (&topic, known) in &state.topics {
            for partition in (0..).take(known.partitions as usize) {
                let id = TopicPartition { topic, partition };
                let log_dir = partition_dir(dir, id);
                let label = format!("{}-{partition}", known.name);
                match disk.exists(&log_dir) {
                    Ok(true) => {
                        let end_offset = self.check_log(disk, &log_dir, Some(&label));
                        let known = synced.get(&id).copied().unwrap_or_default();
                        if let Some(end_offset) = end_offset.filter(|&end_offset| end_offset < known) {
                            // To the log itself it looks like the tail that a crash leaves.
                            let what =
                                format!("offsets {end_offset}..{known} were on the disk and cannot be read");
                            self.find(log_dir, Some(&label), Severity::Damage, what);
                        }
                    }
                    // Between the catalog and the directory a crash is no loss: nothing was acknowledged yet.
                    Ok(false) => {
                        let what = "there is no log; the next start makes an empty one".to_owned();
                        self.find(log_dir, Some(&label), Severity::Repairable, what);
                    }
                    Err(error) => self.find(log_dir, Some(&label), Severity::Damage, error.to_string()),
                }
            }
        }
        let topics_dir = dir.join("topics");
        let mut names = disk.read_dir(&topics_dir).unwrap_or_default();
        names.sort_unstable();
        for name in names {
            let topic = name.parse::<TopicId>().ok();
            if topic.is_some_and(|topic| state.topics.contains_key(&topic)) {
                continue;
            }
            let is_deleted = topic.is_some_and(|topic| state.deleted.contains(&topic));
            let what =
                if is_deleted { "of a deleted topic; the next start removes it" } else { "of no topic" };
            let path = topic.map_or_else(|| topics_dir.join(&name), |topic| topic_dir(dir, topic));
            self.find(path, None, Severity::Note, what.to_owned());
        }
    }

    /// Returns the offset behind the last good batch.
    fn check_log(&mut self, disk: &dyn Disk, dir: &Path, partition: Option<&str>) -> Option<Offset> {
        self.logs += 1;
        match crate::log::verify(disk, dir) {
            Ok(log) => {
                self.segments += log.segments;
                self.batches += log.batches;
                self.records += log.records;
                self.bytes += log.bytes;
                for finding in log.findings {
                    self.find(dir.join(finding.file), partition, finding.severity, finding.what);
                }
                Some(log.end_offset)
            }
            Err(error) => {
                self.find(dir.to_owned(), partition, Severity::Damage, error.to_string());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimWorld;

    const DIR: &str = "/data";

    #[test]
    fn only_segments_are_segments() {
        assert!(is_segment("00000000000000000042.log"));
        for name in ["42.log", "00000000000000000042.index", "0000000000000000004x.log", "kernel.log"] {
            assert!(!is_segment(name), "{name}");
        }
    }

    #[test]
    fn a_directory_that_is_none_of_ours_is_refused() {
        let world = SimWorld::new(1);
        world.env.disk.create_dir_all(Path::new(DIR)).unwrap();
        assert!(matches!(verify(&world.env, Path::new(DIR)), Err(VerifyError::NotADataDir { .. })));
        assert!(matches!(verify(&world.env, Path::new("/none")), Err(VerifyError::Io { .. })));
    }
}
