//! The output language of `consume -f`: kcat's `%` tokens.
//!
//! A format is parsed once and then applied to each record. Text that is not a token is printed as it stands;
//! an unknown token is an error at the start, not a surprise in the output.

use std::io::{self, Write};

use crate::client::ConsumedRecord;

/// What a record looks like on stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    ValueLengthBinary,
    Headers,
    Timestamp,
}

/// How the bytes of the parts are printed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FormatOptions {
    /// Print null keys and values as `NULL` (kcat's `-Z`); otherwise as nothing.
    pub show_null: bool,
}

/// The tokens, for the help text.
pub(crate) const TOKENS_HELP: &str =
    "  %t topic        %p partition    %o offset         %T timestamp (ms since 1970, UTC)
  %k key          %K key length in bytes (-1 for null)
  %s value        %S value length in bytes (-1 for null)
  %R value length as 4 big-endian bytes             %h headers (name=value,name=value)
  %% a percent sign    \\n \\r \\t \\\\ and \\xNN (any byte)";

// === impl Format ===

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// A sentence for the user, when a token or an escape is unknown or cut short.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let token =
                        bytes.next().ok_or("the format ends with a lone %: write %% for a percent sign")?;
                    if let Some(part) = Part::of_token(token) {
                        if !literal.is_empty() {
                            parts.push(Part::Literal(std::mem::take(&mut literal)));
                        }
                        parts.push(part);
                    } else if token == b'%' {
                        literal.push(b'%');
                    } else {
                        let token = char::from(token);
                        return Err(format!(
                            "the format has an unknown token %{token}; known are:\n{TOKENS_HELP}"
                        ));
                    }
                }
                b'\\' => literal.push(escaped(&mut bytes)?),
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Prints one record.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        record: &ConsumedRecord,
        options: FormatOptions,
    ) -> io::Result<()> {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.write_all(bytes)?,
                Part::Topic => out.write_all(record.topic.as_bytes())?,
                Part::Partition => write!(out, "{}", record.partition)?,
                Part::Offset => write!(out, "{}", record.offset)?,
                Part::Key => nullable(out, record.key.as_deref(), options)?,
                Part::KeyLength => write!(out, "{}", length(record.key.as_deref()))?,
                Part::Value => nullable(out, record.value.as_deref(), options)?,
                Part::ValueLength => write!(out, "{}", length(record.value.as_deref()))?,
                Part::ValueLengthBinary => out.write_all(&length(record.value.as_deref()).to_be_bytes())?,
                Part::Timestamp => write!(out, "{}", record.timestamp_ms)?,
                Part::Headers => {
                    for (index, header) in record.headers.iter().enumerate() {
                        if index > 0 {
                            out.write_all(b",")?;
                        }
                        out.write_all(&header.key)?;
                        out.write_all(b"=")?;
                        out.write_all(header.value.as_deref().unwrap_or(b"NULL"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

// === impl Part ===

impl Part {
    fn of_token(token: u8) -> Option<Self> {
        Some(match token {
            b't' => Self::Topic,
            b'p' => Self::Partition,
            b'o' => Self::Offset,
            b'k' => Self::Key,
            b'K' => Self::KeyLength,
            b's' => Self::Value,
            b'S' => Self::ValueLength,
            b'R' => Self::ValueLengthBinary,
            b'h' => Self::Headers,
            b'T' => Self::Timestamp,
            _ => return None,
        })
    }
}

/// The byte that an escape stands for; the backslash is already read.
pub(crate) fn escaped(bytes: &mut std::str::Bytes<'_>) -> Result<u8, String> {
    match bytes.next() {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b'0') => Ok(0),
        Some(b'\\') => Ok(b'\\'),
        Some(b'x') => {
            let mut digit = || bytes.next().and_then(|letter| char::from(letter).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err("\\x must be followed by two hexadecimal digits, as in \\x1f".to_owned());
            };
            Ok(u8::try_from(high * 16 + low).expect("two hexadecimal digits fit a byte"))
        }
        Some(other) => {
            let other = char::from(other);
            Err(format!("unknown escape \\{other}: known are \\n \\r \\t \\0 \\\\ and \\xNN"))
        }
        None => Err("a lone \\ at the end: write \\\\ for a backslash".to_owned()),
    }
}

/// A text with escapes, as bytes: for delimiters.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'\\' { escaped(&mut bytes)? } else { byte });
    }
    Ok(out)
}

fn nullable(out: &mut impl Write, bytes: Option<&[u8]>, options: FormatOptions) -> io::Result<()> {
    match bytes {
        Some(bytes) => out.write_all(bytes),
        None if options.show_null => out.write_all(b"NULL"),
        None => Ok(()),
    }
}

/// The length in bytes; -1 for null.
fn length(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::client::Header;

    fn record(key: Option<&'static str>, value: Option<&'static str>) -> ConsumedRecord {
        ConsumedRecord {
            topic: "orders".into(),
            partition: 3,
            offset: 42,
            timestamp_ms: 1_767_225_600_000,
            append_time: false,
            leader_epoch: None,
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: vec![
                Header { key: Bytes::from("a"), value: Some(Bytes::from("1")) },
                Header { key: Bytes::from("b"), value: None },
            ],
        }
    }

    fn shown(format: &str, record: &ConsumedRecord, show_null: bool) -> Vec<u8> {
        let mut out = Vec::new();
        Format::parse(format).unwrap().write(&mut out, record, FormatOptions { show_null }).unwrap();
        out
    }

    #[test]
    fn every_token_prints_its_part() {
        let record = record(Some("k1"), Some("hello"));
        for (format, text) in [
            ("%t [%p] @%o\\n", "orders [3] @42\n"),
            ("%k=%s;%K/%S", "k1=hello;2/5"),
            ("%T %h", "1767225600000 a=1,b=NULL"),
            ("%R", "\0\0\0\u{5}"),
            ("100%%\\t\\x41\\\\", "100%\tA\\"),
            ("", ""),
            ("käse %k", "käse k1"),
        ] {
            assert_eq!(shown(format, &record, false), text.as_bytes(), "{format}");
        }
        assert_eq!(shown("\\xff", &record, false), [0xff]);
    }

    #[test]
    fn null_and_empty_differ() {
        assert_eq!(shown("[%k|%s|%K|%S]", &record(None, Some("")), false), b"[||-1|0]");
        assert_eq!(shown("[%k|%s|%K|%S]", &record(None, Some("")), true), b"[NULL||-1|0]");
        assert_eq!(shown("%R", &record(None, None), false), [0xff; 4]);
    }

    #[test]
    fn unknown_tokens_and_escapes_are_refused() {
        for format in ["%x", "%", "a%", "\\q", "\\", "\\x4", "\\xzz", "%ä"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
        assert!(Format::parse("%x").unwrap_err().contains("%o offset"));
    }
}
