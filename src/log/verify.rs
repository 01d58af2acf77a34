//! Checking a partition's directory while no broker uses it, without changing anything.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::damage::find_next_batch;
use super::epochs::{self, Epochs};
use super::error::LogError;
use super::names::{self, Kind};
use super::offset_index::OffsetIndex;
use super::recovery::FileSource;
use super::snapshot;
use super::time_index::TimeIndex;
use super::walk::{Flaw, Step, Window};
use crate::env::{Disk, OpenMode};
use crate::record::BatchHeader;
use crate::types::{Offset, TimestampMs};

/// How much is read at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Largest index file read.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// What is noteworthy, in order of the files.
    pub findings: Vec<Finding>,
    /// Segments read.
    pub segments: usize,
    /// Good batches read.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The offset behind the last good batch.
    pub end_offset: Offset,
}

/// One thing noteworthy about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file's name in the directory.
    pub file: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// A side file that the next start rebuilds, or a tail that it cuts after a crash.
    Repairable,
    /// Records are lost.
    Damage,
}

/// What was met in all segments.
#[derive(Default)]
struct Met {
    epochs: Epochs,
    /// Whether offsets are missing, as compaction leaves a log: an epoch's first batches may be among them.
    has_holes: bool,
}

/// What is known of one segment after reading it.
struct Contents {
    /// Position, first and last offset, largest timestamp, of each batch.
    batches: Vec<(u64, Offset, Offset, TimestampMs)>,
    next_offset: Offset,
}

/// Checks the log in `dir`: every batch's checksum and place, the indexes against the batches, the state files.
///
/// # Errors
/// `Io` when the directory cannot be listed; an unreadable file is a finding.
pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<VerifyReport, LogError> {
    let mut report = VerifyReport::default();
    let mut names = disk.read_dir(dir).map_err(LogError::at(dir))?;
    names.sort_unstable();
    let files: BTreeMap<&str, (Offset, Kind)> =
        names.iter().filter_map(|name| Some((name.as_str(), names::parse(name)?))).collect();
    let segments = segments_of(&files);
    let bases: Vec<Offset> = segments.keys().copied().collect();
    let mut found = Met::default();
    for (index, (&base_offset, name)) in segments.iter().enumerate() {
        let next_base = bases.get(index + 1).copied();
        if let Err(error) = report.check_segment(disk, dir, name, base_offset, next_base, &mut found) {
            report.find(name.clone(), Severity::Damage, format!("cannot be read: {error}"));
        }
    }
    for (name, (offset, kind)) in &files {
        match kind {
            Kind::Cut(_) => report.note_cut(disk, dir, name),
            Kind::Snapshot => report.check_snapshot(disk, dir, name, *offset),
            Kind::Index | Kind::TimeIndex if !bases.contains(offset) => {
                report.find((*name).to_owned(), Severity::Note, "belongs to no segment".to_owned());
            }
            Kind::Swap(_) => {
                let what = "takes the place of the segments it was cleaned from at the next start".to_owned();
                report.find((*name).to_owned(), Severity::Repairable, what);
            }
            Kind::Log | Kind::Index | Kind::TimeIndex | Kind::Start => {}
        }
    }
    report.check_epochs(disk, dir, &found, bases.first().copied());
    Ok(report)
}

/// The files that the next start takes for segments, by base offset: a cleaned one in place of those that it replaces.
fn segments_of(files: &BTreeMap<&str, (Offset, Kind)>) -> BTreeMap<Offset, String> {
    let of_kind = |wanted: fn(&Kind) -> bool| files.iter().filter(move |(_, (_, kind))| wanted(kind));
    let mut segments: BTreeMap<Offset, String> = of_kind(|kind| *kind == Kind::Log)
        .map(|(name, &(base_offset, _))| (base_offset, (*name).to_owned()))
        .collect();
    for (name, &(base_offset, kind)) in of_kind(|kind| matches!(kind, Kind::Swap(_))) {
        if let Kind::Swap(next_offset) = kind {
            segments.retain(|&base, _| base < base_offset || base >= next_offset);
            segments.insert(base_offset, (*name).to_owned());
        }
    }
    segments
}

// === impl VerifyReport ===

impl VerifyReport {
    /// The worst severity found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn find(&mut self, file: String, severity: Severity, what: String) {
        self.findings.push(Finding { file, severity, what });
    }

    fn check_segment(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        name: &str,
        base_offset: Offset,
        next_base: Option<Offset>,
        found: &mut Met,
    ) -> io::Result<()> {
        let file = disk.open(&dir.join(name), OpenMode::Read)?;
        let length = file.len()?;
        let source = FileSource(Arc::clone(&file));
        let mut window = Window::new(&source, length, WINDOW_BYTES);
        let end_offset = next_base.unwrap_or(Offset::MAX - 1);
        let contents =
            self.read_batches(name, &mut window, base_offset, end_offset, next_base.is_none(), found)?;
        self.segments += 1;
        self.end_offset = contents.next_offset;
        if let Some(next_base) = next_base
            && contents.next_offset < next_base
        {
            let what = format!("offsets {}..{next_base} are missing behind it", contents.next_offset);
            self.find(name.to_owned(), Severity::Damage, what);
        }
        // Those of a cleaned segment are made once it is in its place.
        if name == names::log(base_offset) {
            self.check_indexes(disk, dir, base_offset, &contents, next_base.is_some());
        }
        Ok(())
    }

    fn read_batches(
        &mut self,
        name: &str,
        window: &mut Window<'_>,
        base_offset: Offset,
        end_offset: Offset,
        is_last: bool,
        found: &mut Met,
    ) -> io::Result<Contents> {
        let mut contents = Contents { batches: Vec::new(), next_offset: base_offset };
        let mut position = 0;
        while position < window.end() {
            let checked = check_batch(window, position, contents.next_offset, end_offset)?;
            let (header, flaw) = match checked {
                Ok(header) => {
                    found.epochs.note(header.leader_epoch, header.base_offset);
                    found.has_holes |= header.base_offset > contents.next_offset;
                    self.batches += 1;
                    self.records += u64::try_from(header.record_count).unwrap_or(0);
                    self.bytes += header.size_bytes() as u64;
                    // The time of a batch that compaction has emptied is no record's.
                    let max_timestamp =
                        if header.record_count == 0 { TimestampMs::MIN } else { header.max_timestamp };
                    contents.batches.push((
                        position,
                        header.base_offset,
                        header.last_offset(),
                        max_timestamp,
                    ));
                    position += header.size_bytes() as u64;
                    contents.next_offset = header.next_offset();
                    continue;
                }
                Err(flaw) => flaw,
            };
            let hint = header.map(|header| position + header.size_bytes() as u64);
            let next = find_next_batch(window, position, hint, contents.next_offset, end_offset)?;
            let Some(next) = next else {
                let rest = window.end() - position;
                let severity = if is_last { Severity::Repairable } else { Severity::Damage };
                let what = format!("{flaw:?} at position {position}: no batch in the last {rest} bytes");
                if is_last || contents.next_offset < end_offset {
                    self.find(name.to_owned(), severity, what);
                }
                break;
            };
            let (to_position, to_offset) = (next.position, next.header.base_offset);
            let what = format!(
                "{flaw:?} at positions {position}..{to_position}: offsets {}..{to_offset} are damaged",
                contents.next_offset
            );
            self.find(name.to_owned(), Severity::Damage, what);
            position = to_position;
            contents.next_offset = to_offset;
        }
        Ok(contents)
    }

    fn check_indexes(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        base_offset: Offset,
        contents: &Contents,
        sealed: bool,
    ) {
        let (index_name, time_name) = (names::index(base_offset), names::time_index(base_offset));
        match disk.read(&dir.join(&index_name), INDEX_BYTES_MAX) {
            Ok(bytes) => {
                let (index, good) = OffsetIndex::decode(&bytes);
                let wrong = index.entries().iter().filter(|entry| {
                    let found =
                        contents.batches.binary_search_by_key(&u64::from(entry.position), |batch| batch.0);
                    found.map(|at| contents.batches[at].2) != Ok(entry.offset(base_offset))
                });
                let wrong = wrong.count();
                if !good || wrong > 0 {
                    let what = format!("{wrong} of {} entries disagree with the log", index.entries().len());
                    self.find(index_name, Severity::Repairable, what);
                }
            }
            Err(error) if sealed => self.find(index_name, Severity::Repairable, error.to_string()),
            Err(_) => {}
        }
        match disk.read(&dir.join(&time_name), INDEX_BYTES_MAX) {
            Ok(bytes) => {
                let (index, good) = TimeIndex::decode(&bytes);
                let mut largest = Vec::with_capacity(contents.batches.len());
                let mut so_far = TimestampMs::MIN;
                for batch in &contents.batches {
                    so_far = so_far.max(batch.3);
                    largest.push(so_far);
                }
                let wrong = index.entries().iter().filter(|entry| {
                    let offset = entry.offset(base_offset);
                    let at = contents.batches.binary_search_by_key(&offset, |batch| batch.2);
                    !at.is_ok_and(|at| {
                        contents.batches[at].3 == entry.timestamp_ms && largest[at] == entry.timestamp_ms
                    })
                });
                let wrong = wrong.count();
                if !good || wrong > 0 {
                    let what = format!("{wrong} of {} entries disagree with the log", index.entries().len());
                    self.find(time_name, Severity::Repairable, what);
                }
            }
            Err(error) if sealed => self.find(time_name, Severity::Repairable, error.to_string()),
            Err(_) => {}
        }
    }

    fn note_cut(&mut self, disk: &dyn Disk, dir: &Path, name: &str) {
        let length = disk.open(&dir.join(name), OpenMode::Read).and_then(|file| file.len()).unwrap_or(0);
        let what = format!("a torn tail of {length} bytes, kept aside by a recovery");
        self.find(name.to_owned(), Severity::Note, what);
    }

    fn check_snapshot(&mut self, disk: &dyn Disk, dir: &Path, name: &str, offset: Offset) {
        let problem = match disk.read(&dir.join(name), snapshot::FILE_BYTES_MAX) {
            Ok(bytes) => snapshot::decode(&bytes, offset).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            self.find(name.to_owned(), Severity::Repairable, problem);
        }
    }

    fn check_epochs(&mut self, disk: &dyn Disk, dir: &Path, found: &Met, first: Option<Offset>) {
        let name = names::EPOCHS.to_owned();
        let bytes = match disk.read(&dir.join(&name), epochs::FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if found.epochs.latest().is_some() {
                    self.find(name, Severity::Repairable, "missing".to_owned());
                }
                return;
            }
            Err(error) => return self.find(name, Severity::Repairable, error.to_string()),
        };
        match Epochs::decode(&bytes) {
            Err(error) => self.find(name, Severity::Repairable, error.to_string()),
            Ok((mut epochs, log_start_offset)) => {
                if let Some(first) = first
                    && log_start_offset < first
                {
                    let what = format!("the log starts at {log_start_offset}, the first segment at {first}");
                    self.find(name.clone(), Severity::Damage, what);
                }
                let mut in_batches = found.epochs.clone();
                in_batches.truncate_start(log_start_offset);
                epochs.truncate_start(log_start_offset);
                let agrees = match found.has_holes {
                    true => epochs.covers(&in_batches),
                    false => epochs == in_batches,
                };
                if !agrees {
                    let what = "disagrees with the batches".to_owned();
                    self.find(name, Severity::Repairable, what);
                }
            }
        }
    }
}

/// The batch at `position` if its header, place and checksum are good; else what is wrong, and the header if
/// there is one.
type Checked = Result<BatchHeader, (Option<BatchHeader>, Flaw)>;

fn check_batch(
    window: &mut Window<'_>,
    position: u64,
    expected: Offset,
    end_offset: Offset,
) -> io::Result<Checked> {
    let header = match window.header(position, expected, end_offset)? {
        Ok(header) => header,
        Err(flaw) => return Ok(Err((None, flaw))),
    };
    let step = Step { position, header };
    if header.base_offset != expected && !window.is_sound_though_odd(&step, expected)? {
        return Ok(Err((Some(header), Flaw::Offsets)));
    }
    if window.crc_matches(position, &header)? {
        Ok(Ok(header))
    } else {
        Ok(Err((Some(header), Flaw::Checksum)))
    }
}
