//! Kafka's schemas, read from `tests/golden/kafka-4.3.1-schemas.txt`.

use std::ops::RangeInclusive;

use millrace::wire::ApiKey;

/// One message in a range of versions that share their fields.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) api: ApiKey,
    pub(crate) is_request: bool,
    pub(crate) versions: RangeInclusive<i16>,
    pub(crate) flexible: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldSpec {
    pub(crate) name: String,
    pub(crate) tag: Option<u8>,
    pub(crate) nullable: bool,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Bool,
    /// Of so many bytes.
    Int(usize),
    Uuid,
    String,
    Bytes,
    Array(Box<Self>),
    Struct(Vec<FieldSpec>),
}

/// All schemas of the file.
pub(crate) fn schemas() -> Vec<Schema> {
    let text = include_str!("../golden/kafka-4.3.1-schemas.txt");
    text.lines().filter(|line| !line.starts_with('#')).map(parse).collect()
}

fn parse(line: &str) -> Schema {
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (message, versions, encoding, fields) = (next(), next(), next(), next());
    let api_name = message.trim_end_matches("Request").trim_end_matches("Response");
    let (first, last) = versions.split_once('-').expect("a range of versions");
    let mut rest = fields;
    let fields = parse_fields(&mut rest);
    assert_eq!(rest, "", "{message}");
    Schema {
        api: (0..=i16::MAX)
            .filter_map(ApiKey::from_code)
            .find(|api| api.name() == api_name)
            .unwrap_or_else(|| panic!("no API {api_name}")),
        is_request: message.ends_with("Request"),
        versions: first.parse().unwrap()..=last.parse().unwrap(),
        flexible: encoding == "flexible",
        fields,
    }
}

fn parse_fields(rest: &mut &str) -> Vec<FieldSpec> {
    let mut fields = Vec::new();
    while let Some((name, after)) = rest.split_once(':').filter(|_| !rest.starts_with('}')) {
        *rest = after;
        let nullable = take(rest, "?");
        let (name, tag) = match name.split_once('@') {
            Some((name, tag)) => (name, Some(tag.parse().unwrap())),
            None => (name, None),
        };
        fields.push(FieldSpec { name: name.to_owned(), tag, nullable, shape: parse_shape(rest) });
        take(rest, " ");
    }
    fields
}

fn parse_shape(rest: &mut &str) -> Shape {
    if take(rest, "[") {
        let element = parse_shape(rest);
        assert!(take(rest, "]"), "{rest}");
        return Shape::Array(Box::new(element));
    }
    if take(rest, "{") {
        let fields = parse_fields(rest);
        assert!(take(rest, "}"), "{rest}");
        return Shape::Struct(fields);
    }
    let end = rest.find([' ', ']', '}']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    match word {
        "bool" => Shape::Bool,
        "int8" => Shape::Int(1),
        "int16" | "uint16" => Shape::Int(2),
        "int32" => Shape::Int(4),
        "int64" => Shape::Int(8),
        "uuid" => Shape::Uuid,
        "string" => Shape::String,
        "bytes" | "records" => Shape::Bytes,
        other => panic!("no type {other}"),
    }
}

fn take(rest: &mut &str, prefix: &str) -> bool {
    match rest.strip_prefix(prefix) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}
