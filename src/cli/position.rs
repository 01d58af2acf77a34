//! Where `consume` starts: the `-o` option.

use std::str::FromStr;

use super::time;
use crate::types::{Offset, TimestampMs};

/// A place in a partition, as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// The oldest record kept.
    Beginning,
    /// After the newest record.
    End,
    /// This offset.
    At(Offset),
    /// This many records before the end, counted in each partition by offsets.
    Last(Offset),
    /// The first record with this timestamp or a later one.
    Since(TimestampMs),
}

// === impl Position ===

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(moment) = text.strip_prefix('@') {
            return time::parse_moment(moment, time::now_ms()).map(Self::Since);
        }
        match text {
            "beginning" | "earliest" | "start" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        match text.strip_prefix('-') {
            Some(count) => count.parse().ok().filter(|&count| count > 0).map(Self::Last),
            None => text.parse().ok().map(Self::At),
        }
        .ok_or_else(|| {
            format!(
                "{text:?} is not a position: write beginning, end, an offset (42), -N for the last N records, or @ and a \
                 time (@1767225600000, @2026-01-01T00:00:00Z, @5m for five minutes ago)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read() {
        for (text, position) in [
            ("beginning", Position::Beginning),
            ("earliest", Position::Beginning),
            ("end", Position::End),
            ("0", Position::At(0)),
            ("9223372036854775807", Position::At(i64::MAX)),
            ("-10", Position::Last(10)),
            ("@0", Position::Since(0)),
            ("@1970-01-02", Position::Since(86_400_000)),
        ] {
            assert_eq!(text.parse(), Ok(position), "{text}");
        }
        assert!(matches!("@1h".parse(), Ok(Position::Since(ms)) if ms > 1_700_000_000_000));
    }

    #[test]
    fn what_is_not_a_position_is_refused_with_the_forms_that_are() {
        for text in ["", "-", "-0", "--1", "-x", "@", "@-1", "@x", "middle", "1.5", "99999999999999999999"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert!("middle".parse::<Position>().unwrap_err().contains("beginning, end"));
    }
}
