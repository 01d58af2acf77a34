//! Names of the files in a partition's directory.
//!
//! A segment's files carry its base offset in 20 digits, as Kafka's do. Names that are none of ours are left
//! alone.

use crate::types::Offset;

/// The leader epochs and the log start offset.
pub(super) const EPOCHS: &str = "leader-epoch-checkpoint";
/// What [`Disk::replace`](crate::env::Disk::replace) writes beside a file; left over after a crash only.
pub(super) const BESIDE_SUFFIX: &str = ".tmp";

/// A file whose name begins with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Record batches.
    Log,
    /// Offset index.
    Index,
    /// Time index.
    TimeIndex,
    /// Producer state up to (not including) the offset.
    Snapshot,
    /// The n-th torn tail cut off this segment.
    Cut(u32),
    /// Nothing; the name alone says that the log starts at the offset.
    Start,
    /// The cleaned batches of all segments from the offset up to this one, whose place they are to take.
    Swap(Offset),
}

/// The name of a segment's record batches.
pub(super) fn log(base_offset: Offset) -> String {
    format!("{base_offset:020}.log")
}

/// The name of a segment's offset index.
pub(super) fn index(base_offset: Offset) -> String {
    format!("{base_offset:020}.index")
}

/// The name of a segment's time index.
pub(super) fn time_index(base_offset: Offset) -> String {
    format!("{base_offset:020}.timeindex")
}

/// The name of the producer snapshot taken at `offset`.
pub(super) fn snapshot(offset: Offset) -> String {
    format!("{offset:020}.snapshot")
}

/// The name of the `number`-th torn tail of a segment.
pub(super) fn cut(base_offset: Offset, number: u32) -> String {
    format!("{base_offset:020}.{number}.cut")
}

/// The name of the file that says, by its name alone, that the log starts at `offset`.
pub(super) fn start(offset: Offset) -> String {
    format!("{offset:020}.start")
}

/// The name of a cleaned segment while it is written; it ends like all names that an opening removes.
pub(super) fn cleaned(base_offset: Offset) -> String {
    format!("{base_offset:020}.cleaned{BESIDE_SUFFIX}")
}

/// The name of a cleaned segment that is whole and takes the place of those in `[base_offset, next_offset)`.
pub(super) fn swap(base_offset: Offset, next_offset: Offset) -> String {
    format!("{base_offset:020}.{next_offset:020}.swap")
}

/// What a name stands for; None for one that is not ours.
pub(super) fn parse(name: &str) -> Option<(Offset, Kind)> {
    let (digits, rest) = name.split_at_checked(20)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let offset: Offset = digits.parse().ok()?;
    let kind = match rest {
        ".log" => Kind::Log,
        ".index" => Kind::Index,
        ".timeindex" => Kind::TimeIndex,
        ".snapshot" => Kind::Snapshot,
        ".start" => Kind::Start,
        _ => match rest.strip_prefix('.')?.rsplit_once('.')? {
            (number, "cut") => Kind::Cut(number.parse().ok()?),
            (next, "swap") if next.len() == 20 && next.bytes().all(|byte| byte.is_ascii_digit()) => {
                Kind::Swap(next.parse().ok()?)
            }
            _ => return None,
        },
    };
    Some((offset, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_were_made() {
        for offset in [0, 7, 123_456_789_012, Offset::MAX] {
            assert_eq!(parse(&log(offset)), Some((offset, Kind::Log)));
            assert_eq!(parse(&index(offset)), Some((offset, Kind::Index)));
            assert_eq!(parse(&time_index(offset)), Some((offset, Kind::TimeIndex)));
            assert_eq!(parse(&snapshot(offset)), Some((offset, Kind::Snapshot)));
            assert_eq!(parse(&start(offset)), Some((offset, Kind::Start)));
            assert_eq!(parse(&cut(offset, 3)), Some((offset, Kind::Cut(3))));
            assert_eq!(parse(&swap(3, offset)), Some((3, Kind::Swap(offset))));
            assert!(cleaned(offset).ends_with(BESIDE_SUFFIX) && parse(&cleaned(offset)).is_none());
        }
        assert_eq!(log(42), "00000000000000000042.log");
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for name in [
            "",
            "leader-epoch-checkpoint",
            "0.log",
            "99999999999999999999.log",
            "0000000000000000004x.log",
            "00000000000000000042.log.tmp",
            "00000000000000000042",
            "00000000000000000042..cut",
            "00000000000000000042.7.swap",
            "00000000000000000042.swap",
            "äääääääääääääääääääää.log",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
