//! Moments and durations as people write them.

use std::time::Duration;

use crate::types::TimestampMs;

const MS_PER_DAY: i64 = 86_400_000;

/// Wall time, for "five minutes ago" and for the records of `produce` and `bench`.
#[expect(
    clippy::disallowed_methods,
    reason = "a command runs once, on the user's clock; nothing simulates it"
)]
pub(crate) fn now_ms() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX)
}

/// A duration: a number and `ms`, `s`, `m`, `h` or `d`, several in a row (`1h30m`).
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write for example 500ms, 10s, 5m, 1h30m or 7d");
    let mut rest = text.trim();
    let mut total_ms = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        total_ms = count.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
    }
    Ok(Duration::from_millis(total_ms))
}

/// A moment: milliseconds since 1970, an RFC 3339 date or date and time, or a duration before `now_ms`.
pub(crate) fn parse_moment(text: &str, now_ms: TimestampMs) -> Result<TimestampMs, String> {
    if let Ok(ms) = text.parse::<i64>() {
        if ms >= 0 {
            return Ok(ms);
        }
    } else if let Some(ms) = parse_rfc3339(text) {
        return Ok(ms);
    } else if let Ok(ago) = parse_duration(text) {
        return Ok(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(0));
    }
    Err(format!(
        "{text:?} is not a time: write milliseconds since 1970 (1767225600000), RFC 3339 (2026-01-01T00:00:00Z), \
         or how long ago (5m)"
    ))
}

/// `YYYY-MM-DD`, alone (midnight UTC) or followed by `THH:MM:SS[.fraction]` and `Z` or an offset.
fn parse_rfc3339(text: &str) -> Option<TimestampMs> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4, 9999)?, digits(parts.next()?, 2, 12)?, digits(parts.next()?, 2, 31)?);
    if parts.next().is_some() || month == 0 || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let midnight_ms = days_since_epoch(year, month, day) * MS_PER_DAY;
    let Some(time) = time else { return Some(midnight_ms) };

    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let zone_minutes = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign, ..] => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = digits(hours, 2, 23)? * 60 + digits(minutes, 2, 59)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        [] => return None,
    };
    let (clock, fraction_ms) = match clock.split_once('.') {
        Some((clock, fraction)) => {
            if fraction.is_empty() || !fraction.bytes().all(|letter| letter.is_ascii_digit()) {
                return None;
            }
            let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
            (clock, padded.parse::<i64>().ok()?)
        }
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (digits(parts.next()?, 2, 23)?, digits(parts.next()?, 2, 59)?, digits(parts.next()?, 2, 60)?);
    if parts.next().is_some() {
        return None;
    }
    Some(midnight_ms + ((hour * 60 + minute - zone_minutes) * 60 + second) * 1000 + fraction_ms)
}

fn digits(text: &str, count: usize, max: i64) -> Option<i64> {
    let plain = text.len() == count && text.bytes().all(|letter| letter.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|&number| number <= max)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the date. Counts years from March, so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read() {
        for (text, ms) in
            [("0s", 0), ("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "m", "5x", "-5m", "5 m", "99999999999999999999d", "184467440737095516d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_read() {
        let now = 1_767_225_600_000;
        for (text, ms) in [
            ("0", 0),
            ("1767225600123", 1_767_225_600_123),
            ("2026-01-01", now),
            ("2026-01-01T00:00:00Z", now),
            ("2026-01-01T01:00:00.5+01:00", now + 500),
            ("2025-12-31 19:00:00-05:00", now),
            ("2024-02-29T00:00:00.123456Z", 1_709_164_800_123),
            ("5m", now - 300_000),
            ("99999d", 0),
        ] {
            assert_eq!(parse_moment(text, now), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_moment_is_refused() {
        for text in [
            "",
            "-1",
            "2026-13-01",
            "2025-02-29",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "yesterday",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-1-1",
        ] {
            assert!(parse_moment(text, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_of_two_centuries_has_its_place() {
        let mut days = 0;
        for year in 1970..2170 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let text = format!("{year}-{month:02}-{day:02}");
                    assert_eq!(parse_rfc3339(&text), Some(days * MS_PER_DAY), "{text}");
                    days += 1;
                }
            }
        }
        assert_eq!(days, 73_049, "200 years with 49 leap days");
    }
}
