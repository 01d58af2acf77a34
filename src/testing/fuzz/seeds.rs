//! What a fuzzer begins with: good bytes of every kind, and the lies that are known to hurt others.

use bytes::BytesMut;

use super::{TARGETS, data_dir, log_files};
use crate::record::{BatchBuilder, Compression, Header};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::messages::{APIS, versions};
use crate::wire::{ApiKey, Reader, RequestPrefix, encode_request};

/// Frames that a real Apache Kafka and its clients exchanged.
const GOLDEN: &str = include_str!("../../../tests/golden/kafka-4.3.1-frames.txt");

/// A seed and what it is called.
pub type Seed = (String, Vec<u8>);

/// The seeds of a target.
///
/// # Panics
/// When there is no such target.
#[must_use]
pub fn of(target: &str) -> Vec<Seed> {
    match target {
        "requests" => requests(),
        "batches" => batches(),
        "responses" => responses(),
        "log_files" => log_files(),
        "data_dir" => data_dirs(),
        other => panic!("no target {other} among {TARGETS:?}"),
    }
}

/// The recorded frames of one side, by name.
fn golden(side: &str) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    GOLDEN.lines().filter(|line| !line.starts_with('#')).filter_map(move |line| {
        let (name, rest) = line.split_once(' ')?;
        let hex = rest.strip_prefix(side)?.strip_prefix(' ')?;
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
        let bytes = hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1]));
        Some((name, bytes.collect()))
    })
}

fn sized(frame: &[u8]) -> Vec<u8> {
    let size = u32::try_from(frame.len()).expect("seeds are small");
    [&size.to_be_bytes()[..], frame].concat()
}

fn requests() -> Vec<Seed> {
    let mut seeds: Vec<Seed> =
        golden("request").map(|(name, frame)| (name.to_owned(), sized(&frame))).collect();
    for &api in APIS {
        let known = versions(api).expect("a listed API has versions");
        for version in known.first..=known.last {
            let mut header = api.code().to_be_bytes().to_vec();
            header.extend(version.to_be_bytes());
            header.extend([0, 0, 0, 7, 0xff, 0xff]);
            if known.is_flexible(version) {
                header.push(0);
            }
            // An empty body, one that is all zeros, and one whose first count is as large as can be.
            let bodies: [&[u8]; 3] = [&[], &[0; 24], &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]];
            let frames = bodies.map(|body| sized(&[&header, body].concat()));
            seeds.push((format!("{}-{version}", api.name()), frames[1].clone()));
            if version == known.last {
                seeds.push((format!("{}-{version}-lies", api.name()), frames.concat()));
            }
        }
    }
    for codec in Compression::ALL {
        for version in [3, 9] {
            let partition = PartitionProduceData { index: 0, records: Some(batch(codec).into()) };
            let topic = TopicProduceData {
                name: "golden".into(),
                partition_data: vec![partition].into(),
                ..Default::default()
            };
            let request = ProduceRequest {
                acks: -1,
                timeout_ms: 10,
                topic_data: vec![topic].into(),
                ..Default::default()
            };
            let frame = encode_request(&request, version, 7, None).expect("it fits").into_bytes();
            seeds.push((format!("produce-{version}-{codec}"), frame.to_vec()));
        }
    }
    seeds
}

fn batches() -> Vec<Seed> {
    Compression::ALL.iter().map(|&codec| (codec.to_string(), batch(codec))).collect()
}

/// A batch with a little of everything.
fn batch(codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    let header = Header { key: "name".into(), value: Some("value".into()) };
    builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[header]).expect("it fits");
    builder.append(1_700_000_000_005, None, Some(&[0; 200]), &[]).expect("it fits");
    builder.append(1_700_000_000_003, Some(b""), None, &[]).expect("it fits");
    builder.build().to_vec()
}

fn responses() -> Vec<Seed> {
    let requests: Vec<_> = golden("request").collect();
    let answered = golden("response").filter_map(|(name, frame)| {
        let (_, request) = requests.iter().find(|(other, _)| *other == name)?;
        let prefix = RequestPrefix::read(&mut Reader::new(&request.clone().into())).ok()?;
        let index = APIS.iter().position(|api| api.code() == prefix.api_key)?;
        let known = versions(APIS[index])?;
        let version = u8::try_from(prefix.api_version.min(known.last) - known.first).ok()?;
        let flexible = known.is_flexible(prefix.api_version) && APIS[index] != ApiKey::ApiVersions;
        let body = &frame[4 + usize::from(flexible)..];
        Some((name.to_owned(), [&[u8::try_from(index).ok()?, version], body].concat()))
    });
    let mut seeds: Vec<Seed> = answered.collect();
    for (index, &api) in APIS.iter().enumerate() {
        let known = versions(api).expect("a listed API has versions");
        for version in 0..=known.last - known.first {
            let mut seed = vec![index as u8, version as u8];
            seed.extend([0; 40]);
            seeds.push((format!("{}-{version}-zeros", api.name()), seed));
        }
    }
    seeds
}

fn log_files() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (index, (path, content)) in log_files::sample().files.iter().enumerate() {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let file = index as u8;
        seeds.push((format!("{name}-whole"), [&[file, 0, 0], &content[..]].concat()));
        seeds.push((format!("{name}-garbage"), [&[file, 3, 0][..], &[0xa5; 40]].concat()));
        seeds.push((format!("{name}-overwritten"), vec![file, 1, 1, 0, 20, 0xff, 0xff, 0xff, 0xff]));
        seeds.push((format!("{name}-cut"), vec![file, 0, 2, 0, 25]));
        seeds.push((format!("{name}-rotten"), vec![file, 3, 3, 0, 3, 1, 0, 30, 7]));
    }
    seeds
}

fn data_dirs() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for file in 0..6 {
        seeds.push((format!("bytes-{file}-garbage"), [&[0, file << 1, 0][..], &[0x5a; 30]].concat()));
        seeds.push((format!("bytes-{file}-cut"), vec![0, file << 1, 2, 0, 9]));
        seeds.push((format!("bytes-{file}-rotten"), vec![0, file << 1 | 1, 3, 0, 70, 1, 0, 90, 2]));
    }
    // The payloads of a catalog: the number of the kind of record, an id, a name, a count, settings.
    for kind in 0..8u8 {
        let mut payload = BytesMut::from(&[2, 0, kind, 0, 0, 0][..]);
        payload.extend_from_slice(&[7; 16]);
        payload.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, b'n', 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        seeds.push((format!("record-{kind}"), payload.to_vec()));
    }
    let known: Vec<_> =
        data_dir::sample().iter().filter(|(path, _)| path.parent() == Some("/data".as_ref())).collect();
    for (path, content) in known {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        if let Some(which) = ["meta", "checkpoint"].iter().position(|known| *known == name) {
            let payload = content.get(12..).unwrap_or_default();
            seeds.push((format!("payload-{name}"), [&[1, (which as u8) << 1], payload].concat()));
        }
    }
    seeds
}
