//! Records as JSON lines: what `consume --json` prints and `produce --json` reads.
//!
//! Text is a JSON string. Bytes that are not UTF-8 are `{"base64": "..."}`, so that every record survives the way out
//! and back in. Headers are a list of pairs, since names may repeat; `produce` takes an object too.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{base64, time};
use crate::client::ConsumedRecord;
use crate::types::{Offset, TimestampMs};

/// A record read from a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JsonRecord {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp_ms: Option<TimestampMs>,
}

/// The fields of a line as they come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    headers: Value,
    partition: Option<i32>,
    #[serde(default)]
    timestamp: Value,
    /// As `consume` prints them; a copy of a record gets its own.
    #[serde(default, rename = "topic")]
    _topic: Value,
    #[serde(default, rename = "offset")]
    _offset: Value,
    #[serde(default, rename = "timestamp_type")]
    _timestamp_type: Value,
}

/// The fields of a line as they are printed.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    topic: &'a str,
    partition: i32,
    offset: Offset,
    timestamp: TimestampMs,
    timestamp_type: &'static str,
    key: Value,
    value: Value,
    headers: Vec<(Cow<'a, str>, Value)>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, for the user.
pub(crate) fn parse(line: &[u8]) -> Result<JsonRecord, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let timestamp_ms = match &line.timestamp {
        Value::Null => None,
        Value::String(text) => Some(time::parse_moment(text, time::now_ms())?),
        number => Some(number.as_i64().ok_or("timestamp must be milliseconds since 1970, or RFC 3339")?),
    };
    let headers = match line.headers {
        Value::Null => Vec::new(),
        Value::Object(headers) => {
            let named = headers.into_iter().map(|(name, value)| Ok((name, bytes_of(value)?)));
            named.collect::<Result<_, String>>()?
        }
        Value::Array(headers) => headers.into_iter().map(header_of).collect::<Result<_, String>>()?,
        _ => return Err("headers must be an object, or a list of [name, value] pairs".to_owned()),
    };
    let (key, value) = (bytes_of(line.key)?, bytes_of(line.value)?);
    Ok(JsonRecord { key, value, headers, partition: line.partition, timestamp_ms })
}

fn header_of(pair: Value) -> Result<(String, Option<Vec<u8>>), String> {
    match pair {
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([Value::String(name), value]) => Ok((name, bytes_of(value)?)),
            _ => Err("a header must be a pair: [name, value]".to_owned()),
        },
        _ => Err("a header must be a pair: [name, value]".to_owned()),
    }
}

/// The bytes a JSON value stands for: a string's, those in base64, or the value's own text.
fn bytes_of(value: Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 && object.contains_key("base64") => {
            let text = object["base64"].as_str().ok_or("base64 must be a string")?;
            base64::decode(text).map(Some).ok_or_else(|| format!("not base64: {text}"))
        }
        other => Ok(Some(other.to_string().into_bytes())),
    }
}

/// A record as one line, without its end.
pub(crate) fn line_of(record: &ConsumedRecord, all_base64: bool) -> String {
    let shown = |bytes: Option<&[u8]>| match (bytes, bytes.map(std::str::from_utf8)) {
        (None, _) => Value::Null,
        (Some(_), Some(Ok(text))) if !all_base64 => Value::from(text),
        (Some(bytes), _) => json!({ "base64": base64::encode(bytes) }),
    };
    let printed = Printed {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp_ms,
        timestamp_type: if record.append_time { "append" } else { "create" },
        key: shown(record.key.as_deref()),
        value: shown(record.value.as_deref()),
        headers: record
            .headers
            .iter()
            .map(|header| (String::from_utf8_lossy(&header.key), shown(header.value.as_deref())))
            .collect(),
    };
    serde_json::to_string(&printed).expect("text, numbers and values print as JSON")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::client::Header;

    #[test]
    fn a_line_has_what_it_says() {
        let record = parse(
            br#"{"key":"k","value":{"a":1},"headers":{"h":"x","n":null},"partition":2,"timestamp":"1970-01-02"}"#,
        );
        let expected = JsonRecord {
            key: Some(b"k".to_vec()),
            value: Some(br#"{"a":1}"#.to_vec()),
            headers: vec![("h".into(), Some(b"x".to_vec())), ("n".into(), None)],
            partition: Some(2),
            timestamp_ms: Some(86_400_000),
        };
        assert_eq!(record, Ok(expected));
        assert_eq!(parse(b"{}"), Ok(JsonRecord::default()));
        assert_eq!(parse(br#"{"value":{"base64":"AP8="}}"#).unwrap().value, Some(vec![0, 255]));
        assert_eq!(parse(br#"{"value":""}"#).unwrap().value, Some(Vec::new()));
    }

    #[test]
    fn what_is_not_a_record_is_refused() {
        for line in [
            "",
            "[]",
            "nonsense",
            r#"{"valeu":"x"}"#,
            r#"{"value":{"base64":"?"}}"#,
            r#"{"headers":[["a"]]}"#,
            r#"{"headers":"a"}"#,
            r#"{"partition":"0"}"#,
            r#"{"timestamp":true}"#,
            r#"{"timestamp":"soon"}"#,
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_record_survives_the_way_out_and_back_in() {
        let header = |key: &'static str, value| Header { key: Bytes::from(key), value };
        let record = ConsumedRecord {
            topic: "t".into(),
            partition: 1,
            offset: 7,
            timestamp_ms: 12345,
            append_time: false,
            leader_epoch: None,
            key: Some(Bytes::from_static(b"\xff\0")),
            value: Some(Bytes::from("text \"quoted\"\n")),
            headers: vec![header("a", Some(Bytes::from("1"))), header("a", None)],
        };
        for all_base64 in [false, true] {
            let line = line_of(&record, all_base64);
            assert!(!line.contains('\n'));
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!(read.key.as_deref(), record.key.as_deref());
            assert_eq!(read.value.as_deref(), record.value.as_deref());
            assert_eq!(read.headers, [("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), None)]);
            assert_eq!((read.partition, read.timestamp_ms), (Some(1), Some(12345)));
        }
    }
}
